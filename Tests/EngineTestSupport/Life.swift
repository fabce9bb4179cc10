// A life of a store on a simulated machine: tenants put, remove and read at random levels beside
// each other, with barriers, checkpoints, drops and reopenings between. A model writes down what it
// was told; nothing here decides what is right.

import BlockIO
import ChunkDB
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization

/// What a life does, as a function of a seed.
public struct LifePlan: Sendable {
    public enum Deed: Sendable {
        case put(UInt64, edition: UInt64, Durability, streamed: Bool)
        case replace(UInt64, edition: UInt64, Durability, streamed: Bool)
        case remove(UInt64, Durability)
        /// Says something new of what is there, and of its bytes nothing.
        case renew(UInt64, stamp: UInt64)
        case read(UInt64, isPart: Bool)
    }
    public enum Turn: Sendable {
        /// Deeds of several callers at once; no key has two callers.
        case together([[Deed]])
        case barrier, checkpoint
        case drop(space: UInt64)
        case reopen
    }
    public var turns: [Turn]
    let owners: Range<UInt64>
    /// Whether every key is read before a closing, and must be readable: whatever writes do, reads
    /// go on (CONTRACT O-4).
    public var readsAllBeforeClosing = false

    public struct Shape: Sendable {
        public var owners: Range<UInt64> = 0..<8
        public var workerCount = 3
        public var roundCount = 4
        public var deedsPerRound = 2
        public var reopens = true
        /// One in so many operations is asked to be durable; 1 for all.
        public var durableOdds = 2
        /// Whether metadata of what is stored changes too.
        public var renews = false
        /// Editions are counted up from here, so that a second life has its own.
        public var firstEdition: UInt64 = 1
        public init() {}
    }

    /// Every round: all callers at once, then one of the calls that concern the whole store.
    public init(seed: UInt64, _ shape: Shape) {
        var generator = SeededGenerator(seed: seed ^ 0x11FE)
        // Its own, so that a life that renews is otherwise the one that it would have been.
        var renewing = SeededGenerator(seed: seed ^ 0x2E4E)
        var edition = shape.firstEdition
        owners = shape.owners
        turns = []
        for round in 0..<shape.roundCount {
            let deeds = (0..<shape.workerCount).map { worker in
                let owners = shape.owners.filter { Int($0) % shape.workerCount == worker }
                var deeds = (0..<shape.deedsPerRound).map { _ in
                    defer { edition += 1 }
                    return Self.deed(
                        owners.randomElement(using: &generator)!, edition, shape, &generator)
                }
                if shape.renews {
                    let owner = owners.randomElement(using: &renewing)!
                    let place = Int.random(in: 0...deeds.count, using: &renewing)
                    deeds.insert(.renew(owner, stamp: edition), at: place)
                }
                return deeds
            }
            turns.append(.together(deeds))
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<2: turns.append(.barrier)
            case 2..<4: turns.append(.checkpoint)
            case 4:
                turns.append(
                    .drop(space: UInt64.random(in: 0..<OwnedChunk.spaceCount, using: &generator)))
            default: break
            }
            if shape.reopens && round == shape.roundCount / 2 { turns.append(.reopen) }
        }
    }

    private static func deed(
        _ owner: UInt64, _ edition: UInt64, _ shape: Shape, _ generator: inout SeededGenerator
    ) -> Deed {
        let isDurable = Int.random(in: 0..<shape.durableOdds, using: &generator) == 0
        let weak = Int.random(in: 0..<3, using: &generator)
        let level: Durability = isDurable ? .durable : weak == 0 ? .accepted : .written
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<5:
            return .put(
                owner, edition: edition, level, streamed: Bool.random(using: &generator))
        case 5:
            return .replace(
                owner, edition: edition, max(level, .written),
                streamed: Bool.random(using: &generator))
        case 6..<9: return .remove(owner, level == .accepted ? .written : level)
        default: return .read(owner, isPart: Bool.random(using: &generator))
        }
    }
}

/// One life, with what it was told.
public final class Life: Sendable {
    public let plan: LifePlan
    public let model: KeyModel
    /// What the store said no to. Expected under faults, and only there.
    public var refusals: [StoreError] { refused.withLock { $0 } }
    /// What must never happen.
    public var violations: [String] { violated.withLock { $0 } }
    /// Openings that reported damage: the trouble was told there.
    public var damagedOpeningCount: Int { damagedOpenings.withLock { $0 } }
    private let damagedOpenings = Mutex(0)
    /// Failures that had no caller, and stand in the store's counters.
    public var countedFailureCount: Int { countedFailures.withLock { $0 } }
    private let countedFailures = Mutex(0)
    /// Segments that were freed, and bytes that were copied for it.
    public var freedCount: UInt64 { cleaned.withLock { $0.freed } }
    public var movedBytes: UInt64 { cleaned.withLock { $0.moved } }
    /// Segments that a write class had at most, and those of it that were begun again.
    public var segmentsOfClass: Int { cleaned.withLock { $0.segmentsOfClass } }
    public var begunInPlaceCount: UInt64 { cleaned.withLock { $0.begunInPlace } }
    private struct Cleaned {
        var (freed, moved, begunInPlace) = (UInt64(0), UInt64(0), UInt64(0))
        var segmentsOfClass = 0
    }
    private let cleaned = Mutex(Cleaned())
    /// Bytes on the medium beyond the capacity, at the worst moment looked at (CONTRACT B-1).
    public var bytesOverCapacity: Int { overCapacity.withLock { $0 } }
    private let overCapacity = Mutex(0)
    private let refused = Mutex<[StoreError]>([])
    private let violated = Mutex<[String]>([])

