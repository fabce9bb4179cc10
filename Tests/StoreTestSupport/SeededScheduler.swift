// An executor whose order is a function of one number.
//
// All steps of all tasks and actors of a simulation come here: tasks are started with
// `Task(executorPreference: scheduler)`, and the core is an actor whose `unownedExecutor` is the
// scheduler. `wait` pumps: it runs one ready step, chosen by the seed; when none is ready it lets
// the virtual clock jump to the next event, whose completion makes steps ready. Everything happens
// on the thread that called `wait`, so nothing is left to the machine.

import Primitives
import Synchronization

/// Runs steps one at a time, in an order drawn from a seed.
public final class SeededScheduler: StoreExecutor {
    private struct State {
        var ready: [UnownedJob] = []
        var generator: SeededGenerator
        var stepCount: UInt64 = 0
        var traceHash = TraceHash()
        var isPumping = false
    }
    private let state: Mutex<State>
    public let clock: VirtualClock
    public let seed: UInt64

    public init(seed: UInt64, clock: VirtualClock = VirtualClock()) {
        self.seed = seed
        self.clock = clock
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.ready.append(job) }
    }

    public func checkIsolated() {
        precondition(state.withLock { $0.isPumping }, "not on the scheduler's thread")
    }

    /// Steps run so far.
    public var stepCount: UInt64 { state.withLock { $0.stepCount } }

    /// Differs as soon as one choice differs.
    public var traceHash: UInt64 { state.withLock { $0.traceHash.value } }

    /// Traps when the operation can never end: nothing ready, nothing planned.
    public func wait<Result: Sendable>(
        _ operation: @escaping @Sendable () async -> Result
    ) -> Result {
        guard let result = waitUnlessStuck(operation) else {
            fatalError(
                """
                deadlock in simulation: no step is ready and no event is planned \
                (seed \(seed), step \(stepCount), \(clock.monotonicNanoseconds) ns)
                """)
        }
        return result
    }

    /// As `wait`; `nil` when the operation can never end, for example on a disk that crashed, or
    /// has not ended after `stepLimit` steps.
    public func waitUnlessStuck<Result: Sendable>(
        stepLimit: Int = .max, _ operation: @escaping @Sendable () async -> Result
    ) -> Result? {
        var stepCount = 0
        let outcome = Outcome<Result>()
        begin()
        Task(executorPreference: self) {
            let value = await operation()
            outcome.value.withLock { $0 = value }
        }
        while true {
            if let value = outcome.value.withLock({ $0 }) {
                end()
                return value
            }
            stepCount += 1
            if stepCount > stepLimit || !step() {
                end()
                return nil
            }
        }
    }

    /// Runs what is ready and planned until nothing is left, or `stepLimit` steps.
    public func drain(stepLimit: Int = .max) {
        begin()
        var count = 0
        while count < stepLimit, step() { count += 1 }
        end()
    }

    private func begin() {
        state.withLock { state in
            precondition(!state.isPumping, "wait() from a step of the same scheduler")
            state.isPumping = true
        }
    }

    private func end() { state.withLock { $0.isPumping = false } }

    private func step() -> Bool {
        let job = state.withLock { state -> UnownedJob? in
            guard !state.ready.isEmpty else { return nil }
            let index = Int.random(in: 0..<state.ready.count, using: &state.generator)
            state.stepCount += 1
            state.traceHash.add(UInt64(index))
            state.traceHash.add(UInt64(state.ready.count))
            return state.ready.remove(at: index)
        }
        guard let job else { return clock.advance() }
        unsafe job.runSynchronously(
            isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        return true
    }
}

private final class Outcome<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}

/// Folds numbers into one, order and all.
public struct TraceHash: Sendable, Equatable {
    public private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
    public init() {}

    public mutating func add(_ number: UInt64) {
        value = (value ^ number) &* 0x0000_0100_0000_01B3
        value ^= value >> 29
    }

    public mutating func add(_ text: String) {
        for byte in text.utf8 { add(UInt64(byte)) }
        add(0x100)
    }
}
