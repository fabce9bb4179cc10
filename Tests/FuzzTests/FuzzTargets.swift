import ChunkFormat
import Codecs
import KVModel
import Primitives

extension FuzzTarget {
    static let secret = Array(UInt8(0x20)...0x3F)
    static let storeID = Array(UInt8(0xA0)...0xAF)
    static let recordKey = SealKey(
        secret: secret, label: "segment use", salt: Array(UInt8(0x60)...0x7F))

    static let all = files + records + streams
    static func named(_ name: String) -> FuzzTarget { all.first { $0.name == name }! }

    private static func block(
        _ name: String, _ layout: String, key: SealKey, location: [UInt8],
        _ decode: @escaping @Sendable ([UInt8]) throws(FormatError) -> [UInt8]
    ) -> FuzzTarget {
        FuzzTarget(
            name: name, bytes: read(name), seal: Seal(offset: 4_080, key: key, location: location),
            layouts: [(AllLayouts.named(layout)!, 0)], decode: decode)
    }

    private static let files: [FuzzTarget] = {
        let mark = MarkBlock.sealKey(secret: secret)
        let segment = SegmentHeader.sealKey(secret: secret)
        let journal = JournalHeader.sealKey(secret: secret)
        let checkpoint = CheckpointHeader.sealKey(secret: secret)
        return [
            block(
                "superblock", "superblock",
                key: SealKey(secret: secret, label: "superblock", salt: []),
                location: bigEndianBytes(2)
            ) { bytes throws(FormatError) in
                try Superblock(decoding: bytes, copyIndex: 2).encode(copyIndex: 2)
            },
            block("mark", "markBlock", key: mark, location: bigEndianBytes(1)) {
                bytes throws(FormatError) in
                try MarkBlock(decoding: bytes, index: 1, storeID: storeID, key: mark)
                    .encode(storeID: storeID, key: mark)
            },
            block(
                "segment-header", "segmentHeader", key: segment, location: bigEndianBytes(0)
            ) { bytes throws(FormatError) in
                try SegmentHeader(
                    decoding: bytes, segment: SegmentID(0), storeID: storeID, key: segment
                ).encode(key: segment)
            },
            block(
                "journal-header", "journalHeader", key: journal, location: bigEndianBytes(1)
            ) { bytes throws(FormatError) in
                try JournalHeader(decoding: bytes, copyIndex: 1, storeID: storeID, key: journal)
                    .encode(key: journal)
            },
            block("checkpoint-header", "checkpointHeader", key: checkpoint, location: []) {
                bytes throws(FormatError) in
                try CheckpointHeader(
                    decoding: bytes, storeID: storeID, fileBytes: 1 << 40, key: checkpoint
                ).encode(key: checkpoint)
            },
            journalBlock,
            FuzzTarget(
                name: "heat", bytes: read("heat"),
                seal: Seal(offset: 4_080, key: HeatFile.sealKey(secret: secret), location: []),
                layouts: [(AllLayouts.named("heatHeader")!, 0)]
            ) { bytes throws(FormatError) in
                let key = HeatFile.sealKey(secret: secret)
                return try HeatFile(decoding: bytes, storeID: storeID, key: key)
                    .encode(storeID: storeID, key: key)
            },
        ]
    }()

    /// Made here: a removal, the end of a use and a creation in one block.
    private static let journalBlock: FuzzTarget = {
        let key = SealKey(
            secret: secret, label: "journal block", salt: [UInt8](repeating: 0x90, count: 32))
        let operation = try? NamespaceOperation(decoding: read("namespace-irregular"))
        let tombstone = Tombstone(
            namespace: NamespaceID(1), key: .zero, variant: VariantID(3), commit: 4)
        let freed = FreedUse(
            segment: SegmentID(5), useSequence: 6, firstCommit: 8, lastCommit: 9,
            previousCommit: 7, commit: 12)
        let entries =
            [JournalEntry.tombstone(tombstone), .freed(freed)]
            + (operation.map { [.namespaceOperation($0)] } ?? [])
        return FuzzTarget(
            name: "journal-block",
            bytes: JournalBlock.encode(entries, blockIndex: 9, key: key),
            seal: Seal(offset: 32, key: key, location: bigEndianBytes(9)),
            layouts: [
                (AllLayouts.named("journalBlock")!, 0), (AllLayouts.named("tombstoneRow")!, 52),
                (AllLayouts.named("freedUse")!, 120),
            ]
        ) { bytes throws(FormatError) in
            let entries = try JournalBlock.decode(bytes, blockIndex: 9, key: key)
            return JournalBlock.encode(entries, blockIndex: 9, key: key)
        }
    }()

    private static func record(
        _ name: String, at offset: UInt64, _ layouts: [(String, Int)],
        _ decode: @escaping @Sendable ([UInt8], RecordPrefix) throws(FormatError) -> SealedRegion
    ) -> FuzzTarget {
        let place = RecordLocation(segment: SegmentID(0), offset: offset)
        return FuzzTarget(
            name: name, bytes: read(name),
            seal: Seal(
                offset: 48, key: recordKey, location: bigEndianBytes(0) + bigEndianBytes(offset)),
            layouts: layouts.map { (AllLayouts.named($0.0)!, $0.1) }
        ) { bytes throws(FormatError) in
            let (prefix, _) = try RecordPrefix.open(bytes, at: place, unit: 4_096, key: recordKey)
            return try decode(bytes, prefix).bytes
        }
    }

