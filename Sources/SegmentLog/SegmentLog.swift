// The log: one single-threaded state machine on an executor of its own (PRODUCT D9). Puts reserve
// places and write to them from any thread; what makes them true is a commit record, written and
// flushed here, one group at a time.
//
// Invariants of the core:
//  L1  A record is named by a commit only after every one of its writes was seen to complete.
//  L2  A caller is told "durable" only after a flush, issued after the group's last completion, has
//      succeeded on every file that this group, or an earlier one without a flush, touched.
//  L3  Nothing is published to the index before its commit record is written, and before L2 holds
//      if anyone in its group asked for it; removals of a group are published before its puts, in
//      commit order. A checkpoint is taken only where nothing is unflushed.
//  L4  A segment takes records only after its header, its length and its name were flushed.
//  L5  After a failed write or flush the log is degraded: no later group is written (CONTRACT O-4).
//  L6  Files never exceed the capacity by more than the metadata slack: the small segments in which
//      a full store still takes removals and commit records, a checkpoint that is larger than the
//      last one, and one segment into which an opening wrote anew what was unproven.
//  L7  A segment is written over only after its use has ended: what lives in it was moved or
//      forgotten, commits that named what lives elsewhere were written again, all of that was
//      flushed, the journals say so durably, and nobody holds the use.

import BlockIO
import ChunkFormat
import Primitives

public actor SegmentLog {
    public nonisolated let disk: any Disk
    public nonisolated let segments = SegmentTable()
    public nonisolated let superblock: Superblock
    nonisolated let environment: LogEnvironment
    nonisolated let options: LogOptions

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        // SAFETY: the environment holds the executor as long as the actor lives.
        unsafe environment.executor.asUnownedSerialExecutor()
    }

    var superblockFile: FileID
    var journals: [JournalWriter]
    /// Blocks that their facts would take, when that was last looked at.
    var condensedBlockCount: UInt64 = 0
    var toleratedBlockCount: UInt64 = 0
    /// No commit up to this one was needed then, unless by the checkpoint.
    var endedPrefix: UInt64 = 0
    /// By write class; 0 is the common one, which has the commit records.
    var open: [UInt16: OpenSegment] = [:]
    var classCounters: [UInt16: WriteClassCounters] = [:]
    /// Files whose last use has ended.
    var free: [FreeSegment] = []
    /// No file is used again while a namespace is purged.
    var isPurging = false
    /// What earlier commits named in these segments is gone, up to this one.
    var endedCommits: [SegmentID: UInt64]
    var segmentLock = AsyncLock()
    var checkpointLock = AsyncLock()
    /// Wait for the last group to end.
    var idleWaiters: [CheckedContinuation<Void, Never>] = []
    var nextSegment: UInt32
    var nextUse: UInt64
    var nextWriteSequence: WriteSequence
    var nextCommit: UInt64
    /// The last commit that a later one builds on.
    var lastCommit: UInt64
    var syncedCommit: UInt64
    /// Touched by groups that nobody wanted flushed; the next flush takes them all.
    var unflushedFiles: Set<FileID> = []
    var unflushedBytes: UInt64 = 0
    /// Members of those groups: together at most what one commit can name (COM-16).
    var unflushedMemberCount = 0
    var markTurn: UInt64
    var markTask: Task<Void, Never>?
    var queue: [QueuedOperation] = []
    var isCommitting = false
    var degradedReason: String?
    /// Whether opening found damage.
    let isDamaged: Bool
    var isClosed = false
    var chains: [SegmentID: CheckpointSegment] = [:]
    var checkpointGeneration: UInt64
    var checkpointedCommit: UInt64
    var allocatedBytes: UInt64
    /// Bytes of checkpoint and heat table on disk.
    var snapshotBytes: UInt64
    var counters = LogCounters()

    init(
        disk: any Disk, environment: LogEnvironment, options: LogOptions, superblock: Superblock,
        superblockFile: FileID, journals: [JournalWriter], start: LogStart
    ) {
        self.disk = disk
        self.environment = environment
        self.options = options
        self.superblock = superblock
        self.superblockFile = superblockFile
        self.journals = journals
        nextSegment = start.nextSegment
        nextUse = start.nextUse
        nextWriteSequence = start.nextWriteSequence
        nextCommit = start.nextCommit
        lastCommit = start.lastCommit
        syncedCommit = start.syncedCommit
        markTurn = start.markTurn
        checkpointGeneration = start.checkpointGeneration
        checkpointedCommit = start.checkpointedCommit
        allocatedBytes = start.allocatedBytes
        snapshotBytes = start.snapshotBytes
        free = start.free
        endedCommits = start.endedCommits
        isDamaged = start.isDamaged
        for (handle, chain) in start.segments {
            segments.insert(handle)
            chains[handle.id] = chain
        }
    }

    var current: OpenSegment? {
        get { open[0] }
        set { open[0] = newValue }
    }

    /// Whether new records go there.
    func isOpen(_ handle: SegmentHandle) -> Bool {
        open.values.contains { $0.handle === handle }
    }

    nonisolated var unit: UInt64 { UInt64(superblock.alignmentUnit) }

    /// The largest record a segment of this store can hold.
    public nonisolated var recordBytesMax: UInt64 { superblock.segmentBytes - 4 * unit }

    public nonisolated var reader: RecordReader { RecordReader(disk: disk, segments: segments) }

    public var statistics: LogCounters {
        var result = counters
        result.allocatedBytes = allocatedBytes + snapshotBytes
        result.capacityBytes = superblock.capacityBytes
        result.segmentCount = segments.all.count
        result.freeSegmentCount = free.count
        result.freeBytes = free.reduce(0) { $0 + $1.byteCount }
        result.writeClasses = countersOfClasses
        return result
    }

    /// Runs `body` between two steps of the core, so that no group admits or publishes meanwhile.
    /// *Throws:* `.closed`, or `.degraded` with the first reason (CONTRACT O-4); nothing ran then.
    public func step<Value: Sendable>(_ body: @Sendable () -> Value) throws(LogError) -> Value {
        try requireWritable()
        return body()
    }

    func requireWritable() throws(LogError) {
        if isClosed { throw .closed }
        if let degradedReason { throw .degraded(reason: degradedReason) }
    }

    /// A put's write failed: its range is uncertain for ever, and so is the device (L5).
    public func reportWriteFailure(_ error: DiskError) { degrade(error) }

    /// L5. The first reason stays.
    func degrade(_ error: any Error) {
        if degradedReason == nil { degradedReason = "\(error)" }
    }
}

/// What recovery, or creation, hands to a log that begins.
struct LogStart {
    var nextSegment: UInt32 = 0
    var nextUse: UInt64 = 1
    var nextWriteSequence = WriteSequence(1)
    var nextCommit: UInt64 = 1
    var lastCommit: UInt64 = 0
    var syncedCommit: UInt64 = 0
    var markTurn: UInt64 = 0
    var checkpointGeneration: UInt64 = 0
    var checkpointedCommit: UInt64 = 0
    var allocatedBytes: UInt64 = 0
    var snapshotBytes: UInt64 = 0
    var segments: [(SegmentHandle, CheckpointSegment)] = []
    var free: [FreeSegment] = []
    var endedCommits: [SegmentID: UInt64] = [:]
    var isDamaged = false
}
