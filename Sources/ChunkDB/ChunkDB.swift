// ChunkDB: an embedded store for the KV caches of text chunks.
//
// The life of a put
//   1  `Namespace.beginPut` plans where every byte will stand (VariantPlan) and reserves it in the
//   log.
//   2  `ChunkWriter.append` sends each layer's planes to disk, and digests them, while the next
//      layer is computed; the disk is written in order, with direct I/O.
//   3  `ChunkWriter.commit` sends the sealed headers, waits for every write, and joins a group.
//   4  The log's core writes one commit record that names the group's records, and flushes.
//   5  Only now the index knows the chunk, the next lookup finds it, and the caller returns.
//
// The life of a feed
//   1  `Namespace.contains` answers from the B-skiplist in memory; the disk is never waited for.
//   2  `Namespace.locate` opens the record's header (cached): seal, place, identity, extent table.
//   3  All chunks' layer 0, then layer 1, … are read to their rows' places in slabs (module Feed),
//      of which the store keeps some from feed to feed.
//   4  Each layer is compared with its digests on the caller's thread while later ones still come.
//   5  The attention module has layer l while layer l+1 is on its way.
//
// Every call that waits can be cancelled, and `withDeadline` cancels in time: the caller's wait
// ends with `.cancelled`; buffers and disk ranges stay with their requests (CONTRACT X-1).
//
// Lock order (no thread holds two of these at once, but for the policy's own inside heat, and none
// is held across I/O): namespace table, admission set, record cache, staging and slab pools,
// leases, segment table, heat, usage, pins, counters.

import BSkiplist
import BlockIO
import ChunkFormat
import KVModel
import Logging
import Primitives
import Retention
import SegmentLog
import Synchronization

public final class ChunkDB: Sendable {
    let core: StoreCore
    /// What opening found and did.
    public let recovery: RecoveryReport

    private init(core: StoreCore, recovery: RecoveryReport) {
        self.core = core
        self.recovery = recovery
    }

    deinit { core.abandon() }

    /// Opens the store in a directory, or makes one there. It is open as long as somebody has what
    /// this returns: when its last name ends without `close`, calls on its namespaces throw
    /// `.closed`, what is durable stays so, and the next opening has more to replay.
    ///
    /// *Throws:* `.log` with `.notAStore`, a lock, a damaged superblock, a newer version, a file
    /// system that refuses direct I/O, or any damage in strict mode; `.shape` for quotas that
    /// contradict each other or the store's capacity.
    /// *Complexity:* proportional to the checkpoint and the commits after it.
    public static func open(at directory: String, options: StoreOptions = .init())
        async throws(StoreError) -> ChunkDB
    {
        let thread = CoreThread(name: "chunkdb-core")
        let disk: any Disk
        do throws(DiskError) {
            disk = try openDisk(
                directory: directory, create: options.createsIfMissing, readOnly: false,
                options: options.disk, helping: thread)
        } catch {
            thread.finish()
            throw .log(.disk(error))
        }
        // The thread ends with the last user of the log: a call after `close` is refused on it.
        let environment = LogEnvironment(
            executor: thread, clock: SystemClock(), entropy: SystemEntropy(),
            keeper: ThreadKeeper(thread))
        do throws(StoreError) {
            return try await open(on: disk, options: options, environment: environment)
        } catch {
            await disk.shutdown()
            switch error {
            case .log(.notAStore): throw .log(.notAStore(directory: directory))
            case .log(.alreadyExists): throw .log(.alreadyExists(directory: directory))
            default: throw error
            }
        }
    }

