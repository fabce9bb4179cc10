import ChunkFormat
import KVModel
import Primitives
import Testing

/// Reads the store that turned over as "What a reader computes" (format-spec 11) says, step by
/// step, and finds what golden/README.md tells of it.
@Suite struct TurnedOverReadingTests {
    typealias Use = TurnedOverStore.Use

    private static func read(_ name: String) throws -> [UInt8] {
        try GoldenFiles.read("turned-over-store/\(name)")
    }
    private static func slice(_ file: [UInt8], _ offset: UInt64, _ count: Int = 4_096) -> [UInt8] {
        Array(file[Int(offset)..<Int(offset) + count])
    }
    private let secret = TurnedOverStore.secret
    private let storeID = TurnedOverStore.storeID
    /// By segment number.
    private var files: [[UInt8]]

    init() throws {
        files = try (0..<4).map { try Self.read("segments/0000000\($0)") }
    }

    // MARK: The steps of a reader

    private func header(_ segment: Int) throws -> SegmentHeader {
        try SegmentHeader(
            decoding: files[segment], segment: SegmentID(UInt32(segment)), storeID: storeID,
            key: SegmentHeader.sealKey(secret: secret))
    }

    private func facts(_ copy: Int) throws -> [JournalEntry] {
        let file = try Self.read("journal-\(copy)")
        let header = try JournalHeader(
            decoding: file, copyIndex: UInt32(copy), storeID: storeID,
            key: JournalHeader.sealKey(secret: secret))
        let key = header.blockKey(secret: secret)
        return try (1..<4).flatMap {
            try JournalBlock.decode(
                Self.slice(file, UInt64($0) * 4_096), blockIndex: UInt64($0), key: key)
        }
    }

    private func checkpoint() throws
        -> (header: CheckpointHeader, segments: [CheckpointSegment], entries: [CheckpointEntry])
    {
        let file = try Self.read("checkpoint")
        let header = try CheckpointHeader(
            decoding: file, storeID: storeID, fileBytes: UInt64(file.count),
            key: CheckpointHeader.sealKey(secret: secret))
        let piece = Self.slice(file, 4_096, header.byteCount(ofPiece: 0))
        let rows = try CheckpointRows.decode(piece, header: header)
        return (header, rows.segments, rows.entries)
    }

    /// Step 3. *Returns:* the commits, and the two slots at the end, of which neither opens.
    private func walk(_ segment: Int, from slots: (UInt64, UInt64)? = nil) throws
        -> (commits: [CommitRecord], end: [UInt64])
    {
        let header = try header(segment)
        var (slot, later) = slots ?? (header.firstCommitOffset, header.secondCommitOffset)
        var commits: [CommitRecord] = []
        while slot != 0, Int(slot) < files[segment].count,
            let commit = try? CommitRecord(
                decoding: Self.slice(files[segment], slot),
                at: RecordLocation(segment: header.segment, offset: slot), unit: 4_096,
                useSequence: header.useSequence, segmentBytes: header.segmentBytes,
                key: header.recordKey(secret: secret))
        {
            commits.append(commit)
            (slot, later) = (commit.nextCommitOffset, commit.laterCommitOffset)
        }
        return (commits, [slot, later])
    }

    /// The payload record there, its digests compared; throws when it does not open.
    private func payload(_ location: RecordLocation) throws -> PayloadRecord {
        let segment = Int(location.segment.raw)
        let region = Self.slice(files[segment], location.offset)
        let key = try header(segment).recordKey(secret: secret)
        let (prefix, _) = try RecordPrefix.open(region, at: location, unit: 4_096, key: key)
        let record = try PayloadRecord(decoding: region, prefix: prefix, unit: 4_096)
        for extent in record.extents {
            let bytes = Self.slice(files[segment], location.offset + extent.offset)
            #expect(Digest128(hashing: bytes) == record.digests[Int(extent.firstDigestSlot)])
        }
        return record
    }

