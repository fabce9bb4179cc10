// The checkpoint (format-spec 09): the index as it was from one commit on, so that opening need not
// read every record. It is a hint: a store without one opens, only slower; a wrong entry costs a
// read, because the record itself is compared.
//
//     ┌────────┬───────────────┬──────────────┬──────────────┬────────────────┐
//     │ header │ segment rows  │ entry rows   │ zero padding │ digest slots   │
//     │ 4,096  │ 48 each       │ 72 each      │ to 1 MiB     │ 16 per 1 MiB   │
//     └────────┴───────────────┴──────────────┴──────────────┴────────────────┘

import Primitives

/// One index entry at rest; what the index's 24-byte value says, and its key.
public struct CheckpointEntry: Hashable, Sendable {
    public var namespace: NamespaceID
    public var key: ChunkKey
    public var variant: VariantID
    public var location: RecordLocation
    public var headerBytes: UInt32
    /// Bytes on disk of all records of the variant.
    public var variantDiskBytes: UInt64
    public var tokenCount: UInt32
    public var flags: UInt16
    public static let pinnedFlag: UInt16 = 1
    /// The variant has more records than the one at `location`.
    public static let siblingsFlag: UInt16 = 2
    public var ordinal: UInt32
    /// When the variant ends, in seconds since the store was made; 0 for never.
    public var expirySeconds: UInt32

    public init(
        namespace: NamespaceID, key: ChunkKey, variant: VariantID, location: RecordLocation,
        headerBytes: UInt32, variantDiskBytes: UInt64, tokenCount: UInt32, flags: UInt16,
        ordinal: UInt32, expirySeconds: UInt32 = 0
    ) {
        self.namespace = namespace
        self.key = key
        self.variant = variant
        self.location = location
        self.headerBytes = headerBytes
        self.variantDiskBytes = variantDiskBytes
        self.tokenCount = tokenCount
        self.flags = flags
        self.ordinal = ordinal
        self.expirySeconds = expirySeconds
    }

    public static let layout = Layout(
        "checkpointEntry",
        [
            ("namespace", .u32), ("chunkKey", .bytes(32)), ("variantID", .u64), ("segment", .u32),
            ("block", .u32), ("headerBlocks", .u16), ("flags", .u16), ("variantBlocks", .u32),
            ("tokenCount", .u32), ("ordinal", .u32), ("expirySeconds", .u32),
        ])
    private enum F {
        static let namespace = layout["namespace"]
        static let chunkKey = layout["chunkKey"]
        static let variantID = layout["variantID"]
        static let segment = layout["segment"]
        static let block = layout["block"]
        static let headerBlocks = layout["headerBlocks"]
        static let flags = layout["flags"]
        static let variantBlocks = layout["variantBlocks"]
        static let tokenCount = layout["tokenCount"]
        static let ordinal = layout["ordinal"]
        static let expirySeconds = layout["expirySeconds"]
    }

    func write(to writer: inout FieldWriter) {
        writer.put(F.namespace, namespace.raw)
        writer.put(F.chunkKey, words: key.words)
        writer.put(F.variantID, variant.raw)
        writer.put(F.segment, location.segment.raw)
        writer.put(F.block, UInt32(truncatingIfNeeded: location.offset >> 12))
        writer.put(F.headerBlocks, UInt16(truncatingIfNeeded: headerBytes >> 12))
        writer.put(F.flags, flags)
        writer.put(F.variantBlocks, UInt32(truncatingIfNeeded: variantDiskBytes >> 12))
        writer.put(F.tokenCount, tokenCount)
        writer.put(F.ordinal, ordinal)
        writer.put(F.expirySeconds, expirySeconds)
    }

    init(decoding bytes: [UInt8], at base: Int) throws(FormatError) {
        let reader = try FieldReader(Self.layout, bytes, at: base)
        let blocks = reader.u16(F.headerBlocks)
        try reader.require(
            blocks > 0, F.headerBlocks, "CKP-4", expected: "at least 1")
        self.init(
            namespace: NamespaceID(reader.u32(F.namespace)),
            key: ChunkKey(words: reader.words(F.chunkKey)),
            variant: VariantID(reader.u64(F.variantID)),
            location: RecordLocation(
                segment: SegmentID(reader.u32(F.segment)),
                offset: UInt64(reader.u32(F.block)) << 12),
            headerBytes: UInt32(blocks) << 12,
            variantDiskBytes: UInt64(reader.u32(F.variantBlocks)) << 12,
            tokenCount: reader.u32(F.tokenCount), flags: reader.u16(F.flags),
            ordinal: reader.u32(F.ordinal), expirySeconds: reader.u32(F.expirySeconds))
    }
}

