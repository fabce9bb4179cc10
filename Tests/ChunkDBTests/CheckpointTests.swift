import ChunkDB
import EngineTestSupport
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("Checkpoints")
struct CheckpointTests {
    /// What calls returned for; a key with a call inside is undecided.
    private final class Ledger: Sendable {
        private let keys = Mutex<[UInt64: Bool?]>([:])
        func begin(_ owner: UInt64) { keys.withLock { $0[owner] = .some(nil) } }
        func end(_ owner: UInt64, isThere: Bool) { keys.withLock { $0[owner] = isThere } }
        var all: [UInt64: Bool?] { keys.withLock { $0 } }

        /// Below durable, a power cut may take it: it stays undecided.
        func put(_ owner: UInt64, _ space: Namespace, _ level: Durability = .durable) async throws {
            begin(owner)
            try await TestChunk(owner).put(in: space, durability: level)
            if level == .durable { end(owner, isThere: true) }
        }
        func remove(_ owner: UInt64, _ space: Namespace) async throws {
            begin(owner)
            try await space.remove(TestChunk(owner).key(in: space))
            end(owner, isThere: false)
        }
    }

    /// Puts and removals, new and repeated, while the checkpoint is on its way.
    private static func serve(_ db: ChunkDB, _ ledger: Ledger) async throws {
        let space = try await db.namespace("acme", model: smallBinding(layers: 2))
        try await withThrowingTaskGroup { group in
            group.addTask { try await db.checkpoint() }
            for worker in 0..<3 as Range<UInt64> {
                group.addTask {
                    for step in 0..<4 as Range<UInt64> {
                        let owner = worker * 4 + step
                        try await ledger.remove(owner, space)
                        if step % 2 == 0 { try await ledger.put(owner, space) }
                        try await ledger.put(
                            100 + owner, space, step % 2 == 0 ? .written : .durable)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Puts that flush nothing, and one checkpoint among them.
    private static func serveLazily(_ db: ChunkDB, _ ledger: Ledger) async throws {
        let space = try await db.namespace("acme", model: smallBinding(layers: 2))
        try await withThrowingTaskGroup { group in
            for worker in 0..<3 as Range<UInt64> {
                group.addTask {
                    for step in 0..<6 as Range<UInt64> {
                        async let checkpoint: Void? =
                            worker == 0 && step == 2 ? db.checkpoint() : nil
                        try await ledger.put(100 + worker * 6 + step, space, .written)
                        _ = try await checkpoint
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Serves until the disk stops, and returns the machine as it is then.
    private static func served(
        seed: UInt64, isLazy: Bool, stop: Int?, _ ledger: Ledger
    ) throws -> (machine: SimulatedMachine, isDone: Bool) {
        let machine = SimulatedMachine(
            seed: seed, segmentSize: isLazy ? .mebibytes(4) : .kibibytes(128))
        let first = try machine.open()
        try machine.run { () async throws in
            let space = try await first.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<12 as Range<UInt64> { try await ledger.put(owner, space) }
            await first.close()
        }
        let serving = machine.afterRestart()
        let db = try serving.open()
        if let stop { serving.disk.stop(afterEffects: stop, behaviour: .fail) }
        let isDone = serving.scheduler.waitUnlessStuck { () async -> Bool in
            do {
                if isLazy {
                    try await Self.serveLazily(db, ledger)
                } else {
                    try await Self.serve(db, ledger)
                }
                return true
            } catch {
                return false
            }
        }
        return (serving, isDone == true)
    }

    /// Opens what is left; the checkpoint is used, and the index is right.
    @discardableResult
    private static func check(
        _ machine: SimulatedMachine, _ survival: Survival, _ ledger: Ledger, _ facts: String
    ) throws -> RecoveryReport {
        let image = machine.afterPowerCut(survival)
        let db = try image.open()
        let facts = "\(facts), \(survival)"
        #expect(db.recovery.damages.isEmpty, "\(facts)")
        #expect(db.recovery.checkpointIgnored == nil, "\(facts)")
        try image.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for (owner, isThere) in ledger.all {
                let isIntact = try await TestChunk(owner).isIntact(in: space)
                #expect(isIntact != false, "\(facts): chunk \(owner) has other bytes")
                guard let isThere else { continue }
                #expect(isIntact == (isThere ? true : nil), "\(facts): chunk \(owner)")
            }
            await db.close()
        }
        return db.recovery
    }

    @Test("CKP-6 one that is written beside other calls, then a crash", arguments: 0..<16)
    func besideService(number: Int) throws {
        let ledger = Ledger()
        // Half of the runs end in the middle of things.
        let stop = number % 2 == 1 ? 60 + number * 5 : nil
        let (machine, isDone) = try Self.served(
            seed: UInt64(number), isLazy: false, stop: stop, ledger)
        #expect(isDone || stop != nil)
        for pattern in SurvivalPattern.allCases {
            let report = try Self.check(
                machine, Survival(pattern, seed: UInt64(number)), ledger, "number \(number)")
            if isDone { #expect(report.replayedCommitCount > 0) }
        }
    }

    @Test("what a checkpoint saw of calls that flush nothing was flushed before it got its name")
    func flushesWhatItSaw() throws {
        for seed in 0..<48 as Range<UInt64> {
            let ledger = Ledger()
            let (machine, isDone) = try Self.served(seed: seed, isLazy: true, stop: nil, ledger)
            #expect(isDone)
            try Self.check(machine, Survival(.none, seed: seed), ledger, "seed \(seed)")
        }
    }

    @Test("opening says how far it has come", arguments: PlaceKind.all)
    func progress(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<9 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
        }
        let told = Mutex<[OpeningProgress]>([])
        var options = place.options
        options.openingProgress = { step in told.withLock { $0.append(step) } }
        place.options = options
        try place.session { db in
            let steps = told.withLock { $0 }
            #expect(steps.allSatisfy { $0.completed <= $0.total })
            let last = try #require(steps.last { $0.phase == .checkpoint })
            #expect(last.completed == 9 && last.total == 9)
            #expect(steps.contains { $0.phase == .segments })
            #expect(steps.contains { $0.phase == .chains })
        }
    }
}
