import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("The life of a store")
struct LifeTests {
    /// Puts owners, removes every third, and returns the machine after the given end.
    private func filled(
        _ machine: SimulatedMachine, _ owners: Range<UInt64>,
        checkpointAfter: UInt64? = nil, closing: Bool
    ) throws {
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in owners {
                try await TestChunk(owner).put(in: space)
                if owner % 3 == 0 { try await space.remove(TestChunk(owner).key(in: space)) }
                if owner == checkpointAfter { try await db.checkpoint() }
            }
            if closing { await db.close() }
        }
    }

    private func check(_ machine: SimulatedMachine, _ owners: Range<UInt64>) throws
        -> RecoveryReport
    {
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for owner in owners {
                let isIntact = try await TestChunk(owner).isIntact(in: space)
                #expect(isIntact == (owner % 3 == 0 ? nil : true), "chunk \(owner)")
            }
            #expect(space.entryCount == owners.count { $0 % 3 != 0 })
            await db.close()
        }
        return db.recovery
    }

    @Test("CKP-6 reopens from its checkpoint, and replays nothing")
    func reopenWithCheckpoint() throws {
        let machine = SimulatedMachine(seed: 1)
        try filled(machine, 0..<30, closing: true)
        let report = try check(machine.afterRestart(), 0..<30)
        #expect(report.checkpointIgnored == nil)
        #expect(report.replayedCommitCount == 0)
        #expect(report.damages.isEmpty)
    }

    @Test("RCV-7 RCV-14 reopens without a checkpoint by walking the log")
    func reopenWithoutCheckpoint() throws {
        let machine = SimulatedMachine(seed: 2)
        try filled(machine, 0..<30, closing: true)
        machine.disk.removeFile(StoreFiles.checkpoint)
        let report = try check(machine.afterRestart(), 0..<30)
        #expect(report.checkpointIgnored == "there is none")
        #expect(report.replayedCommitCount > 30)
        #expect(report.damages.isEmpty)
    }

    @Test(
        "CKP-8 TMB-3 a checkpoint in the middle and a power cut lose nothing",
        arguments: SurvivalPattern.allCases)
    func checkpointThenCrash(pattern: SurvivalPattern) throws {
        let machine = SimulatedMachine(seed: 3, segmentSize: .kibibytes(64))
        try filled(machine, 0..<20, checkpointAfter: 8, closing: false)
        let image = machine.afterPowerCut(Survival(pattern, seed: 77))
        let report = try check(image, 0..<20)
        #expect(report.damages.isEmpty)
        #expect(try check(image.afterRestart(), 0..<20).damages.isEmpty)
    }

    @Test("a dead process leaves a store that opens")
    func processDeath() throws {
        let machine = SimulatedMachine(seed: 4, segmentSize: .kibibytes(64))
        try filled(machine, 0..<12, closing: false)
        var next = machine
        next.disk = machine.disk.afterProcessDeath(seed: 5)
        #expect(try check(next, 0..<12).damages.isEmpty)
    }

    @Test("SEG-7 SEG-10 every opening begins a new segment use", arguments: [true, false])
    func newUse(keepsCheckpoint: Bool) throws {
        var machine = SimulatedMachine(seed: 5)
        for round in 0..<4 as Range<UInt64> {
            let db = try machine.open()
            try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 1))
                try await TestChunk(round).put(in: space)
                await db.close()
            }
            machine = machine.afterRestart()
            // Its rows would say which segments there are.
            if !keepsCheckpoint { machine.disk.removeFile(StoreFiles.checkpoint) }
        }
        let segments = machine.disk.fileNames.filter { $0.hasPrefix("segments/") }
        #expect(segments == (0..<4).map { "segments/0000000\($0)" })
        let uses = try segments.map { name in
            try header(of: name, in: machine)
        }
        #expect(uses.map(\.useSequence) == [1, 2, 3, 4])
        #expect(Set(uses.map(\.salt)).count == 4, "SEG-8: a fresh salt each")
    }

    private func header(of name: String, in machine: SimulatedMachine) throws -> SegmentHeader {
        let superblock = try Superblock(
            decoding: machine.disk.bytes(of: "superblock", 0..<4_096), copyIndex: 0)
        return try SegmentHeader(
            decoding: machine.disk.bytes(of: name, 0..<4_096),
            segment: StoreFiles.segmentID(fileName: String(name.dropFirst(9)))!,
            storeID: superblock.storeID,
            key: SegmentHeader.sealKey(secret: superblock.secret))
    }

    @Test("O-4 after a failed flush the store is degraded, and never says that a lost key is there")
    func degraded() throws {
        let machine = SimulatedMachine(seed: 7)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await TestChunk(1).put(in: space)
            machine.disk.fail(.flush, number: 1, errorNumber: 5)
            do {
                _ = try await TestChunk(3).put(in: space)
                Issue.record("a failed flush was reported as success")
            } catch StoreError.log(.disk(let cause)) {
                #expect(cause.operation == "flush")
            }
            #expect(space.contains(TestChunk(3).key(in: space)) == nil)
            do {
                let outcome = try await TestChunk(3).put(in: space)
                Issue.record("a degraded store said \(outcome)")
            } catch StoreError.log(.degraded) {}
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            await db.close()
        }
        let next = machine.afterRestart()
        let again = try next.open()
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            // P-3: the failed put may be there, whole, or not.
            #expect(try await TestChunk(3).isIntact(in: space) != false)
            try await TestChunk(3).put(in: space)
            #expect(try await TestChunk(3).isIntact(in: space) == true)
            await again.close()
        }
    }

    @Test("COM-11 puts at once share flushes", arguments: PlaceKind.all)
    func groupCommit(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await TestChunk(1_000).put(in: space)
            // On a real disk beside other work, flushes may be quicker than those who want them.
            var counts: [UInt64] = []
            for first in stride(from: 0, to: 320, by: 32) as StrideTo<UInt64> {
                let before = db.diskCounters.flushCount
                try await withThrowingTaskGroup { group in
                    for owner in first..<first + 32 {
                        group.addTask { try await TestChunk(owner).put(in: space) }
                    }
                    try await group.waitForAll()
                }
                counts.append(db.diskCounters.flushCount - before)
                if counts.last! < 24 { break }
            }
            #expect(counts.last! < 24, "\(counts) flushes for 32 puts each")
            if case .simulated = kind { #expect(counts.count == 1) }
            #expect(space.entryCount == 1 + 32 * counts.count)
        }
    }

    @Test(
        "lookups ask the disk nothing, and a second read needs no header", arguments: PlaceKind.all)
    func ioCounts(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 4))
            for owner in 0..<8 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let key = TestChunk(3).key(in: space)
            let before = db.diskCounters
            #expect(space.contains(key) != nil)
            #expect(space.contains(TestChunk(99).key(in: space)) == nil)
            #expect(space.variants(of: key).count == 1)
            #expect(try await space.canGet(TestChunk(99).key(in: space)) == false)
            #expect(db.diskCounters == before)
            #expect(try await space.canGet(key))
            #expect(db.diskCounters.readCount == before.readCount + 2, "header and planes")
            #expect(try await space.canGet(key))
            #expect(db.diskCounters.readCount == before.readCount + 3, "planes in one read")
            #expect(db.diskCounters.writeCount == before.writeCount)
            let entry = try #require(space.contains(key))
            #expect(space.heat(of: entry)?.useCount == 2)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let entry = try #require(space.contains(TestChunk(3).key(in: space)))
            #expect(space.heat(of: entry)?.useCount == 2, "heat travels with the checkpoint")
        }
    }

    @Test("DIR-6 a second opener is told that the store is in use", arguments: PlaceKind.all)
    func secondOpener(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        let directory = place.path
        let options = place.options
        try place.session { db in
            let error: StoreError?
            do throws(StoreError) {
                if let machine = place.machine {
                    _ = try await machine.afterRestart().openAsync()
                } else {
                    _ = try await ChunkDB.open(at: directory, options: options)
                }
                error = nil
            } catch let found {
                error = found
            }
            guard case .log(.disk(let cause)) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(cause.code == .locked)
            #expect(cause.file == "superblock")
            _ = try await db.namespace("still", model: smallBinding())
        }
        try place.session { db in #expect(db.namespace("still") != nil) }
    }

    @Test("what a dropped namespace had does not stay in memory, nor in the heat table")
    func droppedHeat() throws {
        let machine = SimulatedMachine(seed: 3)
        let db = try machine.open()
        let disk = machine.disk
        try machine.run { () async throws in
            let kept = try await db.namespace("kept", model: smallBinding(layers: 1))
            for round in 0..<30 as Range<UInt64> {
                try await TestChunk(1_000 + round).put(in: kept)
                let space = try await db.namespace("round", model: smallBinding(layers: 1))
                for owner in 0..<20 as Range<UInt64> {
                    let chunk = TestChunk(owner)
                    _ = try await space.put(
                        chunk.key(in: space), tokens: chunk.tokens,
                        layers: chunk.layers(space.binding), timeToLive: .seconds(1))
                }
                try await db.drop(space)
            }
            try await db.checkpoint()
            // 50 rows of 16 bytes, and not 630.
            #expect(disk.fileByteCount("heat") <= 8_192)
            machine.scheduler.clock.jumpWall(bySeconds: 100)
            // Their ends were theirs.
            for round in 0..<30 as Range<UInt64> {
                #expect(try await TestChunk(1_000 + round).isIntact(in: kept) == true)
            }
            await db.close()
        }
    }

    @Test("who closes second has a closed store too, when it returns", arguments: 1...20)
    func closedTwice(seed: UInt64) throws {
        let machine = SimulatedMachine(seed: seed)
        let db = try machine.open()
        let disk = machine.disk
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<4 as Range<UInt64> {
                try await TestChunk(owner).put(in: space, durability: .accepted)
            }
            let counts = await withTaskGroup { group in
                for _ in 0..<3 {
                    group.addTask {
                        await db.close()
                        return disk.effectCount
                    }
                }
                return await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(counts == [disk.effectCount], "one returned before the last effect")
        }
    }

    @Test(
        "a call after close is refused, and a close waits for calls inside",
        arguments: PlaceKind.all)
    func afterClose(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let chunk = TestChunk(1)
            try await chunk.put(in: space)
            let planes = chunk.layers(space.binding)[0]
            var writer = try await space.beginPut(TestChunk(2).key(in: space), tokens: chunk.tokens)
            try await writer.append(layer: 0, keys: planes.keys, values: planes.values)
            // Puts in every stage of their lives when the close comes: each ends well or fails.
            try await withThrowingTaskGroup { group in
                for owner in 10..<20 as Range<UInt64> {
                    group.addTask {
                        do {
                            try await TestChunk(owner).put(in: space)
                        } catch StoreError.log(.closed) {}
                    }
                }
                group.addTask { await db.close() }
                try await group.waitForAll()
            }
            await #expect(throws: StoreError.log(.closed)) {
                _ = try await space.canGet(chunk.key(in: space))
            }
            await #expect(throws: StoreError.log(.closed)) {
                _ = try await TestChunk(3).put(in: space)
            }
            await #expect(throws: StoreError.log(.closed)) {
                try await space.remove(chunk.key(in: space))
            }
            await #expect(throws: StoreError.log(.closed)) { try await db.checkpoint() }
            await #expect(throws: StoreError.log(.closed)) {
                _ = try await db.namespace("other", model: smallBinding())
            }
            do {
                try await writer.append(layer: 1, keys: planes.keys, values: planes.values)
                Issue.record("appended to a closed store")
            } catch StoreError.log(.closed) {}
            #expect(space.contains(chunk.key(in: space)) != nil, "lookups need no disk")
            await db.close()
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            #expect(db.recovery.damages.isEmpty)
        }
    }

    @Test("COM-12 a put and a removal of one key in one group end alike before and after a reopen")
    func putAndRemoveTogether() throws {
        for seed in 0..<24 as Range<UInt64> {
            let machine = SimulatedMachine(seed: seed)
            let db = try machine.open()
            let isThere = try machine.run { () async throws -> [Bool] in
                let space = try await db.namespace("acme", model: smallBinding(layers: 1))
                try await withThrowingTaskGroup { group in
                    for owner in 0..<4 as Range<UInt64> {
                        group.addTask { _ = try await TestChunk(owner).put(in: space) }
                        group.addTask { try await space.remove(TestChunk(owner).key(in: space)) }
                    }
                    try await group.waitForAll()
                }
                return (0..<4).map { space.contains(TestChunk($0).key(in: space)) != nil }
            }
            // No checkpoint: the log alone must say the same.
            let image = machine.afterPowerCut(Survival(.none, seed: seed))
            let again = try image.open()
            try image.run { () async throws in
                let space = try #require(again.namespace("acme"))
                for owner in 0..<4 as Range<UInt64> {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact == (isThere[Int(owner)] ? true : nil), "seed \(seed)")
                }
                await again.close()
            }
        }
    }

    @Test(
        "CKP-8 checkpoints taken while puts run skip no commit", arguments: 0..<12 as Range<UInt64>)
    func checkpointBesidePuts(seed: UInt64) throws {
        let machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(128))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await withThrowingTaskGroup { group in
                for worker in 0..<3 as Range<UInt64> {
                    group.addTask {
                        for step in 0..<5 as Range<UInt64> {
                            try await TestChunk(worker * 5 + step).put(in: space)
                        }
                    }
                }
                for _ in 0..<2 {
                    group.addTask { for _ in 0..<3 { try await db.checkpoint() } }
                }
                try await group.waitForAll()
            }
        }
        let image = machine.afterPowerCut(Survival(.drawnOrNone(seed), seed: seed))
        let again = try image.open()
        #expect(again.recovery.damages.isEmpty, "\(again.recovery.damages)")
        try image.run { () async throws in
            let space = try #require(again.namespace("acme"))
            for owner in 0..<15 as Range<UInt64> {
                #expect(try await TestChunk(owner).isIntact(in: space) == true, "\(owner)")
            }
            await again.close()
        }
    }
}

extension SurvivalPattern {
    fileprivate static func drawnOrNone(_ seed: UInt64) -> SurvivalPattern {
        allCases[Int(seed) % allCases.count]
    }
}
