// Requests that the device sits on: their completions come when the test says so.

import Synchronization

extension SimulatedDisk {
    struct Held {
        /// The request from now that is held; all after it go on.
        var countdown: Int?
        var isForAll = false
        var actions: [@Sendable () -> Void] = []
    }

    /// Holds the `number`th transfer or flush that is submitted from now on.
    public func hold(number: Int, andAllAfter isForAll: Bool = false) {
        held.withLock { ($0.countdown, $0.isForAll) = (number, isForAll) }
    }

    public var heldCount: Int { held.withLock { $0.actions.count } }

    /// Lets what is held complete now, and nothing more be held.
    public func release() {
        let actions = held.withLock { held in
            defer { held = Held() }
            return held.actions
        }
        for action in actions { scheduler.clock.schedule(afterNanoseconds: 0, action) }
    }

    func schedule(afterNanoseconds time: UInt64, _ action: @escaping @Sendable () -> Void) {
        let isHeld = held.withLock { held in
            guard let countdown = held.countdown else { return false }
            held.countdown = countdown > 1 ? countdown - 1 : held.isForAll ? 1 : nil
            if countdown == 1 { held.actions.append(action) }
            return countdown == 1
        }
        if !isHeld { scheduler.clock.schedule(afterNanoseconds: time, action) }
    }
}
