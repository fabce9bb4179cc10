// What the façade, its namespaces, writers and readers share.

import BSkiplist
import BlockIO
import ChunkFormat
import KVModel
import Logging
import Primitives
import Retention
import SegmentLog
import Synchronization

/// Counts of the engine, since it was opened; relaxed.
public struct StoreCounters: Sendable, Equatable {
    public var putCount: UInt64 = 0
    /// Bytes on disk of the variants that puts made visible.
    public var putBytes: UInt64 = 0
    public var getCount: UInt64 = 0
    /// Payload bytes that were copied on their way to the disk…
    public var copiedBytes: UInt64 = 0
    /// …and those that left the caller's own buffer.
    public var uncopiedBytes: UInt64 = 0
    public var verifiedBytes: UInt64 = 0
    /// Bytes handed over unverified, because the caller said so (CONTRACT G-2).
    public var unverifiedBytes: UInt64 = 0
    public var damageCount: UInt64 = 0
    /// Accepted puts whose writes failed: they are misses again.
    public var withdrawnCount: UInt64 = 0
    /// Checkpoints that could not be written; the log alone is enough, opening takes longer.
    public var failedCheckpointCount: UInt64 = 0
    /// Requests that the device did not answer within `StoreOptions.stallTime` (CONTRACT X-2).
    public var stalledCount: UInt64 = 0
    /// Variants that were forgotten to make room, and their bytes on disk.
    public var evictedCount: UInt64 = 0
    public var evictedBytes: UInt64 = 0
    /// Variants whose space was taken because their time was over.
    public var expiredCount: UInt64 = 0
    /// Puts that had to wait for cleaning.
    public var waitedPutCount: UInt64 = 0
    public init() {}
}

/// Bytes beside bytes. Counted where they happen: every write to any file of the store is in.
public struct Amplification: Sendable, Equatable {
    /// Of variants that puts made visible.
    public var putBytes: UInt64
    /// To the medium: records, copies, commits, journals, checkpoints.
    public var writtenBytes: UInt64
    /// Records that cleaning copied.
    public var movedBytes: UInt64
    /// Of variants that are there.
    public var livingBytes: UInt64
    /// Of all files, free segments included.
    public var allocatedBytes: UInt64

    /// Bytes written for a byte put; `nil` before the first put.
    public var write: Double? {
        putBytes > 0 ? Double(writtenBytes) / Double(putBytes) : nil
    }
    /// Bytes allocated for a byte that is there; `nil` when nothing is.
    public var space: Double? {
        livingBytes > 0 ? Double(allocatedBytes) / Double(livingBytes) : nil
    }
}

final class StoreCore: Sendable {
    let log: SegmentLog
    let disk: any Disk
    let environment: LogEnvironment
    let options: StoreOptions
    let arena: NodeArena
    let heat: HeatTable
    let policies: NamespacePolicies
    let records: RecordCache
    let staging: StagingPool
    let slabs: SlabPool
    let reader: RecordReader
    let gate = CallGate()
    /// Whoever closes second waits for the first.
    private let closing = OneEnd()
    let creations = NameGate()
    /// One eviction inside a namespace at a time.
    let evictions = NameGate()
    let pins = PinnedBytes()
    let leases = LeaseTable()
    let pending = PendingPuts()
    let cleaner = Cleaner()
    /// Whether somebody cleans behind the callers' backs.
    let isCleaning = Atomic(false)
    /// Whether opening found damage. A checkpoint without what was not readable then would make it
    /// lost for good, so none is written unasked (CONTRACT N-6).
    let isDamaged = Atomic(false)
    private let namespaces = Mutex<[NamespaceID: Namespace]>([:])
    private let counters = Mutex(StoreCounters())
    private let isCheckpointing = Atomic(false)
    let isClosed = Atomic(false)

    init(
        log: SegmentLog, environment: LogEnvironment, options: StoreOptions, arena: NodeArena,
        heat: HeatTable, policies: NamespacePolicies
    ) {
        self.log = log
        disk = log.disk
        self.environment = environment
        self.options = options
        self.arena = arena
        self.heat = heat
        self.policies = policies
        records = RecordCache(size: options.headerCacheSize)
        staging = StagingPool(disk: log.disk)
        slabs = SlabPool(disk: log.disk, keptBytesMax: Int(clamping: options.slabMemory.bytes))
        reader = log.reader
    }

    func count(_ change: (inout StoreCounters) -> Void) {
        counters.withLock { change(&$0) }
    }
    var storeCounters: StoreCounters {
        var counters = counters.withLock { $0 }
        counters.stalledCount = (disk as? WatchedDisk)?.stalledCount ?? 0
        return counters
    }

    var readSpeed: ReadSpeed? { (disk as? WatchedDisk)?.readSpeed }

    // MARK: Namespaces

    /// In order of their numbers.
    var allNamespaces: [Namespace] {
        namespaces.withLock { $0.values.sorted { $0.id < $1.id } }
    }

    func namespace(_ id: NamespaceID) -> Namespace? { namespaces.withLock { $0[id] } }

