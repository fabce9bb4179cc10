// Policies by namespace: each says what its own entries are worth, and scores of another policy are
// made anew.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import StoreTestSupport
import Testing

@Suite("Policies by namespace")
struct PolicyTests {
    /// Opens, reads the rows of chunk 1 in both namespaces, and closes.
    private func rows(_ machine: SimulatedMachine) throws -> [HeatRow] {
        let db = try machine.open()
        return try machine.run { () async throws in
            var rows: [HeatRow] = []
            for name in ["acme", "beta"] {
                let space = try #require(db.namespace(name))
                let entry = try #require(space.contains(TestChunk(1).key(in: space)))
                rows.append(try #require(space.heat(of: entry)))
            }
            await db.close()
            return rows
        }
    }

    @Test("HEA-6 a score is kept under its policy, and made anew under another")
    func scores() throws {
        var machine = SimulatedMachine(seed: 1)
        machine.options.namespaces["beta", default: .init()].retentionPolicy = "lfu"
        let db = try machine.open()
        let clock = machine.scheduler.clock
        let before = try machine.run { () async throws in
            var rows: [HeatRow] = []
            for name in ["acme", "beta"] {
                let space = try await db.namespace(name, model: smallBinding())
                try await TestChunk(1).put(in: space)
                for _ in 0..<5 {
                    clock.jumpWall(bySeconds: 1_000)
                    _ = try await TestChunk(1).isIntact(in: space)
                }
                let entry = try #require(space.contains(TestChunk(1).key(in: space)))
                rows.append(try #require(space.heat(of: entry)))
            }
            await db.close()
            return rows
        }
        machine = machine.afterRestart()
        #expect(try rows(machine) == before)
        machine = machine.afterRestart()
        machine.options.namespaces["beta"]?.retentionPolicy = "cache-craft"
        let after = try rows(machine)
        #expect(after.map(\.useCount) == before.map(\.useCount))
        #expect(after.map(\.lastUseSeconds) == before.map(\.lastUseSeconds))
        #expect(after[1].score != before[1].score)
        // And are kept from then on.
        machine = machine.afterRestart()
        #expect(try rows(machine) == after)
    }

    @Test("each namespace's entries are judged by its own policy")
    func competition() throws {
        var machine = SimulatedMachine(
            seed: 2, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        machine.options.retentionPolicy = "lru"
        machine.options.namespaces["beta", default: .init()].retentionPolicy = "lfu"
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let beta = try await db.namespace("beta", model: smallBinding(layers: 2))
            // The first few are used often, and long ago. One tenant's after the other's: whole
            // segments go, or stay.
            for space in [acme, beta] {
                for owner in 0..<8 as Range<UInt64> {
                    try await TestChunk(owner, tokenCount: 50).put(in: space)
                    for _ in 0..<20 {
                        _ = try await TestChunk(owner, tokenCount: 50).isIntact(in: space)
                    }
                }
            }
            for owner in 100..<250 as Range<UInt64> {
                for space in [acme, beta] {
                    clock.jumpWall(bySeconds: 10)
                    try await TestChunk(owner, tokenCount: 50).put(in: space)
                }
            }
            #expect(db.counters.evictedCount > 200)
            for owner in 0..<4 as Range<UInt64> {
                let chunk = TestChunk(owner, tokenCount: 50)
                #expect(try await chunk.isIntact(in: acme) == nil, "recency forgets \(owner)")
                let late = TestChunk(owner + 4, tokenCount: 50)
                #expect(try await late.isIntact(in: beta) == true, "frequency keeps \(owner + 4)")
            }
            await db.close()
        }
    }

    @Test("a policy that nobody knows is refused by name, before anything is touched")
    func unknown() throws {
        var machine = SimulatedMachine(seed: 3)
        machine.options.namespaces["beta", default: .init()].retentionPolicy = "belady"
        let error = #expect(throws: StoreError.self) { try machine.open() }
        #expect(error?.description.contains("\"belady\"") == true)
    }
}
