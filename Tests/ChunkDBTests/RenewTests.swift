// What plans go by, changed on a stored chunk: whole or not at all, whatever happens meanwhile.

import ChunkDB
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Metadata renewed")
struct RenewTests {
    private func machine(seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
    }

    private func profile(_ chunk: TestChunk, _ number: Int) -> [Float16] {
        chunk.tokens.indices.map { Float16(($0 + number) % 512) }
    }

    private func stored(_ chunk: TestChunk, in space: Namespace) async throws -> RecomputeMetadata {
        try #require(try await space.locate(chunk.key(in: space))).metadata.recompute
    }

    // 300 tokens are a variant of several records.
    @Test(
        "it is there from then on, through reopenings and cleaning, and nothing else changes",
        arguments: [20, 300], [false, true])
    func renews(tokenCount: Int, isWithoutCheckpoint: Bool) throws {
        let machine = machine(seed: 1)
        let chunk = TestChunk(1, tokenCount: tokenCount)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = chunk.key(in: space)
            let new = profile(chunk, 7)
            #expect(try await space.renew(key) { $0.deviationProfile = new } == false)
            try await chunk.put(in: space, pinned: true)
            let before = try #require(try await space.locate(key))
            #expect(try await space.renew(key) { $0.deviationProfile = new })
            let after = try #require(try await space.locate(key))
            var expected = before.metadata
            expected.recompute.deviationProfile = new
            #expect(after.metadata == expected)
            #expect(after.entry.isPinned && after.entry.diskBytes == before.entry.diskBytes)
            #expect(after.entry.extent != before.entry.extent)
            #expect(space.statistics.pinnedBytes == after.entry.diskBytes)
            #expect(try await chunk.isIntact(in: space) == true)
            await db.close()
        }
        let next = machine.afterRestart()
        if isWithoutCheckpoint {
            try next.run { () async throws in try await next.disk.unlink("checkpoint") }
        }
        let again = try next.open()
        #expect(again.recovery.damages == [])
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            let before = try #require(space.contains(chunk.key(in: space)))
            #expect(try await stored(chunk, in: space).deviationProfile == profile(chunk, 7))
            for owner in 100..<400 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: space)
            }
            let moved = try #require(space.contains(chunk.key(in: space)))
            // What fills a segment and is pinned is never copied.
            #expect((moved.extent != before.extent) == (tokenCount == 20))
            #expect(try await stored(chunk, in: space).deviationProfile == profile(chunk, 7))
            #expect(try await chunk.isIntact(in: space) == true)
            await again.close()
        }
    }

    @Test("no change is lost to another, nor to a reader, a removal or a put beside it")
    func concurrently() throws {
        let machine = machine(seed: 2)
        let chunk = TestChunk(1, tokenCount: 40)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = chunk.key(in: space)
            try await chunk.put(in: space)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<6 as Range<UInt64> {
                    group.addTask {
                        for number in 0..<5 as Range<UInt64> {
                            let isThere = try await space.renew(key) {
                                $0.creationMilliseconds += 1
                            }
                            #expect(isThere)
                            #expect(try await chunk.isIntact(in: space) == true)
                            try await TestChunk(100 * worker + number + 2).put(in: space)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await stored(chunk, in: space).creationMilliseconds == 30)
            // A removal wins, whichever is first: what was removed does not come back (D-1).
            async let isThere = space.renew(key) { $0.creationMilliseconds = 0 }
            async let removal: Void = space.remove(key)
            _ = try await (isThere, removal)
            #expect(space.contains(key) == nil)
            await db.close()
        }
        let next = machine.afterPowerCut(Survival(.all))
        let again = try next.open()
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            #expect(space.contains(chunk.key(in: space)) == nil)
            await again.close()
        }
    }

    @Test("what does not belong to the chunk is refused, and nothing changes")
    func badInput() throws {
        let machine = machine(seed: 3)
        let chunk = TestChunk(1, tokenCount: 20)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = chunk.key(in: space)
            try await chunk.put(in: space)
            let before = try #require(try await space.locate(key))
            let commits = await db.logCounters().commitCount
            let changes: [(String, @Sendable (inout RecomputeMetadata) -> Void)] = [
                (
                    "prefix of the recompute metadata",
                    { $0.prefix = [PrefixShare(key: key, tokenCount: 1)] }
                ),
                ("token scores", { $0.tokenScores = [1, 2] }),
                ("deviation profile", { $0.deviationProfile = [Float16](repeating: 1, count: 21) }),
            ]
            for (expected, change) in changes {
                do throws(StoreError) {
                    try await space.renew(key, change)
                    Issue.record("taken: \(expected)")
                } catch {
                    guard case .shape(expected, _, _) = error else { throw error }
                }
            }
            #expect(space.contains(key)?.extent == before.entry.extent)
            #expect(await db.logCounters().commitCount == commits)
            await db.close()
        }
    }

    @Test(
        "P-2, P-5, COM-18 a power cut leaves the old or the new, and the planes; so with a pin",
        arguments: [20, 300])
    func powerCut(tokenCount: Int) throws {
        let machine = machine(seed: 4)
        let chunk = TestChunk(1, tokenCount: tokenCount)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await chunk.put(in: space)
            await db.close()
        }
        let next = machine.afterPowerCut(Survival(.all))
        next.disk.startRecording()
        let (again, disk) = (try next.open(), next.disk)
        let first = disk.effectCount
        let new = profile(chunk, 3)
        let (renewed, pinned) = try next.run { () async throws -> (Int, Int) in
            let space = try #require(again.namespace("acme"))
            #expect(try await space.renew(chunk.key(in: space)) { $0.deviationProfile = new })
            let renewed = disk.effectCount
            #expect(try await space.pin(chunk.key(in: space)))
            return (renewed, disk.effectCount)
        }
        next.run { await again.close() }
        for count in first...pinned {
            for survival in Survival.menu(seed: UInt64(count)) {
                var image = self.machine(seed: 4)
                image.disk = disk.crash(afterEffects: count, survival, scheduler: image.scheduler)
                let survivor = try image.open()
                try image.run { () async throws in
                    let space = try #require(survivor.namespace("acme"))
                    #expect(survivor.recovery.damages.isEmpty, "\(count) \(survival)")
                    #expect(try await chunk.isIntact(in: space) == true, "\(count) \(survival)")
                    let profile = try await stored(chunk, in: space).deviationProfile
                    let entry = try #require(space.contains(chunk.key(in: space)))
                    #expect(
                        profile == new || profile.isEmpty && count < renewed,
                        "\(count) \(survival)")
                    #expect(
                        entry.isPinned ? profile == new : count < pinned, "\(count) \(survival)")
                    await survivor.close()
                }
            }
        }
    }
}