    /// Steps 2 to 7, for what this store holds. *Returns:* where each living chunk stands.
    private func living(withCheckpoint: Bool) throws -> [ChunkKey: RecordLocation] {
        let facts = Set(try facts(0)).union(try facts(1))
        let freed = facts.compactMap { if case .freed(let use) = $0 { use } else { nil } }[0]
        let checkpoint = withCheckpoint ? try checkpoint() : nil
        let base = checkpoint?.header.commit ?? 0
        var living: [ChunkKey: (location: RecordLocation, commit: UInt64)] = [:]
        let rows = Dictionary(
            uniqueKeysWithValues: (checkpoint?.segments ?? []).map { ($0.segment, $0) })
        for entry in checkpoint?.entries ?? [] {
            let use = rows[entry.location.segment]?.useSequence ?? 0
            if entry.location.segment == freed.segment, use <= freed.useSequence { continue }
            living[entry.key] = (entry.location, base)
        }
        var commits: [UInt64: CommitRecord] = [:]
        for segment in files.indices {
            let header = try header(segment)
            guard header.segment != freed.segment || header.useSequence > freed.useSequence
            else { continue }
            let row = rows[header.segment].flatMap {
                $0.useSequence == header.useSequence
                    ? ($0.nextCommitOffset, $0.laterCommitOffset) : nil
            }
            for commit in try walk(segment, from: row).commits { commits[commit.commit] = commit }
        }
        var counting: [CommitRecord] = []
        var number = max(commits.keys.max()!, freed.lastCommit)
        while number > base {
            if (freed.firstCommit...freed.lastCommit).contains(number) {
                number = freed.previousCommit
                continue
            }
            counting.append(try #require(commits[number], "commit \(number)"))
            number = counting.last!.previousCommit
        }
        let proven = max(TurnedOverStore.marks[1].syncedCommit, freed.commit)
        for commit in counting.reversed() {
            for member in commit.members where member.kind == RecordKind.payload.rawValue {
                let isGone =
                    member.location.segment == freed.segment && commit.commit <= freed.commit
                if isGone || member.isAgain && commit.commit > proven { continue }
                let record = try payload(member.location)
                living[record.key] = (member.location, commit.commit)
            }
        }
        for case .tombstone(let tombstone) in facts
        where living[tombstone.key].map({ $0.commit < tombstone.commit }) ?? false {
            living[tombstone.key] = nil
        }
        return living.mapValues(\.location)
    }

    // MARK: What is found

    @Test(
        "JRN-11 JRN-12 CKP-12 COM-18 RCV-23 what lives, with the checkpoint and without",
        arguments: [true, false])
    func variants(withCheckpoint: Bool) throws {
        let found = try living(withCheckpoint: withCheckpoint)
        typealias Store = TurnedOverStore
        // A is named again by commit 11, which nothing proves: it counts where it was. K is named
        // by commit 7, which counts, and stood in the use that ended.
        let expected: [(Character, Store.Standing)] = [
            ("A", Store.a), ("B", Store.movedB), ("E", Store.e), ("G", Store.g), ("H", Store.h),
            ("J", Store.j), ("L", Store.l),
        ]
        #expect(
            found
                == Dictionary(
                    uniqueKeysWithValues: expected.map { (Store.key($0), $1.member.location) }))
        for (letter, standing) in expected {
            let record = try payload(standing.member.location)
            #expect(record.key == Store.key(letter))
            #expect(try ChunkMetadata(decoding: record.metadata).tokens == Store.tokens(letter))
        }
    }

    @Test("SEG-8 SEG-12 REC-5 of the use that ended a whole record stands, and does not open")
    func leftovers() throws {
        let header = try header(2)
        #expect(header.useSequence == 5 && header.segmentBytes == 65_536)
        let place = TurnedOverStore.k.member.location
        let standing = Self.slice(files[2], place.offset, TurnedOverStore.k.bytes.count)
        #expect(standing == TurnedOverStore.k.bytes)
        let (_, seal) = try RecordPrefix.open(
            Array(standing.prefix(4_096)), at: place, unit: 4_096, key: TurnedOverStore.ended.key)
        #expect(seal == TurnedOverStore.k.member.seal, "whole, by the salt of its own use")
        #expect(throws: FormatError.self) { try payload(place) }
        #expect(try walk(3).commits[0].members[0].location == place, "commit 7 names it")
    }

    @Test("COM-13 COM-14 a slot that waits holds what an earlier use left, its commits too")
    mutating func waitingSlots() throws {
        let chain = try walk(2)
        #expect(chain.commits.map(\.commit) == [10, 11])
        #expect(chain.end == [36_864, 40_960])
        #expect(Self.slice(files[2], 36_864).contains { $0 != 0 }, "the values of C")
        // A commit record of the use that ended, numbered as if it came next.
        let old = TurnedOverStore.commit(
            12, on: 11, synced: 11, TurnedOverStore.ended, 9, next: 10, later: 11, sequence: 90,
            [])
        files[2].replaceSubrange(
            36_864..<40_960, with: old.encode(key: TurnedOverStore.ended.key).bytes)
        #expect(try walk(2).commits.map(\.commit) == [10, 11])
    }

