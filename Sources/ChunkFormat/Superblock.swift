// The root of a store: who it is, how it seals, how large it may be (format-spec 02). Written four
// times, at spaced places, so that one fault of the medium never takes the store.

import Primitives

/// What the superblock says.
public struct Superblock: Hashable, Sendable {
    public static let formatVersion: UInt16 = 1
    public static let magic: [UInt8] = [0x89, 0x43, 0x48, 0x4B, 0x0D, 0x0A, 0x1A, 0x0A]
    public static let copyCount = 4
    public static let blockBytes = 4_096
    public static let copySpacing: UInt64 = 65_536
    /// Where the two mark blocks stand, behind the copies.
    public static let markOffset: UInt64 = 262_144
    public static let fileBytes: UInt64 = markOffset + 2 * UInt64(blockBytes)
    public static let segmentBytesRange: ClosedRange<UInt64> = 65_536...(1 << 32)

    public var storeID: [UInt8]
    public var secret: [UInt8]
    /// Counts rewrites of the superblock.
    public var generation: UInt64
    public var alignmentUnit: UInt32
    public var segmentBytes: UInt64
    public var capacityBytes: UInt64
    public var createdSeconds: UInt64
    /// Bits a reader may ignore; kept when copies are mended.
    public var optionalFeatures: UInt64

    public init(
        storeID: [UInt8], secret: [UInt8], generation: UInt64, alignmentUnit: UInt32,
        segmentBytes: UInt64, capacityBytes: UInt64, createdSeconds: UInt64,
        optionalFeatures: UInt64 = 0
    ) {
        self.storeID = storeID
        self.secret = secret
        self.generation = generation
        self.alignmentUnit = alignmentUnit
        self.segmentBytes = segmentBytes
        self.capacityBytes = capacityBytes
        self.createdSeconds = createdSeconds
        self.optionalFeatures = optionalFeatures
    }

    /// Seconds since the store was made, as index entries and heat rows count them: at least 1; 0
    /// for none. *Complexity:* O(1).
    public func age(at seconds: UInt64) -> UInt32 {
        if seconds == 0 { return 0 }
        return UInt32(clamping: seconds > createdSeconds ? seconds - createdSeconds : 1)
    }

    static let layout = Layout(
        "superblock",
        [
            ("magic", .bytes(8)), ("formatVersion", .u16), ("digestAlgorithm", .u16),
            ("copyIndex", .u32), ("storeID", .bytes(16)), ("secret", .bytes(32)),
            ("generation", .u64), ("alignmentUnit", .u32), ("sealAlgorithm", .u32),
            ("segmentBytes", .u64), ("capacityBytes", .u64), ("createdSeconds", .u64),
            ("requiredFeatures", .u64), ("optionalFeatures", .u64), ("keyID", .reserved(16)),
            ("reserved", .reserved(3_944)), ("seal", .digest),
        ])
    private enum F {
        static let magic = layout["magic"]
        static let formatVersion = layout["formatVersion"]
        static let digestAlgorithm = layout["digestAlgorithm"]
        static let copyIndex = layout["copyIndex"]
        static let storeID = layout["storeID"]
        static let secret = layout["secret"]
        static let generation = layout["generation"]
        static let alignmentUnit = layout["alignmentUnit"]
        static let sealAlgorithm = layout["sealAlgorithm"]
        static let segmentBytes = layout["segmentBytes"]
        static let capacityBytes = layout["capacityBytes"]
        static let createdSeconds = layout["createdSeconds"]
        static let requiredFeatures = layout["requiredFeatures"]
        static let optionalFeatures = layout["optionalFeatures"]
        static let seal = layout["seal"]
    }

