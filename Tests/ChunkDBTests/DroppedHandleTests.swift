// A store whose last name ended without `close`. Whoever is inside goes on, and must not take what
// nobody names any more for dead; nobody else gets in, and nothing is left of it in memory.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("A store whose handle is gone")
struct DroppedHandleTests {
    /// Chunks that were durable and that nobody said were forgotten.
    private func check(_ machine: SimulatedMachine, _ promised: Set<UInt64>, _ seed: UInt64) throws
    {
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for owner in promised.sorted() {
                let isIntact = try await TestChunk(owner, tokenCount: 30).isIntact(in: space)
                #expect(isIntact == true, "seed \(seed), \(owner)")
            }
            await db.close()
        }
    }

    @Test("N-3 cleaning that is under way takes nothing", arguments: 1...40 as ClosedRange<UInt64>)
    func cleaning(seed: UInt64) throws {
        let evicted = CleaningTests.Evicted()
        var machine = SimulatedMachine(
            seed: seed, capacity: .kibibytes(1_200), segmentSize: .kibibytes(128))
        machine.options.evictionObserver = { _, key, _ in evicted.note(key) }
        let current = machine
        let promised = try machine.run { () async throws in
            let db = try await current.openAsync()
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<UInt64(20 + seed % 7) {
                try await TestChunk(owner, tokenCount: 30).put(in: space)
            }
            return (space, Set(0..<UInt64(20 + seed % 7)))
        }
        // Somebody goes on with a namespace, for as long as it is let.
        let more = machine.run { () async in
            var more: Set<UInt64> = []
            for owner in 100..<140 as Range<UInt64> {
                do throws(StoreError) {
                    try await TestChunk(owner, tokenCount: 30).put(in: promised.0)
                    more.insert(owner)
                } catch {
                    #expect(error == .log(.closed))
                    break
                }
            }
            return more
        }
        var next = machine
        next.disk = machine.disk.afterProcessDeath(seed: seed)
        next.options.evictionObserver = nil
        let space = promised.0
        let kept = promised.1.union(more).filter {
            !evicted.contains(TestChunk($0, tokenCount: 30).key(in: space))
        }
        #expect(kept.count > 8)
        try check(next, kept, seed)
    }

    @Test("N-3 no checkpoint is written without what the namespaces name")
    func checkpoints() throws {
        var machine = SimulatedMachine(seed: 7)
        machine.options.commitsPerCheckpoint = 3
        let current = machine
        let (space, promised) = try machine.run { () async throws in
            let db = try await current.openAsync()
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<5 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: space)
            }
            return (space, Set(0..<5 as Range<UInt64>))
        }
        let refused = machine.run { () async in
            var refused = 0
            for owner in 5..<30 as Range<UInt64> {
                do throws(StoreError) {
                    try await TestChunk(owner, tokenCount: 30).put(in: space)
                } catch {
                    refused += 1
                }
            }
            return refused
        }
        #expect(refused > 20)
        machine.disk = machine.disk.afterProcessDeath(seed: 7)
        try check(machine, promised, 7)
    }

    @Test("nothing is left in memory of stores that were dropped")
    func memory() throws {
        // Each reserves address space for its index: thousands of them would exhaust it.
        for round in 0..<3_000 as Range<UInt64> {
            let machine = SimulatedMachine(seed: round)
            try machine.run { () async throws in
                let db = try await machine.openAsync()
                _ = try await db.namespace("acme", model: smallBinding(layers: 1))
            }
        }
    }
}
