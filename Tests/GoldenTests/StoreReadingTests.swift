import ChunkFormat
import KVModel
import Primitives
import Testing

/// Reads the golden store as format-spec tells a stranger to, and finds what was described.
@Suite struct StoreReadingTests {
    let segment: [UInt8]
    let superblock: Superblock

    init() throws {
        segment = try GoldenFiles.read("small-store/segments/00000000")
        let file = try GoldenFiles.read("small-store/superblock")
        superblock = try Superblock(decoding: Array(file[131_072..<135_168]), copyIndex: 2)
    }

    private func slice(_ offset: UInt64, _ count: Int) -> [UInt8] {
        Array(segment[Int(offset)..<Int(offset) + count])
    }

    @Test("COM-5 COM-10 COM-13 SEG-9 the chain leads to every record, in order")
    func chain() throws {
        let header = try SegmentHeader(
            decoding: segment, segment: SegmentID(0), storeID: superblock.storeID,
            key: SegmentHeader.sealKey(secret: superblock.secret))
        let key = header.recordKey(secret: superblock.secret)
        var slot = header.firstCommitOffset
        var numbers: [UInt64] = []
        var kinds: [UInt16] = []
        while slot != 0 {
            let place = RecordLocation(segment: SegmentID(0), offset: slot)
            guard
                let commit = try? CommitRecord(
                    decoding: slice(slot, 4_096), at: place, unit: 4_096, useSequence: 1,
                    segmentBytes: header.segmentBytes, key: key)
            else { break }
            numbers.append(commit.commit)
            for member in commit.members {
                let bytes = slice(member.location.offset, Int(member.headerBytes))
                let (prefix, seal) = try RecordPrefix.open(
                    bytes, at: member.location, unit: 4_096, key: key)
                #expect(seal == member.seal)
                #expect(prefix.kind == member.kind && prefix.recordBytes == member.recordBytes)
                kinds.append(prefix.kind)
            }
            slot = commit.nextCommitOffset
        }
        #expect(numbers == [1, 2, 3, 4])
        #expect(kinds == [4, 1, 1, 1, 2])
        #expect(slot == 73_728, "the last slot waits for commit 5")
        #expect(UInt64(segment.count) < header.segmentBytes)
    }

    @Test("DIG-1 DIG-3 EXT-5 EXT-7 EXT-8 extents hold rows in order, each block under its slot")
    func extents() throws {
        let location = GoldenStore.location(40_960)
        let region = slice(40_960, 4_096)
        let (prefix, _) = try RecordPrefix.open(
            region, at: location, unit: 4_096, key: GoldenStore.recordKey)
        let record = try PayloadRecord(decoding: region, prefix: prefix, unit: 4_096)
        #expect(record.extents.map(\.kind) == [.keys, .values])
        for (extent, base) in zip(record.extents, [Float(9), 509]) {
            let padded = Int(extent.paddedBytes(unit: 4_096))
            let bytes = slice(location.offset + extent.offset, padded)
            let slots = extent.digestSlotCount(unit: 4_096, blockBytes: record.digestBlockBytes)
            #expect(slots == 1)
            #expect(
                Digest128(hashing: bytes) == record.digests[Int(extent.firstDigestSlot)])
            #expect(extent.storedBytes == 4 * 2 * 4 * 4)
            let fifth = bytes[16..<20].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            #expect(Float(bitPattern: fifth) == base + 4)
        }
    }

    @Test("PAY-8 PAY-9 SIB-2 SIB-3 MET-4 the first record names the second and holds the metadata")
    func siblings() throws {
        func open(_ offset: UInt64) throws -> (PayloadRecord, Digest128) {
            let location = GoldenStore.location(offset)
            let region = slice(offset, 4_096)
            let (prefix, seal) = try RecordPrefix.open(
                region, at: location, unit: 4_096, key: GoldenStore.recordKey)
            return (try PayloadRecord(decoding: region, prefix: prefix, unit: 4_096), seal)
        }
        let (first, _) = try open(40_960)
        let row = try #require(first.siblings.first)
        let (second, seal) = try open(row.location.offset)
        #expect(seal == row.seal && second.recordIndex == 1 && second.metadata.isEmpty)
        #expect(first.key == second.key && first.variant == second.variant)
        #expect(first.bindingDigest == second.bindingDigest)
        #expect(first.recordCount == 2 && second.recordCount == 2)
        let metadata = try ChunkMetadata(decoding: first.metadata)
        #expect(metadata == GoldenStore.metadataB)
        #expect(metadata.tokens.count == Int(first.tokenCount))
        #expect(metadata.recompute.tokenScores.count == Int(first.tokenCount))
    }

    @Test("CKP-5 CKP-6 CKP-8 CKP-9 the checkpoint's rows agree with its digests and its chain")
    func checkpoint() throws {
        let file = try GoldenFiles.read("small-store/checkpoint")
        let header = try CheckpointHeader(
            decoding: file, storeID: superblock.storeID, fileBytes: UInt64(file.count),
            key: CheckpointHeader.sealKey(secret: superblock.secret))
        let table = Array(file[Int(header.tableOffset)...].prefix(header.tableBytes))
        #expect(Digest128(hashing: table) == header.tableDigest)
        let piece = Array(file[4_096..<4_096 + header.byteCount(ofPiece: 0)])
        let digest = Digest128(hashing: piece)
        #expect(Array(table.prefix(16)) == bigEndianBytes(digest.high) + bigEndianBytes(digest.low))
        #expect(UInt64(file.count) == header.fileBytes)
        let rows = try CheckpointRows.decode(piece, header: header)
        #expect(rows.segments == [GoldenStore.checkpointSegment])
        #expect(rows.entries == [GoldenStore.checkpointEntry])
        #expect(rows.segments[0].nextCommitOffset == GoldenStore.commits[2].prefix.location.offset)
        #expect(GoldenStore.tombstone.commit > header.commit, "so entry A is gone")
    }

    @Test("JRN-6 JRN-8 the union of both journals, block by block")
    func journals() throws {
        var facts: Set<JournalEntry> = []
        for index in 0..<2 {
            let file = try GoldenFiles.read("small-store/journal-\(index)")
            let header = try JournalHeader(
                decoding: file, copyIndex: UInt32(index), storeID: superblock.storeID,
                key: JournalHeader.sealKey(secret: superblock.secret))
            let key = header.blockKey(secret: superblock.secret)
            for block in 1..<file.count / 4_096 {
                let bytes = Array(file[block * 4_096..<(block + 1) * 4_096])
                // One copy has lost its first block.
                if index == 0 && block == 1 { continue }
                facts.formUnion(
                    (try? JournalBlock.decode(bytes, blockIndex: UInt64(block), key: key)) ?? [])
            }
        }
        #expect(
            facts == [
                .namespaceOperation(GoldenStore.create), .tombstone(GoldenStore.tombstone),
            ])
    }
}
