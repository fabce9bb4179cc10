import BlockIO
import Glibc
import Primitives
import Synchronization
import Testing

/// Steps of the core that the disk's thread runs at the end of a transfer (`CoreThread.help`).
@Suite(.timeLimit(.minutes(5))) struct CoreThreadTests {
    /// Waits on the core for `give`, as a put does for its writes; then says which thread it is on.
    private final class Waiter: Sendable {
        private let signal = OneShot<Bool>()
        private let isBegun = Atomic(false)
        private let thread = Atomic<UInt>(0)

        func give() { signal.give(true) }
        var hasBegun: Bool { isBegun.load(ordering: .acquiring) }
        /// 0 before the step after `give` was run.
        var threadOfStep: UInt { thread.load(ordering: .acquiring) }

        func run() async {
            isBegun.store(true, ordering: .releasing)
            _ = await signal.value()
            note()
        }

        func note() { thread.store(UInt(pthread_self()), ordering: .releasing) }
    }

    /// Runs `body` on a thread that is nobody's.
    private func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async
        -> Value
    {
        let threads = WorkThreads(name: "helper", count: 1)
        defer { threads.finish() }
        return await withCheckedContinuation { continuation in
            threads.run { continuation.resume(returning: body()) }
        }
    }

    @Test func whoMakesAStepDueRunsIt() async {
        let core = CoreThread(name: "core")
        defer { core.finish() }
        let isHelped = await onOwnThread {
            // The core may be at the waiter's first step still; then it does the second too.
            for _ in 0..<10_000 {
                let waiter = Waiter()
                Task(executorPreference: core) { await waiter.run() }
                while !waiter.hasBegun { sched_yield() }
                core.help {
                    waiter.give()
                    return true
                }
                let isOurs = waiter.threadOfStep == UInt(pthread_self())
                while waiter.threadOfStep == 0 { sched_yield() }
                if isOurs { return true }
            }
            return false
        }
        #expect(isHelped)
    }

    /// The ring's thread is that helper.
    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func theRingHelps() async throws {
        let core = CoreThread(name: "core")
        defer { core.finish() }
        let disk = try Place().openDisk(.ring, helping: core)
        let file = try await disk.open("file", .createNew)
        let buffer = disk.makeBuffer(byteCount: 4_096)
        let slice = buffer.slice
        var isHelped = false
        for _ in 0..<1_000 where !isHelped {
            let (waiter, ended) = (Waiter(), Waiter())
            Task(executorPreference: core) { await waiter.run() }
            while !waiter.hasBegun { await Task.yield() }
            disk.submit(
                IORequest(.write, file: file, offset: 0, slice: slice) { _ in
                    ended.note()
                    waiter.give()
                })
            while waiter.threadOfStep == 0 { await Task.yield() }
            isHelped = waiter.threadOfStep == ended.threadOfStep
        }
        #expect(isHelped)
        await disk.shutdown()
    }

    /// What a helper is given and leaves, and what comes meanwhile, is the core's.
    @Test func nothingIsLeftBehind() async {
        let core = CoreThread(name: "core")
        defer { core.finish() }
        await onOwnThread {
            for round in 0..<2_000 {
                let waiters = (0..<3).map { _ in Waiter() }
                for waiter in waiters {
                    Task(executorPreference: core) { await waiter.run() }
                    if round.isMultiple(of: 2) { while !waiter.hasBegun { sched_yield() } }
                }
                core.help {
                    waiters[0].give()
                    return !round.isMultiple(of: 3)
                }
                waiters[1].give()
                core.help {
                    waiters[2].give()
                    Task(executorPreference: core) {}
                    return true
                }
                for waiter in waiters { while waiter.threadOfStep == 0 { sched_yield() } }
            }
        }
    }

    private final class Steps: Sendable {
        let inside = Atomic(0)
        let overlapCount = Atomic(0)
        let count = Atomic(0)
        let helpedCount = Atomic(0)
        let helper = Atomic<UInt>(0)
        let isOver = Atomic(false)

        func step() {
            if inside.add(1, ordering: .relaxed).newValue != 1 {
                overlapCount.add(1, ordering: .relaxed)
            }
            count.add(1, ordering: .relaxed)
            if helper.load(ordering: .relaxed) == UInt(pthread_self()) {
                helpedCount.add(1, ordering: .relaxed)
            }
            inside.subtract(1, ordering: .relaxed)
        }
    }

    /// Steps from all sides, while another thread helps all the time.
    @Test func stepsNeverOverlap() async {
        let core = CoreThread(name: "core")
        defer { core.finish() }
        let steps = Steps()
        async let ended: Void = onOwnThread {
            steps.helper.store(UInt(pthread_self()), ordering: .relaxed)
            while !steps.isOver.load(ordering: .acquiring) { core.help { true } }
        }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<5_000 {
                        await Task(executorPreference: core) { steps.step() }.value
                    }
                }
            }
        }
        steps.isOver.store(true, ordering: .releasing)
        await ended
        #expect(steps.overlapCount.load(ordering: .relaxed) == 0)
        #expect(steps.count.load(ordering: .relaxed) == 20_000)
        #expect(steps.helpedCount.load(ordering: .relaxed) > 0)
    }

    /// Who asks for the core again in each of his steps does not keep its helper.
    @Test func aHelperComesBack() async {
        let core = CoreThread(name: "core")
        defer { core.finish() }
        let steps = Steps()
        let busy = Task(executorPreference: core) {
            while !steps.isOver.load(ordering: .acquiring) { await Task.yield() }
        }
        await onOwnThread {
            for _ in 0..<100 { core.help { true } }
        }
        steps.isOver.store(true, ordering: .releasing)
        await busy.value
    }

    @Test func anEndDuringHelpIsSeen() async {
        weak var last: CoreThread?
        for _ in 0..<100 {
            let core = CoreThread(name: "core")
            last = core
            let waiter = Waiter()
            Task(executorPreference: core) { await waiter.run() }
            while !waiter.hasBegun { await Task.yield() }
            await onOwnThread {
                core.help {
                    waiter.give()
                    core.finish()
                    return true
                }
            }
            while waiter.threadOfStep == 0 { await Task.yield() }
        }
        // Its thread held it.
        while last != nil { await Task.yield() }
    }
}
