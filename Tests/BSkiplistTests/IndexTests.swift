// Properties with a name: extreme keys, ties, batches, bulk loads, memory, ends.

import BSkiplist
import Testing

@Suite("The index")
struct IndexTests {
    @Test("The least and the greatest key are keys like any other")
    func extremeKeys() {
        let index = BSkiplist(arena: sharedArena, seed: 9)
        #expect(index.insert(.ones, IndexValue(1, 1, 1)))
        #expect(index.insert(.zero, IndexValue(2, 2, 2)))
        for number in 1...500 as ClosedRange<UInt64> {
            #expect(index.insert(IndexKey(number << 50, 0, 0, 0, 0), IndexValue(number, 0, 0)))
        }
        #expect(!index.insert(.ones, IndexValue(9, 9, 9)))
        #expect(index.lookup(.ones) == IndexValue(1, 1, 1))
        #expect(index.lookup(.zero) == IndexValue(2, 2, 2))
        var keys: [IndexKey] = []
        index.scan(from: .ones) { key, _ in
            keys.append(key)
            return true
        }
        #expect(keys == [.ones])
        #expect(index.remove(.ones) == IndexValue(1, 1, 1))
        #expect(index.remove(.zero) == IndexValue(2, 2, 2))
        #expect(index.lookup(.ones) == nil)
        #expect(index.checkInvariants().prefix(3) == [])
    }

    @Test("Keys that share their first eight bytes route as sharply as others")
    func sharedPrefix() {
        let index = BSkiplist(arena: sharedArena, seed: 5)
        var random = Seeded(77)
        let keys = (0..<5_000).map { IndexKey(1, random.next(), UInt64($0), 0, 0) }
        for (number, key) in keys.enumerated() {
            #expect(index.insert(key, IndexValue(UInt64(number), 0, 0)))
        }
        for (number, key) in keys.enumerated() {
            #expect(index.lookup(key)?.v0 == UInt64(number))
        }
        #expect(index.lookup(IndexKey(1, 0, 0, 0, 0)) == nil)
        #expect(index.lookup(IndexKey(1, .max, .max, .max, .max)) == nil)
        #expect(index.checkInvariants().prefix(3) == [])
    }

    @Test("A thousand variants of one chunk among other chunks")
    func variants() {
        let index = BSkiplist(arena: sharedArena, seed: 5)
        var random = Seeded(3)
        for _ in 0..<1_000 {
            let word = random.next()
            _ = index.insert(IndexKey(word, word, word, word, 0), IndexValue(0, 0, 0))
        }
        let variants = (0..<1_000 as Range<UInt64>).map { $0 &* 0x9E37_79B9_7F4A_7C15 }
        for variant in variants {
            #expect(index.insert(IndexKey(1 << 63, 8, 8, 8, variant), IndexValue(variant, 0, 0)))
        }
        var seen: [UInt64] = []
        index.scan(from: IndexKey(1 << 63, 8, 8, 8, 0)) { key, value in
            guard key.w0 == 1 << 63 && key.w1 == 8 else { return false }
            #expect(key.w4 == value.v0)
            seen.append(key.w4)
            return true
        }
        #expect(seen == variants.sorted())
        #expect(index.checkInvariants().prefix(3) == [])
    }

    @Test("A batch answers in the order of its keys", arguments: [0, 1, 15, 16, 17, 128, 1_024])
    func batches(width: Int) {
        let index = BSkiplist(arena: sharedArena, seed: 2)
        var random = Seeded(11)
        let present = (0..<2_000).map { _ in
            IndexKey(random.next(), random.next() & 1, 0, 0, random.next() & 3)
        }
        for key in present { _ = index.insert(key, IndexValue(key.w0, key.w1, key.w4)) }
        let keys = (0..<width).map { lane in
            lane % 3 == 0
                ? IndexKey(random.next(), 9, 0, 0, 0) : present[Int(random.next() % 2_000)]
        }
        #expect(index.lookup(batch: keys) == keys.map { index.lookup($0) })
    }

    @Test("Leading hits stop at the first miss")
    func leadingHits() {
        let index = BSkiplist(arena: sharedArena, seed: 2)
        let keys = (0..<100 as Range<UInt64>).map {
            IndexKey($0 &* 0x9E37_79B9_7F4A_7C15, 0, 0, 0, 0)
        }
        for key in keys.prefix(63) { _ = index.insert(key, IndexValue(0, 0, 0)) }
        #expect(index.leadingHits(keys) == 63)
        #expect(index.leadingHits([]) == 0)
        #expect(index.leadingHits(Array(keys.prefix(20))) == 20)
        _ = index.remove(keys[0])
        #expect(index.leadingHits(keys) == 0)
        for key in keys { _ = index.upsert(key, IndexValue(0, 0, 0)) }
        #expect(index.leadingHits(keys) == 100)
    }

