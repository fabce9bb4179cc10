// Group commit (CONTRACT P-2): what waits is taken together, written, named by one commit record,
// and, if anyone in the group asked for it, made durable by one flush per touched file. One group
// at a time. A group that nobody wants flushed leaves its files to the next one that is: a flush
// covers all commits up to its own.

import BlockIO
import ChunkFormat
import Primitives

/// The records of one variant, and what to tell whom. The closures run on the core and must be
/// short; a put that was admitted is then either published or withdrawn.
public struct LogPut: Sendable {
    let members: [CommitMember]
    /// Keep the places from being cleaned until the group has ended.
    private let holds: [SegmentHold]
    let admit: @Sendable () -> Bool
    let publish: @Sendable () -> Void
    let withdraw: @Sendable () -> Void

    var byteCount: UInt64 { members.reduce(0) { $0 &+ $1.recordBytes } }

    /// - Parameter members: records whose writes have completed (L1).
    public init(
        _ members: [CommitMember], holds: [SegmentHold] = [],
        admit: @escaping @Sendable () -> Bool,
        publish: @escaping @Sendable () -> Void, withdraw: @escaping @Sendable () -> Void
    ) {
        self.members = members
        self.holds = holds
        self.admit = admit
        self.publish = publish
        self.withdraw = withdraw
    }
}

/// Something for the next group.
struct QueuedOperation {
    enum Kind {
        /// More than one: all or none after a crash.
        case puts([LogPut])
        /// What lives, to be named again or changed. Alone in its group, and each for itself.
        case moves([LogPut])
        /// The end of a segment use. Alone in its group.
        case free(UseContents)
        /// The journals are looked through. Alone in its group.
        case condense
        case remove(
            NamespaceID, ChunkKey, VariantID?, admit: @Sendable () -> Bool,
            publish: @Sendable () -> Void)
        case namespace(
            @Sendable (_ commit: UInt64) -> NamespaceOperation, publish: @Sendable () -> Void)
        /// Everything before it becomes durable; then, in the same step, `reached` is told where
        /// the log stands.
        case barrier(reached: (@Sendable (LogPosition) -> Void)?)
    }
    let kind: Kind
    let durability: Durability
    let waiter: CheckedContinuation<Result<[CommitOutcome], LogError>, Never>

    var puts: [LogPut] {
        switch kind {
        case .puts(let puts), .moves(let puts): puts
        case .free, .condense, .remove, .namespace, .barrier: []
        }
    }

    var isAlone: Bool {
        switch kind {
        case .moves, .free, .condense: true
        case .puts, .remove, .namespace, .barrier: false
        }
    }
}

/// Where the log stands between two groups, with nothing unflushed.
struct LogPosition: Sendable {
    let commit: UInt64
    let writeSequence: WriteSequence
    let segments: [CheckpointSegment]
}

extension SegmentLog {
    /// Makes variants visible, all or none after a crash (P-4).
    /// *Durability:* as asked for, or better, when this returns; of a variant that was there
    /// before too.
    /// *Returns:* one outcome a put.
    /// *Throws:* `.batchTooLarge` when one commit cannot name them all; nothing happened then.
    public func commit(_ puts: [LogPut], _ durability: Durability) async throws(LogError)
        -> [CommitOutcome]
    {
        let recordCount = puts.reduce(0) { $0 + $1.members.count }
        guard recordCount <= recordCountMax else {
            throw .batchTooLarge(recordCount: recordCount, maximum: recordCountMax)
        }
        return try await enqueue(.puts(puts), durability)
    }

    /// Records that one variant, or one batch, may have: they fit a commit however much before it
    /// was not flushed.
    public nonisolated var recordCountMax: Int { memberCapacity - unflushedMemberCountMax }

    nonisolated var memberCapacity: Int {
        CommitRecord.memberCapacity(unit: superblock.alignmentUnit)
    }

    /// More is flushed unasked, as `unflushedBytesMax`.
    private nonisolated var unflushedMemberCountMax: Int { memberCapacity / 2 }

    /// Forgets a variant, or all variants of a key. *Durability:* as asked for when this returns;
    /// durable, it never comes back (D-1).
    /// - Parameter admit: asked on the core before anything of it is written; false calls it off.
    public func remove(
        _ namespace: NamespaceID, _ key: ChunkKey, _ variant: VariantID?, _ durability: Durability,
        admit: @escaping @Sendable () -> Bool = { true },
        publish: @escaping @Sendable () -> Void
    ) async throws(LogError) {
        _ = try await enqueue(
            .remove(namespace, key, variant, admit: admit, publish: publish), durability)
    }

    /// *Durability:* everything committed before is durable when this returns (P-6).
    public func barrier() async throws(LogError) {
        _ = try await enqueue(.barrier(reached: nil), .durable)
    }

    /// As `barrier`; `reached` runs in the step in which that became true.
    func barrier(reached: @escaping @Sendable (LogPosition) -> Void) async throws(LogError) {
        _ = try await enqueue(.barrier(reached: reached), .durable)
    }