    private static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "superblock", salt: [])
    }

    /// One block; `copyIndex` is under the seal, so that a copy at another's place is refused.
    public func encode(copyIndex: Int) -> [UInt8] {
        var writer = FieldWriter(byteCount: Self.blockBytes)
        writer.put(F.magic, Self.magic)
        writer.put(F.formatVersion, Self.formatVersion)
        writer.put(F.digestAlgorithm, UInt16(1))
        writer.put(F.copyIndex, UInt32(copyIndex))
        writer.put(F.storeID, storeID)
        writer.put(F.secret, secret)
        writer.put(F.generation, generation)
        writer.put(F.alignmentUnit, alignmentUnit)
        writer.put(F.sealAlgorithm, UInt32(1))
        writer.put(F.segmentBytes, segmentBytes)
        writer.put(F.capacityBytes, capacityBytes)
        writer.put(F.createdSeconds, createdSeconds)
        writer.put(F.optionalFeatures, optionalFeatures)
        let seal = Self.sealKey(secret: secret).seal(
            location: bigEndianBytes(UInt64(copyIndex)), bytes: writer.bytes)
        writer.put(F.seal, seal)
        return writer.bytes
    }

    public init(decoding bytes: [UInt8], copyIndex: Int) throws(FormatError) {
        let reader = try FieldReader(Self.layout, bytes)
        guard reader.bytes(F.magic) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "superblock", field: "magic", clause: "SUP-1",
                expected: hexadecimal(Self.magic), found: reader.describe(F.magic))
        }
        let block = Array(bytes.prefix(Self.layout.byteCount))
        let unsealed = block.replacingSubrange(F.seal, with: 0)
        let key = Self.sealKey(secret: reader.bytes(F.secret))
        let seal = key.seal(location: bigEndianBytes(UInt64(copyIndex)), bytes: unsealed)
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(F.seal)), F.seal, "SUP-2",
            expected: "the seal of copy \(copyIndex)")
        try reader.require(
            Int(reader.u32(F.copyIndex)) == copyIndex, F.copyIndex, "SUP-2",
            expected: "\(copyIndex)")
        guard reader.u16(F.formatVersion) == Self.formatVersion,
            reader.u64(F.requiredFeatures) == 0
        else {
            throw FormatError(
                .otherVersion, structure: "superblock", field: "formatVersion", clause: "SUP-3",
                expected: "\(Self.formatVersion), no required features",
                found: "\(reader.describe(F.formatVersion)), features "
                    + reader.describe(F.requiredFeatures))
        }
        try reader.require(
            reader.u16(F.digestAlgorithm) == 1, F.digestAlgorithm, "SUP-7",
            expected: "1, XXH3-128")
        try reader.require(
            reader.u32(F.sealAlgorithm) == 1, F.sealAlgorithm, "SUP-7",
            expected: "1, HMAC-SHA-256 cut to 128 bits")
        try reader.requireZeroReserved("FMT-3")
        storeID = reader.bytes(F.storeID)
        secret = reader.bytes(F.secret)
        try reader.requireCounters(F.generation)
        generation = reader.u64(F.generation)
        alignmentUnit = reader.u32(F.alignmentUnit)
        segmentBytes = reader.u64(F.segmentBytes)
        capacityBytes = reader.u64(F.capacityBytes)
        createdSeconds = reader.u64(F.createdSeconds)
        optionalFeatures = reader.u64(F.optionalFeatures)
        try reader.require(
            alignmentUnit >= 4_096 && alignmentUnit <= 65_536 && alignmentUnit.nonzeroBitCount == 1,
            F.alignmentUnit, "SUP-4", expected: "a power of two from 4096 to 65536")
        try reader.require(
            Self.segmentBytesRange.contains(segmentBytes)
                && segmentBytes.isMultiple(of: UInt64(alignmentUnit)),
            F.segmentBytes, "SUP-5", expected: "64 KiB to 4 GiB, a multiple of the alignment unit")
    }
}

extension [UInt8] {
    /// The bytes with one field overwritten, as seals see them.
    func replacingSubrange(_ field: Field, at base: Int = 0, with value: UInt8) -> [UInt8] {
        var copy = self
        let start = base + field.offset
        for index in start..<start + field.type.byteCount { copy[index] = value }
        return copy
    }
}
