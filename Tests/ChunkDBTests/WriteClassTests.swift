// Writes that stay together: in so many segments and no more, in append order, again and again.

import BlockIO
import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Write classes")
struct WriteClassTests {
    private static let classID: UInt16 = 3
    private static let segmentCountMax = 4

    private func machine(seed: UInt64) -> SimulatedMachine {
        var machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(8), segmentSize: .kibibytes(256))
        machine.options.writeClasses = [WriteClass(id: Self.classID, capacity: .mebibytes(1))]
        machine.options.namespaces["swap", default: .init()].writeClass = Self.classID
        return machine
    }

    private static func chunk(_ owner: UInt64) -> TestChunk { TestChunk(owner, tokenCount: 30) }

    /// Puts chunks one after the other. *Returns:* where each went.
    private func put(_ owners: Range<UInt64>, in space: Namespace) async throws -> [RecordLocation]
    {
        var places: [RecordLocation] = []
        for owner in owners {
            try await Self.chunk(owner).put(in: space)
            let entry = try #require(space.contains(Self.chunk(owner).key(in: space)))
            places.append(
                RecordLocation(segment: entry.extent.segment, offset: entry.extent.offset))
        }
        return places
    }

    /// Puts chunks of both, and reads the class's newest.
    private func live(
        _ db: ChunkDB, from first: UInt64, _ known: Set<SegmentID>
    ) async throws -> Set<SegmentID> {
        let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
        let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
        var segments = known
        let common = try await put(10_000 + first..<10_020 + first, in: acme).map(\.segment)
        for owner in stride(from: first, to: first + 400, by: 20) {
            let places = try await put(owner..<owner + 20, in: swap)
            segments.formUnion(places.map(\.segment))
            for (place, next) in zip(places, places.dropFirst())
            where place.segment == next.segment {
                #expect(place.offset < next.offset)
            }
        }
        #expect(segments.count == Self.segmentCountMax, "\(segments)")
        #expect(segments.isDisjoint(with: common))
        let counters = try #require(await db.logCounters().writeClasses[Self.classID])
        #expect(counters.segmentCount == Self.segmentCountMax)
        #expect(counters.begunInPlaceCount >= 10)
        #expect(counters.reservedBytes > 10 * 1 << 20)
        // The newest are there; what went through is not, and cost the others nothing.
        for owner in first + 380..<first + 400 {
            #expect(try await Self.chunk(owner).isIntact(in: swap) == true, "\(owner)")
        }
        #expect(swap.statistics.entryCount < 60)
        #expect(acme.statistics.evictedCount == 0)
        return segments
    }

    @Test("all its bytes stay in so many segments, in append order; nobody else's go there")
    func confined() throws {
        var machine = machine(seed: 1)
        var segments: Set<SegmentID> = []
        for life in 0..<3 as Range<UInt64> {
            let db = try machine.open()
            let known = segments
            segments = try machine.run { () async throws in
                try await live(db, from: life * 400, known)
            }
            if life == 0 { machine.run { await db.close() } }
            // What a power cut leaves unproven is written anew within the class, too.
            machine = life == 0 ? machine.afterRestart() : machine.afterPowerCut(Survival(.all))
        }
    }

    @Test("others' shortage takes nothing of it, and its own takes nothing of others")
    func apart() throws {
        let machine = machine(seed: 2)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            _ = try await put(0..<15, in: swap)
            _ = try await put(100..<600, in: acme)
            #expect(acme.statistics.evictedCount > 200)
            for owner in 0..<15 as Range<UInt64> {
                #expect(try await Self.chunk(owner).isIntact(in: swap) == true, "\(owner)")
            }
            let evictedCount = acme.statistics.evictedCount
            _ = try await put(15..<300, in: swap)
            // Cleaning ahead may end what it had begun.
            #expect(acme.statistics.evictedCount <= evictedCount + 60)
            #expect(swap.statistics.evictedCount > 200)
            await db.close()
        }
    }

    @Test("G-3 what is leased there stays readable, and another segment's turn comes first")
    func leased() throws {
        let machine = machine(seed: 3)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            let place = try await put(0..<1, in: swap)[0]
            let key = Self.chunk(0).key(in: swap)
            let lease = try #require(await swap.lease(key, for: .seconds(60)))
            let places = try await put(1..<200, in: swap)
            #expect(Set(places.map(\.segment)).count <= Self.segmentCountMax)
            let expected = Self.chunk(0).layers(swap.binding)[1].values
            let data = try await lease.get()
            #expect(data.plane(layer: 1, .values).elementsEqual(expected))
            #expect(!places.suffix(100).contains { $0.segment == place.segment })
            lease.end()
            let later = try await put(200..<300, in: swap)
            #expect(later.contains { $0.segment == place.segment })
            await db.close()
        }
    }

    @Test("a purge leaves it confined")
    func purged() throws {
        let machine = machine(seed: 4)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            _ = try await put(0..<10, in: swap)
            _ = try await put(100..<110, in: acme)
            try await db.purge(acme)
            let places = try await put(10..<200, in: swap)
            #expect(Set(places.map(\.segment)).count <= Self.segmentCountMax)
            let counters = try #require(await db.logCounters().writeClasses[Self.classID])
            #expect(counters.segmentCount <= Self.segmentCountMax)
            for owner in 190..<200 as Range<UInt64> {
                #expect(try await Self.chunk(owner).isIntact(in: swap) == true, "\(owner)")
            }
            await db.close()
        }
    }

    @Test("a class that is asked for no more is as any other segment")
    func released() throws {
        var machine = machine(seed: 5)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            _ = try await put(0..<100, in: swap)
            await db.close()
        }
        machine = machine.afterRestart()
        machine.options.writeClasses = []
        machine.options.namespaces = [:]
        let again = try machine.open()
        try machine.run { () async throws in
            let swap = try #require(again.namespace("swap"))
            let count = swap.entryCount
            #expect(count > 10)
            _ = try await put(100..<600, in: swap)
            // Three times what the class had.
            #expect(swap.entryCount > 3 * count)
            #expect(await again.logCounters().allocatedBytes <= 8 << 20)
            await again.close()
        }
    }

    @Test("what contradicts itself is refused")
    func refused() throws {
        func refuses(_ change: (inout StoreOptions) -> Void) -> Bool {
            var other = self.machine(seed: 6)
            change(&other.options)
            do throws(StoreError) {
                _ = try other.open()
                return false
            } catch {
                if case .shape = error { return true }
                return false
            }
        }
        #expect(refuses { $0.writeClasses = [] })
        #expect(refuses { $0.namespaces["swap"]?.guaranteedShare = .kibibytes(64) })
        #expect(refuses { $0.writeClasses[0].capacity = .kibibytes(511) })
        #expect(refuses { $0.writeClasses[0].id = 0 })
        #expect(refuses { $0.writeClasses.append($0.writeClasses[0]) })
        #expect(refuses { $0.writeClasses[0].capacity = .mebibytes(7) })
        #expect(!refuses { $0.writeClasses[0].capacity = .kibibytes(512) })

        let machine = machine(seed: 7)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            let chunk = Self.chunk(1)
            await #expect(throws: StoreError.self) {
                try await swap.put(
                    chunk.key(in: swap), tokens: chunk.tokens, layers: chunk.layers(swap.binding),
                    pinned: true)
            }
            try await chunk.put(in: swap)
            await #expect(throws: StoreError.self) { _ = try await swap.pin(chunk.key(in: swap)) }
            #expect(try await chunk.isIntact(in: swap) == true)
            await db.close()
        }
    }

    @Test(
        "the kernel is told how long its files' bytes live",
        arguments: [DiskEngine.threads, .automatic])
    func lifetime(engine: DiskEngine) async throws {
        let directory = TemporaryDirectory()
        var options = StoreOptions(capacity: .mebibytes(16), segmentSize: .mebibytes(1))
        options.disk.engine = engine
        options.disk.buffered = true
        options.writeClasses = [
            WriteClass(id: 9, capacity: .mebibytes(2), lifetime: .short)
        ]
        options.namespaces["swap", default: .init()].writeClass = 9
        let db = try await ChunkDB.open(at: directory.path, options: options)
        let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
        let place = try await put(0..<1, in: swap)[0]
        let counters = try #require(await db.logCounters().writeClasses[9])
        let name = "\(directory.path)/\(StoreFiles.segment(place.segment))"
        let descriptor = Glibc.open(name, O_RDONLY)
        defer { Glibc.close(descriptor) }
        var lifetime: UInt64 = 0
        // F_GET_RW_HINT
        let result = unsafe fcntl(descriptor, 1_024 + 11, &lifetime)
        #expect(counters.isLifetimeTaken == (result == 0 && lifetime == 2))
        #expect(counters.isLifetimeTaken || !db.disk.notes.isEmpty)
        await db.close()
    }

    @Test("B-1 what attempts to begin a segment left behind a power cut is given back")
    func attempts() throws {
        let machine = machine(seed: 8)
        let db = try machine.open()
        try machine.run { () async throws in
            let swap = try await db.namespace("swap", model: smallBinding(layers: 2))
            // Files are made, and their names are not durable; nor is it that they are gone again.
            machine.disk.fail(.flushDirectory, number: 1, errorNumber: ENOSPC, forever: true)
            for owner in 0..<12 as Range<UInt64> {
                await #expect(throws: StoreError.self) { try await Self.chunk(owner).put(in: swap) }
            }
        }
        machine.disk.clearFailures()
        var mostFiles = 0
        for seed in 0..<40 as Range<UInt64> {
            let next = machine.afterPowerCut(.drawn(seed: seed))
            mostFiles = max(
                mostFiles, next.disk.fileNames.count { $0.hasPrefix("segments/") })
            let again = try next.open()
            #expect(again.recovery.damages.isEmpty)
            try next.run { () async throws in
                let counters = await again.logCounters()
                let ofClass = counters.writeClasses[Self.classID]?.segmentCount ?? 0
                #expect(ofClass <= Self.segmentCountMax, "seed \(seed)")
                #expect(counters.allocatedBytes < 3 << 20, "seed \(seed)")
                let swap = try #require(again.namespace("swap"))
                try await Self.chunk(1).put(in: swap)
                #expect(try await Self.chunk(1).isIntact(in: swap) == true)
                await again.close()
            }
        }
        #expect(mostFiles > Self.segmentCountMax + 2, "no file came back")
    }
}
