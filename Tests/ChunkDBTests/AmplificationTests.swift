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

    @Test("cleaning ahead keeps to its bandwidth, and lets nobody wait for it")
    func bandwidth() throws {
        var machine = SimulatedMachine(
            seed: 2, capacity: .mebibytes(10), segmentSize: Self.segment)
        let start = machine.scheduler.clock.monotonicNanoseconds
        let (free, first) = try turnOver(machine)
        let freely = machine.scheduler.clock.monotonicNanoseconds - start
        machine.run { await first.close() }

        machine = SimulatedMachine(seed: 2, capacity: .mebibytes(10), segmentSize: Self.segment)
        machine.options.cleaningBandwidth = .mebibytes(1)
        let begin = machine.scheduler.clock.monotonicNanoseconds
        let (bounded, second) = try turnOver(machine)
        let restrained = machine.scheduler.clock.monotonicNanoseconds - begin
        #expect(bounded.movedBytes > 0 && free.movedBytes > 0)
        // Virtual time: a put waits for the end of a rest at most, not for the rest.
        #expect(restrained < freely + 600 * 4_000_000, "\(restrained) and \(freely) ns")
        #expect(bounded.putBytes == free.putBytes)
        machine.run { await second.close() }
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