/// A segment use that the checkpoint knows, and where its commit chain goes on.
public struct CheckpointSegment: Hashable, Sendable {
    public var segment: SegmentID
    public var useSequence: UInt64
    /// The first commit slot the checkpoint has not seen; 0 when the chain has ended.
    public var nextCommitOffset: UInt64
    /// The slot after that; 0 for none.
    public var laterCommitOffset: UInt64
    public var usedBytes: UInt64

    public init(
        segment: SegmentID, useSequence: UInt64, nextCommitOffset: UInt64,
        laterCommitOffset: UInt64, usedBytes: UInt64
    ) {
        self.segment = segment
        self.useSequence = useSequence
        self.nextCommitOffset = nextCommitOffset
        self.laterCommitOffset = laterCommitOffset
        self.usedBytes = usedBytes
    }

    static let layout = Layout(
        "checkpointSegment",
        [
            ("segment", .u32), ("reservedWord", .reserved(4)), ("useSequence", .u64),
            ("nextCommitOffset", .u64), ("usedBytes", .u64), ("laterCommitOffset", .u64),
            ("reservedRow", .reserved(8)),
        ])

    func write(to writer: inout FieldWriter) {
        let layout = Self.layout
        writer.put(layout["segment"], segment.raw)
        writer.put(layout["useSequence"], useSequence)
        writer.put(layout["nextCommitOffset"], nextCommitOffset)
        writer.put(layout["laterCommitOffset"], laterCommitOffset)
        writer.put(layout["usedBytes"], usedBytes)
    }

    init(decoding bytes: [UInt8], at base: Int) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes, at: base)
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(layout["useSequence"])
        segment = SegmentID(reader.u32(layout["segment"]))
        useSequence = reader.u64(layout["useSequence"])
        nextCommitOffset = reader.u64(layout["nextCommitOffset"])
        laterCommitOffset = reader.u64(layout["laterCommitOffset"])
        usedBytes = reader.u64(layout["usedBytes"])
    }
}

public struct CheckpointHeader: Hashable, Sendable {
    private static let magic = Array("CHKCKPT0".utf8)
    public static let segmentCountMax: UInt64 = 1 << 24
    public static let entryCountMax: UInt64 = 1 << 34
    /// The body is digested, read and written in pieces of this size.
    public static let pieceBytes = 1 << 20

    public var storeID: [UInt8]
    public var generation: UInt64
    /// Everything up to this commit is in; commits after it are replayed.
    public var commit: UInt64
    /// Write sequences up to this one are taken.
    public var writeSequence: WriteSequence
    public var segmentCount: UInt64
    public var entryCount: UInt64
    /// Digest of the digest slots at the body's end.
    public var tableDigest: Digest128
    /// The next number for a commit. Those between are of commits that do not count, and that the
    /// rows pass over (COM-8).
    public var nextCommit: UInt64

    public init(
        storeID: [UInt8], generation: UInt64, commit: UInt64, writeSequence: WriteSequence,
        segmentCount: UInt64, entryCount: UInt64, tableDigest: Digest128,
        nextCommit: UInt64? = nil
    ) {
        self.storeID = storeID
        self.generation = generation
        self.commit = commit
        self.writeSequence = writeSequence
        self.segmentCount = segmentCount
        self.entryCount = entryCount
        self.tableDigest = tableDigest
        self.nextCommit = nextCommit ?? commit + 1
    }

    /// Bytes of all rows.
    public var rowBytes: Int {
        Int(segmentCount) * CheckpointSegment.layout.byteCount
            + Int(entryCount) * CheckpointEntry.layout.byteCount
    }
    /// Of rows and their padding.
    private var bodyBytes: Int { aligned(rowBytes, to: Superblock.blockBytes) }
    public var pieceCount: Int { (bodyBytes + Self.pieceBytes - 1) / Self.pieceBytes }
    /// Of one piece; only the last may be shorter than `pieceBytes`.
    public func byteCount(ofPiece number: Int) -> Int {
        min(Self.pieceBytes, bodyBytes - number * Self.pieceBytes)
    }
    /// Where the digest slots stand, and how long they are, padding included.
    public var tableOffset: UInt64 {
        UInt64(Superblock.blockBytes) + UInt64(bodyBytes)
    }
    public var tableBytes: Int { aligned(max(pieceCount, 1) * 16, to: Superblock.blockBytes) }
    public var fileBytes: UInt64 { tableOffset + UInt64(tableBytes) }

