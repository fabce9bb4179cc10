import BlockIO
import ChunkFormat
import Primitives
import Synchronization

/// The index at one commit, as the engine hands it over.
public struct IndexSnapshot: Sendable {
    public var entries: [CheckpointEntry]
    public var heat: [HeatRow]
    public init(entries: [CheckpointEntry], heat: [HeatRow]) {
        self.entries = entries
        self.heat = heat
    }
}

extension SegmentLog {
    /// Whether enough was committed since the last checkpoint that a new one pays.
    public var isCheckpointDue: Bool {
        lastCommit - checkpointedCommit >= options.commitsPerCheckpoint && dropped.isEmpty
    }

    /// Writes a checkpoint of the index. `snapshot` runs in the step of the core in which a barrier
    /// was reached: chains, `lastCommit` and the index agree there, and all is flushed. While torn
    /// records are not declared given up, a checkpoint would prove their commit (RCV-12): none
    /// is written.
    /// *Durability:* durable when this returns; until then the old checkpoint stands.
    public func checkpoint(_ snapshot: @escaping @Sendable () -> IndexSnapshot)
        async throws(LogError)
    {
        await lockCheckpoint()
        defer { checkpointLock.release() }
        try requireWritable()
        guard dropped.isEmpty else { return }
        let taken = Mutex<(index: IndexSnapshot, position: LogPosition)?>(nil)
        try await barrier { position in
            let index = snapshot()
            taken.withLock { $0 = (index, position) }
        }
        let (index, position) = taken.withLock { $0! }
        let rows = position.segments
        let body = CheckpointRows.encode(segments: rows, entries: index.entries)
        let table = CheckpointRows.digestTable(body)
        checkpointGeneration += 1
        let header = CheckpointHeader(
            storeID: superblock.storeID, generation: checkpointGeneration, commit: position.commit,
            writeSequence: position.writeSequence, segmentCount: UInt64(rows.count),
            entryCount: UInt64(index.entries.count), tableDigest: Digest128(hashing: table))
        let heat = HeatFile(generation: checkpointGeneration, rows: index.heat)
        do throws(DiskError) {
            try await CheckpointFile.replace(
                StoreFiles.checkpoint, draft: StoreFiles.checkpointDraft,
                with: [
                    header.encode(key: CheckpointHeader.sealKey(secret: superblock.secret)), body,
                    table,
                ], disk)
            try await CheckpointFile.replace(
                StoreFiles.heat, draft: StoreFiles.heatDraft,
                with: [
                    heat.encode(
                        storeID: superblock.storeID,
                        key: HeatFile.sealKey(secret: superblock.secret))
                ], disk)
        } catch {
            // The log alone is enough: a checkpoint that could not be written costs time at the
            // next open, and a full disk must not stop the service.
            throw .disk(error)
        }
        checkpointedCommit = position.commit
        counters.checkpointCount += 1
        snapshotBytes = header.fileBytes + UInt64(index.heat.count * 16 + Superblock.blockBytes)
    }

    /// One checkpoint at a time: they share the names of their drafts.
    func lockCheckpoint() async {
        if checkpointLock.tryAcquire() { return }
        await withCheckedContinuation { checkpointLock.enqueue($0) }
    }
}
