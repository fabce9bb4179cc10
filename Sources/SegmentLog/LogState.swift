// Small types of the core's state.

import BlockIO
import ChunkFormat
import Primitives

/// What a store is told when it is made.
public struct LogOptions: Sendable {
    public var segmentBytes: UInt64
    public var capacityBytes: UInt64
    /// Commits after which a checkpoint is due.
    public var commitsPerCheckpoint: UInt64
    /// By their ids.
    public var writeClasses: [UInt16: WriteClass] = [:]
    /// Told how far opening has come, from the thread that opens; must be short.
    public var progress: (@Sendable (OpeningProgress) -> Void)?

    public init(
        segmentBytes: UInt64 = 256 << 20, capacityBytes: UInt64,
        commitsPerCheckpoint: UInt64 = 65_536,
        progress: (@Sendable (OpeningProgress) -> Void)? = nil
    ) {
        self.segmentBytes = segmentBytes
        self.capacityBytes = capacityBytes
        self.commitsPerCheckpoint = commitsPerCheckpoint
        self.progress = progress
    }
}

/// The seams the core needs beside the disk.
public struct LogEnvironment: Sendable {
    public let executor: any StoreExecutor
    public let clock: any StoreClock
    public let entropy: any Entropy
    /// Ends with the last user of the environment: what owns the executor's thread.
    private let keeper: (any AnyObject & Sendable)?

    public init(
        executor: any StoreExecutor, clock: any StoreClock, entropy: any Entropy,
        keeper: (any AnyObject & Sendable)? = nil
    ) {
        self.executor = executor
        self.clock = clock
        self.entropy = entropy
        self.keeper = keeper
    }
}

/// A place in the log that a put may write to before a commit names it.
public struct Reservation: Sendable {
    /// Until it ends, the segment is not cleaned: by who writes there, and by the commit.
    public let hold: SegmentHold
    public let location: RecordLocation
    public let recordBytes: UInt64
    public let writeSequence: WriteSequence

    public var handle: SegmentHandle { hold.handle }
}

/// A segment file whose last use has ended.
struct FreeSegment {
    let id: SegmentID
    let file: FileID
    var byteCount: UInt64
    /// The last use's.
    let writeClass: UInt16
    /// The use that ended, as long as somebody may still read there; `nil` after a restart.
    let handle: SegmentHandle?

    var isHeld: Bool { handle?.isHeld ?? false }
}

/// The segment that takes new records.
///
///     ┌────────┬──────┬──────┬─────────┬──────┬─────────┬──────┬ ─ ─ ─ ─ ─ ─ ─
///     │ header │ slot │ slot │ records │ slot │ records │ slot │  unwritten
///     └────────┴──────┴──────┴─────────┴──────┴─────────┴──────┴ ─ ─ ─ ─ ─ ─ ─
///                commit commit            ▲                ▲      ▲ tail
///                1      2                 └─── slots ──────┘
struct OpenSegment {
    let handle: SegmentHandle
    /// The first byte that nobody has reserved.
    var tail: UInt64
    /// Where the next two commit records of this use go; fewer when there was no room for more.
    /// Two, so that each commit record names the two after it, and one bad block hides one.
    var slots: [UInt64]
    /// Whether payload may go here: it was opened within the capacity, and not in the segment that
    /// is left to cleaning.
    var takesPayload = true

    var unit: UInt64 { UInt64(handle.header.alignmentUnit) }
    var freeBytes: UInt64 { handle.header.segmentBytes - tail }

    /// Whether a record fits and leaves room for the commit slot behind it.
    func fits(_ recordBytes: UInt64) -> Bool {
        !slots.isEmpty && recordBytes + unit <= freeBytes
    }

    mutating func take(_ recordBytes: UInt64) -> UInt64 {
        defer { tail += recordBytes }
        return tail
    }

    /// Hands out the slot for a commit and reserves one more; 0 stands for none.
    mutating func takeSlot() -> (slot: UInt64, next: UInt64, later: UInt64)? {
        guard !slots.isEmpty else { return nil }
        let slot = slots.removeFirst()
        if freeBytes >= unit { slots.append(take(unit)) }
        return (slot, slots.first ?? 0, slots.dropFirst().first ?? 0)
    }
}

/// Mutual exclusion between the core's own steps where one must not begin before another's I/O has
/// ended. First come, first served.
struct AsyncLock {
    private var isHeld = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// Resumes the waiter once it has the lock. To be called where the waiter's continuation is
    /// made: every `await` may be a step of its own, also of an actor's own function, so a lock
    /// that was asked about before the `await` may be free, and its last holder gone, when the
    /// waiter gets in line.
    mutating func acquire(_ waiter: CheckedContinuation<Void, Never>) {
        if isHeld {
            waiters.append(waiter)
        } else {
            isHeld = true
            waiter.resume()
        }
    }

    mutating func release() {
        if waiters.isEmpty {
            isHeld = false
        } else {
            waiters.removeFirst().resume()
        }
    }
}

/// Counts of the log, exact since it was opened.
public struct LogCounters: Sendable, Equatable {
    public var commitCount: UInt64 = 0
    public var committedBytes: UInt64 = 0
    public var abandonedBytes: UInt64 = 0
    public var checkpointCount: UInt64 = 0
    public var allocatedBytes: UInt64 = 0
    public var capacityBytes: UInt64 = 0
    public var segmentCount = 0
    /// Segments whose last use has ended, and their bytes, which are allocated too.
    public var freeSegmentCount = 0
    public var freeBytes: UInt64 = 0
    /// Uses that were ended, and bytes of records that were copied for it.
    public var freedCount: UInt64 = 0
    public var movedBytes: UInt64 = 0
    /// Of each class that is confined.
    public var writeClasses: [UInt16: WriteClassCounters] = [:]
    public init() {}
}
