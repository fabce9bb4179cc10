import ChunkDB
import EngineTestSupport
import SegmentLog
import StoreTestSupport
import Testing

/// What each level promises, and what it costs (CONTRACT 2.3).
@Suite("Durability levels")
struct DurabilityTests {
    private static let owners = 0..<10 as Range<UInt64>

    /// Puts all owners at a level; `then` runs in the same session, which ends without a close.
    private func machine(
        _ seed: UInt64, _ level: Durability,
        then: @escaping @Sendable (ChunkDB, Namespace) async throws -> Void = { _, _ in }
    ) throws -> SimulatedMachine {
        // Of what is written and not durable, a segment takes twice as much before it is flushed.
        let machine = SimulatedMachine(seed: seed, segmentSize: .mebibytes(1))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in Self.owners {
                try await TestChunk(owner).put(in: space, durability: level)
                #expect(try await TestChunk(owner).isIntact(in: space) == true)
            }
            try await then(db, space)
        }
        return machine
    }

    /// How many chunks the next process finds whole; nothing may be damaged or mixed.
    private func survivors(_ machine: SimulatedMachine) throws -> Int {
        let db = try machine.open()
        #expect(db.recovery.damages.isEmpty)
        return try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            var count = 0
            for owner in Self.owners {
                let isIntact = try await TestChunk(owner).isIntact(in: space)
                #expect(isIntact != false, "chunk \(owner)")
                if isIntact == true { count += 1 }
            }
            await db.close()
            return count
        }
    }

    @Test("only durable puts flush, and a barrier flushes once for all", arguments: PlaceKind.all)
    func flushes(kind: PlaceKind) throws {
        try StorePlace(kind).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            // The first put of a session opens a segment, which flushes.
            try await TestChunk(100).put(in: space)
            var before = db.diskCounters.flushCount
            for owner in Self.owners {
                let level: Durability = owner % 2 == 0 ? .written : .accepted
                #expect(try await TestChunk(owner).put(in: space, durability: level) == .committed)
            }
            #expect(db.diskCounters.flushCount == before)
            try await db.barrier()
            #expect(db.diskCounters.flushCount == before + 1, "one file was touched")
            before = db.diskCounters.flushCount
            try await db.barrier()
            #expect(db.diskCounters.flushCount == before, "nothing was left to flush")
        }
    }

    @Test("a written put survives the process and not always the power", arguments: 1...4)
    func written(seed: UInt64) throws {
        let machine = try machine(seed, .written)
        var died = machine
        died.disk = machine.disk.afterProcessDeath(seed: seed)
        #expect(try survivors(died) == Self.owners.count)
        #expect(try survivors(machine.afterPowerCut(Survival(.none, seed: seed))) == 0)
        // Any subset of the writes may be left; the report stays clean, what is left is whole.
        for pattern in SurvivalPattern.allCases {
            _ = try survivors(machine.afterPowerCut(Survival(pattern, seed: seed)))
        }
    }

    @Test(
        "P-6 a barrier, a checkpoint and a close make weaker puts durable",
        arguments: [Durability.accepted, .written])
    func barrier(level: Durability) throws {
        let ends: [@Sendable (ChunkDB) async throws -> Void] = [
            { try await $0.barrier() }, { try await $0.checkpoint() }, { await $0.close() },
        ]
        for end in ends {
            let machine = try machine(7, level) { db, _ in try await end(db) }
            let left = try survivors(machine.afterPowerCut(Survival(.none, seed: 7)))
            #expect(left == Self.owners.count)
        }
    }

    @Test("P-5 a durable put of a key that is only accepted makes that record durable")
    func upgrade() throws {
        let machine = try machine(8, .accepted) { _, space in
            for owner in Self.owners {
                let outcome = try await TestChunk(owner).put(in: space)
                #expect(outcome == .alreadyPresent)
            }
        }
        let left = try survivors(machine.afterPowerCut(Survival(.none, seed: 8)))
        #expect(left == Self.owners.count)
    }

    @Test("an accepted put can be removed at once, and does not come back", arguments: 1...8)
    func acceptedThenRemoved(seed: UInt64) throws {
        let machine = SimulatedMachine(seed: seed)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in Self.owners {
                try await TestChunk(owner).put(in: space, durability: .accepted)
                try await space.remove(
                    TestChunk(owner).key(in: space),
                    durability: owner % 2 == 0 ? .durable : .written)
                #expect(space.contains(TestChunk(owner).key(in: space)) == nil)
            }
            #expect(space.entryCount == 0)
            await db.close()
        }
        #expect(try survivors(machine.afterRestart()) == 0)
    }

    @Test("an accepted put whose write fails is withdrawn, counted, and never half served")
    func withdrawn() throws {
        let machine = SimulatedMachine(seed: 10)
        let store = try machine.open()
        try machine.run { () async throws in
            let space = try await store.namespace("acme", model: smallBinding(layers: 2))
            try await TestChunk(1).put(in: space)
            machine.disk.fail(.write, number: 1, errorNumber: 5)
            #expect(try await TestChunk(2).put(in: space, durability: .accepted) == .committed)
            #expect(try await TestChunk(2).isIntact(in: space) == nil)
            #expect(store.counters.withdrawnCount == 1)
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            await #expect(throws: StoreError.self) { try await store.barrier() }
            await #expect(throws: StoreError.self) {
                try await TestChunk(3).put(in: space, durability: .accepted)
            }
        }
    }

    @Test(
        "D-3 a dropped namespace is gone for good, and its name is free", arguments: PlaceKind.all)
    func drop(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let other = try await db.namespace("other", model: smallBinding(layers: 2))
            for owner in Self.owners {
                try await TestChunk(owner).put(in: space)
                try await TestChunk(owner).put(in: other)
            }
            let key = TestChunk(3).key(in: space)
            // Not copyable: `#require` cannot take it.
            guard let kept = try await space.get(key) else { throw StoreError.noSuchNamespace("") }
            try await db.drop(space)
            #expect(db.namespace("acme") == nil)
            #expect(space.contains(key) == nil)
            #expect(kept.plane(layer: 0, .keys).count > 0, "what was handed out stays")
            let gone = StoreError.noSuchNamespace("acme")
            await #expect(throws: gone) { _ = try await space.canGet(key) }
            await #expect(throws: gone) { try await TestChunk(3).put(in: space) }
            await #expect(throws: gone) { try await space.remove(key) }
            await #expect(throws: gone) { try await db.drop(space) }
            let again = try await db.namespace("acme", model: smallBinding(layers: 3))
            #expect(again.id != space.id)
            #expect(again.entryCount == 0)
            #expect(other.entryCount == Self.owners.count)
        }
        try place.session { db in
            #expect(db.recovery.damages.isEmpty)
            #expect(db.namespace("acme")?.entryCount == 0)
            #expect(db.namespace("acme")?.binding.layerCount == 3)
            let other = try #require(db.namespace("other"))
            #expect(try await TestChunk(3).isIntact(in: other) == true)
        }
    }
}
