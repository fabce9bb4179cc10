import KVModel
import Primitives
import Testing

@testable import ChunkFormat

/// What is encoded decodes to the same value, for fixed and for drawn values.
@Suite struct RoundTripTests {
    static let seeds = UInt64(0)..<24

    @Test("SUP-1 SUP-2 SUP-8 superblock, all its fields", arguments: seeds)
    func superblock(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = Samples.superblock(&generator)
        for index in 0..<Superblock.copyCount {
            let bytes = value.encode(copyIndex: index)
            #expect(bytes.count == 4_096)
            #expect(try Superblock(decoding: bytes, copyIndex: index) == value)
        }
    }

    @Test("MRK-4 marks alternate between two blocks", arguments: seeds)
    func mark(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let key = MarkBlock.sealKey(secret: Samples.secret)
        let value = MarkBlock(
            turn: Samples.counter(&generator), syncedCommit: Samples.counter(&generator))
        let bytes = value.encode(storeID: Samples.storeID, key: key)
        let index = Int(value.turn & 1)
        #expect(
            try MarkBlock(decoding: bytes, index: index, storeID: Samples.storeID, key: key)
                == value)
        #expect(throws: FormatError.self) {
            try MarkBlock(decoding: bytes, index: 1 - index, storeID: Samples.storeID, key: key)
        }
    }

    @Test("segment header", arguments: seeds)
    func segmentHeader(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = Samples.segmentHeader(&generator)
        let key = SegmentHeader.sealKey(secret: Samples.secret)
        let decoded = try SegmentHeader(
            decoding: value.encode(key: key), segment: value.segment, storeID: Samples.storeID,
            key: key)
        #expect(decoded == value)
    }

    @Test("payload record and its seal", arguments: seeds)
    func payload(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = Samples.payload(&generator)
        let region = value.encode(key: Samples.recordKey)
        #expect(region.bytes.count == Int(value.prefix.headerBytes))
        let (prefix, seal) = try RecordPrefix.open(
            region.bytes, at: value.prefix.location, unit: 4_096, key: Samples.recordKey)
        #expect(seal == region.seal)
        #expect(prefix == value.prefix)
        #expect(try PayloadRecord(decoding: region.bytes, prefix: prefix, unit: 4_096) == value)
    }

    @Test("tombstone, namespace and commit records", arguments: seeds)
    func records(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let tombstones = TombstoneRecord(
            prefix: Samples.prefix(.tombstone, &generator),
            tombstones: (0...Int(seed)).map { _ in Samples.tombstone(&generator) })
        let region = tombstones.encode(key: Samples.recordKey)
        #expect(
            try TombstoneRecord(decoding: region.bytes, prefix: tombstones.prefix) == tombstones)

        let operation = Samples.namespaceOperation(&generator)
        let needed = aligned(NamespaceRecord.byteCount(operation), to: 4_096)
        let namespace = NamespaceRecord(
            prefix: Samples.prefix(
                .namespaceOperation, headerBytes: UInt32(needed), &generator),
            operation: operation)
        #expect(
            try NamespaceRecord(
                decoding: namespace.encode(key: Samples.recordKey).bytes, prefix: namespace.prefix)
                == namespace)

        let commit = Samples.commit(&generator)
        let decoded = try CommitRecord(
            decoding: commit.encode(key: Samples.recordKey).bytes, at: commit.prefix.location,
            unit: 4_096, useSequence: 7, segmentBytes: Samples.segmentBytes,
            key: Samples.recordKey)
        #expect(decoded == commit)
    }

    @Test("MET-3 metadata, and the bytes a streamed put reserves for it", arguments: seeds)
    func metadata(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = Samples.metadata(&generator)
        let bytes = value.encode()
        #expect(try ChunkMetadata(decoding: bytes) == value)
        let detail = value.detail
        let unknown = detail.others.reduce(0) { $0 + 6 + $1.bytes.count }
        let reserved = ChunkMetadata.byteCount(
            tokenCount: value.tokens.count, prefixCount: value.recompute.prefix.count,
            scoreCount: value.recompute.tokenScores.count,
            deviationCount: value.recompute.deviationProfile.count,
            positionCount: detail.positions.count, layerCount: detail.layerIntra.count)
        #expect(bytes.count - unknown <= reserved)
        // Two sections of the reservation may be missing, a name shorter, three heads unused.
        #expect(bytes.count - unknown >= reserved - 52 - 18)
    }

    @Test("journal header and blocks keep every entry, in order", arguments: seeds)
    func journal(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let header = JournalHeader(
            storeID: Samples.storeID, copyIndex: 1, salt: Samples.bytes(32, &generator))
        let key = JournalHeader.sealKey(secret: Samples.secret)
        #expect(
            try JournalHeader(
                decoding: header.encode(key: key), copyIndex: 1, storeID: Samples.storeID, key: key)
                == header)
        let entries = (0..<150).map { index -> JournalEntry in
            index % 5 == 0
                ? .namespaceOperation(Samples.namespaceOperation(&generator))
                : .tombstone(Samples.tombstone(&generator))
        }
        let blockKey = header.blockKey(secret: Samples.secret)
        var decoded: [JournalEntry] = []
        for (index, block) in JournalBlock.pack(entries).enumerated() {
            #expect(block.reduce(0) { $0 + $1.byteCount } <= JournalBlock.entryBytesMax)
            let bytes = JournalBlock.encode(block, blockIndex: UInt64(index), key: blockKey)
            decoded += try JournalBlock.decode(bytes, blockIndex: UInt64(index), key: blockKey)
        }
        #expect(decoded == entries)
    }

    @Test("NSP-9 equal layers share a run, so a large model fits a journal block")
    func runs() throws {
        let layer = LayerGeometry(kvHeadCount: 8, headDimension: 128)
        var binding = ModelBinding(
            name: "80 equal layers", weightsDigest: [UInt8](repeating: 1, count: 32),
            layers: [LayerGeometry](repeating: layer, count: 80), elementType: .bfloat16,
            rotary: RotaryEmbedding(base: 500_000, dimension: 128))
        func entry() -> JournalEntry {
            .namespaceOperation(
                .create(NamespaceDescription(id: NamespaceID(1), name: "n", binding: binding)))
        }
        #expect(entry().byteCount < 128)
        let single = entry().byteCount
        binding.layers[40].windowTokenCount = 1_024
        #expect(entry().byteCount == single + 2 * 14, "three runs")
        binding.layers = (0..<1_024).map {
            LayerGeometry(kvHeadCount: 1 + $0 % 2, headDimension: 128)
        }
        #expect(entry().byteCount > JournalBlock.entryBytesMax, "refused at creation")
    }

    @Test("checkpoint header and rows", arguments: seeds)
    func checkpoint(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let segments = (0..<Int(seed)).map { index in
            CheckpointSegment(
                segment: SegmentID(UInt32(index)), useSequence: Samples.counter(&generator),
                nextCommitOffset: generator.next(),
                laterCommitOffset: generator.next(), usedBytes: generator.next())
        }
        let entries = (0..<Int(seed) * 3).map { _ in
            CheckpointEntry(
                namespace: NamespaceID(1), key: Samples.key(&generator),
                variant: VariantID(generator.next()), location: Samples.location(&generator),
                headerBytes: 8_192, variantDiskBytes: 1 << 40, tokenCount: 9, flags: 1,
                ordinal: UInt32.random(in: 0...9, using: &generator),
                expirySeconds: UInt32.random(in: 0...9, using: &generator))
        }
        let (body, table) = CheckpointRows.encode(segments: segments, entries: entries)
        let header = CheckpointHeader(
            storeID: Samples.storeID, generation: 3, commit: 9, writeSequence: WriteSequence(8),
            segmentCount: UInt64(segments.count), entryCount: UInt64(entries.count),
            tableDigest: Digest128(hashing: table))
        #expect(4_096 + body.count == Int(header.tableOffset))
        #expect(header.tableBytes == table.count)
        let key = CheckpointHeader.sealKey(secret: Samples.secret)
        let decoded = try CheckpointHeader(
            decoding: header.encode(key: key), storeID: Samples.storeID,
            fileBytes: header.fileBytes, key: key)
        #expect(decoded == header)
        let rows = try CheckpointRows.decode(body, header: header)
        #expect(rows.segments == segments && rows.entries == entries)
    }

    @Test("CKP-3 rows are cut where a piece is full, and put together again")
    func checkpointPieces() throws {
        let entries = (0..<40_000 as Range<UInt64>).map { number in
            CheckpointEntry(
                namespace: NamespaceID(1), key: ChunkKey(words: (number, ~number, 7, 9)),
                variant: .standalone,
                location: RecordLocation(segment: SegmentID(3), offset: (number + 1) << 12),
                headerBytes: 4_096, variantDiskBytes: 8_192, tokenCount: 16, flags: 0,
                ordinal: UInt32(number))
        }
        let (body, table) = CheckpointRows.encode(segments: [], entries: entries)
        let pieceBytes = CheckpointHeader.pieceBytes
        #expect(body.count > 2 * pieceBytes && body.count % 4_096 == 0 && table.count == 4_096)
        let header = CheckpointHeader(
            storeID: Samples.storeID, generation: 1, commit: 1, writeSequence: WriteSequence(1),
            segmentCount: 0, entryCount: 40_000, tableDigest: Digest128(hashing: table))
        var decoder = CheckpointDecoder(header)
        var segments: [CheckpointSegment] = []
        var decoded: [CheckpointEntry] = []
        for start in stride(from: 0, to: body.count, by: pieceBytes) {
            #expect(throws: FormatError.self) { try decoder.finish() }
            try decoder.take(
                Array(body[start..<min(start + pieceBytes, body.count)]),
                segments: &segments, entries: &decoded)
        }
        try decoder.finish()
        #expect(segments.isEmpty && decoded == entries)
    }

    @Test("HEA-4 heat table, with the generation it belongs to", arguments: seeds)
    func heat(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = HeatFile(
            generation: generator.next(),
            policyDigest: Digest128(high: generator.next(), low: generator.next()),
            rows: (0..<Int(seed) * 40).map { index in
                HeatRow(
                    useCount: UInt32(index), lastUseSeconds: 9, score: Float(index) / 3,
                    lastFixCost: 0.5)
            })
        let key = HeatFile.sealKey(secret: Samples.secret)
        let bytes = value.encode(storeID: Samples.storeID, key: key)
        #expect(bytes.count.isMultiple(of: 4_096))
        #expect(try HeatFile(decoding: bytes, storeID: Samples.storeID, key: key) == value)
    }
}
