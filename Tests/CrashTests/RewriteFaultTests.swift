// Trouble around what nothing proves: a namespace operation that survived in the log alone, reads
// that fail while a store opens, groups that stand in line when the log stops writing.

import ChunkDB
import EngineTestSupport
import Glibc
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Trouble around commits that nothing proves")
struct RewriteFaultTests {
    private static func put(
        _ owners: Range<UInt64>, _ level: Durability, _ db: ChunkDB, _ space: Namespace
    ) async throws(StoreError) {
        var batch = db.batch()
        for owner in owners {
            let chunk = TestChunk(owner)
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            for (layer, planes) in chunk.layers(space.binding).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            try batch.put(writer)
        }
        _ = try await batch.commit(durability: level)
    }

    @Test("P-2 X-2 whoever stands in line when a flush fails is told, however full the group was")
    func fullGroup() throws {
        let machine = SimulatedMachine(seed: 1, segmentSize: .mebibytes(8))
        let db = try machine.open()
        let toldCount: Int? = machine.scheduler.waitUnlessStuck(stepLimit: 1_000_000) {
            let space = try! await db.namespace("acme", model: smallBinding(layers: 1))
            try! await Self.put(0..<41, .written, db, space)
            machine.disk.fail(.flush, .error(EIO), forever: true)
            let told = await withTaskGroup(of: Int.self) { group in
                for first in [100, 200] as [UInt64] {
                    group.addTask(executorPreference: machine.scheduler) {
                        do throws(StoreError) {
                            try await Self.put(first..<first + 41, .durable, db, space)
                            return 0
                        } catch {
                            return 1
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            await db.close()
            return told
        }
        #expect(toldCount == 2)
    }

    /// Images of power cuts around one call, opened, and lived in further.
    private static func images(
        of machine: SimulatedMachine, _ effects: ClosedRange<Int>,
        _ body: (SimulatedMachine, ChunkDB) throws -> Void
    ) throws {
        for count in effects {
            for seed in 0..<40 as Range<UInt64> {
                var image = SimulatedMachine(seed: seed)
                image.disk = machine.disk.crash(
                    afterEffects: count,
                    Survival(data: .random, lengths: .all, names: .all, seed: seed),
                    scheduler: image.scheduler)
                try body(image, try image.open())
            }
        }
    }

    private static func holdsChunk(_ machine: SimulatedMachine) throws -> Bool {
        let db = try machine.open()
        #expect(db.recovery.damages == [])
        return try machine.run { () async throws(StoreError) in
            guard let space = db.namespace("x") else { return false }
            return try await TestChunk(1).isIntact(in: space) == true
        }
    }

    @Test(
        "RCV-12 D-2 a creation that survived in the log alone is in the journals at once")
    func creation() throws {
        let machine = SimulatedMachine(seed: 2)
        machine.disk.startRecording()
        let db = try machine.open()
        let before = machine.disk.effectCount
        _ = try machine.run { () async throws(StoreError) in
            try await db.namespace("x", model: smallBinding(layers: 1))
        }
        let after = machine.disk.effectCount
        var thereCount = 0
        try Self.images(of: machine, max(before, after - 14)...after) { image, db in
            guard let space = db.namespace("x") else { return }
            thereCount += 1
            try image.run { () async throws(StoreError) in
                try await db.checkpoint()
                try await TestChunk(1).put(in: space)
            }
            #expect(try Self.holdsChunk(image.afterPowerCut(Survival(.none))))
        }
        #expect(thereCount > 100)
    }

    @Test("RCV-12 D-3 a drop that survived in the log alone holds, and its name can be used again")
    func drop() throws {
        let machine = SimulatedMachine(seed: 3)
        machine.disk.startRecording()
        let db = try machine.open()
        let space = try machine.run { () async throws(StoreError) in
            let space = try await db.namespace("x", model: smallBinding(layers: 1))
            try await TestChunk(0).put(in: space)
            return space
        }
        let before = machine.disk.effectCount
        try machine.run { () async throws(StoreError) in try await db.drop(space) }
        let after = machine.disk.effectCount
        var goneCount = 0
        try Self.images(of: machine, max(before, after - 14)...after) { image, db in
            guard db.namespace("x") == nil else { return }
            goneCount += 1
            try image.run { () async throws(StoreError) in
                let space = try await db.namespace("x", model: smallBinding(layers: 1))
                try await TestChunk(1).put(in: space)
                await db.close()
            }
            #expect(try Self.holdsChunk(image.afterRestart()))
        }
        #expect(goneCount > 100)
    }

    /// Lives, loses power, opens with the n-th read failing once, closes, and looks again.
    private static func failEveryRead(
        _ what: String, expecting: [Bool?],
        _ live: @escaping @Sendable (ChunkDB, Namespace) async throws(StoreError) -> Void
    ) throws {
        let machine = SimulatedMachine(seed: 4)
        let db = try machine.open()
        try machine.run { () async throws(StoreError) in
            let space = try await db.namespace("x", model: smallBinding(layers: 1))
            try await TestChunk(9).put(in: space)
            try await live(db, space)
        }
        var caseCount = 0
        for number in 1..<60 {
            let cut = machine.afterPowerCut(Survival(.none))
            cut.disk.fail(.read, number: number, errorNumber: EIO)
            guard let db = try? cut.open() else { continue }
            cut.run { () async in
                // Whoever goes on writing must not give up what could not be read.
                if let space = db.namespace("x") { _ = try? await TestChunk(50).put(in: space) }
                await db.close()
            }
            if cut.disk.faultHitCount == 0 { break }
            caseCount += 1
            cut.disk.clearFailures()
            let next = cut.afterRestart()
            let again = try next.open()
            let found = try next.run { () async throws(StoreError) -> [Bool?] in
                guard let space = again.namespace("x") else { return [] }
                var found: [Bool?] = []
                for owner in 1...UInt64(expecting.count) {
                    found.append(try await TestChunk(owner).isIntact(in: space))
                }
                return found
            }
            #expect(found == expecting, "\(what), read \(number) fails once")
        }
        #expect(caseCount > 10)
    }

    @Test("N-6 F-G a read that fails once while a store opens takes nothing away for good")
    func readErrors() throws {
        try Self.failEveryRead("durable put", expecting: [true]) { _, space throws(StoreError) in
            try await TestChunk(1).put(in: space)
        }
        try Self.failEveryRead("removed durably", expecting: [nil]) { _, space throws(StoreError) in
            try await TestChunk(1).put(in: space, durability: .written)
            try await space.remove(TestChunk(1).key(in: space))
        }
        try Self.failEveryRead("durable batch", expecting: [true, true]) {
            db, space throws(StoreError) in
            try await Self.put(1..<3, .durable, db, space)
        }
    }
}
