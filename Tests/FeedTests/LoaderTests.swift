import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Foundation
import Glibc
import Primitives
import StoreTestSupport
import Synchronization
import Testing

@Suite("The loader of a feed")
struct LoaderTests {
    private static let planeBytes = 12_288

    /// Three chunks of 40 rows, headers opened; planes of three blocks.
    private func items(_ db: ChunkDB, _ disk: ObservedDisk, layers: Int = 6)
        async throws -> (Namespace, [FeedItem])
    {
        let space = try await db.namespace("acme", model: smallBinding(layers: layers))
        for owner in 0..<3 as Range<UInt64> {
            try await TestChunk(owner, tokenCount: 40).put(in: space)
        }
        let items = try await located(space, 0..<3)
        _ = disk.takeReads()
        return (space, items)
    }

    private func isRight(_ layer: FedLayer, _ space: Namespace, chunks: [Int] = [0, 1, 2]) -> Bool {
        chunks.allSatisfy { chunk in
            let planes = TestChunk(UInt64(chunk), tokenCount: 40).layers(space.binding)[layer.layer]
            return layer.withPlanes(chunk: chunk) {
                areEqual(Array($0), planes.keys) && areEqual(Array($1), planes.values)
            }
        }
    }

    /// The layer that a read belongs to.
    private func layer(of read: ObservedRead, _ feed: ChunkFeed) -> Int? {
        feed.chunks.lazy.flatMap(\.extents).first {
            ($0.fileOffset..<$0.fileOffset + UInt64($0.paddedBytes)).contains(read.offset)
        }?.layer
    }

    @Test("asks for the first layers first, in the urgent lane, then for the rest in order")
    func order() throws {
        try ObservedStore(seed: 41).session { db, disk in
            let (space, items) = try await items(db, disk)
            var options = FeedOptions(layersAhead: 1)
            options.firstLayers = [0, 4]
            let feed = try await ChunkFeed.start(items, options: options)
            // Nobody has asked for a layer yet: the first ones are on their way, and none else.
            var reads = disk.takeReads()
            #expect(reads.map { layer(of: $0, feed) } == [0, 0, 0, 4, 4, 4])
            #expect(reads.allSatisfy { $0.lane == .urgent })
            var layers: [Int] = []
            while let layer = try await feed.nextLayer() {
                #expect(isRight(layer, space))
                layers.append(layer.layer)
            }
            #expect(layers == [0, 1, 2, 3, 4, 5])
            reads = disk.takeReads()
            #expect(reads.allSatisfy { $0.lane == .bulk })
            let order = reads.map { self.layer(of: $0, feed)! }
            #expect(order == order.sorted() && Set(order) == [1, 2, 3, 5])
        }
    }

