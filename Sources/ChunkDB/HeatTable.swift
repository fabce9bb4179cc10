// Counters that move, by the ordinal in the index value (PRODUCT D9b): a read counts here and
// nowhere in the index. Persisted with each checkpoint; what a crash takes is a little heat.

import ChunkFormat
import Primitives
import Synchronization

final class HeatTable: Sendable {
    private struct State {
        var rows: [HeatRow]
        /// Rows whose entry is gone. What a late reader still counts there is noise.
        var free: [UInt32] = []
        /// Of those entries that have an end: seconds since the store was made.
        var expiries: [UInt32: UInt32] = [:]
        /// Rows of the checkpoint that no entry has claimed yet (HEA-4).
        var isAdoptable: [Bool]
    }
    // A read of a chunk takes milliseconds, this lock a few nanoseconds.
    private let state: Mutex<State>

    init(rows: [HeatRow]) {
        state = Mutex(
            State(rows: rows, isAdoptable: [Bool](repeating: true, count: rows.count)))
    }

    /// The row for a new entry.
    func addRow(_ row: HeatRow) -> UInt32 {
        state.withLock { state in
            if let ordinal = state.free.popLast() {
                state.rows[Int(ordinal)] = row
                return ordinal
            }
            state.rows.append(row)
            return UInt32(state.rows.count - 1)
        }
    }

    /// The row of an entry that a checkpoint knew, if its heat came along; each row once.
    func adopt(_ ordinal: UInt32) -> UInt32 {
        let isThere = state.withLock { state in
            let place = Int(ordinal)
            guard place < state.isAdoptable.count, state.isAdoptable[place] else { return false }
            state.isAdoptable[place] = false
            return true
        }
        return isThere ? ordinal : addRow(.none)
    }

    /// After the last `adopt`: rows that came along with entries that are gone are free.
    func endAdoption() {
        state.withLock { state in
            for (place, isAdoptable) in state.isAdoptable.enumerated() where isAdoptable {
                state.free.append(UInt32(place))
            }
            state.isAdoptable = []
        }
    }

    /// When the row's entry ends; 0 for never.
    func setExpiry(_ ordinal: UInt32, _ seconds: UInt32) {
        state.withLock { $0.expiries[ordinal] = seconds == 0 ? nil : seconds }
    }

    func expiry(_ ordinal: UInt32) -> UInt32 { state.withLock { $0.expiries[ordinal] ?? 0 } }

    /// The entry is gone.
    func free(_ ordinal: UInt32) {
        state.withLock { state in
            state.expiries[ordinal] = nil
            if Int(ordinal) < state.rows.count { state.free.append(ordinal) }
        }
    }

    func update(_ ordinal: UInt32, _ change: (inout HeatRow) -> Void) {
        state.withLock { state in
            if Int(ordinal) < state.rows.count { change(&state.rows[Int(ordinal)]) }
        }
    }

    subscript(ordinal: UInt32) -> HeatRow? {
        state.withLock { Int(ordinal) < $0.rows.count ? $0.rows[Int(ordinal)] : nil }
    }

    var snapshot: [HeatRow] { state.withLock { $0.rows } }
}
