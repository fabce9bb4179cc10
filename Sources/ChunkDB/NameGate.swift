// One creation of a name at a time: two namespaces of one name would hide each other's chunks.

import Synchronization

final class NameGate: Sendable {
    private let waiters = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    /// Whether the name is the caller's until `give`. If not, somebody else's hold of it has ended.
    func take(_ name: String) async -> Bool {
        let isMine = waiters.withLock { waiters in
            if waiters[name] != nil { return false }
            waiters[name] = []
            return true
        }
        if isMine { return true }
        await withCheckedContinuation { continuation in
            let isOver = waiters.withLock { $0[name]?.append(continuation) == nil }
            if isOver { continuation.resume() }
        }
        return false
    }

    func give(_ name: String) {
        let ready = waiters.withLock { $0.removeValue(forKey: name) ?? [] }
        for waiter in ready { waiter.resume() }
    }
}