    @Test("splits extents into reads on the digest grid, and joins neighbours up to one")
    func sizes() throws {
        try ObservedStore(seed: 42).session { db, disk in
            let (space, items) = try await items(db, disk)
            var sizes: [Int?: Set<Int>] = [:]
            for readBytes in [nil, 1, 4_096, 8_192 + 4_095, 1 << 20] {
                var options = FeedOptions()
                options.readBytes = readBytes
                let feed = try await ChunkFeed.start(items, options: options)
                while let layer = try await feed.nextLayer() { #expect(isRight(layer, space)) }
                sizes[readBytes] = Set(disk.takeReads().map(\.byteCount))
            }
            // A chunk's keys and values are neighbours on disk, so one read, whether it goes to
            // two places or, where they begin in the middle of a unit, to one and is copied.
            #expect(sizes[nil] == [2 * Self.planeBytes])
            #expect(sizes[1 << 20] == sizes[nil])
            #expect(sizes[1] == [4_096] && sizes[4_096] == [4_096])
            #expect(sizes[8_192 + 4_095] == [4_096, 8_192])
        }
    }

    @Test("has no more bytes on their way than it may, and always one read")
    func inFlight() throws {
        try ObservedStore(seed: 43).session { db, disk in
            let (space, items) = try await items(db, disk)
            for (bound, most) in [(0, 24_576), (30_000, 24_576), (60_000, 49_152)] {
                var options = FeedOptions(layersAhead: 5)
                options.inFlightBytes = bound
                let feed = try await ChunkFeed.start(items, options: options)
                while let layer = try await feed.nextLayer() { #expect(isRight(layer, space)) }
                #expect(disk.mostInFlightBytes == most)
                let reads = disk.takeReads()
                #expect(reads.reduce(0) { $0 + $1.byteCount } == 6 * 3 * 2 * Self.planeBytes)
                #expect(feed.counters.readCount == UInt64(reads.count))
            }
        }
    }

    @Test("goes on reading while the consumer computes")
    func goesOn() throws {
        let store = ObservedStore(seed: 44)
        try store.session { db, disk in
            let (_, items) = try await items(db, disk)
            var options = FeedOptions(layersAhead: 3)
            options.inFlightBytes = 1
            let feed = try await ChunkFeed.start(items, options: options)
            _ = try await feed.nextLayer()
            await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000_000)
            // Layers 0 to 3, one read after the other, without anybody asking.
            #expect(Set(disk.takeReads().map { layer(of: $0, feed) }) == [0, 1, 2, 3])
            #expect(feed.counters.readCount == 4 * 3)
        }
    }

    @Test("X-1 never submits what was cancelled, by layer, by chunk, or all")
    func cancelled() throws {
        try ObservedStore(seed: 45).session { db, disk in
            let (space, items) = try await items(db, disk)
            var options = FeedOptions(layersAhead: 6)
            options.inFlightBytes = 1
            // One read of layer 0 is on its way; nothing else of the feed is.
            let layers = try await ChunkFeed.start(items, options: options)
            layers.cancel(layers: [1, 3, 17])
            var seen: [Int] = []
            while let layer = try await layers.nextLayer() {
                #expect(isRight(layer, space))
                seen.append(layer.layer)
            }
            #expect(seen == [0, 2, 4, 5])
            #expect(Set(disk.takeReads().map { layer(of: $0, layers) }) == [0, 2, 4, 5])
            #expect(layers.counters.skippedReadCount == 2 * 3)

            let chunks = try await ChunkFeed.start(items, options: options)
            chunks.cancel(chunk: 1)
            chunks.cancel(chunk: 9)
            chunks.cancel(chunk: 0, prompt: 4)
            while let layer = try await chunks.nextLayer() {
                #expect(isRight(layer, space, chunks: [0, 2]))
                #expect(layer.isCancelled(chunk: 1) && !layer.isCancelled(chunk: 0))
                let isZero = layer.withPlanes(chunk: 1) {
                    $0.allSatisfy { $0 == 0 } && $1.allSatisfy { $0 == 0 }
                }
                #expect(isZero)
            }
            let offsets = Set(disk.takeReads().map(\.offset))
            #expect(
                offsets.isDisjoint(with: chunks.chunks[1].extents.map(\.fileOffset)))
            #expect(chunks.counters.skippedReadCount == 6)

            let all = try await ChunkFeed.start(items, options: options)
            all.cancel()
            #expect(try await all.nextLayer() == nil)
            #expect(disk.takeReads().count == 1)
        }
    }

