// The first 64 bytes of every record: what kind it is, how long, where it stands, and the seal over
// its whole header region (format-spec 04). The seal's key comes from the salt of the segment use
// and its message begins with the record's place, so a record that was moved, swapped, left over
// from an earlier use, or made by a tenant inside a payload does not open.

import Primitives

public enum RecordKind: UInt16, Sendable, CaseIterable {
    case payload = 1
    case tombstone = 2
    /// Newer metadata or retention for a key. Reserved for the reuse work; carried through.
    case annotation = 3
    case namespaceOperation = 4
    /// Codebooks and the like, reference-counted. Reserved; carried through.
    case object = 5
    case commit = 6
}

/// Where a record stands; part of what its seal covers.
public struct RecordLocation: Hashable, Sendable, CustomStringConvertible {
    public var segment: SegmentID
    public var offset: UInt64
    public init(segment: SegmentID, offset: UInt64) {
        self.segment = segment
        self.offset = offset
    }
    public var description: String { "segment \(segment) byte \(offset)" }

    var sealBytes: [UInt8] { bigEndianBytes(UInt64(segment.raw)) + bigEndianBytes(offset) }
}

public struct RecordPrefix: Hashable, Sendable {
    public static let magic: UInt32 = 0x5245_4B43  // "CKER" as little-endian bytes C K E R
    /// A reader that does not know a required kind refuses the store; others it skips.
    public static let requiredFlag: UInt16 = 1
    public static let headerBytesMax: UInt32 = 64 << 20

    /// The raw number, since unknown kinds are kept.
    public var kind: UInt16
    public var flags: UInt16
    /// The sealed part at the record's front, a multiple of the alignment unit.
    public var headerBytes: UInt32
    /// All of the record, header included.
    public var recordBytes: UInt64
    public var writeSequence: WriteSequence
    public var location: RecordLocation

    public init(
        kind: RecordKind, flags: UInt16 = RecordPrefix.requiredFlag, headerBytes: UInt32,
        recordBytes: UInt64, writeSequence: WriteSequence, location: RecordLocation
    ) {
        self.kind = kind.rawValue
        self.flags = flags
        self.headerBytes = headerBytes
        self.recordBytes = recordBytes
        self.writeSequence = writeSequence
        self.location = location
    }

    static let layout = Layout("recordPrefix", fields)
    static let fields: [(String, FieldType)] = [
        ("magic", .u32), ("kind", .u16), ("flags", .u16), ("headerBytes", .u32),
        ("reservedPrefix", .reserved(4)), ("recordBytes", .u64), ("writeSequence", .u64),
        ("offset", .u64), ("segment", .u32), ("reservedPlace", .reserved(4)), ("seal", .digest),
    ]
    private enum F {
        static let magic = layout["magic"]
        static let kind = layout["kind"]
        static let flags = layout["flags"]
        static let headerBytes = layout["headerBytes"]
        static let recordBytes = layout["recordBytes"]
        static let writeSequence = layout["writeSequence"]
        static let offset = layout["offset"]
        static let segment = layout["segment"]
        static let seal = layout["seal"]
    }

    func write(to writer: inout FieldWriter) {
        writer.put(F.magic, Self.magic)
        writer.put(F.kind, kind)
        writer.put(F.flags, flags)
        writer.put(F.headerBytes, headerBytes)
        writer.put(F.recordBytes, recordBytes)
        writer.put(F.writeSequence, writeSequence.raw)
        writer.put(F.offset, location.offset)
        writer.put(F.segment, location.segment.raw)
    }

    /// Seals the header region that `writer` holds and returns it with its seal.
    func sealed(_ writer: consuming FieldWriter, key: SealKey) -> SealedRegion {
        let seal = key.seal(location: location.sealBytes, bytes: writer.bytes)
        writer.put(F.seal, seal)
        return SealedRegion(bytes: writer.bytes, seal: seal)
    }

    /// Reads the prefix of the record at `location`. Nothing is trusted yet: see `open`.
    public init(decoding bytes: [UInt8], at location: RecordLocation, unit: UInt32)
        throws(FormatError)
    {
        let reader = try FieldReader(Self.layout, bytes)
        guard reader.u32(F.magic) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "recordPrefix", field: "magic", clause: "REC-1",
                expected: String(Self.magic), found: reader.describe(F.magic))
        }
        kind = reader.u16(F.kind)
        flags = reader.u16(F.flags)
        headerBytes = reader.u32(F.headerBytes)
        recordBytes = reader.u64(F.recordBytes)
        writeSequence = WriteSequence(reader.u64(F.writeSequence))
        self.location = RecordLocation(
            segment: SegmentID(reader.u32(F.segment)), offset: reader.u64(F.offset))
        try reader.require(
            self.location == location, F.offset, "REC-2", expected: "\(location)")
        try reader.require(
            headerBytes >= unit && headerBytes.isMultiple(of: unit)
                && headerBytes <= Self.headerBytesMax,
            F.headerBytes, "REC-3", expected: "a multiple of \(unit), at most 64 MiB")
        try reader.require(
            recordBytes >= UInt64(headerBytes) && recordBytes.isMultiple(of: UInt64(unit))
                && recordBytes <= Superblock.segmentBytesRange.upperBound,
            F.recordBytes, "REC-4", expected: "the header region and whole units behind it")
        try reader.require(
            flags & ~Self.requiredFlag == 0, F.flags, "REC-7", expected: "0 or 1")
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(F.writeSequence)
    }

    /// Reads the prefix and checks the seal over the whole header region in `bytes`.
    public static func open(
        _ bytes: [UInt8], at location: RecordLocation, unit: UInt32, key: SealKey
    ) throws(FormatError) -> (prefix: RecordPrefix, seal: Digest128) {
        let prefix = try RecordPrefix(decoding: bytes, at: location, unit: unit)
        guard Int(prefix.headerBytes) <= bytes.count else {
            throw FormatError(
                .truncated, structure: "recordPrefix", field: "headerBytes", clause: "REC-3",
                expected: "at most \(bytes.count)", found: "\(prefix.headerBytes)")
        }
        let reader = try FieldReader(layout, bytes)
        let region = Array(bytes.prefix(Int(prefix.headerBytes)))
        let expected = key.seal(
            location: location.sealBytes, bytes: region.replacingSubrange(F.seal, with: 0))
        let found = reader.digest(F.seal)
        try reader.require(
            found.isEqualInConstantTime(to: expected), F.seal, "REC-5",
            expected: "the seal of the record at \(location)")
        return (prefix, found)
    }
}

/// A header region ready to be written, and its seal, by which commit records name it.
public struct SealedRegion: Sendable {
    public let bytes: [UInt8]
    public let seal: Digest128
}
