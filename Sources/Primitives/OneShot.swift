// One value, given once, and a waiter who may go away: what ends a caller's wait without ending the
// work (CONTRACT X-1).

import Synchronization

public final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value?, Never>)
        case given(Value)
    }
    private let state = Mutex(State.open)

    public init() {}

    /// To be called once.
    public func give(_ value: Value) {
        let waiter = state.withLock { state -> CheckedContinuation<Value?, Never>? in
            defer { state = .given(value) }
            if case .awaited(let continuation) = state { return continuation }
            return nil
        }
        waiter?.resume(returning: value)
    }

    /// The value; `nil` when the waiting task was cancelled before it came. May be asked again.
    /// *Concurrency:* one waiter at a time.
    public func value() async -> Value? {
        if case .given(let value) = state.withLock({ $0 }) { return value }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Value?? in
                    if case .given(let value) = state { return .some(value) }
                    // Cancellation sets its mark before it calls the handler: seen here, nobody
                    // waits; not seen, the handler comes after this lock and finds the waiter.
                    if Task.isCancelled { return .some(nil) }
                    state = .awaited(continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Value?, Never>? in
                guard case .awaited(let continuation) = state else { return nil }
                state = .open
                return continuation
            }
            waiter?.resume(returning: nil)
        }
    }
}
