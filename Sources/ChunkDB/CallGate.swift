// Who is inside the store. A close waits for the calls that began before it, and calls that begin
// after it are refused: a disk that was shut down is never asked for anything.

import Glibc
import SegmentLog
import Synchronization

final class CallGate: Sendable {
    private struct State {
        var insideCount = 0
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var lastDeed: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    private let process = getpid()

    /// Whether this is the process that opened the store. A fork has its memory and descriptors,
    /// and none of its threads: whoever waits there waits for ever.
    var isInOwnProcess: Bool { getpid() == process }

    /// *Throws:* `.closed`, `.forked`. Every other end of this call is followed by `leave`.
    func enter() throws(StoreError) {
        // First of all: in a fork the lock may be held by a thread that is not there.
        if !isInOwnProcess { throw .forked }
        let isIn = state.withLock { state in
            if state.isClosed { return false }
            state.insideCount += 1
            return true
        }
        if !isIn { throw .log(.closed) }
    }

    /// For what a call that is inside leaves behind: its end is waited for too.
    func enterFromInside() { state.withLock { $0.insideCount += 1 } }

    func leave() {
        var waiters: [CheckedContinuation<Void, Never>] = []
        var lastDeed: (@Sendable () -> Void)?
        state.withLock { state in
            state.insideCount -= 1
            guard state.insideCount == 0 else { return }
            swap(&state.waiters, &waiters)
            swap(&state.lastDeed, &lastDeed)
        }
        for waiter in waiters { waiter.resume() }
        lastDeed?()
    }

    /// Lets nobody in any more.
    /// - Parameter body: what the last one inside does when it leaves; at once when nobody is.
    func abandon(_ body: @escaping @Sendable () -> Void) {
        let isEmpty = state.withLock { state in
            state.isClosed = true
            if state.insideCount > 0 { state.lastDeed = body }
            return state.insideCount == 0
        }
        if isEmpty { body() }
    }

    /// Lets nobody in any more and waits for those inside.
    func close() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                state.isClosed = true
                if state.insideCount > 0 { state.waiters.append(continuation) }
                return state.insideCount == 0
            }
            if isEmpty { continuation.resume() }
        }
    }
}
