import ChunkFormat
import Primitives

extension TurnedOverStore {
    /// The files of the store by name; there is no heat.
    static let files: [(name: String, bytes: [UInt8])] = [
        ("superblock", superblockFile), ("journal-0", journalFile(0)),
        ("journal-1", journalFile(1)), ("checkpoint", checkpointFile),
        ("segments/00000000", segmentOfFirst), ("segments/00000001", segmentOfSecond),
        ("segments/00000002", segmentOfAgain), ("segments/00000003", segmentOfFourth),
    ]

    private static var superblockFile: [UInt8] {
        var parts = (0..<Superblock.copyCount).map {
            (UInt64($0) * Superblock.copySpacing, superblock.encode(copyIndex: $0))
        }
        for (index, mark) in marks.enumerated() {
            parts.append(
                (
                    Superblock.markOffset + UInt64(index) * 4_096,
                    mark.encode(storeID: storeID, key: MarkBlock.sealKey(secret: secret))
                ))
        }
        return GoldenStore.place(parts, byteCount: Superblock.fileBytes)
    }

    /// Header, a block for each group that had a fact, one block allocated ahead.
    private static func journalFile(_ copyIndex: UInt32) -> [UInt8] {
        let header = GoldenStore.journalHeader(copyIndex)
        let key = header.blockKey(secret: secret)
        let facts: [JournalEntry] = [
            .namespaceOperation(create), .tombstone(tombstone), .freed(freed),
        ]
        return header.encode(key: JournalHeader.sealKey(secret: secret))
            + facts.enumerated().flatMap { index, fact in
                JournalBlock.encode([fact], blockIndex: UInt64(index) + 1, key: key)
            } + [UInt8](repeating: 0, count: 4_096)
    }

    // MARK: The checkpoint of commit 2

    /// Behind commit 3, which does not count: recovery had just dropped it (CKP-13).
    static let checkpointSegments = [
        CheckpointSegment(
            segment: SegmentID(0), useSequence: 1, nextCommitOffset: 45_056,
            laterCommitOffset: 61_440, usedBytes: 61_440)
    ]
    /// Those of A and D are of commit 2; the others came while the file was written (CKP-6).
    static let checkpointEntries = [("A", a), ("B", b), ("C", c), ("D", d), ("E", e), ("G", g)]
        .map { letter, record in
            CheckpointEntry(
                namespace: NamespaceID(1), key: key(Character(letter)), variant: .standalone,
                location: record.member.location, headerBytes: unit,
                variantDiskBytes: record.member.recordBytes, tokenCount: 2, flags: 0,
                ordinal: .max, expirySeconds: 0)
        }.sorted { $0.key < $1.key }
    static var checkpointHeader: CheckpointHeader {
        CheckpointHeader(
            storeID: storeID, generation: 1, commit: 2, writeSequence: WriteSequence(8),
            segmentCount: 1, entryCount: 6, tableDigest: Digest128(hashing: checkpointRows.table),
            nextCommit: 7)
    }
    private static var checkpointRows: (body: [UInt8], table: [UInt8]) {
        CheckpointRows.encode(segments: checkpointSegments, entries: checkpointEntries)
    }
    private static var checkpointFile: [UInt8] {
        checkpointHeader.encode(key: CheckpointHeader.sealKey(secret: secret))
            + checkpointRows.body + checkpointRows.table
    }

    // MARK: Segments

    private static func parts(
        _ use: Use, _ commits: [CommitRecord], _ records: [Standing]
    ) -> [(offset: UInt64, bytes: [UInt8])] {
        [(0, use.header.encode(key: SegmentHeader.sealKey(secret: secret)))]
            + records.map { ($0.member.location.offset, $0.bytes) }
            + commits.map { ($0.prefix.location.offset, $0.encode(key: use.key).bytes) }
    }

    /// Cut by recovery behind the torn chunk F.
    private static var segmentOfFirst: [UInt8] {
        let torn = Standing(
            member: f.member,
            bytes: Array(f.bytes.prefix(8_192)) + [UInt8](repeating: 0, count: 4_096))
        return GoldenStore.place(
            parts(first, commitsOfFirst, [creation, a, d, torn]), byteCount: 61_440)
    }

    private static var segmentOfSecond: [UInt8] {
        GoldenStore.place(parts(second, commitsOfSecond, [g, e]), byteCount: 40_960)
    }

    /// The second use over the first, and allocated to its own length behind it.
    private static var segmentOfAgain: [UInt8] {
        GoldenStore.place(
            parts(ended, commitsOfEnded, [b, c, k]) + parts(again, commitsOfAgain, [j, movedA]),
            byteCount: 65_536)
    }

    private static var segmentOfFourth: [UInt8] {
        GoldenStore.place(
            parts(fourth, commitsOfFourth, [l, movedB, removal, h]), byteCount: 65_536)
    }

    /// What the annotator says of a file of the store.
    static func annotation(_ name: String, _ bytes: [UInt8]) -> String {
        guard let number = UInt32(name.replacing("segments/", with: "")) else {
            return GoldenStore.annotation(name, bytes)
        }
        var annotator = Annotator(secret: secret)
        annotator.segmentFile(Annotator.source(bytes), segment: SegmentID(number))
        return annotator.text
    }
}