    public init(_ plan: LifePlan, _ model: KeyModel) {
        (self.plan, self.model) = (plan, model)
    }

    /// The machine, with stores on it that tell the model what they forget.
    public func observed(_ machine: SimulatedMachine) -> SimulatedMachine {
        var machine = machine
        let (model, owners, evicts) = (model, plan.owners, machine.options.evicts)
        machine.options.evictionObserver = { [weak self] name, key, _ in
            guard let owner = OwnedChunk.owner(of: key, inSpace: name, among: owners) else {
                return
            }
            if !evicts { self?.violate("chunk \(owner) was forgotten, which it may not be") }
            if OwnedChunk(owner).isPinned { self?.violate("chunk \(owner) was pinned") }
            model.evicted(owner)
        }
        return machine
    }

    /// What a store did to make room, noted before it is closed.
    public func noteCleaning(_ db: ChunkDB) async {
        let counters = await db.logCounters()
        cleaned.withLock {
            $0.freed += counters.freedCount
            $0.moved += counters.movedBytes
            for writeClass in counters.writeClasses.values {
                $0.segmentsOfClass = max($0.segmentsOfClass, writeClass.segmentCount)
                $0.begunInPlace += writeClass.begunInPlaceCount
            }
        }
    }

    /// Lives to the end. *Returns:* the machine as the last closing left it.
    public func run(on machine: SimulatedMachine) -> SimulatedMachine {
        var machine = observed(machine)
        var turns = plan.turns[...]
        while true {
            let end = turns.firstIndex { if case .reopen = $0 { true } else { false } }
            let (current, part) = (machine, turns[..<(end ?? turns.endIndex)])
            let isOver: Void? = current.scheduler.waitUnlessStuck(stepLimit: 1_000_000) {
                await self.session(part, on: current)
            }
            if isOver == nil { violate("a call never returned") }
            machine = machine.afterRestart()
            guard let end, isOver != nil else { return machine }
            turns = turns[(end + 1)...]
        }
    }

    private func session(_ turns: ArraySlice<LifePlan.Turn>, on machine: SimulatedMachine) async {
        let db: ChunkDB
        do throws(StoreError) {
            db = try await machine.openAsync()
        } catch {
            refuse(error)
            await machine.disk.shutdown()
            return
        }
        if let damage = db.recovery.damages.first {
            // Reads that failed while it opened; whoever heeds the report does not go on.
            if machine.disk.faultHitCount == 0 { violate("damage reported: \(damage)") }
            damagedOpenings.withLock { $0 += 1 }
            return await db.close()
        }
        await run(turns, db, on: machine)
        if plan.readsAllBeforeClosing { await readAll(db, on: machine) }
        await noteCleaning(db)
        let scope = model.scope(withAccepted: true)
        await db.close()
        let counters = db.counters
        countedFailures.withLock {
            $0 += Int(counters.failedCheckpointCount + counters.withdrawnCount)
        }
        // Closing has no word for trouble; without any, the rest is durable.
        if machine.disk.faultHitCount == 0 { model.settle(scope) }
    }

    /// Takes turns with an open store.
    public func run(
        _ turns: ArraySlice<LifePlan.Turn>, _ db: ChunkDB, on machine: SimulatedMachine
    ) async {
        noteAllocation(on: machine)
        for turn in turns {
            defer { noteAllocation(on: machine) }
            if machine.disk.faultHitCount > 0 { model.noteFault() }
            do throws(StoreError) {
                switch turn {
                case .together(let deeds):
                    await withTaskGroup { group in
                        for deeds in deeds {
                            group.addTask(executorPreference: machine.scheduler) {
                                for deed in deeds { await self.act(deed, db, on: machine) }
                            }
                        }
                    }
                case .barrier:
                    let scope = model.scope(withAccepted: true)
                    try await db.barrier()
                    model.settle(scope)
                case .checkpoint:
                    let scope = model.scope()
                    try await db.checkpoint()
                    model.settle(scope)
                case .drop(let space): try await drop(space, db)
                case .reopen: preconditionFailure("a reopening ends a session")
                }
            } catch {
                refuse(error)
            }
        }
    }

