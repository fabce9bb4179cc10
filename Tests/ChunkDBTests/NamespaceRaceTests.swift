import ChunkDB
import EngineTestSupport
import Primitives
import StoreTestSupport
import Testing

/// Namespaces that are made at once: found by CRASH, whose tenants begin beside each other.
@Suite("Namespaces made at once")
struct NamespaceRaceTests {
    private static let binding = smallBinding(layers: 2)

    private func machine(_ seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
    }

    /// A task for each name, all at once.
    private func make(_ names: [String], in db: ChunkDB, _ machine: SimulatedMachine)
        async throws
    {
        try await withThrowingTaskGroup { group in
            for name in names {
                group.addTask(executorPreference: machine.scheduler) {
                    _ = try await db.namespace(name, model: Self.binding)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("N-1 of different names have numbers and chunks of their own", arguments: 1...8)
    func differentNames(seed: Int) throws {
        let names = ["a", "b", "c", "d"]
        var machine = machine(UInt64(seed))
        for isAgain in [false, true] {
            let (current, db) = (machine, try machine.open())
            try machine.run { () async throws in
                if !isAgain { try await self.make(names, in: db, current) }
                #expect(db.namespaces.map(\.name).sorted() == names)
                #expect(Set(db.namespaces.map(\.id)).count == names.count)
                for (index, name) in names.enumerated() {
                    let space = try #require(db.namespace(name))
                    // Equal tokens, so equal keys: the bytes alone say whose chunk it is.
                    let tokens = TestChunk(7).tokens
                    let planes = TestChunk(UInt64(100 + index)).layers(Self.binding)
                    if !isAgain {
                        try await space.put(
                            space.key(tokens: tokens), tokens: tokens, layers: planes)
                    }
                    let data = try await space.mustGet(space.key(tokens: tokens))
                    #expect(data.plane(layer: 1, .values) == planes[1].values, "\(name)")
                }
                await db.close()
            }
            machine = machine.afterRestart()
        }
    }

    @Test("NSP-5 N-3 of one name are one, so that a later one hides nothing", arguments: 1...8)
    func oneName(seed: Int) throws {
        var machine = machine(UInt64(seed))
        let (current, db) = (machine, try machine.open())
        try machine.run { () async throws in
            try await self.make(["a", "a", "a"], in: db, current)
            try await db.drop(#require(db.namespace("a")))
            let space = try await db.namespace("a", model: Self.binding)
            try await TestChunk(1).put(in: space)
            await db.close()
        }
        machine = machine.afterRestart()
        let again = try machine.open()
        try machine.run { () async throws in
            #expect(again.namespaces.count == 1)
            #expect(try await TestChunk(1).isIntact(in: #require(again.namespace("a"))) == true)
            await again.close()
        }
    }

    @Test("N-3 P-3 a failed removal takes nothing that was acknowledged later", arguments: 1...40)
    func failedRemoval(seed: Int) throws {
        let machine = machine(UInt64(seed))
        let db = try machine.open()
        let isHeld = try machine.run { () async throws in
            let space = try await db.namespace("a", model: Self.binding)
            try await TestChunk(1).put(in: space)
            // A put that finds no room closes the segment that the removal is on its way to.
            machine.disk.fail(.allocate, number: 1, errorNumber: 28, forever: true)
            await withTaskGroup { group in
                group.addTask(executorPreference: machine.scheduler) {
                    _ = try? await TestChunk(2, tokenCount: 40).put(in: space)
                }
                group.addTask(executorPreference: machine.scheduler) {
                    try? await space.remove(TestChunk(1).key(in: space))
                }
            }
            machine.disk.clearFailures()
            let isHeld = (try? await TestChunk(1).put(in: space)) != nil
            await db.close()
            return isHeld
        }
        let next = machine.afterRestart()
        let again = try next.open()
        try next.run { () async throws in
            let isIntact = try await TestChunk(1).isIntact(in: #require(again.namespace("a")))
            #expect(isIntact == true || !isHeld)
            await again.close()
        }
    }
}