    @Test("X-1 keeps the memory of reads on their way, whatever is cancelled, until they end")
    func ownership() throws {
        for step in 0..<5 {
            let store = ObservedStore(seed: 46)
            try store.session { db, disk in
                let (space, items) = try await items(db, disk)
                let warm = try await ChunkFeed.start(items)
                while try await warm.nextLayer() != nil {}
                let kept = db.slabCounters.keptBytes
                disk.inner.hold(number: 1, andAllAfter: true)
                var options = FeedOptions()
                options.firstLayers = []
                var feed: ChunkFeed? = try await ChunkFeed.start(items, options: options)
                // Three layers and three reads of each, none of which ends.
                #expect(disk.inner.heldCount == 9)
                let waiting = Task(executorPreference: store.machine.scheduler) { [feed] in
                    try await feed!.nextLayer()
                }
                await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000)
                switch step {
                case 0: feed!.cancel()
                case 1: feed!.cancel(layers: [0, 1, 2, 3, 4, 5])
                case 2: waiting.cancel()
                case 3: for chunk in 0..<3 { feed!.cancel(chunk: chunk) }
                default: break
                }
                if step < 2 { #expect(try await waiting.value == nil) }
                if step == 2 {
                    #expect(await waiting.result.error as? StoreError == .cancelled)
                }
                if step < 3 {
                    feed = nil
                    await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000)
                    // All four slabs are the reads'.
                    #expect(disk.inner.heldCount == 12)
                    #expect(db.slabCounters.keptBytes == 0)
                    // Others get other memory meanwhile.
                    let other = db.slabCounters.madeCount
                    let slabs = (0..<4).map { _ in space.takeSlab(byteCount: kept / 4) }
                    #expect(db.slabCounters.madeCount == other + 4)
                    withExtendedLifetime(slabs) {}
                }
                disk.inner.release()
                if step >= 3 {
                    let layer = try await waiting.value
                    #expect(layer?.layer == 0)
                    #expect(layer?.isCancelled(chunk: 0) == (step == 3))
                    if step == 4 { #expect(isRight(layer!, space)) }
                }
                feed = nil
                await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000_000)
                // The task keeps the layer that it gave.
                #expect(db.slabCounters.keptBytes == (step < 3 ? 2 * kept : kept / 4 * 3))
            }
        }
    }

    @Test("X-2 tells of reads without an answer, once each, and goes on waiting")
    func stalled() throws {
        let store = ObservedStore(seed: 47)
        try store.session { db, disk in
            let (space, items) = try await items(db, disk)
            let observer = Observer()
            var options = FeedOptions(layersAhead: 1)
            options.readDeadline = .milliseconds(50)
            options.stallObserver = { read in observer.reads.withLock { $0.append(read) } }
            disk.inner.hold(number: 2)
            let feed = try await ChunkFeed.start(items, options: options)
            let clock = store.machine.scheduler.clock
            let began = clock.monotonicNanoseconds
            let waiting = Task(executorPreference: store.machine.scheduler) {
                try await feed.nextLayer()
            }
            await clock.sleep(nanoseconds: 49_000_000)
            #expect(feed.counters.stalledCount == 0)
            await clock.sleep(nanoseconds: 2_000_000)
            let stalled = try #require(observer.reads.withLock { $0.first })
            #expect(stalled.layer == 0 && stalled.key == items[1].key)
            #expect(stalled.offset == feed.chunks[1].extent(layer: 0, .keys)?.fileOffset)
            #expect(stalled.byteCount == 2 * Self.planeBytes && stalled.nanoseconds >= 50_000_000)
            await clock.sleep(nanoseconds: 500_000_000)
            #expect(feed.counters.stalledCount == 1)
            disk.inner.release()
            let layer = try await waiting.value
            #expect(isRight(layer!, space))
            while try await feed.nextLayer() != nil {}
            #expect(feed.counters.stalledCount == 1)
            #expect(observer.reads.withLock { $0.count } == 1)
            #expect(clock.monotonicNanoseconds - began >= 551_000_000)
        }
    }

    @Test("asks for the first layers alone, until all but one of their reads are there")
    func firstAlone() throws {
        let store = ObservedStore(seed: 53)
        try store.session { db, disk in
            let (space, items) = try await items(db, disk)
            var options = FeedOptions(layersAhead: 3)
            options.firstLayers = [0, 2]
            let clock = store.machine.scheduler.clock
            for number in 1...6 {
                disk.inner.hold(number: number, andAllAfter: true)
                let feed = try await ChunkFeed.start(items, options: options)
                await clock.sleep(nanoseconds: 1_000_000_000)
                // Of six reads, `number` - 1 came.
                let isAlone = disk.inner.heldCount == 7 - number
                #expect(isAlone == (number < 6))
                // Those that nobody wants any more hold up nobody.
                if number == 1 {
                    feed.cancel(layers: [0, 2])
                    #expect(disk.inner.heldCount > 6)
                }
                disk.inner.release()
                while let layer = try await feed.nextLayer() { #expect(isRight(layer, space)) }
                #expect(feed.counters.readCount == 18)
            }
            // The only read is waited for.
            options.firstLayers = [0]
            disk.inner.hold(number: 1, andAllAfter: true)
            let feed = try await ChunkFeed.start(Array(items.prefix(1)), options: options)
            await clock.sleep(nanoseconds: 1_000_000_000)
            #expect(disk.inner.heldCount == 1)
            disk.inner.release()
            while try await feed.nextLayer() != nil {}
            #expect(feed.counters.readCount == 6)
        }
    }

    @Test("verifies later layers while it waits for a read of this one")
    func overlap() throws {
        let store = ObservedStore(seed: 50)
        try store.session { db, disk in
            let (space, items) = try await items(db, disk)
            disk.inner.hold(number: 1)
            let feed = try await ChunkFeed.start(items, options: FeedOptions(layersAhead: 3))
            let waiting = Task(executorPreference: store.machine.scheduler) {
                try await feed.nextLayer()
            }
            await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000_000)
            // All of layers 1 to 3; of layer 0 nothing, since its reads are looked at in order.
            // Whoever waits is woken by its own read alone, so it looked at what had come before.
            #expect(disk.inner.heldCount == 1)
            let before = db.counters.verifiedBytes
            disk.inner.release()
            let layer = try #require(try await waiting.value)
            #expect(isRight(layer, space) && layer.layer == 0)
            #expect(before == 3 * 6 * UInt64(Self.planeBytes))
            while let layer = try await feed.nextLayer() { #expect(isRight(layer, space)) }
            #expect(db.counters.verifiedBytes == 6 * 6 * UInt64(Self.planeBytes))
        }
    }

    @Test(
        "X-1 gives right rows or zeros while others cancel, on a real disk",
        arguments: [PlaceKind.real(.threads), .real(.automatic)])
    func cancelledBeside(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 6))
            for owner in 0..<3 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 40).put(in: space)
            }
            let items = try await located(space, 0..<3)
            var generator = SeededGenerator(seed: 51)
            var cancelledCount = 0
            for round in 0..<60 {
                var options = FeedOptions(layersAhead: 4)
                options.readBytes = 4_096
                options.inFlightBytes = [1, 20_000, 1 << 20][round % 3]
                let feed = try await ChunkFeed.start(items, options: options)
                let (chunk, layer) = (
                    Int.random(in: 0..<3, using: &generator),
                    Int.random(in: 0..<6, using: &generator)
                )
                let pause = UInt32.random(in: 0..<300, using: &generator)
                // A thread of its own: those of Swift's pool may all wait for a store here.
                let isDone = OneShot<Bool>()
                Thread.detachNewThread {
                    usleep(pause)
                    feed.cancel(chunk: chunk)
                    feed.cancel(layers: [layer])
                    if round % 7 == 0 { feed.cancel() }
                    isDone.give(true)
                }
                while let layer = try await feed.nextLayer() {
                    for chunk in 0..<3 {
                        guard layer.isCancelled(chunk: chunk) else {
                            #expect(isRight(layer, space, chunks: [chunk]))
                            continue
                        }
                        cancelledCount += 1
                        let isZero = layer.withPlanes(chunk: chunk) {
                            $0.allSatisfy { $0 == 0 } && $1.allSatisfy { $0 == 0 }
                        }
                        #expect(isZero)
                    }
                }
                #expect(await isDone.value() == true)
            }
            #expect(cancelledCount < 6 * 60)
        }
    }

    @Test("ends with closed when the store is, in the middle of a layer", arguments: PlaceKind.all)
    func closed(kind: PlaceKind) throws {
        for layerCount in 0..<3 {
            try StorePlace(kind).session { db in
                let space = try await db.namespace("acme", model: smallBinding(layers: 6))
                for owner in 0..<3 as Range<UInt64> {
                    try await TestChunk(owner, tokenCount: 40).put(in: space)
                }
                var options = FeedOptions()
                options.inFlightBytes = 1
                let feed = try await ChunkFeed.start(
                    try await located(space, 0..<3), options: options)
                for _ in 0..<layerCount { #expect(try await feed.nextLayer() != nil) }
                await db.close()
                for _ in 0..<2 {
                    await #expect(throws: StoreError.log(.closed)) {
                        while try await feed.nextLayer() != nil {}
                    }
                }
            }
        }
    }

    @Test("JRN-13 a layer that somebody keeps keeps its rows, and no segment from being used again")
    func keptLayers() throws {
        let machine = SimulatedMachine(
            seed: 52, capacity: .mebibytes(3), segmentSize: .kibibytes(256))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            var layers: [(owner: UInt64, layer: FedLayer)] = []
            for owner in 0..<60 as Range<UInt64> {
                let chunk = TestChunk(owner, tokenCount: 100)
                try await chunk.put(in: space)
                let feed = try await ChunkFeed.start([FeedItem(space, chunk.key(in: space))])
                while let layer = try await feed.nextLayer() { layers.append((owner, layer)) }
            }
            #expect(db.counters.evictedCount > 20 && layers.count == 120)
            for (owner, layer) in layers {
                let planes = TestChunk(owner, tokenCount: 100).layers(space.binding)[layer.layer]
                let isRight = layer.withSlabs {
                    areEqual(Array($0), planes.keys) && areEqual(Array($1), planes.values)
                }
                #expect(isRight)
            }
            await db.close()
        }
    }

    @Test("DIG-2 finds damage in any block of a plane that comes in many reads")
    func damage() throws {
        for block in 0..<3 {
            try ObservedStore(seed: 48).session { db, disk in
                let (space, items) = try await items(db, disk)
                let located = try #require(try await space.locate(items[2].key))
                let extent = try #require(located.extent(layer: 3, .keys))
                disk.inner.flip(
                    "segments/00000000", byte: Int(extent.fileOffset) + block * 4_096 + 9, bit: 3)
                var options = FeedOptions(layersAhead: 6)
                options.readBytes = 4_096
                let feed = try await ChunkFeed.start(items, options: options)
                for layer in 0..<6 {
                    do throws(StoreError) {
                        let fed = try await feed.nextLayer()
                        #expect(fed?.layer == layer && layer != 3)
                        #expect(isRight(fed!, space))
                    } catch {
                        guard case .damaged(let facts) = error else { throw error }
                        #expect(layer == 3 && facts.key == items[2].key)
                        #expect(facts.offset == extent.fileOffset && facts.cause.clause == "DIG-2")
                    }
                }
                #expect(try await feed.nextLayer() == nil)
                #expect(db.counters.damageCount == 1)
            }
        }
    }

    /// Keys and values of a layer are one read into two places: blocks 0 to 2, and 3 to 5.
    @Test(
        "DIG-1, DIG-2 damage at any border of a read of several places is of its own plane",
        arguments: 0..<7, [false, true])
    func borders(block: Int, isCutOff: Bool) throws {
        try ObservedStore(seed: 54).session { db, disk in
            let (space, items) = try await items(db, disk)
            let located = try #require(try await space.locate(items[2].key))
            let (keys, values) = (
                try #require(located.extent(layer: 3, .keys)),
                try #require(located.extent(layer: 3, .values))
            )
            #expect(values.fileOffset == keys.fileOffset + UInt64(Self.planeBytes))
            let place = keys.fileOffset + UInt64(block) * 4_096
            if isCutOff {
                let file = try await disk.open("segments/00000000", .readWrite)
                try await disk.truncate(file, byteCount: place)
                await disk.close(file)
            } else {
                disk.inner.flip("segments/00000000", byte: Int(place), bit: 3)
                if block > 0 {
                    disk.inner.flip("segments/00000000", byte: Int(place) - 1, bit: 3)
                }
            }
            let feed = try await ChunkFeed.start(items)
            for layer in 0..<6 {
                // A flip on each side of the border; all behind the end is gone.
                let isDamaged = isCutOff ? layer > 3 || layer == 3 && block < 6 : layer == 3
                let isNext = !isCutOff && block == 6 && layer == 4
                do throws(StoreError) {
                    let fed = try await feed.nextLayer()
                    #expect(isRight(fed!, space) && !isDamaged && !isNext)
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    #expect(isDamaged || isNext)
                    #expect(facts.key == items[2].key)
                    #expect(facts.cause.clause == (isCutOff ? "DIG-1" : "DIG-2"))
                    guard layer == 3 else { continue }
                    let first = isCutOff || block == 0 ? block : block - 1
                    #expect(facts.offset == (first < 3 ? keys : values).fileOffset)
                }
            }
            #expect(!disk.takeReads().contains { $0.byteCount == Self.planeBytes })
        }
    }

    @Test("a read that the device refuses fails its layer, and no other")
    func failure() throws {
        try ObservedStore(seed: 49).session { db, disk in
            let (space, items) = try await items(db, disk)
            let located = try #require(try await space.locate(items[1].key))
            let extent = try #require(located.extent(layer: 2, .values))
            let block = Int(extent.fileOffset) / 4_096 + 1
            disk.inner.spoil("segments/00000000", blocks: block..<block + 1)
            let feed = try await ChunkFeed.start(items)
            var layers: [Int] = []
            for _ in 0..<6 {
                do throws(StoreError) {
                    if let layer = try await feed.nextLayer() { layers.append(layer.layer) }
                } catch {
                    guard case .log(.disk) = error else { throw error }
                }
            }
            #expect(layers == [0, 1, 3, 4, 5])
            #expect(db.counters.damageCount == 0)
        }
    }
}

private final class Observer: Sendable {
    let reads = Mutex<[StalledRead]>([])
}
