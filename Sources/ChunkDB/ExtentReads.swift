// Reads that are on their way. Started all at once, so that the device sees depth; awaited one by
// one, so that the first can be verified while the others still come.

import BlockIO
import Primitives
import Synchronization

/// The outcome of one read, to be awaited by one caller.
public final class PendingRead: Sendable {
    private enum State {
        case running
        case awaited(CheckedContinuation<Result<Int, DiskError>, Never>)
        case done(Result<Int, DiskError>)
    }
    private let state = Mutex(State.running)

    init() {}

    func finish(_ result: Result<Int, DiskError>) {
        let waiter = state.withLock {
            state -> CheckedContinuation<Result<Int, DiskError>, Never>? in
            if case .awaited(let continuation) = state {
                state = .done(result)
                return continuation
            }
            state = .done(result)
            return nil
        }
        waiter?.resume(returning: result)
    }

    /// Waits for the completion. Cancellation does not end the wait: the memory belongs to the
    /// read.
    public func value() async -> Result<Int, DiskError> {
        await withCheckedContinuation { continuation in
            let done = state.withLock { state -> Result<Int, DiskError>? in
                if case .done(let result) = state { return result }
                state = .awaited(continuation)
                return nil
            }
            if let done { continuation.resume(returning: done) }
        }
    }
}

extension Disk {
    /// Starts reads in order; one submission for all of them.
    public func startReads(_ reads: [(file: FileID, offset: UInt64, slice: IOSlice)])
        -> [PendingRead]
    {
        let pending = reads.map { _ in PendingRead() }
        submit(
            zip(reads, pending).map { read, pending in
                IORequest(
                    .read, file: read.file, offset: read.offset, slice: read.slice,
                    completion: pending.finish)
            })
        return pending
    }
}
