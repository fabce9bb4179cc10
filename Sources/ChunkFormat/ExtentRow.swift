// The extent table: nothing in a record is located by arithmetic (PRODUCT D6a, format-spec 05).

import Primitives

/// What an extent holds. An open number: unknown kinds are kept and skipped.
public struct ExtentKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let keys = Self(rawValue: 1)
    public static let values = Self(rawValue: 2)
    public static let layerInput = Self(rawValue: 3)
    public static let latent = Self(rawValue: 4)
    public static let codes = Self(rawValue: 5)
    public static let sidecar = Self(rawValue: 6)
    public var description: String {
        switch self {
        case .keys: "K"
        case .values: "V"
        case .layerInput: "X"
        case .latent: "latent"
        case .codes: "codes"
        case .sidecar: "sidecar"
        default: "kind \(rawValue)"
        }
    }
}

/// One extent: one layer's keys or values of one chunk, from a unit boundary, padded with zeros.
public struct ExtentRow: Hashable, Sendable {
    public var layer: UInt16
    public var kind: ExtentKind
    /// 0 is raw.
    public var codec: UInt16
    public var tokenCount: UInt32
    /// The first of this extent's slots in the record's digest table.
    public var firstDigestSlot: UInt32
    public var codecParameters: UInt64
    /// From the record's first byte.
    public var offset: UInt64
    /// On disk, padding excluded.
    public var storedBytes: UInt64
    /// After decoding.
    public var rawBytes: UInt64

    public init(
        layer: UInt16, kind: ExtentKind, codec: UInt16 = 0, tokenCount: UInt32,
        firstDigestSlot: UInt32, codecParameters: UInt64 = 0, offset: UInt64, storedBytes: UInt64,
        rawBytes: UInt64
    ) {
        self.layer = layer
        self.kind = kind
        self.codec = codec
        self.tokenCount = tokenCount
        self.firstDigestSlot = firstDigestSlot
        self.codecParameters = codecParameters
        self.offset = offset
        self.storedBytes = storedBytes
        self.rawBytes = rawBytes
    }

    /// Bytes on disk with the padding, which the digests cover.
    public func paddedBytes(unit: UInt32) -> UInt64 {
        (storedBytes + UInt64(unit) - 1) & ~(UInt64(unit) - 1)
    }

    /// How many digest slots cover the padded bytes; the grid restarts at every extent.
    public func digestSlotCount(unit: UInt32, blockBytes: Int) -> Int {
        let block = UInt64(blockBytes)
        return Int((paddedBytes(unit: unit) + block - 1) / block)
    }

    static let layout = Layout(
        "extentRow",
        [
            ("layer", .u16), ("kind", .u16), ("codec", .u16), ("reservedRow", .reserved(2)),
            ("tokenCount", .u32), ("firstDigestSlot", .u32), ("codecParameters", .u64),
            ("offset", .u64), ("storedBytes", .u64), ("rawBytes", .u64),
        ])
    private enum F {
        static let layer = layout["layer"]
        static let kind = layout["kind"]
        static let codec = layout["codec"]
        static let tokenCount = layout["tokenCount"]
        static let firstDigestSlot = layout["firstDigestSlot"]
        static let codecParameters = layout["codecParameters"]
        static let offset = layout["offset"]
        static let storedBytes = layout["storedBytes"]
        static let rawBytes = layout["rawBytes"]
    }

    func write(to writer: inout FieldWriter) {
        writer.put(F.layer, layer)
        writer.put(F.kind, kind.rawValue)
        writer.put(F.codec, codec)
        writer.put(F.tokenCount, tokenCount)
        writer.put(F.firstDigestSlot, firstDigestSlot)
        writer.put(F.codecParameters, codecParameters)
        writer.put(F.offset, offset)
        writer.put(F.storedBytes, storedBytes)
        writer.put(F.rawBytes, rawBytes)
    }

    /// Decodes row `bytes[base...]` and checks it against its record.
    init(
        decoding bytes: [UInt8], at base: Int, in record: RecordPrefix, unit: UInt32,
        blockBytes: Int, digestSlotCount slotCount: Int
    ) throws(FormatError) {
        let reader = try FieldReader(Self.layout, bytes, at: base)
        layer = reader.u16(F.layer)
        kind = ExtentKind(rawValue: reader.u16(F.kind))
        codec = reader.u16(F.codec)
        tokenCount = reader.u32(F.tokenCount)
        firstDigestSlot = reader.u32(F.firstDigestSlot)
        codecParameters = reader.u64(F.codecParameters)
        offset = reader.u64(F.offset)
        storedBytes = reader.u64(F.storedBytes)
        rawBytes = reader.u64(F.rawBytes)
        try reader.requireZeroReserved("FMT-3")
        try reader.require(
            offset.isMultiple(of: UInt64(unit)) && offset >= UInt64(record.headerBytes)
                && offset <= record.recordBytes,
            F.offset, "EXT-1", expected: "a unit behind the header region, inside the record")
        try reader.require(
            storedBytes > 0 && storedBytes <= record.recordBytes, F.storedBytes, "EXT-2",
            expected: "1 to \(record.recordBytes)")
        try reader.require(
            paddedBytes(unit: unit) <= record.recordBytes - offset, F.storedBytes, "EXT-2",
            expected: "an extent that ends inside the record")
        try reader.require(
            codec != 0 || rawBytes == storedBytes, F.rawBytes, "EXT-3",
            expected: "\(storedBytes), since the extent is raw")
        try reader.require(
            rawBytes <= Superblock.segmentBytesRange.upperBound, F.rawBytes, "EXT-3",
            expected: "at most 4 GiB")
        let slots = digestSlotCount(unit: unit, blockBytes: blockBytes)
        try reader.require(
            Int(firstDigestSlot) <= slotCount && slots <= slotCount - Int(firstDigestSlot),
            F.firstDigestSlot, "EXT-4", expected: "slots inside the table of \(slotCount)")
    }
}
