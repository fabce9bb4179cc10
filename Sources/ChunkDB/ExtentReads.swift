// Reads that are on their way. Started all at once, so that the device sees depth; awaited one by
// one, so that the first can be verified while the others still come.

import BlockIO
import Primitives

/// The outcome of one read, to be awaited by one caller.
public final class PendingRead: Sendable {
    private let outcome = OneShot<Result<Int, DiskError>>()

    init() {}

    func finish(_ result: Result<Int, DiskError>) { outcome.give(result) }

    /// Waits for the completion, or for the end of the caller's task: then `.cancelled`, and the
    /// memory belongs to the read until its completion. The caller must not touch it again, unless
    /// it asks here again.
    public func value() async -> Result<Int, DiskError> {
        if let result = await outcome.value() { return result }
        return .failure(DiskError(code: .cancelled, operation: "read", file: "a segment"))
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
