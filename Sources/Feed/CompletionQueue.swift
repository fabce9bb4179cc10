// The completion-queue form: batches of calls with the caller's numbers in, answers out, and one
// descriptor that says when there are some. What an event loop of another language needs, and what
// a C ABI is built on.
//
//     let queue = try CompletionQueue(limit: 64)
//     var accepted = queue.submit(requests)        // as many as there is room for
//     poll(queue.descriptor)                       // readable while answers wait
//     for completion in queue.drain() { … }        // makes room

import BlockIO
import ChunkDB
import Glibc
import Primitives
import Synchronization

/// *Concurrency:* any thread, several at once. Answers come in the order in which calls end.
public final class CompletionQueue: Sendable {
    /// Calls that were accepted and whose answers were not drained are at most so many.
    public let limit: Int
    private let answers: Answers
    private let executor: (any TaskExecutor)?

    /// - Parameter limit: 1 at least; what memory the answers take is bounded by it.
    /// - Parameter executor: where the calls' own work runs (copies, verification); `nil` is a
    ///   thread of the queue's own. Never a pool whose threads wait for the queue.
    /// *Throws:* `.log(.disk)` when the process has no descriptor left.
    public init(limit: Int = 64, executor: (any TaskExecutor)? = nil) throws(StoreError) {
        self.limit = max(limit, 1)
        let event: EventDescriptor
        do throws(DiskError) {
            event = try EventDescriptor()
        } catch {
            throw .log(.disk(error))
        }
        let thread = executor == nil ? CoreThread(name: "chunkdb-queue") : nil
        self.executor = executor ?? thread
        answers = Answers(event, thread)
    }

    /// The wait for answers ends; what the calls were about goes on inside the store, and their
    /// memory stays with their requests (CONTRACT X-1).
    deinit { answers.cancel { _ in true } }

    /// Readable, for `poll` and the like, while answers wait to be drained. Not to be read, written
    /// or closed by others; it ends with the queue.
    public var descriptor: Int32 { answers.event.raw }

    /// Calls that there is room for now.
    public var room: Int { limit - answers.outstandingCount }

    /// Starts calls in order, as many as there is room for. Never waits.
    /// *Returns:* how many of the first were accepted; the others are to be handed in again after
    /// a `drain`.
    public func submit(_ requests: [QueueRequest]) -> Int {
        let first = answers.reserve(requests.count, limit: limit)
        for (number, request) in zip(first, requests) { start(request, number) }
        return first.count
    }

    private func start(_ request: QueueRequest, _ number: UInt64) {
        if case .exists(let key, let variant) = request.call {
            let entry = request.namespace.contains(key, variant: variant)
            return answers.add(
                QueueCompletion(id: request.id, result: .success(.entry(entry))), nil)
        }
        let task = Task(executorPreference: executor) { [answers] in
            let result: Result<QueueCompletion.Answer, StoreError>
            do throws(StoreError) {
                result = .success(try await request.perform())
            } catch {
                result = .failure(error)
            }
            answers.add(QueueCompletion(id: request.id, result: result), number)
        }
        answers.remember(task, request.id, number)
    }

    /// Takes answers, at most `limit`. Never waits.
    public func drain(limit: Int = .max) -> [QueueCompletion] { answers.take(limit) }

    /// As `drain`; the calling thread waits until there is an answer, at most so long.
    /// *Returns:* nothing when the time was over.
    public func drain(limit: Int = .max, waitingAtMost time: Duration) -> [QueueCompletion] {
        let deadline = ContinuousClock.now + time
        while true {
            let found = drain(limit: limit)
            let rest = deadline - ContinuousClock.now
            if !found.isEmpty || rest <= .zero { return found }
            answers.event.wait(atMost: rest)
        }
    }

    /// Ends the waits of the calls with this number that are not answered yet: they answer
    /// `.cancelled`, unless they end in another way just now.
    public func cancel(_ id: UInt64) { answers.cancel { $0 == id } }
}

/// What the calls in progress and the queue share.
private final class Answers: Sendable {
    private struct State {
        var waiting: [QueueCompletion] = []
        var calls: [UInt64: (id: UInt64, task: Task<Void, Never>)] = [:]
        var nextNumber: UInt64 = 0
        var outstandingCount = 0
        /// Those that ended before they were remembered.
        var ended: Set<UInt64> = []
    }
    private let state = Mutex(State())
    let event: EventDescriptor
    private let thread: CoreThread?

    init(_ event: EventDescriptor, _ thread: CoreThread?) {
        self.event = event
        self.thread = thread
    }

    /// Every call holds this object to its end, so that the thread outlives them all.
    deinit { thread?.finish() }

    var outstandingCount: Int { state.withLock { $0.outstandingCount } }

    func reserve(_ count: Int, limit: Int) -> Range<UInt64> {
        state.withLock { state in
            let count = min(count, limit - state.outstandingCount)
            let first = state.nextNumber
            state.nextNumber += UInt64(count)
            state.outstandingCount += count
            return first..<state.nextNumber
        }
    }

    func remember(_ task: Task<Void, Never>, _ id: UInt64, _ number: UInt64) {
        state.withLock { state in
            if state.ended.remove(number) == nil { state.calls[number] = (id, task) }
        }
    }

    /// The bell is rung and silenced under the lock, so that it never lies.
    /// - Parameter number: of the call's task, if it has one.
    func add(_ completion: QueueCompletion, _ number: UInt64?) {
        state.withLock { state in
            if let number, state.calls.removeValue(forKey: number) == nil {
                state.ended.insert(number)
            }
            state.waiting.append(completion)
            if state.waiting.count == 1 { event.ring() }
        }
    }

    func take(_ limit: Int) -> [QueueCompletion] {
        state.withLock { state in
            let taken = Array(state.waiting.prefix(max(limit, 0)))
            if taken.isEmpty { return [] }
            state.waiting.removeFirst(taken.count)
            state.outstandingCount -= taken.count
            if state.waiting.isEmpty { event.silence() }
            return taken
        }
    }

    func cancel(_ isMeant: (UInt64) -> Bool) {
        let tasks = state.withLock { state in
            state.calls.values.filter { isMeant($0.id) }.map(\.task)
        }
        for task in tasks { task.cancel() }
    }
}
