// The checkpoint is written beside the service: a barrier says where the log stands, then the index
// is read piece by piece while others go on changing it. So the entries are those of the barrier's
// commit or of later ones; the replay that begins at that commit makes them right again (CKP-6). A
// second barrier, before the checkpoint gets its name, makes sure that all it can have seen is
// flushed: an entry whose commit a power cut takes would point at nothing.

import BlockIO
import ChunkFormat
import Primitives
import Synchronization

/// The index, as the engine hands it over. The closures run on the core.
public struct CheckpointSource: Sendable {
    /// The entries that follow one, at most so many, ascending by namespace, key and variant; none
    /// at the end.
    let entries: @Sendable (_ after: CheckpointEntry?, _ limit: Int) -> [CheckpointEntry]
    /// About how many entries there are: so much room is allocated beforehand.
    let entryCount: @Sendable () -> Int
    let heat: @Sendable (_ generation: UInt64) -> HeatFile

    public init(
        entryCount: @escaping @Sendable () -> Int,
        heat: @escaping @Sendable (_ generation: UInt64) -> HeatFile,
        entries: @escaping @Sendable (_ after: CheckpointEntry?, _ limit: Int) -> [CheckpointEntry]
    ) {
        self.entries = entries
        self.entryCount = entryCount
        self.heat = heat
    }
}

extension SegmentLog {
    /// Whether enough was committed since the last checkpoint that a new one pays.
    public var isCheckpointDue: Bool {
        lastCommit - checkpointedCommit >= options.commitsPerCheckpoint
    }

    /// Writes a checkpoint of the index.
    /// *Durability:* durable when this returns; until then the old checkpoint stands.
    /// *Complexity:* linear in the entries; memory for a piece of 1 MiB, and for the heat table.
    public func checkpoint(_ source: CheckpointSource) async throws(LogError) {
        await lockCheckpoint()
        defer { checkpointLock.release() }
        try requireWritable()
        let reached = Mutex<LogPosition?>(nil)
        try await barrier { position in reached.withLock { $0 = position } }
        let position = reached.withLock { $0! }
        checkpointGeneration += 1
        // The log alone is enough: a checkpoint that could not be written costs time at the next
        // open, and a full disk must not stop the service. So errors are the caller's to report.
        let file: FileID
        do throws(DiskError) {
            file = try await CheckpointFile.createDraft(StoreFiles.checkpointDraft, disk)
        } catch {
            throw .disk(error)
        }
        let header: CheckpointHeader
        do throws(LogError) {
            header = try await writeCheckpoint(source, position, to: file)
        } catch {
            await disk.close(file)
            throw error
        }
        let heat = source.heat(checkpointGeneration)
        do throws(DiskError) {
            try await CheckpointFile.publish(
                file, draft: StoreFiles.checkpointDraft, as: StoreFiles.checkpoint, disk)
            try await CheckpointFile.replace(
                StoreFiles.heat, draft: StoreFiles.heatDraft,
                with: heat.encode(
                    storeID: superblock.storeID, key: HeatFile.sealKey(secret: superblock.secret)),
                disk)
        } catch {
            throw .disk(error)
        }
        checkpointedCommit = position.commit
        counters.checkpointCount += 1
        snapshotBytes = header.fileBytes + UInt64(heat.rows.count * 16 + Superblock.blockBytes)
    }

    /// Entries that are read in one step of the core: well below a millisecond. Few in debug
    /// builds, so that every test's checkpoint is written between other steps.
    private static var entriesPerStep: Int {
        #if DEBUG
            2
        #else
            2_048
        #endif
    }

    private func writeCheckpoint(
        _ source: CheckpointSource, _ position: LogPosition, to file: FileID
    ) async throws(LogError) -> CheckpointHeader {
        var encoder = CheckpointEncoder()
        var offset = UInt64(Superblock.blockBytes)
        do throws(DiskError) {
            let expected = CheckpointHeader.fileBytes(
                segmentCount: position.segments.count, entryCount: source.entryCount())
            try await disk.allocate(file, byteCount: expected)
            for segment in position.segments { encoder.add(segment) }
            var last: CheckpointEntry?
            while true {
                while let piece = encoder.takePiece() {
                    try await disk.writeBytes(file, at: offset, piece)
                    offset += UInt64(piece.count)
                }
                let entries = source.entries(last, Self.entriesPerStep)
                if entries.isEmpty { break }
                for entry in entries { encoder.add(entry) }
                last = entries[entries.count - 1]
                await Task.yield()
            }
            if let piece = encoder.takeLastPiece() {
                try await disk.writeBytes(file, at: offset, piece)
                offset += UInt64(piece.count)
            }
            try await disk.writeBytes(file, at: offset, encoder.digestTable)
        } catch {
            throw .disk(error)
        }
        try await barrier()
        let header = CheckpointHeader(
            storeID: superblock.storeID, generation: checkpointGeneration, commit: position.commit,
            writeSequence: position.writeSequence, segmentCount: encoder.segmentCount,
            entryCount: encoder.entryCount, tableDigest: Digest128(hashing: encoder.digestTable),
            nextCommit: nextCommit)
        do throws(DiskError) {
            try await disk.writeBytes(
                file, at: 0,
                header.encode(key: CheckpointHeader.sealKey(secret: superblock.secret)))
        } catch {
            throw .disk(error)
        }
        return header
    }

    /// One checkpoint at a time: they share the names of their drafts.
    func lockCheckpoint() async {
        await withCheckedContinuation { checkpointLock.acquire($0) }
    }
}
