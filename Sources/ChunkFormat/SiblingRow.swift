import Primitives

/// One of the records of a variant, as the variant's first record names it (format-spec 05).
public struct SiblingRow: Hashable, Sendable {
    public var location: RecordLocation
    public var headerBytes: UInt32
    public var recordBytes: UInt64
    public var layerFirst: UInt16
    public var layerCount: UInt16
    public var seal: Digest128

    public init(
        location: RecordLocation, headerBytes: UInt32, recordBytes: UInt64, layerFirst: UInt16,
        layerCount: UInt16, seal: Digest128
    ) {
        self.location = location
        self.headerBytes = headerBytes
        self.recordBytes = recordBytes
        self.layerFirst = layerFirst
        self.layerCount = layerCount
        self.seal = seal
    }

    static let layout = Layout(
        "siblingRow",
        [
            ("segment", .u32), ("headerBytes", .u32), ("offset", .u64), ("recordBytes", .u64),
            ("layerFirst", .u16), ("layerCount", .u16), ("reservedRow", .reserved(4)),
            ("seal", .digest),
        ])

    func write(to writer: inout FieldWriter) {
        let layout = Self.layout
        writer.put(layout["segment"], location.segment.raw)
        writer.put(layout["headerBytes"], headerBytes)
        writer.put(layout["offset"], location.offset)
        writer.put(layout["recordBytes"], recordBytes)
        writer.put(layout["layerFirst"], layerFirst)
        writer.put(layout["layerCount"], layerCount)
        writer.put(layout["seal"], seal)
    }

    init(decoding bytes: [UInt8], at base: Int, unit: UInt32) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes, at: base)
        try reader.requireZeroReserved("FMT-3")
        location = RecordLocation(
            segment: SegmentID(reader.u32(layout["segment"])),
            offset: reader.u64(layout["offset"]))
        headerBytes = reader.u32(layout["headerBytes"])
        recordBytes = reader.u64(layout["recordBytes"])
        layerFirst = reader.u16(layout["layerFirst"])
        layerCount = reader.u16(layout["layerCount"])
        seal = reader.digest(layout["seal"])
        try reader.require(
            location.offset.isMultiple(of: UInt64(unit)) && location.offset >= UInt64(unit)
                && location.offset <= Superblock.segmentBytesRange.upperBound,
            layout["offset"], "SIB-1", expected: "a unit behind a segment header")
        try reader.require(
            headerBytes >= unit && headerBytes.isMultiple(of: unit)
                && headerBytes <= RecordPrefix.headerBytesMax,
            layout["headerBytes"], "REC-3", expected: "a multiple of \(unit), at most 64 MiB")
        try reader.require(
            recordBytes >= UInt64(headerBytes) && recordBytes.isMultiple(of: UInt64(unit))
                && recordBytes <= Superblock.segmentBytesRange.upperBound,
            layout["recordBytes"], "REC-4", expected: "the header region and whole units behind it")
        try reader.require(
            Int(layerFirst) + Int(layerCount) <= PayloadRecord.layerCountMax,
            layout["layerCount"], "PAY-12",
            expected: "layers below \(PayloadRecord.layerCountMax)")
    }
}