    /// Creates or drops a namespace. *Durability:* durable when this returns.
    public func apply(
        _ operation: @escaping @Sendable (_ commit: UInt64) -> NamespaceOperation,
        publish: @escaping @Sendable () -> Void
    ) async throws(LogError) {
        _ = try await enqueue(.namespace(operation, publish: publish), .durable)
    }

    func enqueue(_ kind: QueuedOperation.Kind, _ durability: Durability)
        async throws(LogError) -> [CommitOutcome]
    {
        try requireWritable()
        let result = await withCheckedContinuation { waiter in
            queue.append(QueuedOperation(kind: kind, durability: durability, waiter: waiter))
            if !isCommitting {
                isCommitting = true
                Task(executorPreference: environment.executor) { await self.commitGroups() }
            }
        }
        return try result.get()
    }

    private func commitGroups() async {
        while var group = takeGroup() {
            group.admit()
            do throws(LogError) {
                try requireWritable()
                try await commit(&group)
                group.publish { position }
            } catch {
                switch error {
                // A full disk before anything was written is an answer; all else degrades (L5). A
                // fact in the journals holds at the next opening, whatever its caller was told:
                // nothing may be acknowledged on top of it.
                case .capacityExceeded where !group.touchesJournal: break
                case .closed, .degraded: break
                default: degrade(error)
                }
                group.fail(error)
            }
        }
        isCommitting = false
        for waiter in idleWaiters { waiter.resume() }
        idleWaiters = []
    }

    /// As many waiting operations as one commit record can name; `nil` when none waits.
    private func takeGroup() -> CommitGroup? {
        guard !queue.isEmpty else { return nil }
        // All that is not flushed fits one commit, and one segment unless it is a single batch: the
        // next opener has to write it anew (COM-16, CONTRACT B-1).
        // A group of a log that writes no more is only told so, and may be of any size.
        let isWritable = degradedReason == nil && !isClosed
        var group = CommitGroup(
            capacity: isWritable ? memberCapacity - unflushedMemberCount : .max,
            byteCapacity: superblock.segmentBytes.saturatingSubtract(unflushedBytes))
        while let operation = queue.first, group.take(operation, unit: superblock.alignmentUnit) {
            queue.removeFirst()
        }
        return group
    }

    private var position: LogPosition {
        LogPosition(
            commit: lastCommit, writeSequence: nextWriteSequence,
            segments: chains.values.sorted { $0.segment < $1.segment })
    }

    /// Returns in the step in which the group became true; the caller publishes it in the same.
    private func commit(_ group: inout CommitGroup) async throws(LogError) {
        if let contents = group.endedUse { return try await end(contents) }
        if group.condenses { return try await condenseJournals(isForced: true) }
        if group.isEmpty {
            if group.needsFlush { try await flush() }
            return
        }
        let commit = nextCommit
        nextCommit += 1
        try await writeMetadata(of: &group, commit: commit)
        try await write(group.members, as: commit, needsFlush: group.needsFlush)
    }

    /// Names records whose writes have completed in a commit record, and flushes if that is asked
    /// for or due.
    func write(_ members: [CommitMember], as commit: UInt64, needsFlush: Bool)
        async throws(LogError)
    {
        let written = try await writeCommitRecord(of: members, commit: commit)
        let committedBytes = members.reduce(0) {
            $0 + ($1.isAbandoned || $1.isAgain ? 0 : $1.recordBytes)
        }
        unflushedFiles.formUnion(members.compactMap { segments[$0.location.segment]?.file })
        unflushedFiles.insert(written.handle.file)
        unflushedBytes += committedBytes
        unflushedMemberCount += members.count
        if needsFlush || unflushedBytes > unflushedBytesMax
            || unflushedMemberCount > unflushedMemberCountMax
        {
            try await flushFiles()
        }
        advanceChains(past: written, members: members)
        lastCommit = commit
        counters.commitCount += 1
        counters.committedBytes += committedBytes
        advanceSynced()
    }

    func flush() async throws(LogError) {
        try await flushFiles()
        advanceSynced()
    }

    /// Says, to later commits and to the mark, how far the log is proven.
    private func advanceSynced() {
        guard unflushedFiles.isEmpty, syncedCommit < lastCommit else { return }
        syncedCommit = lastCommit
        startMark()
    }

