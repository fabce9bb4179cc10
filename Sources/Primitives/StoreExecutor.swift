// The Executor seam (PRODUCT D9): where the engine's own steps run. The real one is a thread of its
// own, so that nothing blocks on Swift's cooperative pool; a test puts a seeded scheduler in its
// place, and then the order of all steps is a function of one number.

import Dispatch
import Foundation
import Synchronization

/// Runs the core's steps one at a time, in some order it decides.
public protocol StoreExecutor: SerialExecutor, TaskExecutor {
    /// The blocking twin of every async call: runs `operation` to its end while the calling thread
    /// waits and does the operation's own work (lookups, copies, verification). Not to be called
    /// from this executor's own steps.
    func wait<Result: Sendable>(_ operation: @escaping @Sendable () async -> Result) -> Result
}

/// Jobs of an executor in order of arrival, and a way to sleep until there are some.
final class JobQueue: Sendable {
    private struct State {
        var jobs: [UnownedJob] = []
        var isSleeping = false
        var isFinished = false
    }
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)

    func append(_ job: UnownedJob) {
        signal { $0.jobs.append(job) }
    }

    /// After the jobs that are there, `next` returns `nil`.
    func finish() {
        signal { $0.isFinished = true }
    }

    private func signal(_ change: (inout State) -> Void) {
        let mustWake = state.withLock { state in
            change(&state)
            defer { state.isSleeping = false }
            return state.isSleeping
        }
        if mustWake { wakeUp.signal() }
    }

    /// All jobs that wait, at least one; `nil` when finished.
    func next() -> [UnownedJob]? {
        while true {
            let (jobs, isFinished) = state.withLock { state in
                let jobs = state.jobs
                state.jobs = []
                state.isSleeping = jobs.isEmpty && !state.isFinished
                return (jobs, state.isFinished)
            }
            if !jobs.isEmpty { return jobs }
            if isFinished { return nil }
            wakeUp.wait()
        }
    }
}

/// The core's own thread.
public final class CoreThread: StoreExecutor {
    private let queue = JobQueue()

    public init(name: String) {
        // The thread holds the executor, so that no step ever finds it gone.
        let thread = Thread { [self] in
            while let jobs = queue.next() {
                for job in jobs {
                    unsafe job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(),
                        taskExecutor: asUnownedTaskExecutor())
                }
            }
        }
        thread.name = name
        thread.start()
    }

    public func enqueue(_ job: consuming ExecutorJob) { queue.append(UnownedJob(job)) }

    /// Ends the thread after the steps that are queued.
    public func finish() { queue.finish() }

    public func wait<Result: Sendable>(
        _ operation: @escaping @Sendable () async -> Result
    ) -> Result {
        CallerExecutor().run(operation)
    }
}

/// Blocking waits for work that belongs to no store yet.
public enum CallerThread {
    /// Runs `operation` to its end on the calling thread.
    public static func wait<Result: Sendable>(
        _ operation: @escaping @Sendable () async -> Result
    ) -> Result {
        CallerExecutor().run(operation)
    }
}

/// Runs one task on the thread that asked for it.
final class CallerExecutor: TaskExecutor {
    private let queue = JobQueue()

    func enqueue(_ job: consuming ExecutorJob) { queue.append(UnownedJob(job)) }

    func run<Result: Sendable>(_ operation: @escaping @Sendable () async -> Result) -> Result {
        let box = ResultBox<Result>()
        Task(executorPreference: self) {
            let value = await operation()
            box.value.withLock { $0 = value }
            self.queue.finish()
        }
        while let jobs = queue.next() {
            for job in jobs {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
        return box.value.withLock { $0! }
    }
}

final class ResultBox<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}