    private static let records: [FuzzTarget] =
        [
            ("payload-record", UInt64(16_384)), ("payload-first-of-two", 40_960),
            ("payload-second-of-two", 53_248),
        ].map { name, offset in
            record(
                name, at: offset,
                [
                    ("payloadHeader", 0), ("extentRow", 256), ("extentRow", 304),
                    ("siblingRow", 352),
                ]
            ) { bytes, prefix throws(FormatError) in
                let record = try PayloadRecord(decoding: bytes, prefix: prefix, unit: 4_096)
                _ = try? ChunkMetadata(decoding: record.metadata)
                return record.encode(key: recordKey)
            }
        } + [
            record("tombstone-record", at: 69_632, [("tombstoneHeader", 0), ("tombstoneRow", 80)]) {
                bytes, prefix throws(FormatError) in
                try TombstoneRecord(decoding: bytes, prefix: prefix).encode(key: recordKey)
            }
        ]
        + ["namespace-create-record", "namespace-drop-record"].map { name in
            record(name, at: 8_192, [("namespaceHeader", 0)]) {
                bytes, prefix throws(FormatError) in
                try NamespaceRecord(decoding: bytes, prefix: prefix).encode(key: recordKey)
            }
        } + [
            record(
                "commit-record", at: 36_864,
                [("commitHeader", 0), ("commitMember", 128), ("commitMember", 176)]
            ) { bytes, prefix throws(FormatError) in
                try CommitRecord(
                    decoding: bytes, at: prefix.location, unit: 4_096, useSequence: 1,
                    segmentBytes: 131_072, key: recordKey
                ).encode(key: recordKey)
            }
        ]

    private static func stream(
        _ name: String, _ decode: @escaping @Sendable ([UInt8]) throws(FormatError) -> [UInt8]
    ) -> FuzzTarget {
        FuzzTarget(name: name, bytes: read(name), seal: nil, layouts: [], decode: decode)
    }

    private static let streams = [
        stream("metadata") { bytes throws(FormatError) in
            try ChunkMetadata(decoding: bytes).encode()
        },
        stream("metadata-sections") { bytes throws(FormatError) in
            try ChunkMetadata(decoding: bytes).encode()
        },
        stream("namespace-yarn") { bytes throws(FormatError) in
            try NamespaceOperation(decoding: bytes).encode()
        },
        stream("namespace-operation") { bytes throws(FormatError) in
            try NamespaceOperation(decoding: bytes).encode()
        },
        stream("namespace-irregular") { bytes throws(FormatError) in
            try NamespaceOperation(decoding: bytes).encode()
        },
        stream("checkpoint-rows") { bytes throws(FormatError) in
            let header = CheckpointHeader(
                storeID: storeID, generation: 1, commit: 1, writeSequence: WriteSequence(1),
                segmentCount: 1, entryCount: 1, tableDigest: .zero)
            let rows = try CheckpointRows.decode(bytes, header: header)
            let body = CheckpointRows.encode(segments: rows.segments, entries: rows.entries).body
            return Array(body.prefix(120))
        },
        safetensors, bytePlanes,
    ]

    /// Numbers of like size as codec 1 stores them, in two blocks: what LZ4 is given is hostile.
    private static let bytePlanes: FuzzTarget = {
        let rawBytes = 4_096 + 700
        var generator = SeededGenerator(seed: 40)
        let raw = (0..<rawBytes / 2).flatMap { index in
            [UInt8.random(in: 0...255, using: &generator), 0x3E &+ UInt8(index / 5 % 3)]
        }
        let encoded = BytePlanes(.bfloat16, blockShift: 12).encode(raw)
        return FuzzTarget(name: "byte-planes", bytes: encoded, seal: nil, layouts: []) {
            bytes throws(FormatError) in
            do throws(CodecError) {
                let form = try BytePlanes(
                    parameters: 0x0C02, rawBytes: UInt64(rawBytes), storedBytes: UInt64(bytes.count)
                )
                try form.check(bytes, rawBytes: rawBytes)
                return form.encode(try form.decode(bytes, rawBytes: rawBytes))
            } catch {
                throw FormatError(
                    .corrupt, structure: "bytePlanes", field: error.field, clause: error.clause,
                    expected: error.expected, found: error.found)
            }
        }
    }()

    /// Not a structure of ours, and read from strangers all the same.
    private static let safetensors: FuzzTarget = {
        let header = #"""
            {"__metadata__":{"a":"\u00e9"},"k":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "v":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]}}
            """#
        let length = UInt64(header.utf8.count)
        let bytes =
            bigEndianBytes(length).reversed() + Array(header.utf8) + Array(UInt8(0)..<12)
        return FuzzTarget(name: "safetensors", bytes: bytes, seal: nil, layouts: []) {
            bytes throws(FormatError) in
            do throws(SafetensorsError) {
                _ = try Safetensors(parsing: bytes.span)
                return bytes
            } catch {
                throw FormatError(
                    .corrupt, structure: "safetensors", field: "", expected: "a header",
                    found: error.reason)
            }
        }
    }()
}