    @Test("JRN-9 JRN-10 JRN-13 TMB-3 NSP-7 both journals say the same")
    func journals() throws {
        let expected: [JournalEntry] = [
            .namespaceOperation(TurnedOverStore.create), .tombstone(TurnedOverStore.tombstone),
            .freed(TurnedOverStore.freed),
        ]
        #expect(try facts(0) == expected && facts(1) == expected)
        let freed = TurnedOverStore.freed
        #expect(try header(2).useSequence > freed.useSequence)
        #expect(freed.commit <= TurnedOverStore.marks[1].syncedCommit)
        let builders = try walk(3).commits.filter {
            (freed.firstCommit...freed.lastCommit).contains($0.previousCommit)
        }
        #expect(builders.map(\.commit) == [7])
    }

    @Test("CKP-6 CKP-8 CKP-10 CKP-13 the checkpoint passes over a commit that does not count")
    func rows() throws {
        let (header, segments, entries) = try checkpoint()
        #expect(header.commit == 2 && header.nextCommit == 7)
        #expect(segments == TurnedOverStore.checkpointSegments)
        #expect(entries == TurnedOverStore.checkpointEntries)
        let first = try walk(0).commits
        #expect(first.map(\.commit) == [1, 2, 3])
        #expect(segments[0].nextCommitOffset == first[2].nextCommitOffset)
        #expect(segments[0].laterCommitOffset == first[2].laterCommitOffset)
        // Commits 4 to 6 came while it was written. Of the use that ended it has no row.
        let ended = entries.filter { $0.location.segment == SegmentID(2) }
        #expect(Set(ended.map(\.key)) == [TurnedOverStore.key("B"), TurnedOverStore.key("C")])
        // At B's place J stands by now, and at C's something that does not open (CKP-11).
        for entry in ended { #expect((try? payload(entry.location))?.key != entry.key) }
        #expect(TurnedOverStore.tombstone.commit > header.commit)
    }

    @Test("COM-8 COM-9 COM-17 REC-11 SEG-7 numbers of commits, uses and writes grow")
    func numbers() throws {
        let order = [0, 1, 3, 2]
        let chains = try order.map { try walk($0).commits }
        #expect(chains.map { $0.map(\.commit) } == [[1, 2, 3], [4], [7, 8, 9], [10, 11]])
        let commits = chains.flatMap(\.self)
        #expect(commits.map(\.previousCommit) == [0, 1, 2, 2, 6, 7, 8, 9, 10])
        #expect(commits.allSatisfy { $0.syncedCommit < $0.commit })
        let sequences = commits.map(\.prefix.writeSequence)
        #expect(sequences == sequences.sorted() && Set(sequences).count == sequences.count)
        #expect(try checkpoint().header.writeSequence == sequences[2].next)
        #expect(try order.map { try header($0).useSequence } == [1, 2, 4, 5])
    }

    @Test("RCV-11 DIG-2 chunk F, of the commit that does not count, is torn")
    func torn() throws {
        let place = TurnedOverStore.f.member.location
        #expect(try walk(0).commits[2].members.map(\.location) == [place])
        let values = Self.slice(files[0], place.offset + 8_192)
        #expect(values.allSatisfy { $0 == 0 })
        #expect(Array(TurnedOverStore.f.bytes.suffix(4_096)) != values)
    }

    @Test("MRK-4 MRK-5 RCV-9 the newer mark proves commit 9, and nothing the two behind it")
    func marks() throws {
        let file = try Self.read("superblock")
        let marks = try (0..<2).map { index in
            try MarkBlock(
                decoding: Self.slice(file, Superblock.markOffset + UInt64(index) * 4_096),
                index: index, storeID: storeID, key: MarkBlock.sealKey(secret: secret))
        }
        #expect(marks == TurnedOverStore.marks)
        let synced = try files.indices.flatMap { try walk($0).commits.map(\.syncedCommit) }
        #expect(max(marks[1].syncedCommit, synced.max()!, TurnedOverStore.freed.commit) == 9)
    }
}
