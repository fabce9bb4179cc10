import ChunkDB
import EngineTestSupport
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

/// Puts that become true together (CONTRACT P-4).
@Suite("Batches")
struct BatchTests {
    private static let owners = 0..<4 as Range<UInt64>

    /// A writer with all its layers.
    private static func writer(_ owner: UInt64, in space: Namespace) async throws -> ChunkWriter {
        let chunk = TestChunk(owner)
        var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
        for (layer, planes) in chunk.layers(space.binding).enumerated() {
            try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
        }
        return writer
    }

    private static func batch(_ owners: some Sequence<UInt64>, _ db: ChunkDB, in space: Namespace)
        async throws -> Batch
    {
        var batch = db.batch()
        for owner in owners { try batch.put(try await writer(owner, in: space)) }
        return batch
    }

    @Test(
        "a batch is one commit and one flush, and nothing is there before", arguments: PlaceKind.all
    )
    func together(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            // The first put opens the segment, and is in the batch's way: it keeps its bytes.
            try await TestChunk(2).put(in: space)
            let batch = try await Self.batch(Self.owners, db, in: space)
            #expect(space.contains(TestChunk(0).key(in: space)) == nil)
            let commits = await db.logCounters().commitCount
            let flushes = db.diskCounters.flushCount
            let outcomes = try await batch.commit()
            #expect(outcomes == [.committed, .committed, .alreadyPresent, .committed])
            #expect(await db.logCounters().commitCount == commits + 1)
            #expect(db.diskCounters.flushCount == flushes + 1)
            #expect(try await db.batch().commit() == [])
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            for owner in Self.owners {
                #expect(try await TestChunk(owner).isIntact(in: space) == true)
            }
        }
    }

    @Test("COM-15 RCV-11 after a power cut at any effect all of a batch is there, or nothing")
    func allOrNothing() throws {
        var halves = 0
        var wholes = 0
        for (offset, level) in [Durability.durable, .written].enumerated() {
            for stop in stride(from: offset, to: 400, by: 3) {
                let machine = SimulatedMachine(seed: UInt64(stop), segmentSize: .kibibytes(128))
                let db = try machine.open()
                try machine.run { () async throws in
                    _ = try await db.namespace("acme", model: smallBinding(layers: 2))
                    await db.close()
                }
                let next = machine.afterRestart()
                let wasAcknowledged = Mutex(false)
                next.disk.stop(afterEffects: stop, behaviour: .fail)
                _ = next.scheduler.waitUnlessStuck { () async -> Bool in
                    do {
                        let db = try await next.openAsync()
                        let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                        let batch = try await Self.batch(Self.owners, db, in: space)
                        _ = try await batch.commit(durability: level)
                        wasAcknowledged.withLock { $0 = true }
                        await db.close()
                    } catch {}
                    return true
                }
                let isDone = wasAcknowledged.withLock { $0 }
                for pattern in SurvivalPattern.allCases {
                    let image = next.afterPowerCut(Survival(pattern, seed: UInt64(stop)))
                    let (found, dropped) = try Self.survivors(image)
                    let facts = "\(level), effect \(stop), \(pattern): \(found) found"
                    #expect(found == 0 || found == Self.owners.count, "\(facts)")
                    if isDone && level == .durable {
                        #expect(found == Self.owners.count, "\(facts), acknowledged")
                    }
                    if dropped == Self.owners.count { halves += 1 }
                    if found > 0 { wholes += 1 }
                }
                if isDone { break }
            }
        }
        #expect(halves > 0, "no power cut tore a batch")
        #expect(wholes > 0)
    }

    /// Chunks found whole, and records that recovery dropped.
    private static func survivors(
        _ machine: SimulatedMachine, _ owners: Range<UInt64> = owners
    ) throws -> (Int, Int) {
        let db = try machine.open()
        #expect(db.recovery.damages.isEmpty)
        return try machine.run { () async throws in
            var found = 0
            if let space = db.namespace("acme") {
                for owner in owners {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact != false, "chunk \(owner)")
                    if isIntact == true { found += 1 }
                }
            }
            await db.close()
            return (found, db.recovery.droppedRecordCount)
        }
    }

    @Test("P-5 what a durable batch met as accepted is durable when it returns")
    func meetsAccepted() throws {
        var metCount = 0
        for seed in 0..<24 as Range<UInt64> {
            let machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
            let db = try machine.open()
            let images = try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                let images = try await withThrowingTaskGroup(
                    of: (UInt64, SimulatedMachine)?.self
                ) { group in
                    for owner in 0..<6 as Range<UInt64> {
                        group.addTask {
                            try await TestChunk(owner).put(in: space, durability: .accepted)
                            return nil
                        }
                        group.addTask {
                            let outcome = try await Self.batch([owner], db, in: space).commit()
                            guard outcome == [.alreadyPresent] else { return nil }
                            return (owner, machine.afterPowerCut(Survival(.none, seed: seed)))
                        }
                    }
                    return try await group.reduce(into: []) { $0 += [$1].compactMap { $0 } }
                }
                await db.close()
                return images
            }
            metCount += images.count
            for (owner, image) in images {
                let found = try Self.survivors(image, owner..<owner + 1).0
                #expect(found == 1, "seed \(seed), chunk \(owner)")
            }
        }
        #expect(metCount > 10)
    }

    @Test("a batch refuses what cannot be part of it, and stays as it was")
    func refusals() throws {
        try StorePlace(.real(.threads)).session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            var batch = try await Self.batch([0, 1], db, in: space)
            let twin = try await Self.writer(1, in: space)
            do {
                try batch.put(twin)
                Issue.record("one variant twice")
            } catch {
                #expect("\(error)".contains("distinct"))
            }
            let short = try await space.beginPut(
                TestChunk(3).key(in: space), tokens: TestChunk(3).tokens)
            do {
                try batch.put(short)
                Issue.record("a chunk without its layers")
            } catch {
                #expect("\(error)".contains("layers put"))
            }
            #expect(try await batch.commit() == [.committed, .committed])

            do {
                _ = try await Self.batch(10..<60, db, in: space).commit()
                Issue.record("more records than a commit names")
            } catch StoreError.log(let error) {
                #expect(error == .batchTooLarge(recordCount: 50, maximum: 41))
            }
            #expect(space.contains(TestChunk(10).key(in: space)) == nil)
        }
    }
}
