// What a cancelled caller leaves behind (CONTRACT X-1). Cancelling a call ends the caller's wait
// and nothing else. Two ways:
//
// - What changes the store runs in a task of the store's own (`carryOut`): it goes on to its end,
//   inside the gate, so that closing waits for it. It would hop to the core's executor anyway.
// - Reads are awaited where they are (`PendingRead`): the request holds the memory until its
//   completion, the caller no longer has a name for it, and the disk's closing waits for it.

import Primitives

extension StoreCore {
    /// Runs `body` to its end, whatever becomes of the caller.
    /// *Throws:* `.cancelled` when the caller's task was cancelled: before the beginning, then
    /// nothing happens; or later, then `body` goes on and its outcome is told to nobody.
    func carryOut<Success: Sendable>(
        _ body: @escaping @Sendable () async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        if Task.isCancelled { throw .cancelled }
        try gate.enter()
        let outcome = OneShot<Result<Success, StoreError>>()
        Task(executorPreference: environment.executor) { [self] in
            let result: Result<Success, StoreError>
            do throws(StoreError) {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            gate.leave()
            outcome.give(result)
        }
        guard let result = await outcome.value() else { throw .cancelled }
        return try result.get()
    }
}

/// Ends the wait for `body` after `limit`, by cancelling it: the calls of a store then end with
/// `.cancelled`, and what they were about goes on inside the store (CONTRACT X-1).
///
///     let data = try await withDeadline(.seconds(2)) { () async throws(StoreError) in
///         try await namespace.get(key)
///     }
///
/// *Throws:* what `body` throws; `.cancelled` when the time was over or the caller was cancelled.
public func withDeadline<Success: Sendable>(
    _ limit: Duration, _ body: @escaping @Sendable () async throws(StoreError) -> Success
) async throws(StoreError) -> Success {
    let result = await withTaskGroup(of: Result<Success, StoreError>?.self) { group in
        group.addTask {
            do throws(StoreError) {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        }
        group.addTask {
            try? await Task.sleep(for: limit)
            return nil
        }
        // The body's word counts, whoever is first: it may have succeeded at the last moment.
        let first = await group.next()
        group.cancelAll()
        if case .some(.some(let result)) = first { return result }
        return await group.next().flatMap { $0 } ?? .failure(.cancelled)
    }
    return try result.get()
}
