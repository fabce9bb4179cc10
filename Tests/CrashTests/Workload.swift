// A small life of a store, and what must be true of it after any crash. Payloads name their owner,
// so a mixture is never taken for a chunk.

import BlockIO
import ChunkDB
import EngineTestSupport
import StoreTestSupport
import Synchronization

/// What the workload was told before the power went.
final class Oracle: Sendable {
    struct State {
        /// Puts and removals that returned success, in order; later ones win.
        var acknowledged: [UInt64: Bool] = [:]
        /// Keys with an operation that had not returned.
        var undecided: Set<UInt64> = []
    }
    let state = Mutex(State())

    func begin(_ owner: UInt64) { state.withLock { _ = $0.undecided.insert(owner) } }
    func end(_ owner: UInt64, isPresent: Bool) {
        state.withLock { state in
            state.acknowledged[owner] = isPresent
            state.undecided.remove(owner)
        }
    }
}

enum Workload {
    static let owners = 0..<14 as Range<UInt64>

    /// Puts in three tasks at once, removes some, puts one of them again, reopens in the middle.
    /// Ends early, and quietly, when the disk stops.
    static func run(on machine: SimulatedMachine, _ oracle: Oracle) {
        var machine = machine
        for half in 0..<2 as Range<UInt64> {
            let current = machine
            // `nil`: the disk stopped, and some call never returns.
            let finished = current.scheduler.waitUnlessStuck { () async -> Bool in
                (try? await life(half, on: current, oracle)) != nil
            }
            guard finished == true else { return }
            machine = machine.afterRestart()
        }
    }

    private static func life(_ half: UInt64, on machine: SimulatedMachine, _ oracle: Oracle)
        async throws
    {
        let db = try await machine.openAsync()
        let namespace = try await db.namespace("acme", model: smallBinding(layers: 2))
        try await withThrowingTaskGroup { group in
            for worker in 0..<3 as Range<UInt64> {
                group.addTask(executorPreference: machine.scheduler) {
                    for step in 0..<2 as Range<UInt64> {
                        try await put(half * 7 + worker * 2 + step, namespace, oracle)
                    }
                }
            }
            try await group.waitForAll()
        }
        try await remove(half * 7, namespace, oracle)
        try await put(half * 7 + 6, namespace, oracle)
        try await db.checkpoint()
        try await remove(half * 7 + 6, namespace, oracle)
        try await put(half * 7, namespace, oracle)
        await db.close()
    }

    private static func put(_ owner: UInt64, _ namespace: Namespace, _ oracle: Oracle) async throws
    {
        oracle.begin(owner)
        // Sizes differ, so that segments end at odd places.
        try await TestChunk(owner, tokenCount: 16 + Int(owner % 3) * 20).put(in: namespace)
        oracle.end(owner, isPresent: true)
    }

    private static func remove(_ owner: UInt64, _ namespace: Namespace, _ oracle: Oracle)
        async throws
    {
        oracle.begin(owner)
        try await namespace.remove(
            TestChunk(owner, tokenCount: 16 + Int(owner % 3) * 20).key(in: namespace))
        oracle.end(owner, isPresent: false)
    }

    /// Opens what a crash left and says everything that is wrong with it.
    static func violations(in machine: SimulatedMachine, _ oracle: Oracle) -> [String] {
        do {
            let db = try machine.open()
            let (acknowledged, undecided) = oracle.state.withLock {
                ($0.acknowledged, $0.undecided)
            }
            var wrong = db.recovery.damages.map { "damage reported: \($0)" }
            let namespace = db.namespace("acme")
            for owner in owners {
                let chunk = TestChunk(owner, tokenCount: 16 + Int(owner % 3) * 20)
                let isIntact: Bool? = try namespace.flatMap { namespace in
                    try machine.run { () async throws(StoreError) -> Bool? in
                        try await chunk.isIntact(in: namespace)
                    }
                }
                if isIntact == false { wrong.append("chunk \(owner): wrong bytes") }
                guard !undecided.contains(owner) else { continue }
                let expected = acknowledged[owner] ?? false
                if expected && isIntact == nil { wrong.append("chunk \(owner): lost") }
                if !expected && isIntact != nil { wrong.append("chunk \(owner): came back") }
            }
            machine.run { await db.close() }
            return wrong
        } catch {
            // No store yet is an answer as long as nothing was acknowledged.
            return ["does not open: \(error)"]
        }
    }
}
