// The Executor seam (PRODUCT D9): where the engine's own steps run. The real one is a thread of its
// own, so that nothing blocks on Swift's cooperative pool; a test puts a seeded scheduler in its
// place, and then the order of all steps is a function of one number.

import Synchronization

/// Runs the core's steps one at a time, in some order it decides.
public protocol StoreExecutor: SerialExecutor, TaskExecutor {
    /// The blocking twin of every async call: runs `operation` to its end while the calling thread
    /// waits and does the operation's own work (lookups, copies, verification). Not to be called
    /// from this executor's own steps.
    func wait<Result: Sendable>(_ operation: @escaping @Sendable () async -> Result) -> Result
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
        var hasRun = false
        while let jobs = queue.next(hasRun: hasRun) {
            for job in jobs {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            }
            hasRun = true
        }
        return box.value.withLock { $0! }
    }
}

final class ResultBox<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}
