import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Primitives
import StoreTestSupport
import Synchronization
import Testing

@Suite("The blocking twin of a feed")
struct BlockingTests {
    @Test("gives the same layers", arguments: [PlaceKind.real(.threads), .real(.automatic)])
    func layers(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: oddBinding(layers: 5))
            for owner in 0..<3 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 40).put(in: space)
            }
        }
        let db = try ChunkDB.openAndWait(at: place.path, options: place.options)
        let space = try #require(db.namespace("acme"))
        let items = (0..<3 as Range<UInt64>).map {
            FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
        }
        let feed = try ChunkFeed.startAndWait(items)
        var layers: [Int] = []
        while let layer = try feed.nextLayerAndWait() {
            for chunk in 0..<3 {
                let expected = TestChunk(UInt64(chunk), tokenCount: 40).layers(space.binding)
                let isRight = layer.withPlanes(chunk: chunk) {
                    areEqual(Array($0), expected[layer.layer].keys)
                        && areEqual(Array($1), expected[layer.layer].values)
                }
                #expect(isRight)
            }
            layers.append(layer.layer)
        }
        #expect(layers == [0, 1, 2, 3, 4])
        #expect(throws: StoreError.self) { _ = try ChunkFeed.startAndWait([]) }
        let cancelled = try ChunkFeed.startAndWait(prompts: [items, items])
        cancelled.cancel()
        #expect(try cancelled.nextLayerAndWait() == nil)
        try db.wait { () async throws in await db.close() }
        #expect(throws: StoreError.log(.closed)) {
            _ = try ChunkFeed.startAndWait(items)
        }
    }
}
