// Coded planes through a feed: landed whole, verified, decoded to their places.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Primitives
import StoreTestSupport
import Testing

@Suite("A feed of coded chunks")
struct CodedFeedTests {
    @Test("reads what is stored, not more, and counts every plane as copied")
    func counters() throws {
        try ObservedStore(seed: 41).session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding(layers: 3))
            // 64 KiB a plane; a quarter of it repeats.
            let chunk = TestChunk(1, tokenCount: 256, isRegular: true)
            try await chunk.put(in: space, codec: .measured)
            let located = try #require(try await space.locate(chunk.key(in: space)))
            let extents = located.extents
            #expect(extents.allSatisfy { $0.isCoded && $0.paddedBytes < $0.rawBytes })
            _ = disk.takeReads()
            let feed = try await ChunkFeed.start([FeedItem(space, chunk.key(in: space))])
            while let layer = try await feed.nextLayer() {
                let planes = chunk.layers(space.binding)[layer.layer]
                layer.withSlabs { keys, values in
                    #expect(areEqual(Array(keys), planes.keys))
                    #expect(areEqual(Array(values), planes.values))
                }
            }
            let stored = extents.reduce(0) { $0 + $1.paddedBytes }
            #expect(disk.takeReads().reduce(0) { $0 + $1.byteCount } == stored)
            #expect(feed.counters.readBytes == UInt64(stored))
            #expect(feed.counters.copiedPlaneCount == 6 && feed.counters.directPlaneCount == 0)
        }
    }

    @Test("N-2 a flipped bit of a coded plane is damage of its layer alone")
    func damage() throws {
        let place = StorePlace(.simulated(seed: 42))
        let chunk = TestChunk(1, tokenCount: 64, isRegular: true)
        let target = try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 3))
            try await chunk.put(in: space, codec: .bytePlanesLZ4)
            let located = try #require(try await space.locate(chunk.key(in: space)))
            let extent = try #require(located.extent(layer: 1, .values))
            return (
                "segments/0000000\(located.entry.extent.segment.raw)",
                Int(extent.fileOffset) + extent.storedBytes - 1
            )
        }
        try #require(place.machine).disk.flip(target.0, byte: target.1, bit: 3)
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let feed = try await ChunkFeed.start([FeedItem(space, chunk.key(in: space))])
            var damaged: [Int] = []
            for layer in 0..<3 {
                do throws(StoreError) {
                    let found = try await feed.nextLayer()
                    #expect(found?.layer == layer)
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    #expect(facts.key == chunk.key(in: space) && facts.cause.clause == "DIG-2")
                    damaged.append(layer)
                }
            }
            #expect(damaged == [1])
        }
    }

    @Test("rows of a cancelled chunk are zeros, and nothing of it is decoded")
    func cancelled() throws {
        try StorePlace(.simulated(seed: 43)).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 4))
            let chunks = [1, 2].map { TestChunk($0, tokenCount: 40, isRegular: true) }
            for chunk in chunks { try await chunk.put(in: space, codec: .bytePlanesLZ4) }
            var options = FeedOptions(layersAhead: 1)
            options.inFlightBytes = 1
            let feed = try await ChunkFeed.start(
                chunks.map { FeedItem(space, $0.key(in: space)) }, options: options)
            feed.cancel(chunk: 0)
            while let layer = try await feed.nextLayer() {
                let planes = chunks[1].layers(space.binding)[layer.layer]
                layer.withSlabs { keys, values in
                    let zeros = [UInt8](repeating: 0, count: 40 * 256)
                    #expect(areEqual(Array(keys), zeros + planes.keys))
                    #expect(areEqual(Array(values), zeros + planes.values))
                }
            }
        }
    }
}
