// Puts that were accepted and are not yet committed: visible, and not yet readable from the disk.
// Whoever reads one waits here; whoever removes one does too, so that the log sees both in the
// callers' order.

import ChunkFormat
import Primitives
import Synchronization

final class PendingPuts: Sendable {
    /// So many at once; each holds the staging memory of its last writes.
    static let countMax = 64

    private struct State {
        /// Puts that were accepted and failed; the newest reason; how many a barrier has told of.
        var withdrawnCount = 0
        var toldCount = 0
        var reason: StoreError?
        var waiters: [RecordLocation: [CheckedContinuation<Void, Never>]] = [:]
        /// For room, or for the end of all.
        var others: [(below: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())
    /// Lookups of a store without pending puts, the usual kind, take no lock.
    private let count = Atomic(0)

    func contains(_ location: RecordLocation) -> Bool {
        count.load(ordering: .acquiring) > 0 && state.withLock { $0.waiters[location] != nil }
    }

    func begin(_ location: RecordLocation) {
        state.withLock { $0.waiters[location] = [] }
        count.add(1, ordering: .releasing)
    }

    /// The put failed: the next barrier, and every one that is under way, has to say so.
    func noteWithdrawal(_ reason: StoreError) {
        state.withLock { state in
            state.withdrawnCount += 1
            state.reason = reason
        }
    }

    /// What barriers have told so far.
    var toldCount: Int { state.withLock { $0.toldCount } }

    /// Why a put was withdrawn that no barrier had told of when this one began; `nil` if none was.
    func tell(since toldCount: Int) -> StoreError? {
        state.withLock { state in
            guard state.withdrawnCount > toldCount else { return nil }
            state.toldCount = state.withdrawnCount
            return state.reason
        }
    }

    /// The put is committed, or withdrawn.
    func end(_ location: RecordLocation) {
        let ready = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard var ready = state.waiters.removeValue(forKey: location) else { return [] }
            let left = state.waiters.count
            ready += state.others.filter { left < $0.below }.map(\.continuation)
            state.others.removeAll { left < $0.below }
            return ready
        }
        count.subtract(1, ordering: .releasing)
        for waiter in ready { waiter.resume() }
    }

    /// Returns at once when that put is not pending.
    func wait(for location: RecordLocation) async {
        guard contains(location) else { return }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                state.waiters[location]?.append(continuation) == nil
            }
            if isOver { continuation.resume() }
        }
    }

    /// Waits until fewer than `limit` are pending.
    func wait(below limit: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.waiters.count < limit { return true }
                state.others.append((limit, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}