    /// Opens a store on any disk, under any executor; what tests use to own time and order.
    public static func open(
        on disk: any Disk, options: StoreOptions, environment: LogEnvironment
    ) async throws(StoreError) -> ChunkDB {
        guard PayloadRecord.digestBlockShiftRange.contains(options.digestBlockShift) else {
            throw .log(
                .unsupported("digest blocks of 2^\(options.digestBlockShift) bytes; 12 to 20"))
        }
        let policies: NamespacePolicies
        do throws(UnknownPolicy) {
            policies = try NamespacePolicies(options)
        } catch {
            throw .unknownPolicy(error)
        }
        let logger = options.logger
        let disk = WatchedDisk(disk, limit: options.stallTime, clock: environment.clock) {
            logger.warning("\($0)")
        }
        let db: ChunkDB
        do throws(LogError) {
            let logOptions = try await logOptions(options, disk)
            let isThere = try await hasStore(disk)
            if isThere && options.mustBeNew { throw LogError.alreadyExists(directory: ".") }
            if options.createsIfMissing && !isThere {
                try await SegmentLog.create(
                    on: disk, options: logOptions, environment: environment)
            }
            let indexes = CheckpointIndexes()
            let (log, contents) = try await SegmentLog.open(
                on: disk, policy: options.isStrict ? .strict : .normal, options: logOptions,
                environment: environment, sink: indexes)
            let core = StoreCore(
                log: log, environment: environment, options: options, arena: indexes.arena,
                heat: indexes.heat, policies: policies)
            var report = contents.report
            let checkpointed = indexes.finish()
            let usages = core.recoverHeat(
                checkpointed, contents.namespaces, from: indexes.policyDigest)
            report.damages += IndexRebuild.run(contents, checkpointed, usages, into: core)
            core.isDamaged.store(!report.damages.isEmpty, ordering: .relaxed)
            core.log(report)
            db = ChunkDB(core: core, recovery: report)
        } catch {
            throw .log(error)
        }
        do throws(StoreError) {
            try db.core.requireSoundQuotas()
        } catch {
            await db.close()
            throw error
        }
        return db
    }

    private static func hasStore(_ disk: any Disk) async throws(LogError) -> Bool {
        do throws(DiskError) {
            return try await disk.list("").contains(StoreFiles.superblock)
        } catch {
            throw .disk(error)
        }
    }

