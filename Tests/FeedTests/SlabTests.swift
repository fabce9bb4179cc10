import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Glibc
import Primitives
import StoreTestSupport
import Testing

@Suite("The slabs of a feed")
struct SlabTests {
    /// Chunk `owner` has `counts[owner]` tokens.
    private func store(
        _ space: Namespace, _ counts: [Int], isCoded: (Int) -> Bool = { _ in false }
    ) async throws -> [TestChunk] {
        var chunks: [TestChunk] = []
        for (owner, count) in counts.enumerated() {
            let chunk = TestChunk(UInt64(owner), tokenCount: count, isRegular: owner % 2 == 0)
            try await chunk.put(in: space, codec: isCoded(owner) ? .bytePlanesLZ4 : .raw)
            chunks.append(chunk)
        }
        return chunks
    }

    private func rows(
        _ chunks: [TestChunk], _ space: Namespace, _ layer: Int, _ kind: ExtentKind
    ) -> [UInt8] {
        chunks.flatMap {
            let planes = $0.layers(space.binding)[layer]
            return kind == .keys ? planes.keys : planes.values
        }
    }

    @Test(
        "hold all rows one after the other; what begins on a unit is not copied, and is counted",
        arguments: PlaceKind.all)
    func contiguous(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 3))
            // Rows of 256 bytes: 16 fill a unit. Planes begin after 0, 16, 48, 88 and 104 rows.
            let chunks = try await store(space, [16, 32, 40, 16, 17])
            let feed = try await ChunkFeed.start(
                chunks.map { FeedItem(space, $0.key(in: space)) })
            while let layer = try await feed.nextLayer() {
                #expect(layer.rowCount() == 121 && layer.rowBytes == 256)
                #expect(layer.rows(ofChunk: 2) == 48..<88)
                layer.withSlabs { keys, values in
                    #expect(areEqual(Array(keys), rows(chunks, space, layer.layer, .keys)))
                    #expect(areEqual(Array(values), rows(chunks, space, layer.layer, .values)))
                }
            }
            // Three planes of keys and three of values stand where the disk put them.
            #expect(feed.counters.directPlaneCount == 3 * 6)
            #expect(feed.counters.directBytes == 3 * 2 * 88 * 256)
            #expect(feed.counters.copiedPlaneCount == 3 * 4)
            #expect(feed.counters.copiedBytes == 3 * 2 * 33 * 256)
        }
    }

    @Test("are taken from the pool: a second feed makes no memory", arguments: PlaceKind.all)
    func recycled(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 8))
            let chunks = try await store(space, [16, 40, 16])
            var made: [UInt64] = []
            for _ in 0..<3 {
                let feed = try await ChunkFeed.start(
                    chunks.map { FeedItem(space, $0.key(in: space)) })
                while let layer = try await feed.nextLayer() {
                    layer.withSlabs { keys, _ in
                        #expect(areEqual(Array(keys), rows(chunks, space, layer.layer, .keys)))
                    }
                }
                made.append(db.slabCounters.madeCount)
            }
            let counters = db.slabCounters
            if case .simulated = kind {
                #expect(made == [4, 4, 4] && counters.reusedCount == 3 * 8 - 4)
                #expect(counters.keptBytes == Int(counters.madeBytes))
            } else {
                // The disk's region is large enough for all, every time.
                #expect(made == [0, 0, 0] && counters.regionCount == 3 * 8)
                #expect(counters.keptBytes == 0)
            }
            await db.close()
            #expect(db.slabCounters.keptBytes == 0)
        }
    }

    @Test(
        "that do not fit the disk's region are recycled too",
        arguments: [PlaceKind.real(.threads), .real(.automatic)])
    func beyondTheRegion(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 8))
            let chunks = try await store(space, [16, 40, 16])
            let items = chunks.map { FeedItem(space, $0.key(in: space)) }
            var options = FeedOptions()
            // Slabs of more than 8 MiB, of which a region of 4 MiB has none.
            options.slackRows = 1 << 14
            for _ in 0..<3 {
                let feed = try await ChunkFeed.start(items, options: options)
                while let layer = try await feed.nextLayer() {
                    layer.withSlabs { keys, _ in
                        #expect(areEqual(Array(keys), rows(chunks, space, layer.layer, .keys)))
                    }
                }
                #expect(db.slabCounters.madeCount == 4)
            }
            #expect(db.slabCounters.reusedCount == 3 * 8 - 4 && db.slabCounters.regionCount == 0)
        }
    }

    @Test("ask the disk for no buffer once the store is warm")
    func noNewBuffers() throws {
        try ObservedStore(seed: 31).session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding(layers: 8))
            let items = try await store(space, [16, 40, 16]).map {
                FeedItem(space, $0.key(in: space))
            }
            var options = FeedOptions(layersAhead: 3)
            options.firstLayers = [5, 0]
            for round in 0..<3 {
                let before = disk.bufferCount
                let feed = try await ChunkFeed.start(items, options: options)
                while try await feed.nextLayer() != nil {}
                #expect(round == 0 ? disk.bufferCount > before : disk.bufferCount == before)
            }
        }
    }

    @Test("that nobody uses are kept up to a bound, the oldest given back")
    func bounded() throws {
        let place = StorePlace(.simulated(seed: 32))
        place.options.slabMemory = .kibibytes(100)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 6))
            let chunks = try await store(space, [16, 48, 200])
            for chunk in chunks {
                let feed = try await ChunkFeed.start([FeedItem(space, chunk.key(in: space))])
                while try await feed.nextLayer() != nil {}
                #expect(db.slabCounters.keptBytes <= 100 << 10)
            }
            // One of 200 rows (2 × 53,248 bytes) does not fit beside anything.
            #expect(db.slabCounters.keptBytes == 0)
            #expect(db.slabCounters.droppedCount == db.slabCounters.madeCount)
        }
    }

    @Test("have room for decoded rows, and no more than was asked for", arguments: PlaceKind.all)
    func slack(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: oddBinding(layers: 2))
            let chunks = try await store(space, [7, 5])
            var options = FeedOptions()
            options.slackRows = 30
            let items = chunks.map { FeedItem(space, $0.key(in: space)) }
            let feed = try await ChunkFeed.start(items, options: options)
            let layer = try #require(try await feed.nextLayer())
            let more = plane(99, layer: 0, .keys, byteCount: 300 * 30)
            let other = plane(99, layer: 0, .values, byteCount: 300 * 30)
            for row in 0..<30 {
                let range = row * 300..<row * 300 + 300
                let (keys, values) = (Array(more[range]), Array(other[range]))
                try layer.append(keys: keys.span.bytes, values: values.span.bytes)
            }
            #expect(layer.rowCount() == 42 && layer.rows(ofChunk: 1) == 7..<12)
            layer.withSlabs { keys, values in
                #expect(areEqual(Array(keys), rows(chunks, space, 0, .keys) + more))
                #expect(areEqual(Array(values), rows(chunks, space, 0, .values) + other))
            }
            // 42 rows of 300 bytes leave 3,784 of the last unit: twelve more would fit by chance.
            let tooMuch = [UInt8](repeating: 1, count: 300 * 13)
            #expect(throws: StoreError.self) {
                try layer.append(keys: tooMuch.span.bytes, values: tooMuch.span.bytes)
            }
            let half = [UInt8](repeating: 1, count: 150)
            #expect(throws: StoreError.self) {
                try layer.append(keys: half.span.bytes, values: half.span.bytes)
            }
            #expect(layer.rowCount() == 42)
            for slackRows in [-1, 1 << 30, Int.max] {
                options.slackRows = slackRows
                await #expect(throws: StoreError.self) {
                    _ = try await ChunkFeed.start(items, options: options)
                }
            }
        }
    }

    @Test("take no memory for slack that nobody fills")
    func lazySlack() throws {
        try StorePlace(.real(.threads)).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let chunks = try await store(space, [16])
            var options = FeedOptions()
            options.slackRows = 1 << 19
            let feed = try await ChunkFeed.start(
                [FeedItem(space, chunks[0].key(in: space))], options: options)
            let layer = try #require(try await feed.nextLayer())
            let row = plane(7, layer: 0, .keys, byteCount: 256)
            try layer.append(keys: row.span.bytes, values: row.span.bytes)
            let byteCount = options.slackRows * 256
            let residentCount = layer.withSlabs { keys, _ in
                var pages = [UInt8](repeating: 0, count: byteCount / 4_096)
                let base = UnsafeMutableRawPointer(mutating: keys.baseAddress!)
                #expect(mincore(base, byteCount, &pages) == 0)
                return pages.count { $0 & 1 != 0 }
            }
            // The rows and what a huge page adds.
            #expect(residentCount >= 1 && residentCount <= 1_024)
            #expect(byteCount / 4_096 == 32_768)
        }
    }

    @Test("of several prompts: a chunk that stands in many places is read once")
    func severalPrompts() throws {
        try ObservedStore(seed: 33).session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding(layers: 4))
            let chunks = try await store(space, [16, 40, 24, 16])
            let missing = TestChunk(77, tokenCount: 16)
            func item(_ chunk: TestChunk) -> FeedItem { FeedItem(space, chunk.key(in: space)) }
            let prompts = [[0, 1, 2], [3, 1], [], [2, 2, 0]]
            var items = prompts.map { $0.map { item(chunks[$0]) } }
            items[1].insert(item(missing), at: 1)
            for item in items.joined() { _ = try await space.locate(item.key) }
            _ = disk.takeReads()
            let feed = try await ChunkFeed.start(prompts: items)
            #expect(feed.prompts.map(\.misses) == [[], [1], [], []])
            #expect(feed.prompts.map(\.chunks.count) == [3, 2, 0, 3])
            while let layer = try await feed.nextLayer() {
                // 16, 40, 24 and 16 rows are 1, 3, 2 and 1 units.
                #expect(layer.byteCount == 2 * 7 * 4_096)
                for (prompt, numbers) in prompts.enumerated() {
                    let expected = numbers.map { chunks[$0] }
                    layer.withSlabs(prompt: prompt) { keys, values in
                        #expect(areEqual(Array(keys), rows(expected, space, layer.layer, .keys)))
                        #expect(
                            areEqual(Array(values), rows(expected, space, layer.layer, .values)))
                    }
                }
            }
            #expect(disk.takeReads().reduce(0) { $0 + $1.byteCount } == 4 * 2 * 7 * 4_096)
            // Each of the four chunks stands somewhere on a unit: 0 and 1 in the first prompt, 3 in
            // the second, 2 in the last; the other four places are copies.
            #expect(feed.counters.directPlaneCount == 4 * 2 * 4)
            #expect(feed.counters.copiedPlaneCount == 4 * 2 * 4)
        }
    }

    @Test("hold the right rows whatever stands beside what")
    func random() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            try ObservedStore(seed: seed).session { db, _ in
                var generator = SeededGenerator(seed: seed)
                let binding = seed % 2 == 0 ? smallBinding(layers: 3) : oddBinding(layers: 3)
                let space = try await db.namespace("acme", model: binding)
                let units = [1, 2, 15, 16, 17, 32, 33, 48, 100]
                let counts = (0..<5).map { _ in units.randomElement(using: &generator)! }
                // Coded planes beside raw ones, in half of the stores.
                let chunks = try await store(space, counts) { seed % 4 < 2 && $0 != 3 }
                let prompts = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                    (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                        chunks.randomElement(using: &generator)!
                    }
                }
                var options = FeedOptions(layersAhead: Int.random(in: 1...3, using: &generator))
                options.slackRows = Int.random(in: 0...20, using: &generator)
                options.readBytes = [1, 4_096, 8_192, 1 << 20].randomElement(using: &generator)
                options.inFlightBytes = [0, 9_000, 1 << 20].randomElement(using: &generator)!
                options.firstLayers = [[], [0], [2, 0, 9, 2]].randomElement(using: &generator)!
                let feed = try await ChunkFeed.start(
                    prompts: prompts.map { $0.map { FeedItem(space, $0.key(in: space)) } },
                    options: options)
                var layerCount = 0
                while let layer = try await feed.nextLayer() {
                    #expect(layer.layer == layerCount)
                    layerCount += 1
                    for (prompt, expected) in prompts.enumerated() {
                        layer.withSlabs(prompt: prompt) { keys, values in
                            let both = [(keys, ExtentKind.keys), (values, .values)]
                            for (found, kind) in both {
                                let wanted = rows(expected, space, layer.layer, kind)
                                #expect(areEqual(Array(found), wanted), "seed \(seed)")
                            }
                        }
                    }
                }
                #expect(layerCount == 3)
                let counters = feed.counters
                #expect(
                    counters.directPlaneCount + counters.copiedPlaneCount
                        == UInt64(3 * 2 * prompts.joined().count))
            }
        }
    }
}
