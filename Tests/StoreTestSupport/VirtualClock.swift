// Time that a test owns: it stands still until the scheduler has nothing to do, then jumps to the
// next event.

import Primitives
import Synchronization

/// A clock that moves only from event to event.
public final class VirtualClock: StoreClock {
    private struct Event {
        let time: UInt64
        /// Events of one time fire in the order in which they were planned.
        let number: UInt64
        let action: @Sendable () -> Void
    }
    private struct State {
        var now: UInt64
        var wallOffset: Int64
        var eventNumber: UInt64 = 0
        /// Latest first, so that the next one is popped from the end.
        var events: [Event] = []
    }
    private let state: Mutex<State>

    public init(startingAt now: UInt64 = 1_000_000_000, wallSeconds: Int64 = 1_700_000_000) {
        state = Mutex(State(now: now, wallOffset: wallSeconds))
    }

    public var monotonicNanoseconds: UInt64 { state.withLock { $0.now } }

    public var wallSeconds: UInt64 {
        state.withLock { UInt64($0.wallOffset + Int64($0.now / 1_000_000_000)) }
    }

    /// Makes the wall clock jump, as real ones do.
    public func jumpWall(bySeconds seconds: Int64) {
        state.withLock { $0.wallOffset += seconds }
    }

    /// Plans an action. It runs on the thread that pumps the scheduler, and must be short.
    public func schedule(
        afterNanoseconds delay: UInt64, _ action: @escaping @Sendable () -> Void
    ) {
        state.withLock { state in
            let event = Event(
                time: state.now + delay, number: state.eventNumber, action: action)
            state.eventNumber += 1
            let isLater = { (other: Event) in
                (other.time, other.number) > (event.time, event.number)
            }
            let place = Self.partition(state.events, isLater)
            state.events.insert(event, at: place)
        }
    }

    public func sleep(nanoseconds: UInt64) async {
        await withCheckedContinuation { continuation in
            schedule(afterNanoseconds: nanoseconds) { continuation.resume() }
        }
    }

    public var pendingEventCount: Int { state.withLock { $0.events.count } }

    /// Jumps to the next event and runs it. *Returns:* whether there was one.
    @discardableResult
    public func advance() -> Bool {
        let event = state.withLock { state -> Event? in
            guard let event = state.events.popLast() else { return nil }
            state.now = event.time
            return event
        }
        event?.action()
        return event != nil
    }

    /// The number of leading elements for which `isBefore` holds, by halving.
    private static func partition(_ events: [Event], _ isBefore: (Event) -> Bool) -> Int {
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(events[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