    private static func logOptions(_ options: StoreOptions, _ disk: any Disk)
        async throws(LogError) -> LogOptions
    {
        do throws(DiskError) {
            // The directory itself is part of nobody's budget; half of what is free is ours.
            let free = options.capacity == nil ? try await disk.freeByteCount() / 2 : 0
            let unit = UInt64(disk.traits.alignment)
            let capacity = (options.capacity?.bytes ?? free) & ~(unit - 1)
            var result = LogOptions(
                segmentBytes: options.segmentSize?.bytes ?? segmentBytes(for: capacity),
                capacityBytes: capacity,
                commitsPerCheckpoint: options.commitsPerCheckpoint,
                progress: options.openingProgress)
            result.writeClasses = Dictionary(
                options.writeClasses.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            return result
        } catch {
            throw .disk(error)
        }
    }

    /// A power of two, a sixteenth of the capacity or less.
    private static func segmentBytes(for capacity: UInt64) -> UInt64 {
        let range = Superblock.segmentBytesRange.lowerBound...256 << 20
        let share = max(capacity / 16, 1)
        let power = UInt64(1) << (63 - share.leadingZeroBitCount)
        return min(max(power, range.lowerBound), range.upperBound)
    }

    /// Waits for calls that began before, writes a checkpoint, so that the next open is quick, and
    /// lets go of everything. Calls that begin later throw `.closed`. Idempotent, and nothing
    /// in a fork.
    /// *Durability:* what was durable stays so, with or without this call; the rest becomes durable
    /// unless the store is degraded.
    public func close() async {
        await core.close()
    }

    // MARK: Namespaces

    /// The namespace of that name, made if there is none.
    ///
    /// *Durability:* a new namespace is durable when this returns.
    /// *Throws:* `.bindingMismatch` when it is bound to another model.
    public func namespace(_ name: String, model binding: ModelBinding)
        async throws(StoreError) -> Namespace
    {
        guard (1...NamespaceDescription.nameBytesMax).contains(name.utf8.count) else {
            throw .invalidName(name)
        }
        do throws(ModelBindingError) {
            try binding.validate()
            try binding.requireStorable()
        } catch {
            throw .modelBinding(error)
        }
        return try await core.carryOut { [self] () async throws(StoreError) -> Namespace in
            try await findOrCreate(name, binding)
        }
    }

    private func findOrCreate(_ name: String, _ binding: ModelBinding)
        async throws(StoreError) -> Namespace
    {
        while core.namespace(named: name) == nil {
            // Of callers that find none at once, one creates; the others find what it made.
            guard await core.creations.take(name) else { continue }
            defer { core.creations.give(name) }
            if core.namespace(named: name) == nil { try await create(name, binding) }
            break
        }
        guard let namespace = core.namespace(named: name) else { throw .noSuchNamespace(name) }
        guard namespace.bindingDigest == binding.digest else {
            throw .bindingMismatch(
                namespace: name, expected: namespace.binding.name, found: binding.name)
        }
        return namespace
    }

    /// An existing namespace; `nil` when there is none of that name.
    public func namespace(_ name: String) -> Namespace? { core.namespace(named: name) }

    /// All namespaces, in order of their numbers.
    public var namespaces: [Namespace] { core.allNamespaces }

    /// Forgets a namespace and everything in it; its number is never used again. Its name is free.
    /// *Durability:* durable when this returns: nothing of it comes back (CONTRACT D-3). Calls on
    /// it throw `.noSuchNamespace` from then on; what they had handed out stays readable.
    /// *Throws:* `.noSuchNamespace`.
    public func drop(_ namespace: Namespace) async throws(StoreError) {
        let (core, id) = (core, namespace.id)
        try await core.carryOut { () async throws(StoreError) in
            guard namespace.core === core, core.namespace(id) != nil else {
                throw .noSuchNamespace(namespace.name)
            }
            await core.payBack()
            do throws(LogError) {
                try await core.log.apply(
                    { commit in .drop(id, commit: commit) },
                    publish: {
                        namespace.markDropped()
                        core.unregister(id)
                    })
            } catch {
                throw .log(error)
            }
        }
    }

    private func create(_ name: String, _ binding: ModelBinding) async throws(StoreError) {
        let core = core
        // Numbers are never used again: taken from the commit, which is never used again either.
        let probe = NamespaceOperation.create(
            NamespaceDescription(id: NamespaceID(0), name: name, binding: binding))
        guard JournalEntry.namespaceOperation(probe).byteCount <= JournalBlock.entryBytesMax else {
            throw .modelBinding(
                ModelBindingError(
                    field: "layers", reason: "too irregular to fit a journal block"))
        }
        let made = CreatedNamespace()
        await core.payBack()
        do throws(LogError) {
            try await core.log.apply(
                { commit in
                    let description = NamespaceDescription(
                        id: NamespaceID(UInt32(truncatingIfNeeded: commit)), name: name,
                        binding: binding)
                    made.description.withLock { $0 = description }
                    return .create(description)
                },
                publish: {
                    guard let description = made.description.withLock({ $0 }) else { return }
                    if core.namespace(named: name) == nil { core.register(description) }
                })
        } catch {
            throw .log(error)
        }
    }

    // MARK: Facts

    /// What the store costs beside the chunks themselves, since it was opened.
    public func amplification() async -> Amplification {
        let log = await core.log.statistics
        return Amplification(
            putBytes: core.storeCounters.putBytes, writtenBytes: core.disk.counters.writtenBytes,
            movedBytes: log.movedBytes,
            livingBytes: core.allNamespaces.reduce(0) { $0 &+ $1.statistics.storedBytes },
            allocatedBytes: log.allocatedBytes)
    }

    public var disk: DiskTraits { core.disk.traits }
    public var diskCounters: DiskCounters { core.disk.counters }
    public var counters: StoreCounters { core.storeCounters }
    /// What memory feeds took, and how much of it waits for the next.
    public var slabCounters: SlabCounters { core.slabs.counters }
    /// How fast this store has been read of late; `nil` until it has read enough to know.
    public var readSpeed: ReadSpeed? { core.readSpeed }
    public var superblock: Superblock { core.log.superblock }
    public func logCounters() async -> LogCounters { await core.log.statistics }

    /// Everything that was accepted before is durable when this returns (CONTRACT P-6).
    /// *Throws:* what made the store degraded, if anything did; nothing is promised then. Also why
    /// an accepted put was withdrawn, if no barrier has told yet; all others are durable then.
    public func barrier() async throws(StoreError) {
        let core = core
        try await core.carryOut { () async throws(StoreError) in
            let told = core.pending.toldCount
            await core.pending.wait(below: 1)
            try await core.barrier()
            if let reason = core.pending.tell(since: told) { throw reason }
        }
    }

    /// Writes a checkpoint of the index now. *Durability:* durable when this returns.
    public func checkpoint() async throws(StoreError) {
        let core = core
        try await core.carryOut { () async throws(StoreError) in
            do throws(LogError) {
                try await core.log.checkpoint(core.checkpointSource)
            } catch {
                throw .log(error)
            }
        }
    }
}
