// The first block of a segment: which use of which segment this is, and the salt under every seal
// of that use, so that records of an earlier use can never be taken for records of this one
// (format-spec 03).

import Primitives

public struct SegmentHeader: Hashable, Sendable {
    public static let magic = Array("CHKSEGM0".utf8)

    public var storeID: [UInt8]
    public var segment: SegmentID
    /// The place of this use in the order of all segment uses of the store.
    public var useSequence: UInt64
    /// 32 fresh random bytes per use.
    public var salt: [UInt8]
    public var segmentBytes: UInt64
    public var alignmentUnit: UInt32
    /// Where the first commit record of this use will stand.
    public var firstCommitOffset: UInt64
    /// The slot after the first, for a reader who finds that one damaged; 0 for none.
    public var secondCommitOffset: UInt64
    public var createdSeconds: UInt64
    /// What lifetime the writer expects of the records; a hint, 0 in version 1.
    public var writeClass: UInt16

    public init(
        storeID: [UInt8], segment: SegmentID, useSequence: UInt64, salt: [UInt8],
        segmentBytes: UInt64, alignmentUnit: UInt32, firstCommitOffset: UInt64,
        secondCommitOffset: UInt64,
        createdSeconds: UInt64, writeClass: UInt16 = 0
    ) {
        self.storeID = storeID
        self.segment = segment
        self.useSequence = useSequence
        self.salt = salt
        self.segmentBytes = segmentBytes
        self.alignmentUnit = alignmentUnit
        self.firstCommitOffset = firstCommitOffset
        self.secondCommitOffset = secondCommitOffset
        self.createdSeconds = createdSeconds
        self.writeClass = writeClass
    }

    static let layout = Layout(
        "segmentHeader",
        [
            ("magic", .bytes(8)), ("storeID", .bytes(16)), ("segment", .u32),
            ("alignmentUnit", .u32), ("useSequence", .u64), ("salt", .bytes(32)),
            ("segmentBytes", .u64), ("firstCommitOffset", .u64), ("createdSeconds", .u64),
            ("writeClass", .u16), ("reservedShort", .reserved(6)), ("keyID", .reserved(16)),
            ("secondCommitOffset", .u64), ("reserved", .reserved(3_952)), ("seal", .digest),
        ])
    private enum F {
        static let magic = layout["magic"]
        static let storeID = layout["storeID"]
        static let segment = layout["segment"]
        static let alignmentUnit = layout["alignmentUnit"]
        static let useSequence = layout["useSequence"]
        static let salt = layout["salt"]
        static let segmentBytes = layout["segmentBytes"]
        static let firstCommitOffset = layout["firstCommitOffset"]
        static let secondCommitOffset = layout["secondCommitOffset"]
        static let createdSeconds = layout["createdSeconds"]
        static let writeClass = layout["writeClass"]
        static let seal = layout["seal"]
    }

    public static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "segment header", salt: [])
    }

    /// The key under which all records of this use are sealed.
    public func recordKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "segment use", salt: salt)
    }

    public func encode(key: SealKey) -> [UInt8] {
        var writer = FieldWriter(byteCount: Superblock.blockBytes)
        writer.put(F.magic, Self.magic)
        writer.put(F.storeID, storeID)
        writer.put(F.segment, segment.raw)
        writer.put(F.alignmentUnit, alignmentUnit)
        writer.put(F.useSequence, useSequence)
        writer.put(F.salt, salt)
        writer.put(F.segmentBytes, segmentBytes)
        writer.put(F.firstCommitOffset, firstCommitOffset)
        writer.put(F.secondCommitOffset, secondCommitOffset)
        writer.put(F.createdSeconds, createdSeconds)
        writer.put(F.writeClass, writeClass)
        writer.put(
            F.seal, key.seal(location: bigEndianBytes(UInt64(segment.raw)), bytes: writer.bytes))
        return writer.bytes
    }

    public init(decoding bytes: [UInt8], segment: SegmentID, storeID: [UInt8], key: SealKey)
        throws(FormatError)
    {
        let reader = try FieldReader(Self.layout, bytes)
        guard reader.bytes(F.magic) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "segmentHeader", field: "magic", clause: "SEG-1",
                expected: hexadecimal(Self.magic), found: reader.describe(F.magic))
        }
        let block = Array(bytes.prefix(Self.layout.byteCount))
        let seal = key.seal(
            location: bigEndianBytes(UInt64(segment.raw)),
            bytes: block.replacingSubrange(F.seal, with: 0))
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(F.seal)), F.seal, "SEG-2",
            expected: "the seal of segment \(segment)")
        try reader.require(
            reader.u32(F.segment) == segment.raw, F.segment, "SEG-2", expected: "\(segment.raw)")
        try reader.require(
            reader.bytes(F.storeID) == storeID, F.storeID, "SEG-3", expected: hexadecimal(storeID))
        try reader.requireZeroReserved("FMT-3")
        self.storeID = storeID
        self.segment = segment
        try reader.requireCounters(F.useSequence)
        useSequence = reader.u64(F.useSequence)
        salt = reader.bytes(F.salt)
        segmentBytes = reader.u64(F.segmentBytes)
        alignmentUnit = reader.u32(F.alignmentUnit)
        firstCommitOffset = reader.u64(F.firstCommitOffset)
        secondCommitOffset = reader.u64(F.secondCommitOffset)
        createdSeconds = reader.u64(F.createdSeconds)
        writeClass = reader.u16(F.writeClass)
        try reader.require(
            alignmentUnit >= 4_096 && alignmentUnit <= 65_536 && alignmentUnit.nonzeroBitCount == 1,
            F.alignmentUnit, "SEG-4", expected: "a power of two from 4096 to 65536")
        let unit = UInt64(alignmentUnit)
        try reader.require(
            segmentBytes >= 4 * unit && segmentBytes <= Superblock.segmentBytesRange.upperBound
                && segmentBytes.isMultiple(of: unit),
            F.segmentBytes, "SEG-5", expected: "at least four units, at most 4 GiB")
        try reader.require(
            firstCommitOffset >= unit && firstCommitOffset < segmentBytes
                && firstCommitOffset.isMultiple(of: unit),
            F.firstCommitOffset, "SEG-6", expected: "a unit inside the segment, behind its header")
        try reader.require(
            secondCommitOffset == 0
                || (secondCommitOffset > firstCommitOffset && secondCommitOffset < segmentBytes
                    && secondCommitOffset.isMultiple(of: unit)),
            F.secondCommitOffset, "SEG-6", expected: "0, or a unit behind the first slot")
    }
}
