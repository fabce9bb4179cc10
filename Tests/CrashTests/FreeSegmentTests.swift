// Segments whose use has ended, as an opener finds them: free, or half begun again.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Segments whose use has ended")
struct FreeSegmentTests {
    private static let owners = 0..<60 as Range<UInt64>

    /// A store that has turned over, and was closed. *Returns:* the next process, the files of its
    /// free segments, and what is stored.
    private static func turnedOver(seed: UInt64) throws
        -> (machine: SimulatedMachine, free: [String], stored: Set<UInt64>)
    {
        let machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in owners {
                try await TestChunk(owner, tokenCount: 60).put(in: space)
                let counters = await db.logCounters()
                if counters.freedCount > 5, counters.freeSegmentCount > 0 { break }
            }
            await db.close()
        }
        let next = machine.afterRestart()
        let stored = try survivors(next)
        let after = next.afterRestart()
        let living = try after.run { () async throws in
            Set(try await SegmentLog.inspect(after.disk).segments.map(\.handle.fileName))
        }
        let last = after.afterRestart()
        let free = last.disk.fileNames.filter { $0.hasPrefix("segments/") && !living.contains($0) }
        #expect(!free.isEmpty)
        return (last, free, stored)
    }

    private static func survivors(_ machine: SimulatedMachine) throws -> Set<UInt64> {
        let db = try machine.open()
        #expect(db.recovery.damages == [])
        return try machine.run { () async throws in
            var found: Set<UInt64> = []
            let space = try #require(db.namespace("acme"))
            for owner in owners {
                let isIntact = try await TestChunk(owner, tokenCount: 60).isIntact(in: space)
                #expect(isIntact != false, "chunk \(owner)")
                if isIntact == true { found.insert(owner) }
            }
            await db.close()
            return found
        }
    }

    @Test("SEG-12 JRN-10 JRN-11 CKP-12 what ended holds nothing, with a checkpoint and without one")
    func nothingLeft() throws {
        let (machine, free, stored) = try Self.turnedOver(seed: 1)
        #expect(try Self.survivors(machine) == stored)
        let bare = machine.afterRestart()
        try bare.run { () async throws in try await bare.disk.unlink("checkpoint") }
        // What was forgotten may be there again, if its segment was not used since (E-1).
        #expect(try Self.survivors(bare).isSuperset(of: stored))
        let last = bare.afterRestart()
        let db = try last.open()
        try last.run { () async throws in
            let space = try #require(db.namespace("acme"))
            let count = last.disk.fileNames.count
            for owner in 100..<160 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 60).put(in: space)
            }
            // In place: the files are used again.
            #expect(last.disk.fileNames.count <= count + 1)
            #expect(free.allSatisfy { last.disk.fileNames.contains($0) })
            await db.close()
        }
    }

    @Test("JRN-13 a use with a commit that rotted is not ended: what it named would be gone unsaid")
    func rottenCommit() throws {
        let machine = SimulatedMachine(
            seed: 5, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            for owner in 0..<20 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            let name = StoreFiles.segment(SegmentID(0))
            let header = machine.disk.bytes(of: name, 0..<4_096)
            // The slot after the first: a commit in the middle of the chain.
            machine.disk.flip(name, byte: 8_192 + 100, bit: 3)
            for owner in 100..<500 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            let counters = await db.logCounters()
            #expect(counters.freedCount > 5)
            #expect(machine.disk.bytes(of: name, 0..<4_096) == header)
            await db.close()
        }
    }

    @Test("RCV-21 what the journals say is made durable again before a segment is begun anew")
    func factFirst() throws {
        let (machine, free, _) = try Self.turnedOver(seed: 2)
        let before = machine.disk.effects.count
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for owner in 100..<110 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 60).put(in: space)
            }
            await db.close()
        }
        let effects = machine.disk.effects[before...]
        let begun = effects.firstIndex {
            free.contains($0.file) && $0.operation == .write && $0.offset == 0
        }
        let header = try #require(begun)
        for journal in StoreFiles.journals {
            let write = effects[..<header].firstIndex {
                $0.file == journal && $0.operation == .write && $0.phase == .ends
            }
            let first = try #require(write)
            #expect(
                effects[first..<header].contains {
                    $0.file == journal && $0.operation == .flush && $0.phase == .ends
                })
        }
    }

    @Test("RCV-22 a header that was being written over is no damage, and the segment is used again")
    func tornHeader() throws {
        let (machine, free, stored) = try Self.turnedOver(seed: 3)
        let rubbish = [UInt8](repeating: 0xA7, count: 2_048)
        for name in free { machine.disk.setBytes(rubbish, of: name, at: 0) }
        #expect(try Self.survivors(machine) == stored)
        let next = machine.afterRestart()
        let db = try next.open()
        try next.run { () async throws in
            let counters = await db.logCounters()
            #expect(counters.freeSegmentCount == free.count)
            await db.close()
        }
    }

    @Test("RCV-22 beside other damage such a segment is reported and left alone")
    func tornHeaderBesideDamage() throws {
        let (machine, free, _) = try Self.turnedOver(seed: 4)
        let living = try machine.run { () async throws in
            try await SegmentLog.inspect(machine.disk).segments.map(\.handle.fileName)
        }
        let next = machine.afterRestart()
        let rubbish = [UInt8](repeating: 0xA7, count: 2_048)
        next.disk.setBytes(rubbish, of: free[0], at: 0)
        // The header of a segment that lives: its commits are missing.
        next.disk.setBytes(rubbish, of: living[0], at: 0)
        let db = try next.open()
        let damaged = Set(db.recovery.damages.map(\.file))
        #expect(damaged.contains(free[0]) && damaged.contains(living[0]))
        try next.run { () async throws in
            let counters = await db.logCounters()
            #expect(counters.freeSegmentCount == free.count - 1)
            await db.close()
        }
        #expect(next.disk.bytes(of: free[0], 0..<2_048) == rubbish)
    }
}
