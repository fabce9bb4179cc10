import ChunkFormat
import Primitives

/// How to open (CONTRACT O-2).
public enum OpenPolicy: Sendable {
    /// Drops the torn tail, reports damage, mends copies.
    case normal
    /// As `normal`, but refuses a store with any damage.
    case strict
    /// Takes no lock and changes no byte; may be inconsistent beside a running writer.
    case inspect
}

/// What opening found and did. Nothing here is silent.
public struct RecoveryReport: Sendable {
    public struct Damage: Hashable, Sendable, CustomStringConvertible {
        public let file: String
        public let offset: UInt64
        public let reason: String
        public init(file: String, offset: UInt64, reason: String) {
            self.file = file
            self.offset = offset
            self.reason = reason
        }
        public var description: String { "\(file) at byte \(offset): \(reason)" }
    }

    /// Acknowledged bytes that could not be read back.
    public var damages: [Damage] = []
    /// Unacknowledged records at the torn tail that were dropped.
    public var droppedRecordCount = 0
    /// Commits that opened and do not count: one that they build on was never flushed (RCV-20).
    public var unprovenCommitCount = 0
    /// Commits that recovery replayed after the checkpoint.
    public var replayedCommitCount = 0
    /// `nil` when the checkpoint was used; otherwise why not.
    public var checkpointIgnored: String?
    public var repairedSuperblockCopies: [Int] = []
    /// Why the store can be read and not written until it is opened again; `nil` when it can.
    public var readOnlyReason: String?
    /// Copies of the journal that lacked a fact of the other, by a torn append or a fault.
    public var repairedJournalCopies: [Int] = []
    /// Names in the directory that are not ours; left alone (O-3).
    public var unknownFiles: [String] = []
    /// Bytes of unwritten tails given back.
    public var returnedBytes: UInt64 = 0

    public init() {}
}

/// One effect of the log, in commit order.
public enum ReplayStep: Sendable {
    case namespace(NamespaceOperation)
    case tombstone(Tombstone)
    case put(CheckpointEntry, commit: UInt64)
}

/// How far an opening has come.
public struct OpeningProgress: Hashable, Sendable {
    public enum Phase: String, Sendable, CaseIterable {
        /// Segment files, each opened and flushed.
        case segments
        /// Entries of the checkpoint.
        case checkpoint
        /// Segments whose commits are looked for.
        case chains
        /// Commits since the checkpoint.
        case replay
    }
    public let phase: Phase
    public let completed: UInt64
    public let total: UInt64

    init(_ phase: Phase, completed: UInt64, total: UInt64) {
        self.phase = phase
        self.completed = completed
        self.total = total
    }
}

/// Everything the engine needs to build its index: the checkpoint's entries, then the steps since.
public struct RecoveredContents: Sendable {
    /// From the journal: creations in order of their numbers, drops after them.
    public var namespaces: [NamespaceOperation] = []
    /// Unless a sink took them; so the heat.
    public var checkpointEntries: [CheckpointEntry] = []
    public var steps: [ReplayStep] = []
    public var heat: [HeatRow] = []
    public var report = RecoveryReport()
}