    @Test("A bulk load at any fill, then changes", arguments: [0.3, 0.7, 0.9, 1.0], [0, 1, 3_000])
    func bulkLoad(fill: Double, entries: Int) {
        var random = Seeded(UInt64(entries))
        var model = SortedArrayModel()
        for _ in 0..<entries {
            _ = model.insert(IndexKey(random.next(), 0, 0, 0, 0), IndexValue(random.next(), 0, 0))
        }
        let index = BSkiplist.bulkLoad(
            arena: sharedArena,
            seed: 4,
            fill: fill,
            run: model.entries.lazy.map { ($0.key, $0.value) }
        )
        #expect(index.checkInvariants().prefix(3) == [])
        #expect(index.count == entries)
        for entry in model.entries { #expect(index.lookup(entry.key) == entry.value) }
        for _ in 0..<1_000 {
            let key = IndexKey(random.next(), 0, 0, 0, 0)
            #expect(
                index.insert(key, IndexValue(0, 0, 0)) == model.insert(key, IndexValue(0, 0, 0))
            )
        }
        for entry in model.entries.filter({ $0.key.w0 % 2 == 0 }) {
            #expect(index.remove(entry.key) == model.remove(entry.key))
        }
        var rest = model.entries[...]
        index.scan(from: .zero) { key, _ in key == rest.popFirst()?.key }
        #expect(rest.isEmpty)
        #expect(index.checkInvariants().prefix(3) == [])
    }

    @Test(
        "Memory after ten replacements of the content",
        arguments: ["hashes", "rising", "falling"]
    )
    func replacement(order: String) {
        let index = BSkiplist(arena: sharedArena, seed: 8)
        var random = Seeded(1)
        var live: [IndexKey] = []
        var clock: UInt64 = 0
        func key() -> IndexKey {
            clock += 1
            return switch order {
            case "rising": IndexKey(clock, 0, 0, 0, 0)
            case "falling": IndexKey(.max - clock, 0, 0, 0, 0)
            default: IndexKey(random.next(), 0, 0, 0, 0)
            }
        }
        for _ in 0..<3_000 {
            live.append(key())
            _ = index.insert(live[live.count - 1], IndexValue(0, 0, 0))
        }
        var first = 0
        for cycle in 0..<10 {
            for slot in live.indices {
                #expect(index.remove(live[slot]) != nil)
                live[slot] = key()
                #expect(index.insert(live[slot], IndexValue(0, 0, 0)))
            }
            if cycle == 0 { first = index.allocatedBytes }
        }
        #expect(Double(index.allocatedBytes) <= 1.1 * Double(first))
        #expect(index.checkInvariants().prefix(3) == [])
        for key in live { #expect(index.remove(key) != nil) }
        #expect(index.count == 0)
        #expect(index.checkInvariants().prefix(3) == [])
        // What is left of the leaves is a handful that could not find a partner.
        let statistics = index.statistics()
        #expect(statistics.leaves <= 10, "\(statistics)")
    }

    @Test("A dropped index gives its nodes to the next")
    func dropping() {
        let arena = NodeArena()
        func fill(_ seed: UInt64) -> BSkiplist {
            let index = BSkiplist(arena: arena, seed: seed)
            for number in 0..<3_000 as Range<UInt64> {
                let word = number &* 0x9E37_79B9_7F4A_7C15
                _ = index.insert(IndexKey(word, 0, 0, 0, 0), IndexValue(number, 0, 0))
                if number % 3 == 0 { _ = index.remove(IndexKey(word, 0, 0, 0, 0)) }
            }
            return index
        }
        var index: BSkiplist? = fill(1)
        let used = arena.allocatedBytes
        #expect(used == index?.allocatedBytes)
        index = nil
        #expect(arena.allocatedBytes == 0)
        for _ in 0..<3 {
            index = fill(1)
            #expect(index?.checkInvariants() == [])
            #expect(arena.allocatedBytes == used)
            index = nil
        }
        #expect(arena.allocatedBytes == 0)
    }

    @Test("Cuts divide the index into ranges that together are the whole")
    func cuts() {
        let index = BSkiplist(arena: sharedArena, seed: 2)
        var random = Seeded(6)
        for _ in 0..<4_000 {
            _ = index.insert(IndexKey(random.next(), 0, 0, 0, 0), IndexValue(0, 0, 0))
        }
        for parts in [1, 2, 4, 7] {
            let cuts = index.cuts(parts: parts)
            #expect(cuts == cuts.sorted() && cuts.count == parts - 1)
            let starts = [.zero] + cuts
            var sizes: [Int] = []
            for (number, start) in starts.enumerated() {
                let end = number + 1 < starts.count ? starts[number + 1] : nil
                var size = 0
                index.scan(from: start) { key, _ in
                    if let end, key >= end { return false }
                    size += 1
                    return true
                }
                sizes.append(size)
            }
            #expect(sizes.reduce(0, +) == index.count)
            #expect((sizes.min() ?? 0) * 4 >= sizes.max() ?? 0, "\(sizes)")
        }
    }

    @Test("The 16-byte shape is the same index")
    func slim() {
        let index = SlimBSkiplist(arena: sharedArena, seed: 3)
        var random = Seeded(4)
        let keys = (0..<3_000).map { _ in SlimIndexKey(random.next() % 64, random.next()) }
        for key in keys { #expect(index.insert(key, IndexValue(key.w1, 0, 0))) }
        #expect(index.lookup(batch: keys).compactMap { $0?.v0 } == keys.map(\.w1))
        var scanned: [SlimIndexKey] = []
        index.scan(from: SlimIndexKey(0, 0)) { key, _ in
            scanned.append(key)
            return true
        }
        #expect(scanned == keys.sorted())
        for key in keys { #expect(index.remove(key)?.v0 == key.w1) }
        #expect(index.checkInvariants().prefix(3) == [])
    }
}
