// The core's own thread, and how the disk's stands in for it: a durable put waits for the disk
// three times, and each time would wake this thread, which would wake the disk's. So the disk's
// thread runs the step that the end of a transfer made due, if neither has anything else to do.

import Foundation
import Glibc
import Synchronization

public final class CoreThread: StoreExecutor {
    private let queue = JobQueue()
    /// The thread that is about to help; 0 for none.
    private let helper = Atomic<UInt>(0)
    /// Who may be asked for a transfer any time helps no longer, but for the step that it is at.
    private static let helpTime = Duration.microseconds(200)

    public init(name: String) {
        // The thread holds the executor, so that no step ever finds it gone.
        let thread = Thread { [self] in
            var hasRun = false
            while let jobs = queue.next(hasRun: hasRun) {
                for job in jobs { run(job) }
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

    /// Runs `body`; then, if that says that there is nothing else to do, steps that wait, those
    /// that it made due among them, on the calling thread: while the core's own is at none, and
    /// until time is up after one of them. One helper at a time.
    package func help(after body: () -> Bool) {
        helper.store(UInt(pthread_self()), ordering: .relaxed)
        let isIdle = body()
        helper.store(0, ordering: .relaxed)
        var jobs = queue.nextForHelper(hasRun: false, rest: [], mayGoOn: isIdle)
        if jobs.isEmpty { return }
        let end = ContinuousClock.now + Self.helpTime
        while !jobs.isEmpty {
            var rest = jobs[...]
            var hasTime = true
            while hasTime, let job = rest.popFirst() {
                run(job)
                hasTime = ContinuousClock.now < end
            }
            jobs = queue.nextForHelper(hasRun: true, rest: rest, mayGoOn: hasTime)
        }
    }

    private func run(_ job: UnownedJob) {
        unsafe job.runSynchronously(
            isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }
}
