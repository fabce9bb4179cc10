// Counters that move, by the ordinal in the index value (PRODUCT D9b): a read counts here and
// nowhere in the index. Persisted with each checkpoint; what a crash takes is a little heat.

import ChunkFormat
import Primitives
import Synchronization

final class HeatTable: Sendable {
    // A read of a chunk takes milliseconds, this lock a few nanoseconds.
    private let rows: Mutex<[HeatRow]>

    /// Rows that came with the checkpoint; ordinals beyond them mean nothing (HEA-4).
    private let adoptableCount: Int

    init(rows: [HeatRow]) {
        adoptableCount = rows.count
        self.rows = Mutex(rows)
    }

    /// The row for a new entry.
    func addRow() -> UInt32 {
        rows.withLock { rows in
            rows.append(HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0))
            return UInt32(rows.count - 1)
        }
    }

    /// The row of an entry that a checkpoint knew, if its heat came along.
    func adopt(_ ordinal: UInt32) -> UInt32 {
        Int(ordinal) < adoptableCount ? ordinal : addRow()
    }

    func touch(_ ordinal: UInt32, seconds: UInt32) {
        rows.withLock { rows in
            guard Int(ordinal) < rows.count else { return }
            rows[Int(ordinal)].useCount &+= 1
            rows[Int(ordinal)].lastUseSeconds = seconds
        }
    }

    subscript(ordinal: UInt32) -> HeatRow? {
        rows.withLock { Int(ordinal) < $0.count ? $0[Int(ordinal)] : nil }
    }

    var snapshot: [HeatRow] { rows.withLock { $0 } }
}
