// One seed of SIM: settings, sessions, trouble, and how each session ends.

import BlockIO
import ChunkDB
import EngineTestSupport
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport

struct RandomLife {
    private let seed: UInt64
    private let marks: Marks
    private var generator: SeededGenerator
    private var machine: SimulatedMachine
    private let owners: Range<UInt64>
    /// Counts editions through all sessions.
    private var edition: UInt64 = 1
    /// What the keys are, by what was found at the last opening without trouble.
    private var known: [UInt64: UInt64?] = [:]
    /// What was forgotten in earlier sessions, and not removed since.
    private var forgotten: [UInt64: Set<UInt64>] = [:]
    private var wrong: [String] = []

    init(seed: UInt64, _ marks: Marks) {
        (self.seed, self.marks) = (seed, marks)
        var generator = SeededGenerator(seed: seed ^ 0x51A1)
        owners = 0..<[4, 8, 12].randomElement(using: &generator)!
        // From a store that fills up at once to one that never does.
        let capacity = [1_800, 2_400, 16_384].randomElement(using: &generator)!
        // Every fourth holds a few chunks and lives by forgetting others.
        machine = SimulatedMachine(
            seed: seed, capacity: .kibibytes(seed % 4 == 1 ? 632 : UInt64(capacity)),
            segmentSize: .kibibytes([64, 96, 128].randomElement(using: &generator)!))
        machine.options.commitsPerCheckpoint =
            [3, 17, 65_536].randomElement(using: &generator)!
        // Some may not forget anything, and live by what is removed.
        machine.options.evicts = seed % 7 != 6
        marks.hit("may not forget", if: !machine.options.evicts)
        // Every third store has tenants with bounds of their own.
        if seed % 3 == 2 {
            machine.options.namespaces["acme", default: .init()].limit = .kibibytes(160)
            machine.options.namespaces["beta", default: .init()].entryCountMax = 2
            machine.options.namespaces["beta"]?.guaranteedShare = .kibibytes(64)
            machine.options.namespaces["beta"]?.retentionPolicy = "lfu"
        }
        // Some have one whose chunks stay in two segments.
        if seed % 5 == 3, capacity > 632, seed % 4 != 1 {
            let bytes = 2 * machine.options.segmentSize!.bytes
            machine.options.writeClasses = [WriteClass(id: 7, capacity: ByteCount(bytes))]
            machine.options.namespaces["acme", default: .init()].writeClass = 7
        }
        machine.options.digestBlockShift = [12, 13, 16].randomElement(using: &generator)!
        machine.options.headerCacheSize = .kibibytes([0, 64].randomElement(using: &generator)!)
        var options = SimulatedDiskOptions(seed: seed)
        options.shortTransferOdds = [0, 0, 5].randomElement(using: &generator)!
        machine.disk = SimulatedDisk(scheduler: machine.scheduler, options: options)
        marks.hit("short transfers", if: options.shortTransferOdds > 0)
        self.generator = generator
    }

    /// *Returns:* everything that is wrong.
    mutating func run() -> [String] {
        for owner in owners { known[owner] = .some(nil) }
        for _ in 0..<Int.random(in: 2...4, using: &generator) where wrong.isEmpty {
            session(isLast: false)
        }
        if wrong.isEmpty { session(isLast: true) }
        return wrong
    }

    private mutating func session(isLast: Bool) {
        let life = life()
        let ending = isLast ? .closing : Ending.allCases.randomElement(using: &generator)!
        let hasFault = !isLast && Int.random(in: 0..<3, using: &generator) == 0
        let planted = hasFault ? plant() : nil
        let (current, turns) = (life.observed(machine), life.plan.turns[...])
        let opened: Bool? = current.scheduler.waitUnlessStuck(stepLimit: 1_000_000) {
            await Self.live(life, turns, on: current, closes: ending == .closing)
        }
        if opened == nil { wrong.append("a call never returned") }
        let isHit = machine.disk.faultHitCount > 0
        note(life, isHit: isHit, wasOpened: opened == true)
        wrong += life.violations
        let bound = Int(machine.options.segmentSize!.bytes) + Self.metadataSlack
        if life.bytesOverCapacity > bound {
            wrong.append("B-1: \(life.bytesOverCapacity) bytes over the capacity; \(bound) allowed")
        }
        if life.segmentsOfClass > 2 {
            wrong.append("a write class of two segments has \(life.segmentsOfClass)")
        }
        if !isHit {
            wrong += life.refusals.filter { !Self.isCapacity($0) }.map { "refused: \($0)" }
        }
        guard wrong.isEmpty else { return }
        judge(life, ending, isHit ? planted : nil)
        if isLast && wrong.isEmpty { revive() }
    }

