// The header region of a payload record (format-spec 05):
//
//     ┌────────┬────────────┬─────────┬──────────┬──────────────┬──────────┬──────┐
//     │ prefix │ clear part │ extents │ siblings │ digest slots │ metadata │ zero │
//     │ 64     │ 192        │ 48 each │ 48 each  │ 16 each      │          │      │
//     └────────┴────────────┴─────────┴──────────┴──────────────┴──────────┴──────┘
//
// The clear part says whose bytes these are; metadata (token ids are the prompt) is a part of its
// own with its own digest slot, so that it can be encrypted alone. The seal covers all of it.

import KVModel
import Primitives

/// How the store may forget a record (CONTRACT 2.2). On disk.
public enum RetentionKind: UInt8, Sendable, CaseIterable {
    case evictable = 0
    case pinned = 1
}

public struct PayloadRecord: Hashable, Sendable {
    public static let extentCountMax = 65_536
    public static let siblingCountMax = 4_096
    public static let tokenCountMax = 1 << 24
    public static let layerCountMax = 1_024
    public static let metadataBytesMax = 32 << 20
    public static let digestBlockShiftRange: ClosedRange<UInt8> = 12...20

    public var prefix: RecordPrefix
    public var namespace: NamespaceID
    public var key: ChunkKey
    public var variant: VariantID
    public var bindingDigest: [UInt8]
    public var hashDomain: HashDomain
    public var keyForm: KeyForm
    public var elementType: ElementType
    public var retention: RetentionKind
    public var tokenCount: UInt32
    public var basePosition: UInt32
    public var layerFirst: UInt16
    public var layerCount: UInt16
    /// Which of the variant's records this is, and how many there are.
    public var recordIndex: UInt16
    public var recordCount: UInt16
    /// The digest grid: blocks of 1 << shift bytes.
    public var digestBlockShift: UInt8
    /// All planes of the variant, padding excluded.
    public var variantBytes: UInt64
    public var createdSeconds: UInt64
    /// 0 for never.
    public var expirySeconds: UInt64
    public var extents: [ExtentRow]
    /// In record 0 of a variant of several: the others, in order.
    public var siblings: [SiblingRow]
    public var digests: [Digest128]
    /// Encoded `ChunkMetadata`; only record 0 has it.
    public var metadata: [UInt8]

    public init(
        prefix: RecordPrefix, namespace: NamespaceID, key: ChunkKey, variant: VariantID,
        bindingDigest: [UInt8], hashDomain: HashDomain, keyForm: KeyForm, elementType: ElementType,
        retention: RetentionKind = .evictable, tokenCount: UInt32, basePosition: UInt32,
        layerFirst: UInt16, layerCount: UInt16, recordIndex: UInt16, recordCount: UInt16,
        digestBlockShift: UInt8, variantBytes: UInt64, createdSeconds: UInt64,
        expirySeconds: UInt64 = 0, extents: [ExtentRow], siblings: [SiblingRow],
        digests: [Digest128], metadata: [UInt8]
    ) {
        self.prefix = prefix
        self.namespace = namespace
        self.key = key
        self.variant = variant
        self.bindingDigest = bindingDigest
        self.hashDomain = hashDomain
        self.keyForm = keyForm
        self.elementType = elementType
        self.retention = retention
        self.tokenCount = tokenCount
        self.basePosition = basePosition
        self.layerFirst = layerFirst
        self.layerCount = layerCount
        self.recordIndex = recordIndex
        self.recordCount = recordCount
        self.digestBlockShift = digestBlockShift
        self.variantBytes = variantBytes
        self.createdSeconds = createdSeconds
        self.expirySeconds = expirySeconds
        self.extents = extents
        self.siblings = siblings
        self.digests = digests
        self.metadata = metadata
    }

    public var digestBlockBytes: Int { 1 << Int(digestBlockShift) }

    /// Bytes of a header region with these parts, before rounding up to the unit.
    public static func headerBytes(
        extentCount: Int, siblingCount: Int, digestCount: Int, metadataBytes: Int
    ) -> Int {
        layout.byteCount + extentCount * ExtentRow.layout.byteCount
            + siblingCount * SiblingRow.layout.byteCount + digestCount * 16 + metadataBytes
    }

    static let layout = Layout(
        "payloadHeader",
        RecordPrefix.fields + [
            ("namespace", .u32), ("retention", .u8), ("hashDomain", .u8), ("keyForm", .u8),
            ("elementType", .u8), ("chunkKey", .bytes(32)), ("variantID", .u64),
            ("bindingDigest", .bytes(32)), ("tokenCount", .u32), ("basePosition", .u32),
            ("layerFirst", .u16), ("layerCount", .u16), ("recordIndex", .u16),
            ("recordCount", .u16), ("extentCount", .u32), ("siblingCount", .u32),
            ("digestSlotCount", .u32), ("metadataBytes", .u32), ("digestAlgorithm", .u16),
            ("digestBlockShift", .u8), ("reservedByte", .reserved(1)),
            ("reservedWord", .reserved(4)), ("variantBytes", .u64), ("createdSeconds", .u64),
            ("expirySeconds", .u64), ("keyID", .reserved(16)), ("reservedTag", .reserved(16)),
            ("metadataDigest", .digest),
        ])
    enum F {
        static let namespace = layout["namespace"]
        static let retention = layout["retention"]
        static let hashDomain = layout["hashDomain"]
        static let keyForm = layout["keyForm"]
        static let elementType = layout["elementType"]
        static let chunkKey = layout["chunkKey"]
        static let variantID = layout["variantID"]
        static let bindingDigest = layout["bindingDigest"]
        static let tokenCount = layout["tokenCount"]
        static let basePosition = layout["basePosition"]
        static let layerFirst = layout["layerFirst"]
        static let layerCount = layout["layerCount"]
        static let recordIndex = layout["recordIndex"]
        static let recordCount = layout["recordCount"]
        static let extentCount = layout["extentCount"]
        static let siblingCount = layout["siblingCount"]
        static let digestSlotCount = layout["digestSlotCount"]
        static let metadataBytes = layout["metadataBytes"]
        static let digestAlgorithm = layout["digestAlgorithm"]
        static let digestBlockShift = layout["digestBlockShift"]
        static let variantBytes = layout["variantBytes"]
        static let createdSeconds = layout["createdSeconds"]
        static let expirySeconds = layout["expirySeconds"]
        static let metadataDigest = layout["metadataDigest"]
    }
}
