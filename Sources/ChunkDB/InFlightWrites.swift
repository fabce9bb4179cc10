// Writes that a put has started and not yet seen complete. The first error stays.

import BlockIO
import Primitives
import Synchronization

final class InFlightWrites: Sendable {
    private struct State {
        var count = 0
        var error: DiskError?
        var waiter: (below: Int, continuation: CheckedContinuation<Void, Never>)?
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

    private func finish(_ result: Result<Int, DiskError>) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.count -= 1
            if case .failure(let error) = result, state.error == nil { state.error = error }
            guard let waiter = state.waiter, state.count < waiter.below else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume()
    }

    /// Waits until fewer than `limit` are on their way. One caller at a time.
    /// *Throws:* the first write error so far.
    func wait(below limit: Int) async throws(DiskError) {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.count < limit { return true }
                state.waiter = (limit, continuation)
                return false
            }
            if isReady { continuation.resume() }
        }
        if let error = state.withLock({ $0.error }) { throw error }
    }
}
