// Jobs of an executor in order of arrival. One thread at a time runs some, and takes all there are.

import Dispatch
import Synchronization

final class JobQueue: Sendable {
    private struct State {
        var jobs: [UnownedJob] = []
        /// Somebody runs what he took.
        var isRunning = false
        var isSleeping = false
        var isFinished = false

        /// Whether the thread, if it sleeps, is to wake. Then it no longer counts as asleep.
        mutating func mustWake() -> Bool {
            guard isSleeping, !isRunning, !jobs.isEmpty || isFinished else { return false }
            isSleeping = false
            return true
        }

        /// All jobs, for the caller to run; none while others run.
        mutating func take() -> [UnownedJob] {
            if isRunning || jobs.isEmpty { return [] }
            isRunning = true
            defer { jobs = [] }
            return jobs
        }
    }
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)

    /// - Parameter mayWake: false for a helper, who comes back for it.
    func append(_ job: UnownedJob, mayWake: Bool = true) {
        let mustWake = state.withLock { state in
            state.jobs.append(job)
            return mayWake && state.mustWake()
        }
        if mustWake { wakeUp.signal() }
    }

    /// After the jobs that are there, `next` returns `nil`.
    func finish() {
        let mustWake = state.withLock { state in
            state.isFinished = true
            return state.mustWake()
        }
        if mustWake { wakeUp.signal() }
    }

    // MARK: The thread whose jobs they are

    /// The next jobs, at least one; `nil` when finished.
    /// - Parameter hasRun: some were returned before, and have been run.
    func next(hasRun: Bool) -> [UnownedJob]? {
        var hasRun = hasRun
        while true {
            let (jobs, isOver) = state.withLock { state in
                if hasRun { state.isRunning = false }
                let jobs = state.take()
                let isOver = !state.isRunning && state.isFinished
                state.isSleeping = jobs.isEmpty && !isOver
                return (jobs, isOver)
            }
            if !jobs.isEmpty { return jobs }
            if isOver { return nil }
            hasRun = false
            wakeUp.wait()
        }
    }

    // MARK: A helper

    /// Jobs for the helper to run before it asks again; none: the thread sees to what is left.
    ///
    /// - Parameters:
    ///   - hasRun: some were returned before.
    ///   - rest: those of them that were not run.
    ///   - mayGoOn: whether it has time for more.
    func nextForHelper(hasRun: Bool, rest: ArraySlice<UnownedJob>, mayGoOn: Bool) -> [UnownedJob] {
        let (jobs, mustWake) = state.withLock { state in
            if hasRun { state.isRunning = false }
            state.jobs.insert(contentsOf: rest, at: 0)
            let jobs = mayGoOn ? state.take() : []
            return (jobs, state.mustWake())
        }
        if mustWake { wakeUp.signal() }
        return jobs
    }
}
