// A checker of histories: is there an order of the operations, consistent with real time, in which
// a simple map gives the same answers?
//
// Operations on different keys of a map cannot conflict, so each key is judged alone. The judge
// walks through the calls and returns in time order and keeps every state the key could be in: the
// value, and which of the operations under way have already taken effect. When an operation
// returns, only the states in which it has taken effect, with the answer it gave, survive. No
// survivor: not linearizable. Few operations are under way at once, so the states are few.

/// One operation on one key.
struct Recorded {
    enum Kind: Equatable {
        case lookup
        case contains
        case insert(UInt64)
        case upsert(UInt64)
        case remove
        /// A removal that does not say what was there.
        case erase
    }

    var kind: Kind
    /// The value seen, or the old value; 0 for none. For an insert, 1 for success and 0 for not;
    /// for a contains, 1 for there. `nil`: nobody was told, so that any answer is right.
    var answer: UInt64?
    /// Ticks of one clock: all distinct.
    var called: Int
    /// `nil`: it failed. It may have taken effect, may still, at any time, or never will.
    var returned: Int?
}

enum Linearizability {
    private struct State: Equatable {
        /// The key's value; 0 for absent.
        var value: UInt64
        /// Bit i: the operation under way in lane i has taken effect.
        var done: UInt64
    }

    /// The state after `operation` takes effect on `value`; nil if its answer contradicts.
    private static func apply(_ operation: Recorded, to value: UInt64) -> UInt64? {
        let (right, result): (UInt64, UInt64) =
            switch operation.kind {
            case .lookup: (value, value)
            case .contains: (value == 0 ? 0 : 1, value)
            case .insert(let new): value == 0 ? (1, new) : (0, value)
            case .upsert(let new): (value, new)
            case .remove, .erase: (value, 0)
            }
        return operation.answer == nil || operation.answer == right ? result : nil
    }

    /// The operations that are under way, each in a lane of its own.
    private struct UnderWay {
        var lanes: [Recorded?] = []

        mutating func enter(_ operation: Recorded) -> Int {
            let lane = lanes.firstIndex { $0 == nil } ?? lanes.count
            if lane == lanes.count { lanes.append(nil) }
            lanes[lane] = operation
            return lane
        }

        /// Lets every operation that would change nothing take effect at once. Nothing is lost:
        /// whatever follows in some order with the operation later follows in this one too. One
        /// without an answer may change something later, and waits.
        func settle(_ state: State) -> State {
            var state = state
            for (lane, operation) in lanes.enumerated() {
                let bit: UInt64 = 1 << UInt64(lane)
                guard let operation, operation.answer != nil, state.done & bit == 0
                else { continue }
                if apply(operation, to: state.value) == state.value { state.done |= bit }
            }
            return state
        }
    }

    /// Whether one key's history, starting absent, is linearizable.
    static func holds(_ history: [Recorded]) -> Bool {
        var events: [(tick: Int, operation: Int, isCall: Bool)] = []
        events.reserveCapacity(history.count * 2)
        for (number, operation) in history.enumerated() {
            events.append((operation.called, number, true))
            if let returned = operation.returned { events.append((returned, number, false)) }
        }
        events.sort { $0.tick < $1.tick }
        var underWay = UnderWay()
        var laneOf = [Int](repeating: 0, count: history.count)
        var states = [State(value: 0, done: 0)]
        for event in events {
            if event.isCall {
                laneOf[event.operation] = underWay.enter(history[event.operation])
                for slot in states.indices { states[slot] = underWay.settle(states[slot]) }
                continue
            }
            let bit: UInt64 = 1 << UInt64(laneOf[event.operation])
            // All states that can be reached by letting operations under way take effect.
            var next = 0
            while next < states.count {
                let state = states[next]
                next += 1
                if state.done & bit != 0 { continue }
                for (lane, operation) in underWay.lanes.enumerated() {
                    guard let operation, state.done & 1 << UInt64(lane) == 0,
                        let value = apply(operation, to: state.value)
                    else { continue }
                    let reached = underWay.settle(
                        State(value: value, done: state.done | 1 << UInt64(lane))
                    )
                    if !states.contains(reached) { states.append(reached) }
                }
            }
            underWay.lanes[laneOf[event.operation]] = nil
            var survivors: [State] = []
            for state in states where state.done & bit != 0 {
                let survivor = State(value: state.value, done: state.done & ~bit)
                if !survivors.contains(survivor) { survivors.append(survivor) }
            }
            if survivors.isEmpty { return false }
            states = survivors
        }
        return true
    }
}

/// SplitMix64, here so that these tests depend on nothing but the index.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
