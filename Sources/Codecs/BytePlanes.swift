// Codec 1 (format-spec 05, "Codec 1"): numbers of several bytes, split into one plane for each of
// their bytes, and each plane compressed by LZ4 where that gains.
//
//     ┌ table ─────────────────┬ block 0 ──────────┬ block 1 ──────────┬─
//     │ u32 per block, plane   │ plane 0 │ plane 1 │ plane 0 │ plane 1 │
//     └────────────────────────┴─────────┴─────────┴─────────┴─────────┴─
//
// Why planes: the sign and exponent bytes of neighbouring numbers repeat, mantissas hardly do, and
// LZ4 looks for whole repeated bytes. Why blocks: each decodes without the others, from caches.
//
// 1. No bytes make the decoder trap, read outside of them, or write outside its target.
// 2. What it accepts decodes to exactly `rawBytes`, from exactly `storedBytes`.

import KVModel

/// How bytes were split and cut: what an extent's `codecParameters` say.
public struct BytePlanes: Hashable, Sendable {
    /// The codec's number in an extent row.
    public static let codec: UInt16 = 1
    public static let blockShiftRange = 12...20
    /// LZ4 never makes more of a byte (COD-2, COD-3).
    public static let expansionMax = 255
    /// A plane that LZ4 shortens by less than this part of it is stored raw: decoding it would cost
    /// more than reading the difference.
    public static let planeGainDivisor = 16

    /// Of one number: 1, 2 or 4, and so many planes.
    public let elementBytes: Int
    /// Blocks are of `1 << blockShift` raw bytes, the last may be shorter.
    public let blockShift: Int

    /// - Parameter blockShift: 12 to 20.
    public init(_ elementType: ElementType, blockShift: Int) {
        precondition(Self.blockShiftRange.contains(blockShift))
        elementBytes = elementType.byteCount
        self.blockShift = blockShift
    }

    /// The form of an extent.
    /// *Throws:* when no extent of this codec is like that.
    public init(parameters: UInt64, rawBytes: UInt64, storedBytes: UInt64) throws(CodecError) {
        elementBytes = Int(parameters & 0xFF)
        blockShift = Int(parameters >> 8 & 0xFF)
        guard parameters >> 16 == 0, [1, 2, 4].contains(elementBytes),
            Self.blockShiftRange.contains(blockShift)
        else {
            throw CodecError(
                "codecParameters", "COD-1", "1, 2 or 4 bytes a number, blocks of 2^12 to 2^20",
                "0x\(String(parameters, radix: 16))")
        }
        guard rawBytes > 0, rawBytes.isMultiple(of: UInt64(elementBytes)),
            rawBytes / UInt64(Self.expansionMax) <= storedBytes
        else {
            throw CodecError(
                "rawBytes", "COD-2",
                "whole numbers, at most \(Self.expansionMax) times \(storedBytes)", "\(rawBytes)")
        }
    }

    public var parameters: UInt64 { UInt64(elementBytes) | UInt64(blockShift) << 8 }
    public var blockBytes: Int { 1 << blockShift }

    public func blockCount(rawBytes: Int) -> Int { (rawBytes + blockBytes - 1) >> blockShift }

    /// What the table takes, and all by which an encoded extent can be longer than a raw one.
    public func tableBytes(rawBytes: Int) -> Int {
        blockCount(rawBytes: rawBytes) * elementBytes * 4
    }

    /// Raw bytes of one plane of one block.
    func planeBytes(block: Int, rawBytes: Int) -> Int {
        min(blockBytes, rawBytes - block << blockShift) / elementBytes
    }
}

/// Why bytes are not what the codec says of them.
public struct CodecError: Error, Hashable, Sendable, CustomStringConvertible {
    public let field: String
    public let clause: String
    public let expected: String
    public let found: String

    init(_ field: String, _ clause: String, _ expected: String, _ found: String) {
        self.field = field
        self.clause = clause
        self.expected = expected
        self.found = found
    }

    public var description: String {
        "\(clause): \(field): expected \(expected), found \(found)"
    }
}