    func namespace(named name: String) -> Namespace? {
        // The lowest number wins if two creations of one name raced (NSP-5).
        allNamespaces.first { $0.name == name }
    }

    func register(
        _ description: NamespaceDescription, index: BSkiplist? = nil,
        usage: NamespaceUsage = NamespaceUsage()
    ) {
        let index = index ?? BSkiplist(arena: arena, seed: indexSeed)
        let namespace = Namespace(description, core: self, index: index, usage: usage)
        namespaces.withLock { table in
            if table[description.id] == nil { table[description.id] = namespace }
        }
    }

    /// See `ChunkDB.close`. The namespaces are forgotten last: to whoever still cleans, or writes a
    /// checkpoint, what no namespace names would be dead.
    func close() async {
        if !gate.isInOwnProcess { return }
        if isClosed.exchange(true, ordering: .relaxed) { return await closing.whenOver() }
        defer { closing.end() }
        await gate.close()
        leases.endAll()
        if isDamaged.load(ordering: .relaxed) {
            try? await barrier()
        } else {
            await checkpointOrReport()
        }
        await log.close()
        slabs.close()
        forgetNamespaces()
    }

    /// The last name of the store has ended. Who is inside goes on to the end.
    func abandon() {
        if !gate.isInOwnProcess { return }
        if isClosed.exchange(true, ordering: .relaxed) { return }
        leases.endAll()
        gate.abandon { [self] in forgetNamespaces() }
    }

    /// They hold the core, and the table holds them.
    private func forgetNamespaces() { namespaces.withLock { $0 = [:] } }

    func unregister(_ id: NamespaceID) { namespaces.withLock { _ = $0.removeValue(forKey: id) } }

    /// Decides node heights; drawn per store and not guessable by a tenant.
    var indexSeed: UInt64 {
        CheckpointIndexes.seed(of: log.superblock)
    }

    /// Everything committed before is durable when this returns; free when it was already.
    func barrier() async throws(StoreError) {
        do throws(LogError) {
            try await log.barrier()
        } catch {
            throw .log(error)
        }
    }

    // MARK: Checkpoints

    var checkpointSource: CheckpointSource {
        CheckpointSource(
            entryCount: { self.allNamespaces.reduce(0) { $0 + $1.entryCount } },
            heat: { generation in
                let names = self.allNamespaces.map { ($0.id, $0.name) }
                return HeatFile(
                    generation: generation,
                    policyDigest: self.policies.digest(Dictionary(uniqueKeysWithValues: names)),
                    rows: self.heat.snapshot)
            },
            entries: { self.entries(after: $0, limit: $1) })
    }

    /// The next entries in the order of a checkpoint. Those that are only accepted are left out:
    /// their commit is still to come.
    /// - Parameter owner: `nil` for all namespaces.
    func entries(after last: CheckpointEntry?, limit: Int, of owner: Namespace? = nil)
        -> [CheckpointEntry]
    {
        var entries: [CheckpointEntry] = []
        entries.reserveCapacity(limit)
        for namespace in owner.map({ [$0] }) ?? allNamespaces
        where namespace.id >= last?.namespace ?? namespace.id {
            // Of the namespace that the last look ended in, what follows its last entry.
            let done = last.flatMap { $0.namespace == namespace.id ? $0 : nil }
                .map { IndexKey($0.key, $0.variant) }
            namespace.index.scan(
                from: done ?? IndexKey(.zero, VariantID(0)), expecting: limit - entries.count
            ) { key, value in
                if key == done { return true }
                let entry = namespace.checkpointEntry(key, value)
                if !pending.contains(entry.location) { entries.append(entry) }
                return entries.count < limit
            }
            if entries.count == limit { break }
        }
        return entries
    }

    func checkpointIfDue() async {
        guard !isDamaged.load(ordering: .relaxed), await log.isCheckpointDue else { return }
        guard !isCheckpointing.exchange(true, ordering: .relaxed) else { return }
        await checkpointOrReport()
        isCheckpointing.store(false, ordering: .relaxed)
    }

    /// A checkpoint that fails costs time at the next open, nothing else; it is counted and logged.
    func checkpointOrReport() async {
        do throws(LogError) {
            try await log.checkpoint(checkpointSource)
        } catch {
            count { $0.failedCheckpointCount += 1 }
            options.logger.warning("no checkpoint: \(error)")
        }
    }

    /// Tells the host what opening found.
    func log(_ report: RecoveryReport) {
        for damage in report.damages { options.logger.error("damage: \(damage)") }
        if let reason = report.readOnlyReason {
            options.logger.error("opened to be read only: \(reason)")
        }
        if let reason = report.checkpointIgnored {
            options.logger.notice("opened without a checkpoint: \(reason)")
        }
        if report.droppedRecordCount > 0 {
            options.logger.notice("dropped \(report.droppedRecordCount) unacknowledged records")
        }
        for copy in report.repairedSuperblockCopies {
            options.logger.warning("superblock copy \(copy) was written anew")
        }
        for note in disk.traits.notes { options.logger.notice("\(disk.traits.engine): \(note)") }
    }
}
