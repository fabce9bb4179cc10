import ChunkFormat
import Primitives

extension GoldenStore {
    /// The files of the store by name.
    static var files: [(name: String, bytes: [UInt8])] {
        [
            ("superblock", superblockFile), ("journal-0", journalFile(0)),
            ("journal-1", journalFile(1)), ("checkpoint", checkpointFile),
            ("heat", heat.encode(storeID: storeID, key: HeatFile.sealKey(secret: secret))),
            ("segments/00000000", segmentFile),
        ]
    }

    static func place(_ parts: [(offset: UInt64, bytes: [UInt8])], byteCount: UInt64) -> [UInt8] {
        var file = [UInt8](repeating: 0, count: Int(byteCount))
        for part in parts {
            let start = Int(part.offset)
            file.replaceSubrange(start..<start + part.bytes.count, with: part.bytes)
        }
        return file
    }

    static var superblockFile: [UInt8] {
        var parts = (0..<Superblock.copyCount).map {
            (UInt64($0) * Superblock.copySpacing, superblock.encode(copyIndex: $0))
        }
        parts.append((Superblock.markOffset + 4_096, markBlock))
        return place(parts, byteCount: Superblock.fileBytes)
    }
    static var markBlock: [UInt8] {
        mark.encode(storeID: storeID, key: MarkBlock.sealKey(secret: secret))
    }

    /// Header, the creation in block 1, the removal in block 2, one block allocated ahead.
    static func journalFile(_ copyIndex: UInt32) -> [UInt8] {
        let header = journalHeader(copyIndex)
        let key = header.blockKey(secret: secret)
        return header.encode(key: JournalHeader.sealKey(secret: secret))
            + JournalBlock.encode([.namespaceOperation(create)], blockIndex: 1, key: key)
            + JournalBlock.encode([.tombstone(tombstone)], blockIndex: 2, key: key)
            + [UInt8](repeating: 0, count: 4_096)
    }

    /// A `journal-0` of one block with a fact of each kind.
    static var journalBlocks: [UInt8] {
        let header = journalHeader(0)
        let facts: [JournalEntry] = [
            .namespaceOperation(.drop(NamespaceID(7), commit: 9)), .tombstone(tombstone),
            .freed(
                FreedUse(
                    segment: SegmentID(2), useSequence: 3, firstCommit: 5, lastCommit: 6,
                    previousCommit: 4, commit: 8)),
        ]
        return header.encode(key: JournalHeader.sealKey(secret: secret))
            + JournalBlock.encode(facts, blockIndex: 1, key: header.blockKey(secret: secret))
    }

    static var checkpointHeader: CheckpointHeader {
        CheckpointHeader(
            storeID: storeID, generation: 1, commit: 2, writeSequence: WriteSequence(5),
            segmentCount: 1, entryCount: 1, tableDigest: Digest128(hashing: checkpointBody.table))
    }
    private static var checkpointBody: (body: [UInt8], table: [UInt8]) {
        CheckpointRows.encode(segments: [checkpointSegment], entries: [checkpointEntry])
    }
    static var checkpointRows: [UInt8] { checkpointBody.body }
    static var checkpointFile: [UInt8] {
        checkpointHeader.encode(key: CheckpointHeader.sealKey(secret: secret)) + checkpointRows
            + checkpointBody.table
    }

    /// Closed after commit 4: cut behind the slot that waits for commit 5.
    static var segmentFile: [UInt8] {
        var parts: [(UInt64, [UInt8])] = [
            (0, segmentHeader.encode(key: SegmentHeader.sealKey(secret: secret))),
            (8_192, namespaceRecord.encode(key: recordKey).bytes),
            (16_384, chunkA.region.bytes + chunkA.payload),
            (40_960, chunkB0.region.bytes + chunkB0.payload),
            (53_248, chunkB1.region.bytes + chunkB1.payload),
            (69_632, tombstoneRecord.encode(key: recordKey).bytes),
        ]
        for commit in commits {
            parts.append((commit.prefix.location.offset, commit.encode(key: recordKey).bytes))
        }
        return place(parts, byteCount: 77_824)
    }

    /// What the annotator says of a file of the store.
    static func annotation(_ name: String, _ bytes: [UInt8]) -> String {
        var annotator = Annotator(secret: secret)
        let source = Annotator.source(bytes)
        let fileBytes = UInt64(bytes.count)
        switch name {
        case "superblock": annotator.superblockFile(source)
        case "journal-0": annotator.journalFile(source, fileBytes: fileBytes, copyIndex: 0)
        case "journal-1": annotator.journalFile(source, fileBytes: fileBytes, copyIndex: 1)
        case "checkpoint": annotator.checkpointFile(source, fileBytes: fileBytes)
        case "heat": annotator.heatFile(source, fileBytes: fileBytes)
        default: annotator.segmentFile(source, segment: segment)
        }
        return annotator.text
    }
}
