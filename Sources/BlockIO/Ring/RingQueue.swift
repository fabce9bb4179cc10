// What other threads ask of the ring's thread, and the bell that wakes it.
//
// The bell is an event descriptor that the ring itself polls, so that one system call waits for
// requests and completions alike. It is rung only when the thread said that it sleeps.

import Glibc
import Synchronization

final class RingQueue: Sendable {
    enum Item: Sendable {
        case request(IORequest, OpenFile)
        /// Puts the file into the ring's table, then calls back.
        case register(OpenFile, @Sendable () -> Void)
        case unregister(OpenFile, @Sendable () -> Void)
        /// The last item: the thread ends when its requests have, then calls back.
        case finish(@Sendable () -> Void)
    }

    private struct State {
        var items: [Item] = []
        var isSleeping = false
        var isFinished = false
    }
    private let state = Mutex(State())
    let event: Int32

    init() throws(SystemError) {
        event = try SystemCalls.makeEvent()
    }

    deinit { SystemCalls.close(event) }

    /// *Returns:* false after the queue has finished.
    @discardableResult
    func append(_ items: [Item], isLast: Bool = false) -> Bool {
        let (isTaken, mustWake) = state.withLock { state in
            guard !state.isFinished else { return (false, false) }
            state.items += items
            state.isFinished = isLast
            defer { state.isSleeping = false }
            return (true, state.isSleeping)
        }
        if mustWake { SystemCalls.ring(event) }
        return isTaken
    }

    /// Everything that waits.
    func take() -> [Item] {
        state.withLock { state in
            defer { state.items = [] }
            return state.items
        }
    }

    /// Asks to be woken by the next item. *Returns:* false if there is one already.
    func prepareToSleep() -> Bool {
        state.withLock { state in
            state.isSleeping = state.items.isEmpty
            return state.isSleeping
        }
    }

    /// Whatever woke the thread: no item needs to any more.
    func noteAwake() { state.withLock { $0.isSleeping = false } }

    func silence() { SystemCalls.silence(event) }
}
