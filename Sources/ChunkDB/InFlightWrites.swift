// Writes that a put has started and not yet seen complete. The first error stays.

import BlockIO
import Primitives
import Synchronization

final class InFlightWrites: Sendable {
    private struct State {
        var count = 0
        var error: DiskError?
        /// Resumed with false by its task's cancellation.
        var waiter: (below: Int, continuation: CheckedContinuation<Bool, Never>)?
    }
    private let state = Mutex(State())

    /// Starts a write; `done` runs at its completion, on the disk's thread.
    func start(
        _ disk: any Disk, _ file: FileID, at offset: UInt64, _ slice: IOSlice,
        done: @escaping @Sendable () -> Void
    ) {
        state.withLock { $0.count += 1 }
        disk.submit(
            IORequest(.write, file: file, offset: offset, slice: slice) { result in
                done()
                self.finish(result)
            })
    }

    /// The first write error so far.
    var error: DiskError? { state.withLock { $0.error } }

    var isEmpty: Bool { state.withLock { $0.count == 0 } }

    private func finish(_ result: Result<Int, DiskError>) {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            state.count -= 1
            if case .failure(let error) = result, state.error == nil { state.error = error }
            guard let waiter = state.waiter, state.count < waiter.below else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume(returning: true)
    }

    /// Waits until fewer than `limit` are on their way. One caller at a time.
    /// *Throws:* the first write error so far; `.cancelled` when the caller's task is: the writes
    /// go on, and keep their memory.
    func wait(below limit: Int) async throws(DiskError) {
        let isOver = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.count < limit { return true }
                    // As in `OneShot.value`: the mark is set before the handler is called.
                    if Task.isCancelled { return false }
                    state.waiter = (limit, continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.continuation.resume(returning: false)
        }
        guard isOver else {
            throw DiskError(code: .cancelled, operation: "write", file: "a segment")
        }
        if let error = state.withLock({ $0.error }) { throw error }
    }
}
