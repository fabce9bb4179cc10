// What an opener does with commits that nothing proves: it writes them anew (RCV-12), because a
// flush that failed under the last process leaves bytes that can be read and may never be durable.

import ChunkDB
import EngineTestSupport
import Glibc
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Commits that nothing proves are written anew")
struct RewriteTests {
    private static func owners(_ count: Int) -> Range<UInt64> { 0..<UInt64(count) }

    /// Puts `written` chunks, then one `durable` whose flush fails: that of the segment, or, after
    /// a removal, that of a journal. *Returns:* the next process.
    private static func afterFailedFlush(seed: UInt64, _ kind: FaultKind, removes: Bool) throws
        -> SimulatedMachine
    {
        let machine = SimulatedMachine(seed: seed)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await TestChunk(0).put(in: space)
            for owner in 1...6 as ClosedRange<UInt64> {
                try await TestChunk(owner).put(in: space, durability: .written)
            }
            if removes {
                try await space.remove(TestChunk(3).key(in: space), durability: .written)
            }
            machine.disk.fail(.flush, kind, forever: true)
            await #expect(throws: StoreError.self) { try await TestChunk(7).put(in: space) }
            await db.close()
        }
        machine.disk.clearFailures()
        return machine.afterRestart()
    }

    private static func afterDeath(_ machine: SimulatedMachine) -> SimulatedMachine {
        var next = machine
        next.disk = machine.disk.afterProcessDeath(seed: 1)
        return next
    }

    private static func survivors(_ machine: SimulatedMachine, _ owners: Range<UInt64>) throws
        -> Set<UInt64>
    {
        let db = try machine.open()
        #expect(db.recovery.damages == [])
        return try machine.run { () async throws in
            var found: Set<UInt64> = []
            let space = try #require(db.namespace("acme"))
            for owner in owners {
                let isIntact = try await TestChunk(owner).isIntact(in: space)
                #expect(isIntact != false, "chunk \(owner)")
                if isIntact == true { found.insert(owner) }
            }
            await db.close()
            return found
        }
    }

    @Test(
        "RCV-12 MED-9 COM-9 what an opening served after a failed flush stays",
        arguments: 0..<40 as Range<UInt64>)
    func failedFlush(seed: UInt64) throws {
        let next = try Self.afterFailedFlush(
            seed: seed, seed % 2 == 0 ? .error(EIO) : .lossy, removes: seed % 4 > 1)
        let served = try Self.survivors(next, 0..<8)
        #expect(served.contains(0))
        if seed % 4 > 1 { #expect(!served.contains(3)) }
        // With nothing lost under the running device, all that was written is there.
        if seed % 2 == 0 { #expect(served.isSuperset(of: [0, 1, 2, 4, 5, 6])) }
        let cut = next.afterPowerCut(Survival(.none))
        #expect(try Self.survivors(cut, 0..<8) == served)
    }

    @Test("RCV-12 COM-7 removal and second put, unproven both, end as the process saw them")
    func removedAndPutAgain() throws {
        let machine = SimulatedMachine(seed: 3, segmentSize: .kibibytes(64))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = TestChunk(1).key(in: space)
            try await TestChunk(1).put(in: space)
            try await space.remove(key, durability: .written)
            try await TestChunk(1).put(in: space, durability: .written)
            try await TestChunk(2).put(in: space, durability: .written)
            try await space.remove(TestChunk(2).key(in: space), durability: .written)
        }
        let next = Self.afterDeath(machine)
        #expect(try Self.survivors(next, 0..<4) == [1])
        let last = next.afterPowerCut(Survival(.none))
        #expect(try Self.survivors(last, 0..<4) == [1])
    }

    @Test("RCV-12 O-4 an opening that cannot write them anew serves them, and is degraded")
    func fullDisk() throws {
        let next = try Self.afterFailedFlush(seed: 5, .error(EIO), removes: false)
        next.disk.fail(.write, errorNumber: ENOSPC, forever: true)
        let db = try next.open()
        #expect(db.recovery.readOnlyReason != nil)
        try next.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for owner in [0, 1, 2, 4, 5, 6] as [UInt64] {
                #expect(try await TestChunk(owner).isIntact(in: space) == true)
            }
            await #expect(throws: StoreError.self) { try await TestChunk(9).put(in: space) }
            await db.close()
        }
        next.disk.clearFailures()
        let later = next.afterRestart()
        let served = try Self.survivors(later, 0..<8)
        #expect(served.isSuperset(of: [0, 1, 2, 4, 5, 6]))
        #expect(try Self.survivors(later.afterPowerCut(Survival(.none)), 0..<8) == served)
    }

    @Test("COM-16 however many puts nobody wants flushed, one commit can name what is not")
    func bound() throws {
        let machine = SimulatedMachine(seed: 9)
        let db = try machine.open()
        let count = 300
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            for owner in Self.owners(count) {
                try await TestChunk(owner).put(in: space, durability: .written)
            }
        }
        let next = Self.afterDeath(machine)
        let again = try next.open()
        #expect(again.recovery.damages == [])
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            // Not degraded: what was unproven fitted one commit.
            try await TestChunk(1_000).put(in: space)
            await again.close()
        }
        let cut = next.afterPowerCut(Survival(.none))
        #expect(try Self.survivors(cut, Self.owners(count)).count == count)
    }
}