    /// What a checkpoint of so many rows takes.
    public static func fileBytes(segmentCount: Int, entryCount: Int) -> UInt64 {
        CheckpointHeader(
            storeID: [], generation: 0, commit: 0, writeSequence: WriteSequence(0),
            segmentCount: UInt64(segmentCount), entryCount: UInt64(entryCount),
            tableDigest: Digest128(high: 0, low: 0)
        ).fileBytes
    }

    static let layout = Layout(
        "checkpointHeader",
        [
            ("magic", .bytes(8)), ("storeID", .bytes(16)), ("generation", .u64), ("commit", .u64),
            ("writeSequence", .u64), ("segmentCount", .u64), ("entryCount", .u64),
            ("tableDigest", .digest), ("nextCommit", .u64), ("reserved", .reserved(3_992)),
            ("seal", .digest),
        ])

    public static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "checkpoint", salt: [])
    }

    public func encode(key: SealKey) -> [UInt8] {
        let layout = Self.layout
        var writer = FieldWriter(byteCount: Superblock.blockBytes)
        writer.put(layout["magic"], Self.magic)
        writer.put(layout["storeID"], storeID)
        writer.put(layout["generation"], generation)
        writer.put(layout["commit"], commit)
        writer.put(layout["writeSequence"], writeSequence.raw)
        writer.put(layout["segmentCount"], segmentCount)
        writer.put(layout["entryCount"], entryCount)
        writer.put(layout["tableDigest"], tableDigest)
        writer.put(layout["nextCommit"], nextCommit)
        writer.put(layout["seal"], key.seal(location: [], bytes: writer.bytes))
        return writer.bytes
    }

    public init(decoding bytes: [UInt8], storeID: [UInt8], fileBytes: UInt64, key: SealKey)
        throws(FormatError)
    {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        guard reader.bytes(layout["magic"]) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "checkpointHeader", field: "magic", clause: "CKP-1",
                expected: hexadecimal(Self.magic), found: reader.describe(layout["magic"]))
        }
        let block = Array(bytes.prefix(layout.byteCount))
        let seal = key.seal(
            location: [], bytes: block.replacingSubrange(layout["seal"], with: 0))
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(layout["seal"])), layout["seal"], "CKP-2",
            expected: "the seal of this store's checkpoint")
        try reader.require(
            reader.bytes(layout["storeID"]) == storeID, layout["storeID"], "CKP-2",
            expected: hexadecimal(storeID))
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(
            layout["generation"], layout["commit"], layout["writeSequence"], layout["nextCommit"])
        self.init(
            storeID: storeID, generation: reader.u64(layout["generation"]),
            commit: reader.u64(layout["commit"]),
            writeSequence: WriteSequence(reader.u64(layout["writeSequence"])),
            segmentCount: reader.u64(layout["segmentCount"]),
            entryCount: reader.u64(layout["entryCount"]),
            tableDigest: reader.digest(layout["tableDigest"]),
            nextCommit: reader.u64(layout["nextCommit"]))
        try reader.require(
            nextCommit > commit, layout["nextCommit"], "CKP-13", expected: "above \(commit)")
        try reader.require(
            segmentCount <= Self.segmentCountMax, layout["segmentCount"], "CKP-3",
            expected: "at most \(Self.segmentCountMax)")
        try reader.require(
            entryCount <= Self.entryCountMax, layout["entryCount"], "CKP-3",
            expected: "at most \(Self.entryCountMax)")
        try reader.require(
            self.fileBytes <= fileBytes, layout["entryCount"], "CKP-3",
            expected: "rows that fit a file of \(fileBytes) bytes")
    }
}

extension PayloadRecord {
    /// What a checkpoint's entry says of a variant whose record 0 this is.
    public var entryFlags: UInt16 {
        (retention == .pinned ? CheckpointEntry.pinnedFlag : 0)
            + (recordCount > 1 ? CheckpointEntry.siblingsFlag : 0)
    }
}
