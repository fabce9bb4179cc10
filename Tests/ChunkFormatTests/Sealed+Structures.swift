import KVModel
import Primitives

@testable import ChunkFormat

/// Every sealed structure once, from a seed.
extension Sealed {
    static func superblock(_ generator: inout SeededGenerator) -> Sealed {
        let value = Samples.superblock(&generator)
        return Sealed(
            bytes: value.encode(copyIndex: 1), sealOffset: 4_080,
            key: SealKey(secret: value.secret, label: "superblock", salt: []),
            location: bigEndianBytes(1)
        ) { bytes throws(FormatError) in
            _ = try Superblock(decoding: bytes, copyIndex: 1)
        }
    }

    static func mark() -> Sealed {
        let key = MarkBlock.sealKey(secret: Samples.secret)
        return Sealed(
            bytes: MarkBlock(turn: 5, syncedCommit: 4).encode(storeID: Samples.storeID, key: key),
            sealOffset: 4_080, key: key, location: bigEndianBytes(1)
        ) { bytes throws(FormatError) in
            _ = try MarkBlock(decoding: bytes, index: 1, storeID: Samples.storeID, key: key)
        }
    }

    static func segmentHeader(_ generator: inout SeededGenerator) -> Sealed {
        let value = Samples.segmentHeader(&generator)
        let key = SegmentHeader.sealKey(secret: Samples.secret)
        return Sealed(
            bytes: value.encode(key: key), sealOffset: 4_080, key: key,
            location: bigEndianBytes(UInt64(value.segment.raw))
        ) { bytes throws(FormatError) in
            _ = try SegmentHeader(
                decoding: bytes, segment: value.segment, storeID: Samples.storeID, key: key)
        }
    }

    static func journalHeader() -> Sealed {
        let key = JournalHeader.sealKey(secret: Samples.secret)
        let value = JournalHeader(storeID: Samples.storeID, copyIndex: 1, salt: Samples.salt)
        return Sealed(
            bytes: value.encode(key: key), sealOffset: 4_080, key: key, location: bigEndianBytes(1)
        ) { bytes throws(FormatError) in
            _ = try JournalHeader(
                decoding: bytes, copyIndex: 1, storeID: Samples.storeID, key: key)
        }
    }

    static func journalBlock(_ generator: inout SeededGenerator) -> Sealed {
        let key = SealKey(secret: Samples.secret, label: "journal block", salt: Samples.salt)
        let entries: [JournalEntry] = [
            .tombstone(Samples.tombstone(&generator)),
            .namespaceOperation(.drop(NamespaceID(3), commit: 8)),
        ]
        return Sealed(
            bytes: JournalBlock.encode(entries, blockIndex: 6, key: key), sealOffset: 32, key: key,
            location: bigEndianBytes(6)
        ) { bytes throws(FormatError) in
            _ = try JournalBlock.decode(bytes, blockIndex: 6, key: key)
        }
    }

    static func checkpointHeader(fileBytes: UInt64 = 1 << 30) -> Sealed {
        let key = CheckpointHeader.sealKey(secret: Samples.secret)
        let value = CheckpointHeader(
            storeID: Samples.storeID, generation: 1, commit: 2, writeSequence: WriteSequence(3),
            segmentCount: 4, entryCount: 5, tableDigest: .zero)
        return Sealed(
            bytes: value.encode(key: key), sealOffset: 4_080, key: key, location: []
        ) { bytes throws(FormatError) in
            _ = try CheckpointHeader(
                decoding: bytes, storeID: Samples.storeID, fileBytes: fileBytes, key: key)
        }
    }

    static func record(
        _ region: SealedRegion, _ prefix: RecordPrefix,
        _ decode: @escaping ([UInt8], RecordPrefix) throws(FormatError) -> Void
    ) -> Sealed {
        let place = prefix.location
        return Sealed(
            bytes: region.bytes, sealOffset: 48, key: Samples.recordKey,
            location: bigEndianBytes(UInt64(place.segment.raw)) + bigEndianBytes(place.offset)
        ) { bytes throws(FormatError) in
            let (prefix, _) = try RecordPrefix.open(
                bytes, at: place, unit: 4_096, key: Samples.recordKey)
            try decode(bytes, prefix)
        }
    }

    static func payload(_ value: PayloadRecord) -> Sealed {
        record(value.encode(key: Samples.recordKey), value.prefix) {
            bytes, prefix throws(FormatError) in
            _ = try PayloadRecord(decoding: bytes, prefix: prefix, unit: 4_096)
        }
    }

    static func tombstones(_ generator: inout SeededGenerator) -> Sealed {
        let value = TombstoneRecord(
            prefix: Samples.prefix(.tombstone, &generator),
            tombstones: [Samples.tombstone(&generator), Samples.tombstone(&generator)])
        return record(value.encode(key: Samples.recordKey), value.prefix) {
            bytes, prefix throws(FormatError) in
            _ = try TombstoneRecord(decoding: bytes, prefix: prefix)
        }
    }

    static func namespace(_ generator: inout SeededGenerator) -> Sealed {
        let value = NamespaceRecord(
            prefix: Samples.prefix(.namespaceOperation, &generator),
            operation: .drop(NamespaceID(3), commit: 8))
        return record(value.encode(key: Samples.recordKey), value.prefix) {
            bytes, prefix throws(FormatError) in
            _ = try NamespaceRecord(decoding: bytes, prefix: prefix)
        }
    }

    static func commit(_ value: CommitRecord) -> Sealed {
        record(value.encode(key: Samples.recordKey), value.prefix) {
            bytes, prefix throws(FormatError) in
            _ = try CommitRecord(
                decoding: bytes, at: value.prefix.location, unit: 4_096, useSequence: 7,
                segmentBytes: Samples.segmentBytes, key: Samples.recordKey)
        }
    }
}
