import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("A feed")
struct FeedTests {
    private func stored(_ space: Namespace, _ owners: Range<UInt64>, tokenCount: Int = 40)
        async throws
    {
        for owner in owners { try await TestChunk(owner, tokenCount: tokenCount).put(in: space) }
    }

    @Test(
        "hands over every layer in order, verified, equal to what get gives",
        arguments: PlaceKind.all)
    func order(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: oddBinding(layers: 6))
            try await stored(space, 0..<5)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let chunks = [3, 1, 4, 1, 0].map { TestChunk(UInt64($0), tokenCount: 40) }
            for ahead in [0, 1, 3, 100, Int.max] {
                let feed = try await ChunkFeed.start(
                    chunks.map { FeedItem(space, $0.key(in: space)) },
                    options: FeedOptions(layersAhead: ahead))
                #expect(feed.misses.isEmpty)
                #expect(feed.chunks.map(\.tokenCount) == [40, 40, 40, 40, 40])
                var layers: [Int] = []
                for try await layer in feed {
                    layers.append(layer.layer)
                    for (index, chunk) in chunks.enumerated() {
                        let expected = chunk.layers(space.binding)[layer.layer]
                        #expect(layer.withPlane(chunk: index, .keys) { Array($0) } == expected.keys)
                        let both = layer.withPlanes(chunk: index) { keys, values in
                            Array(keys) == expected.keys && Array(values) == expected.values
                        }
                        #expect(both)
                    }
                }
                #expect(layers == [0, 1, 2, 3, 4, 5])
                #expect(try await feed.nextLayer() == nil)
            }
            let data = try await space.mustGet(chunks[0].key(in: space))
            #expect(data.plane(layer: 5, .values) == chunks[0].layers(space.binding)[5].values)
            #expect(db.counters.verifiedBytes > 0)
            #expect(db.counters.unverifiedBytes == 0)
        }
    }

    @Test("lists what is not stored, and feeds the rest", arguments: PlaceKind.all)
    func misses(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            try await stored(space, 0..<3)
            let items = [9, 0, 8, 2].map {
                FeedItem(space, TestChunk(UInt64($0), tokenCount: 40).key(in: space))
            }
            let feed = try await ChunkFeed.start(items)
            #expect(feed.misses == [0, 2])
            var count = 0
            while let layer = try await feed.nextLayer() {
                let expected = TestChunk(2, tokenCount: 40).layers(space.binding)[layer.layer]
                #expect(layer.withPlane(chunk: 1, .values) { Array($0) } == expected.values)
                count += 1
            }
            #expect(count == 3)
            let nothing = try await ChunkFeed.start([items[0]])
            #expect(nothing.misses == [0] && nothing.chunks.isEmpty)
            var empty = 0
            while let layer = try await nothing.nextLayer() {
                #expect(layer.byteCount == 0)
                empty += 1
            }
            #expect(empty == 3)
            await #expect(throws: StoreError.self) { _ = try await ChunkFeed.start([]) }
        }
    }

    @Test("feeds from several namespaces of one binding, and refuses others and other stores")
    func namespaces() throws {
        let place = StorePlace(.simulated(seed: 2))
        let other = StorePlace(.simulated(seed: 2))
        try other.session { stranger in
            let foreign = try await stranger.namespace("b", model: smallBinding())
            try place.session { db in
                let a = try await db.namespace("a", model: smallBinding())
                let b = try await db.namespace("b", model: smallBinding(name: "same model"))
                let c = try await db.namespace("c", model: smallBinding(layers: 2))
                try await stored(a, 0..<1)
                try await stored(b, 1..<2)
                try await stored(c, 2..<3)
                let key = { (owner: UInt64, space: Namespace) in
                    FeedItem(space, TestChunk(owner, tokenCount: 40).key(in: space))
                }
                let feed = try await ChunkFeed.start([key(0, a), key(1, b), key(1, a)])
                #expect(feed.misses == [2])
                let layer = try #require(try await feed.nextLayer())
                let expected = TestChunk(1, tokenCount: 40).layers(b.binding)[0]
                #expect(layer.withPlane(chunk: 1, .keys) { Array($0) } == expected.keys)
                await #expect(throws: StoreError.self) {
                    _ = try await ChunkFeed.start([key(0, a), key(2, c)])
                }
                await #expect(throws: StoreError.self) {
                    _ = try await ChunkFeed.start([key(0, a), key(0, foreign)])
                }
            }
        }
    }

    @Test("reads no layer that the consumer skips")
    func skippedLayers() throws {
        let place = StorePlace(.simulated(seed: 3))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 6))
            try await stored(space, 0..<2)
            var options = FeedOptions(layersAhead: 2)
            options.skippedLayers = [0, 1, 4, 17]
            let items = (0..<2 as Range<UInt64>).map {
                FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
            }
            _ = try await space.locate(items[0].key)
            _ = try await space.locate(items[1].key)
            let before = db.diskCounters.readBytes
            let feed = try await ChunkFeed.start(items, options: options)
            var layers: [Int] = []
            while let layer = try await feed.nextLayer() { layers.append(layer.layer) }
            #expect(layers == [2, 3, 5])
            // 40 rows of 256 bytes: 12,288 on disk a plane.
            #expect(db.diskCounters.readBytes - before == 3 * 2 * 2 * 12_288)
            options.skippedLayers = Set(0..<6)
            let none = try await ChunkFeed.start(items, options: options)
            #expect(try await none.nextLayer() == nil)
        }
    }

    @Test("DIG-2 a damaged layer is an error with its facts, and later layers still come")
    func damage() throws {
        let place = StorePlace(.simulated(seed: 4))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 4))
            try await stored(space, 0..<3)
            let key = TestChunk(1, tokenCount: 40).key(in: space)
            let located = try #require(try await space.locate(key))
            let extent = try #require(located.extent(layer: 2, .values))
            place.machine!.disk.flip("segments/00000000", byte: Int(extent.fileOffset) + 5, bit: 2)
            let items = (0..<3 as Range<UInt64>).map {
                FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
            }
            let feed = try await ChunkFeed.start(items)
            var layers: [Int] = []
            var facts: DamageFacts?
            for _ in 0..<4 {
                do throws(StoreError) {
                    if let layer = try await feed.nextLayer() { layers.append(layer.layer) }
                } catch {
                    guard case .damaged(let found) = error else { throw error }
                    facts = found
                }
            }
            #expect(layers == [0, 1, 3])
            #expect(facts?.key == key)
            #expect(facts?.offset == extent.fileOffset)
            #expect(facts?.cause.clause == "DIG-2")
            #expect(db.counters.damageCount == 1)
            // Who asks for no verification gets what the disk gives, and it is counted.
            let blind = try await ChunkFeed.start(
                items, options: FeedOptions(verification: .unverified))
            while try await blind.nextLayer() != nil {}
            #expect(db.counters.unverifiedBytes == 4 * 3 * 2 * 12_288)
        }
    }

    @Test("takes no more slabs than layers are ahead, and one for the consumer")
    func memory() throws {
        try ObservedStore(seed: 5).session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding(layers: 12))
            try await stored(space, 0..<3)
            let items = try await located(space, 0..<3)
            let before = disk.bufferCount
            let feed = try await ChunkFeed.start(items, options: FeedOptions(layersAhead: 2))
            var count = 0
            while let layer = try await feed.nextLayer() {
                count += 1
                #expect(layer.byteCount == 3 * 2 * 12_288)
            }
            #expect(count == 12)
            #expect(disk.bufferCount - before == 3)
            #expect(db.slabCounters.madeCount == 3 && db.slabCounters.reusedCount == 9)
        }
    }

    @Test(
        "X-1 a feed that is dropped with reads on their way harms nothing", arguments: PlaceKind.all
    )
    func dropped(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 8))
            try await stored(space, 0..<4)
            for round in 0..<10 {
                let items = (0..<4 as Range<UInt64>).map {
                    FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
                }
                let feed = try await ChunkFeed.start(items, options: FeedOptions(layersAhead: 8))
                if round % 2 == 0 { _ = try await feed.nextLayer() }
            }
            #expect(try await TestChunk(2, tokenCount: 40).isIntact(in: space) == true)
        }
    }

    @Test("X-1 a cancelled wait for a layer ends at once, and the layer can be asked for again")
    func cancelled() throws {
        let machine = SimulatedMachine(seed: 9)
        let db = try machine.open()
        try machine.scheduler.wait { [self] () async -> Result<Void, any Error> in
            do {
                let space = try await db.namespace("acme", model: smallBinding(layers: 8))
                try await stored(space, 0..<2)
                let items = (0..<2 as Range<UInt64>).map {
                    FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
                }
                let feed = try await ChunkFeed.start(items, options: FeedOptions(layersAhead: 2))
                #expect(try await feed.nextLayer()?.layer == 0)
                // Layers 1 and 2 are there; the reads of layer 3 are the first that are held.
                machine.disk.hold(number: 1, andAllAfter: true)
                #expect(try await feed.nextLayer()?.layer == 1)
                #expect(try await feed.nextLayer()?.layer == 2)
                let waiting = Task(executorPreference: machine.scheduler) {
                    try await feed.nextLayer()?.layer
                }
                await machine.scheduler.clock.sleep(nanoseconds: 1_000_000_000)
                #expect(machine.disk.heldCount > 0)
                waiting.cancel()
                #expect(await waiting.result.error as? StoreError == .cancelled)
                machine.disk.release()
                var layers: [Int] = []
                for try await layer in feed {
                    layers.append(layer.layer)
                    let first = plane(0, layer: layer.layer, .keys, byteCount: 256 * 40)
                    #expect(layer.withPlane(chunk: 0, .keys) { Array($0) } == first)
                }
                #expect(layers == [3, 4, 5, 6, 7])
                await db.close()
                return .success(())
            } catch {
                return .failure(error)
            }
        }.get()
    }

    @Test("a feed of a store that was closed says so", arguments: PlaceKind.all)
    func closed(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 8))
            try await stored(space, 0..<2)
            let items = (0..<2 as Range<UInt64>).map {
                FeedItem(space, TestChunk($0, tokenCount: 40).key(in: space))
            }
            let feed = try await ChunkFeed.start(items, options: FeedOptions(layersAhead: 2))
            await db.close()
            await #expect(throws: StoreError.log(.closed)) {
                while try await feed.nextLayer() != nil {}
            }
        }
    }
}

/// Chunks as a feed wants them, their headers opened.
func located(_ space: Namespace, _ owners: Range<UInt64>, tokenCount: Int = 40) async throws
    -> [FeedItem]
{
    let items = owners.map {
        FeedItem(space, TestChunk($0, tokenCount: tokenCount).key(in: space))
    }
    for item in items { _ = try await space.locate(item.key) }
    return items
}

extension Result {
    var error: Failure? { if case .failure(let error) = self { error } else { nil } }
}