    private func readAll(_ db: ChunkDB, on machine: SimulatedMachine) async {
        for owner in model.owners.sorted() {
            let chunk = OwnedChunk(owner)
            do throws(StoreError) {
                let found = try await chunk.read(
                    in: db.namespace(OwnedChunk.spaceName(chunk.space)))
                // Asked last: an accepted put may fail while others are read.
                if machine.disk.faultHitCount > 0 { model.noteFault() }
                if let wrong = check(chunk, found, after: .nothing) { violate("read: \(wrong)") }
            } catch {
                violate("\(chunk): reads do not go on: \(error)")
            }
        }
    }

    private func drop(_ space: UInt64, _ db: ChunkDB) async throws(StoreError) {
        guard let namespace = db.namespace(OwnedChunk.spaceName(space)) else { return }
        let owners = model.owners.filter { OwnedChunk($0).space == space }
        let tickets = owners.sorted().map { model.begin($0, nil) }
        try await db.drop(namespace)
        for ticket in tickets { model.succeed(ticket, .durable) }
    }

    private func noteAllocation(on machine: SimulatedMachine) {
        let capacity = Int(machine.options.capacity?.bytes ?? .max)
        let excess = machine.disk.allocatedByteCount - capacity
        overCapacity.withLock { $0 = max($0, excess) }
    }

    private func act(_ deed: LifePlan.Deed, _ db: ChunkDB, on machine: SimulatedMachine) async {
        defer { noteAllocation(on: machine) }
        do throws(StoreError) {
            let chunk = OwnedChunk(deed.owner)
            let name = OwnedChunk.spaceName(chunk.space)
            switch deed {
            case .put(let owner, let edition, let level, let streamed):
                let namespace = try await db.namespace(name, model: OwnedChunk.binding)
                let ticket = model.begin(owner, edition)
                switch try await chunk.put(edition, in: namespace, level, streamed: streamed) {
                case .committed: model.succeed(ticket, level)
                case .alreadyPresent: model.alreadyPresent(ticket, level)
                case .declined: violate("\(chunk) was declined, and nobody asked for that")
                }
            case .replace(let owner, let edition, let level, let streamed):
                let namespace = try await db.namespace(name, model: OwnedChunk.binding)
                // Between the two states of the key is one in which it is not there.
                let (removal, ticket) = (model.begin(owner, nil), model.begin(owner, edition))
                let outcome = try await chunk.put(
                    edition, in: namespace, level, streamed: streamed, replacing: true)
                if outcome != .committed { violate("\(chunk) was not replaced: \(outcome)") }
                model.succeed(removal, level)
                model.succeed(ticket, level)
            case .remove(let owner, let level):
                guard let namespace = db.namespace(name) else { return }
                let ticket = model.begin(owner, nil)
                try await namespace.remove(chunk.key(in: namespace), durability: level)
                model.succeed(ticket, level)
            case .renew(let owner, let stamp):
                guard let namespace = db.namespace(name),
                    case .edition(let state) = try await chunk.read(in: namespace)
                else { return }
                let ticket = model.begin(owner, OwnedChunk.renewed(state, stamp))
                if try await chunk.renew(stamp, in: namespace) {
                    model.succeed(ticket, .durable)
                } else {
                    model.withdraw(ticket)
                }
            case .read(_, let isPart):
                let found = try await chunk.read(
                    in: db.namespace(name), layers: isPart ? 1..<2 : nil,
                    tokens: isPart ? 3..<7 : nil)
                if machine.disk.faultHitCount > 0 { model.noteFault() }
                if let wrong = check(chunk, found, after: .nothing) { violate(wrong) }
            }
        } catch {
            model.noteFault()
            refuse(error)
        }
    }

    // MARK: Judgement

    /// What is wrong with what was found, or `nil`.
    public func check(
        _ chunk: OwnedChunk, _ found: OwnedChunk.Found, after loss: KeyModel.Loss,
        afterEffects count: Int? = nil
    ) -> String? {
        let edition: UInt64?
        switch found {
        case .wrong(let what): return "\(chunk): wrong bytes: \(what)"
        case .missing: edition = nil
        case .edition(let number): edition = number
        }
        let allowed = model.allowed(chunk.owner, after: loss, afterEffects: count)
        if allowed.contains(edition) { return nil }
        return "\(chunk): found \(edition.map { "edition \($0)" } ?? "nothing"), allowed "
            + allowed.map { $0.map { "\($0)" } ?? "nothing" }.sorted().joined(separator: ", ")
    }

    public func violate(_ what: String) { violated.withLock { $0.append(what) } }
    private func refuse(_ error: StoreError) { refused.withLock { $0.append(error) } }
}

extension LifePlan.Deed {
    var owner: UInt64 {
        switch self {
        case .put(let owner, _, _, _), .replace(let owner, _, _, _), .remove(let owner, _),
            .renew(let owner, _), .read(let owner, _):
            owner
        }
    }
}