    private enum Ending: String, CaseIterable { case closing, processDeath, powerCut }

    private mutating func life() -> Life {
        var shape = LifePlan.Shape()
        shape.owners = owners
        shape.workerCount = Int.random(in: 1...3, using: &generator)
        shape.roundCount = Int.random(in: 1...3, using: &generator)
        shape.deedsPerRound = Int.random(in: 1...2, using: &generator)
        shape.durableOdds = Int.random(in: 1...4, using: &generator)
        shape.reopens = false
        shape.renews = seed % 5 == 4
        shape.firstEdition = edition
        edition += 100
        let disk = machine.disk
        let model = KeyModel { disk.effectCount }
        model.adopt(known, forgotten: forgotten)
        return Life(LifePlan(seed: generator.next(), shape), model)
    }

    /// *Returns:* what will fail.
    private mutating func plant() -> DiskOperation {
        let operations: [DiskOperation] = [
            .read, .write, .write, .flush, .open, .allocate, .rename, .flushDirectory,
        ]
        let operation = operations.randomElement(using: &generator)!
        let numbers = [EIO, ENOSPC, EAGAIN, EINTR].map(FaultKind.error)
        let kinds = operation == .read || operation == .write ? numbers + [.short, .zero] : numbers
        machine.disk.fail(
            operation, number: Int.random(in: 1...24, using: &generator),
            kinds.randomElement(using: &generator)!,
            forever: Int.random(in: 0..<3, using: &generator) == 0)
        return operation
    }

    /// *Returns:* whether the store opened.
    private static func live(
        _ life: Life, _ turns: ArraySlice<LifePlan.Turn>, on machine: SimulatedMachine,
        closes: Bool
    ) async -> Bool {
        let db: ChunkDB
        do throws(StoreError) {
            db = try await machine.openAsync()
        } catch {
            if machine.disk.faultHitCount == 0 { life.violate("does not open: \(error)") }
            await machine.disk.shutdown()
            return false
        }
        if let damage = db.recovery.damages.first {
            // Whoever heeds the report does not go on.
            if machine.disk.faultHitCount == 0 { life.violate("damage reported: \(damage)") }
            if closes { await db.close() }
            return true
        }
        await life.run(turns, db, on: machine)
        await life.noteCleaning(db)
        if closes { await db.close() }
        return true
    }

    /// Small segments for removals on a full store, and a second checkpoint while it is written.
    private static let metadataSlack = 128 << 10

    private static func isCapacity(_ error: StoreError) -> Bool {
        switch error {
        case .log(.capacityExceeded), .quotaExceeded: true
        default: false
        }
    }

    private func note(_ life: Life, isHit: Bool, wasOpened: Bool) {
        marks.hit("fault hit", if: isHit)
        marks.hit("freed segment", if: life.freedCount > 0)
        marks.hit("moved record", if: life.movedBytes > 0)
        marks.hit("segment of a class begun again", if: life.begunInPlaceCount > 0)
        marks.hit("BOUND: over capacity", if: life.bytesOverCapacity > 0)
        marks.hit(
            "BOUND: over by more than 64 KiB", if: life.bytesOverCapacity > Self.metadataSlack / 2)
        marks.hit("opening refused", if: !wasOpened)
        for error in life.refusals {
            switch error {
            case .log(.disk): marks.hit("refused: disk")
            case .log(.degraded): marks.hit("refused: degraded")
            case .log(.capacityExceeded), .quotaExceeded: marks.hit("refused: capacity")
            default: marks.hit("refused: other")
            }
        }
        marks.hit("kept promise", if: life.model.promisedCount(afterEffects: .max) > 0)
    }