    /// Tombstones and namespace operations: their records in the log, their facts in both journals.
    private func writeMetadata(of group: inout CommitGroup, commit: UInt64) async throws(LogError) {
        let tombstones = group.tombstones(commit: commit)
        let operations = group.namespaceOperations(commit: commit)
        if tombstones.isEmpty && operations.isEmpty { return }
        var regions: [(Reservation, (RecordPrefix, SealKey) -> SealedRegion)] = []
        if !tombstones.isEmpty {
            let place = try await reserve([unit], for: .metadata)[0]
            regions.append(
                (place, { TombstoneRecord(prefix: $0, tombstones: tombstones).encode(key: $1) }))
        }
        for operation in operations {
            let bytes = aligned(NamespaceRecord.byteCount(operation), to: Int(unit))
            let place = try await reserve([UInt64(bytes)], for: .metadata)[0]
            regions.append(
                (place, { NamespaceRecord(prefix: $0, operation: operation).encode(key: $1) }))
        }
        for (index, (place, encode)) in regions.enumerated() {
            let kind: RecordKind =
                index == 0 && !tombstones.isEmpty
                ? .tombstone : .namespaceOperation
            let prefix = RecordPrefix(
                kind: kind, headerBytes: UInt32(place.recordBytes), recordBytes: place.recordBytes,
                writeSequence: place.writeSequence, location: place.location)
            let region = encode(prefix, place.handle.recordKey)
            do throws(DiskError) {
                try await disk.writeBytes(
                    place.handle.file, at: place.location.offset, region.bytes)
            } catch {
                throw .disk(error)
            }
            group.metadataMembers.append(
                CommitMember(
                    kind: kind, location: place.location, headerBytes: prefix.headerBytes,
                    recordBytes: prefix.recordBytes, seal: region.seal))
        }
        let entries =
            tombstones.map(JournalEntry.tombstone)
            + operations.map(JournalEntry.namespaceOperation)
        try await appendToJournals(entries)
        group.touchesJournal = true
    }

    /// Writes the record into the slot that waits for it; returns the segment it went to.
    private func writeCommitRecord(of members: [CommitMember], commit: UInt64)
        async throws(LogError)
        -> WrittenCommit
    {
        await lockSegments()
        if current?.slots.isEmpty != false {
            do throws(LogError) {
                try await openSegment(for: unit, .metadata)
            } catch {
                segmentLock.release()
                throw error
            }
        }
        let handle = current!.handle
        let (slot, next, later) = current!.takeSlot()!
        segmentLock.release()

        let location = RecordLocation(segment: handle.id, offset: slot)
        let record = CommitRecord(
            prefix: RecordPrefix(
                kind: .commit, headerBytes: superblock.alignmentUnit, recordBytes: unit,
                writeSequence: nextWriteSequence, location: location),
            commit: commit, previousCommit: lastCommit, syncedCommit: syncedCommit,
            useSequence: handle.header.useSequence, nextCommitOffset: next,
            laterCommitOffset: later, members: members)
        nextWriteSequence = nextWriteSequence.next
        do throws(DiskError) {
            try await disk.writeBytes(
                handle.file, at: slot, record.encode(key: handle.recordKey).bytes)
        } catch {
            throw .disk(error)
        }
        return WrittenCommit(handle: handle, slot: slot, next: next, later: later)
    }

    private struct WrittenCommit {
        let handle: SegmentHandle
        let slot: UInt64
        let next: UInt64
        let later: UInt64
    }

    /// What a checkpoint says of the chains. Only after the flush: a checkpoint that is taken while
    /// a group is on its way must not skip the group's commit record.
    private func advanceChains(past written: WrittenCommit, members: [CommitMember]) {
        chains[written.handle.id]!.nextCommitOffset = written.next
        chains[written.handle.id]!.laterCommitOffset = written.later
        let last = max(written.slot, written.next, written.later) + unit
        raiseUsedBytes(written.handle.id, to: last)
        for member in members {
            raiseUsedBytes(
                member.location.segment, to: member.location.offset + member.recordBytes)
        }
    }

    private func raiseUsedBytes(_ segment: SegmentID, to end: UInt64) {
        let used = chains[segment]?.usedBytes ?? 0
        chains[segment]?.usedBytes = max(used, end)
    }

    /// What recovery may have to verify in full after a crash, and write anew beside what is there;
    /// more is flushed unasked.
    private var unflushedBytesMax: UInt64 { min(256 << 20, superblock.segmentBytes / 2) }

    /// L2. One flush per file; all are issued after the last completion of every group so far.
    func flushFiles() async throws(LogError) {
        do throws(DiskError) {
            for file in unflushedFiles.sorted(by: { $0.raw < $1.raw }) {
                try await disk.flush(file)
            }
        } catch {
            throw .disk(error)
        }
        unflushedFiles = []
        unflushedBytes = 0
        unflushedMemberCount = 0
    }

    /// Moves the mark (CONTRACT L-1), without a flush and without anybody waiting for it.
    private func startMark() {
        if markTask != nil { return }
        markTask = Task(executorPreference: environment.executor) {
            await self.runMark()
        }
    }

    private func runMark() async {
        await writeMark()
        markTask = nil
    }

    func writeMark() async {
        markTurn += 1
        let mark = MarkBlock(turn: markTurn, syncedCommit: syncedCommit)
        let offset = Superblock.markOffset + (markTurn & 1) * UInt64(Superblock.blockBytes)
        do throws(DiskError) {
            try await disk.writeBytes(
                superblockFile, at: offset,
                mark.encode(
                    storeID: superblock.storeID,
                    key: MarkBlock.sealKey(secret: superblock.secret)))
        } catch {
            degrade(error)
        }
    }
}
