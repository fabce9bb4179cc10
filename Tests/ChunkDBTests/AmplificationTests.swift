// What a full store costs beside the chunks: counted, and bounded.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("What a full store costs")
struct AmplificationTests {
    private static let segment = ByteCount.kibibytes(512)

    /// Puts many times the budget through; some chunks are used again and again.
    private func turnOver(_ machine: SimulatedMachine) throws -> (Amplification, ChunkDB) {
        let db = try machine.open()
        let cost = try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<600 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 60).put(in: space)
                let used = owner % 7
                _ = try await TestChunk(used, tokenCount: 60).isIntact(in: space)
            }
            return await db.amplification()
        }
        return (cost, db)
    }

    @Test("write amplification is what the medium was written, and within 1.3 in turnover")
    func write() throws {
        let machine = SimulatedMachine(
            seed: 1, capacity: .mebibytes(10), segmentSize: Self.segment)
        let before = machine.disk.counters.writtenBytes
        let (cost, db) = try turnOver(machine)
        #expect(cost.writtenBytes == machine.disk.counters.writtenBytes - before)
        #expect(cost.putBytes == 600 * 69_632)
        #expect(cost.movedBytes > 0)
        // Each put of 68 KiB has a commit record of its own, 4 KiB, and journal blocks.
        let write = try #require(cost.write)
        #expect(write < 1.3, "\(cost)")
        let space = try #require(cost.space)
        // Beside what lives: segments kept free, open ends, journals; and the superblock's 264 KiB.
        #expect(space < 1.6, "\(cost)")
        machine.run { await db.close() }
    }

    /// Puts with pauses between, in which cleaning may go ahead. Chunks that are used again are
    /// copied with every segment that is freed.
    private func unhurried(_ bandwidth: ByteCount?) throws -> (
        waitedPutCount: UInt64, nanoseconds: UInt64
    ) {
        var machine = SimulatedMachine(
            seed: 2, capacity: .mebibytes(10), segmentSize: Self.segment)
        machine.options.cleaningBandwidth = bandwidth
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        let begin = clock.monotonicNanoseconds
        let waited = try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<400 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 60).put(in: space)
                _ = try await TestChunk(owner % 7, tokenCount: 60).isIntact(in: space)
                await clock.sleep(nanoseconds: 20_000_000)
            }
            #expect(await db.logCounters().movedBytes > 0)
            let waited = db.counters.waitedPutCount
            await db.close()
            return waited
        }
        return (waited, clock.monotonicNanoseconds - begin)
    }

    @Test(
        "cleaning ahead keeps to its bandwidth; who waits for room does not wait for that")
    func bandwidth() throws {
        let free = try unhurried(nil)
        #expect(free.waitedPutCount == 0, "it is ahead of everybody")
        // A copy of one chunk is rested for more than a minute: it falls behind, until somebody
        // waits, and goes on at once then.
        let restrained = try unhurried(.kibibytes(1))
        #expect(restrained.waitedPutCount > 0)
        #expect(restrained.nanoseconds < free.nanoseconds + 400 * 20_000_000)
    }

    @Test(
        "segments are a sixteenth of the capacity unless somebody says so",
        arguments: [(1, 65_536), (10, 524_288), (16, 1 << 20), (1_000, 32 << 20)])
    func segments(mebibytes: UInt64, expected: UInt64) throws {
        var machine = SimulatedMachine(seed: 3, capacity: .mebibytes(mebibytes))
        machine.options.segmentSize = nil
        let db = try machine.open()
        #expect(db.superblock.segmentBytes == expected)
        machine.run { await db.close() }
    }
}