    /// Ends the session, opens what that left, and compares.
    private mutating func judge(_ life: Life, _ ending: Ending, _ fault: DiskOperation?) {
        machine.disk.clearFailures()
        switch ending {
        case .closing: machine = machine.afterRestart()
        case .processDeath:
            machine.disk = machine.disk.afterProcessDeath(seed: generator.next())
        case .powerCut: machine = machine.afterPowerCut(.drawn(seed: generator.next()))
        }
        marks.hit(ending.rawValue)
        examine(life, ending == .powerCut ? .powerCut : .processDeath)
        // The next session begins on what was closed just now, all of it durable; except that
        // writes which a failed flush should have covered stay uncertain, whatever is done later.
        machine = machine.afterPowerCut(Survival(.none))
        if fault != nil && ending != .powerCut && wrong.isEmpty {
            examine(life, .powerCut)
            machine = machine.afterPowerCut(Survival(.none))
        }
    }

    private mutating func examine(_ life: Life, _ loss: KeyModel.Loss) {
        let found = life.examine(machine, owners: owners, after: loss)
        wrong += found.violations.map { "after \(loss): \($0)" }
        marks.hit("dropped record", if: found.report.droppedRecordCount > 0)
        marks.hit("dropped commit", if: found.report.unprovenCommitCount > 0)
        marks.hit("journal copy mended", if: !found.report.repairedJournalCopies.isEmpty)
        marks.hit("store without a checkpoint", if: found.report.checkpointIgnored != nil)
        marks.hit(
            "renewed, and found again",
            if: found.found.values.contains { OwnedChunk.isRenewed($0 ?? 0) })
        for (owner, edition) in found.found {
            known[owner] = edition
            forgotten[owner] = life.model.forgotten(owner)
        }
    }

    /// Liveness: no trouble any more. Everything works, unless the store is full, and then removals
    /// and reads do.
    private mutating func revive() {
        let (current, owners, edition) = (machine, owners, edition)
        let result: [String]? = current.scheduler.waitUnlessStuck(stepLimit: 1_000_000) {
            await Self.revived(current, owners, edition)
        }
        wrong += result ?? ["liveness: a call never returned"]
        marks.hit("revived")
    }

    private static func revived(
        _ machine: SimulatedMachine, _ owners: Range<UInt64>, _ edition: UInt64
    ) async -> [String] {
        do {
            let db = try await machine.openAsync()
            for space in 0..<OwnedChunk.spaceCount {
                let namespace = try await db.namespace(
                    OwnedChunk.spaceName(space), model: OwnedChunk.binding)
                for owner in owners where OwnedChunk(owner).space == space {
                    let chunk = OwnedChunk(owner)
                    let wasMissing = try await chunk.read(in: namespace) == .missing
                    do throws(StoreError) {
                        try await namespace.remove(chunk.key(in: namespace))
                    } catch {
                        // A full store that may not forget has no room for a memory of nothing.
                        guard wasMissing, !machine.options.evicts, Self.isCapacity(error) else {
                            throw error
                        }
                    }
                    guard try await chunk.read(in: namespace) == .missing else {
                        return ["liveness: \(chunk) is there after its removal"]
                    }
                    do throws(StoreError) {
                        _ = try await chunk.put(
                            edition, in: namespace, .durable, streamed: owner % 3 == 0)
                    } catch {
                        if Self.isCapacity(error) { continue }
                        throw error
                    }
                    let found = try await chunk.read(in: namespace)
                    guard found == .edition(edition) else {
                        return ["liveness: \(chunk): \(found)"]
                    }
                }
            }
            try await db.barrier()
            try await db.checkpoint()
            await db.close()
            return []
        } catch {
            return ["liveness: \(error)"]
        }
    }
}
