// What the index holds for one variant: 40 bytes of key, 24 of value. A hint: the record it points
// to carries the full identity and is compared on read (PRODUCT D4).

import BSkiplist
import ChunkFormat
import Primitives

/// One stored variant, as lookups see it; the disk is not touched.
public struct ChunkEntry: Hashable, Sendable {
    public let key: ChunkKey
    public let variant: VariantID
    public let tokenCount: Int
    /// Bytes on disk of all records, padding and headers included.
    public let diskBytes: UInt64
    public let isPinned: Bool
    /// Whether its layers stand in several records.
    let hasSiblings: Bool
    let location: RecordLocation
    let headerBytes: UInt32
    /// The row of the heat table.
    let ordinal: UInt32

    /// Where the variant's first record stands.
    public var extent: Extent {
        Extent(segment: location.segment, offset: location.offset, byteCount: diskBytes)
    }
}

extension IndexKey {
    init(_ key: ChunkKey, _ variant: VariantID) {
        self.init(key.words.0, key.words.1, key.words.2, key.words.3, variant.raw)
    }

    var chunkKey: ChunkKey { ChunkKey(words: (w0, w1, w2, w3)) }
    var variant: VariantID { VariantID(w4) }
}

// Value words: segment ‖ block, header blocks ‖ flags ‖ variant blocks, token count ‖ ordinal.
extension IndexValue {
    /// The entry has an end, which stands beside its heat. A flag of the memory's own.
    private static let expiringFlag: UInt16 = 1 << 15

    init(_ entry: CheckpointEntry, ordinal: UInt32) {
        let block = UInt32(truncatingIfNeeded: entry.location.offset >> 12)
        let headerBlocks = UInt64(entry.headerBytes >> 12)
        let variantBlocks = UInt32(truncatingIfNeeded: entry.variantDiskBytes >> 12)
        let flags =
            entry.flags & ~Self.expiringFlag
            | (entry.expirySeconds > 0 ? Self.expiringFlag : 0)
        self.init(
            UInt64(entry.location.segment.raw) << 32 | UInt64(block),
            headerBlocks << 48 | UInt64(flags) << 32 | UInt64(variantBlocks),
            UInt64(entry.tokenCount) << 32 | UInt64(ordinal))
    }

    var ordinal: UInt32 { UInt32(truncatingIfNeeded: v2) }
    var hasExpiry: Bool { flags & Self.expiringFlag != 0 }
    private var flags: UInt16 { UInt16(truncatingIfNeeded: v1 >> 32) }

    func checkpointEntry(_ namespace: NamespaceID, _ key: IndexKey, expirySeconds: UInt32)
        -> CheckpointEntry
    {
        CheckpointEntry(
            namespace: namespace, key: key.chunkKey, variant: key.variant,
            location: location, headerBytes: headerBytes, variantDiskBytes: variantDiskBytes,
            tokenCount: UInt32(truncatingIfNeeded: v2 >> 32),
            flags: flags & ~Self.expiringFlag, ordinal: ordinal, expirySeconds: expirySeconds)
    }

    func entry(_ key: IndexKey) -> ChunkEntry {
        ChunkEntry(
            key: key.chunkKey, variant: key.variant, tokenCount: Int(v2 >> 32),
            diskBytes: variantDiskBytes, isPinned: v1 >> 32 & 1 == 1,
            hasSiblings: v1 >> 33 & 1 == 1, location: location,
            headerBytes: headerBytes, ordinal: ordinal)
    }

    private var location: RecordLocation {
        RecordLocation(
            segment: SegmentID(UInt32(truncatingIfNeeded: v0 >> 32)),
            offset: (v0 & 0xFFFF_FFFF) << 12)
    }
    private var headerBytes: UInt32 { UInt32(truncatingIfNeeded: v1 >> 48) << 12 }
    private var variantDiskBytes: UInt64 { (v1 & 0xFFFF_FFFF) << 12 }
}
