// The layout that the index copies by: an entry is its words, in order, with nothing between.

import BSkiplist
import Testing

@Suite("Layout")
struct EntryLayoutTests {
    @Test("An entry is its words without padding")
    func entries() {
        #expect(MemoryLayout<(IndexKey, IndexValue)>.size == 64)
        #expect(MemoryLayout<(SlimIndexKey, IndexValue)>.size == 40)
        let wide = (IndexKey(1, 2, 3, 4, 5), IndexValue(6, 7, 8))
        let words = withUnsafeBytes(of: wide) { Array($0.bindMemory(to: UInt64.self)) }
        #expect(words == [1, 2, 3, 4, 5, 6, 7, 8])
        let slim = (SlimIndexKey(1, 2), IndexValue(3, 4, 5))
        #expect(
            withUnsafeBytes(of: slim) { Array($0.bindMemory(to: UInt64.self)) } == [1, 2, 3, 4, 5]
        )
    }
}
