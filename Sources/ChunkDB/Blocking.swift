// The blocking twin of every async call. The C ABI, the shell and the benches use it; under a
// seeded scheduler it drives the scheduler instead of waiting.

import Primitives
import SegmentLog

extension ChunkDB {
    /// Runs async work to its end while the calling thread waits and does the work's own part:
    /// lookups, copies, verification. Not for Swift's cooperative threads.
    public func wait<Success: Sendable, Failure: Error>(
        _ operation: @escaping @Sendable () async throws(Failure) -> Success
    ) throws(Failure) -> Success {
        try core.wait(operation)
    }

    /// Opens a store, blocking. See `open(at:options:)`.
    public static func openAndWait(at directory: String, options: StoreOptions = .init())
        throws(StoreError) -> ChunkDB
    {
        try CallerThread.wait {
            await Result { () async throws(StoreError) -> ChunkDB in
                try await ChunkDB.open(at: directory, options: options)
            }
        }.get()
    }
}

extension Namespace {
    /// As `ChunkDB.wait`.
    public func wait<Success: Sendable, Failure: Error>(
        _ operation: @escaping @Sendable () async throws(Failure) -> Success
    ) throws(Failure) -> Success {
        try core.wait(operation)
    }
}

extension StoreCore {
    fileprivate func wait<Success: Sendable, Failure: Error>(
        _ operation: @escaping @Sendable () async throws(Failure) -> Success
    ) throws(Failure) -> Success {
        try environment.executor.wait {
            await Result { () async throws(Failure) -> Success in try await operation() }
        }.get()
    }
}

extension Result {
    fileprivate init(_ body: () async throws(Failure) -> Success) async {
        do throws(Failure) {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
