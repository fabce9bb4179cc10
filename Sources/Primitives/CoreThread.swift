// The core's own thread. Whose end of a transfer makes a step of the core due may run that step
// itself, if the core is at none: a durable put waits for the disk three times, and each time
// would wake this thread, which would wake the disk's.

import Foundation
import Glibc
import Synchronization

public final class CoreThread: StoreExecutor {
    private let queue = JobQueue()
    /// The thread that is about to help; 0 for none.
    private let helper = Atomic<UInt>(0)
    /// The disk must not be kept waiting: whoever helps leaves what is left after so long.
    private static let helpTime = Duration.microseconds(200)

    public init(name: String) {
        // The thread holds the executor, so that no step ever finds it gone.
        let thread = Thread { [self] in
            var hasRun = false
            while let jobs = queue.next(hasRun: hasRun) {
                run(jobs)
                hasRun = true
            }
        }
        thread.name = name
        thread.start()
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let isHelper = helper.load(ordering: .relaxed) == UInt(pthread_self())
        queue.append(UnownedJob(job), mayWake: !isHelper)
    }

    /// Ends the thread after the steps that are queued.
    public func finish() { queue.finish() }

    public func wait<Result: Sendable>(
        _ operation: @escaping @Sendable () async -> Result
    ) -> Result {
        CallerExecutor().run(operation)
    }

    /// Runs `body`, and then, on the calling thread too, the steps that it made due and those that
    /// these made due, while nobody else runs any and time permits. One helper at a time.
    package func help(after body: () -> Void) {
        helper.store(UInt(pthread_self()), ordering: .relaxed)
        body()
        helper.store(0, ordering: .relaxed)
        var jobs = queue.nextForHelper(hasRun: false, mayGoOn: true)
        if jobs.isEmpty { return }
        let begin = ContinuousClock.now
        while !jobs.isEmpty {
            run(jobs)
            jobs = queue.nextForHelper(
                hasRun: true, mayGoOn: ContinuousClock.now - begin < Self.helpTime)
        }
    }

    private func run(_ jobs: [UnownedJob]) {
        for job in jobs {
            unsafe job.runSynchronously(
                isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        }
    }
}
