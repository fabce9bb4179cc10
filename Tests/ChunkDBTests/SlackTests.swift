// CONTRACT B-1 where it is hardest: removals of a full store, which need room before they give any,
// and openings, which write anew what nobody flushed.

import ChunkDB
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("B-1: never more than a segment and the metadata's slack beyond the capacity")
struct SlackTests {
    private static let segmentSize = ByteCount.kibibytes(128)
    private static let metadataSlack: UInt64 = 128 << 10

    /// Chunks of 20 KiB are put until the store has to forget, or refuses.
    private func fill(
        _ space: Namespace, _ db: ChunkDB, tokenCount: Int = 16, durability: Durability = .durable
    ) async throws(StoreError) -> UInt64 {
        var owner: UInt64 = 0
        while db.counters.evictedCount == 0 {
            do throws(StoreError) {
                let chunk = TestChunk(owner, tokenCount: tokenCount)
                try await chunk.put(in: space, durability: durability)
            } catch {
                guard case .log(.capacityExceeded) = error else { throw error }
                break
            }
            owner += 1
        }
        return owner
    }

    @Test("removals of a full store do not outrun cleaning", arguments: 0..<8 as Range<UInt64>)
    func removals(seed: UInt64) throws {
        var machine = SimulatedMachine(
            seed: seed, capacity: .kibibytes(632), segmentSize: Self.segmentSize)
        machine.options.evicts = false
        let db = try machine.open()
        let count = try machine.run { () async throws -> UInt64 in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            return try await fill(space, db, durability: .written)
        }
        // What the opening writes anew is beyond the capacity already.
        var next = machine
        next.options.evicts = true
        next.disk = machine.disk.afterProcessDeath(seed: seed)
        let again = try next.open()
        let most = try next.run { () async throws -> UInt64 in
            let space = try #require(again.namespace("acme"))
            let most = try await withThrowingTaskGroup(of: UInt64.self) { group in
                for worker in 0..<4 as Range<UInt64> {
                    group.addTask {
                        var most: UInt64 = 0
                        for number in stride(from: worker, to: count, by: 4) {
                            most = max(most, await again.logCounters().allocatedBytes)
                            try await space.remove(TestChunk(number).key(in: space))
                            most = max(most, await again.logCounters().allocatedBytes)
                            // It takes the room that the removal made for itself.
                            _ = try? await TestChunk(number + 1_000).put(in: space)
                        }
                        return most
                    }
                }
                return try await group.reduce(0) { max($0, $1) }
            }
            await again.close()
            return most
        }
        #expect(most <= (632 << 10) + Self.segmentSize.bytes + Self.metadataSlack)
    }

    @Test(
        "removals that wait for no flush, and free nothing, take a segment at most",
        arguments: 0..<8 as Range<UInt64>)
    func unflushedRemovals(seed: UInt64) throws {
        let (most, refusedCount) = try removeStrangers(seed: seed, evicts: true)
        #expect(most <= (1 << 20) + Self.segmentSize.bytes)
        #expect(refusedCount == 0)
    }

    @Test(
        "a full store that may not forget refuses removals of what it does not have",
        arguments: 0..<4 as Range<UInt64>)
    func refusedRemovals(seed: UInt64) throws {
        let (most, refusedCount) = try removeStrangers(seed: seed, evicts: false)
        #expect(most <= (1 << 20) + Self.segmentSize.bytes + Self.metadataSlack)
        #expect(refusedCount > 0)
    }

    /// Eight workers remove 3,200 keys of which a full store has none, then what it has.
    private func removeStrangers(seed: UInt64, evicts: Bool) throws
        -> (most: UInt64, refusedCount: Int)
    {
        var machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(1), segmentSize: Self.segmentSize)
        machine.options.evicts = evicts
        let db = try machine.open()
        return try machine.run { () async throws -> (most: UInt64, refusedCount: Int) in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let count = try await fill(space, db)
            var (most, refusedCount) = (0 as UInt64, 0)
            try await withThrowingTaskGroup(of: (UInt64, Int).self) { group in
                for worker in 0..<8 as Range<UInt64> {
                    group.addTask {
                        var (most, refusedCount) = (0 as UInt64, 0)
                        for number in 0..<400 as Range<UInt64> {
                            let key = TestChunk(1_000 + 8 * number + worker).key(in: space)
                            do throws(StoreError) {
                                try await space.remove(key, durability: .written)
                            } catch .log(.capacityExceeded) {
                                refusedCount += 1
                            }
                            most = max(most, await db.logCounters().allocatedBytes)
                        }
                        return (most, refusedCount)
                    }
                }
                for try await (ofOne, refused) in group {
                    most = max(most, ofOne)
                    refusedCount += refused
                }
            }
            for owner in 0..<count {
                try await space.remove(TestChunk(owner).key(in: space), durability: .written)
                most = max(most, await db.logCounters().allocatedBytes)
            }
            #expect(space.entryCount == 0)
            await db.close()
            return (most, refusedCount)
        }
    }

    @Test("what nobody flushed is written anew within a segment")
    func opening() throws {
        var machine = SimulatedMachine(
            seed: 3, capacity: .mebibytes(8), segmentSize: .kibibytes(512))
        machine.options.evicts = false
        machine.options.commitsPerCheckpoint = 1 << 20
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            #expect(try await fill(space, db, tokenCount: 200, durability: .written) > 30)
        }
        var next = machine
        next.disk = machine.disk.afterProcessDeath(seed: 1)
        let again = try next.open()
        let allocated = try next.run { () async throws -> UInt64 in
            let space = try #require(again.namespace("acme"))
            #expect(space.entryCount > 30)
            let allocated = await again.logCounters().allocatedBytes
            await again.close()
            return allocated
        }
        #expect(allocated <= (8 << 20) + (512 << 10) + Self.metadataSlack)
    }

    @Test("a store that may not forget takes new chunks in place of removed ones")
    func inPlaceOfRemoved() throws {
        var machine = SimulatedMachine(
            seed: 5, capacity: .mebibytes(2), segmentSize: Self.segmentSize)
        machine.options.evicts = false
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let count = try await fill(space, db)
            for turn in 1...8 as ClosedRange<UInt64> {
                // Half of them, one after the other: whole segments die, and parts of others.
                let (gone, kept) = (turn % 2 == 1, count / 2)
                for owner in 0..<kept {
                    let number = gone ? owner : owner + 1_000
                    try await space.remove(TestChunk(number).key(in: space))
                }
                for owner in 0..<kept - 6 {
                    try await TestChunk(gone ? owner + 1_000 : owner).put(in: space)
                }
                for owner in kept..<count {
                    #expect(try await TestChunk(owner).isIntact(in: space) == true, "\(owner)")
                }
            }
            #expect(db.counters.evictedCount == 0)
            await db.close()
        }
    }
}
