import Primitives

/// Bytes being encoded, structure by structure. Starts as zeros.
public struct FieldWriter {
    public private(set) var bytes: [UInt8]
    private var base = 0

    public init(byteCount: Int) { bytes = [UInt8](repeating: 0, count: byteCount) }

    /// Following `put`s address a structure that starts at `offset`.
    public mutating func move(to offset: Int) { base = offset }

    public mutating func put(_ field: Field, _ value: some FixedWidthInteger & UnsignedInteger) {
        let width = field.type.byteCount * 8
        precondition(width >= value.bitWidth || value >> width == 0)
        var rest = UInt64(value)
        for index in 0..<field.type.byteCount {
            bytes[base + field.offset + index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
    }

    public mutating func put(_ field: Field, _ value: Float) { put(field, value.bitPattern) }

    public mutating func put(_ field: Field, _ value: Digest128) {
        put(field, bigEndianBytes(value.high) + bigEndianBytes(value.low))
    }

    /// Four words into a field of 32 bytes, the most significant byte first.
    public mutating func put(_ field: Field, words: (UInt64, UInt64, UInt64, UInt64)) {
        precondition(field.type.byteCount == 32, "\(field.name) has another size")
        var offset = base + field.offset
        for word in [words.0, words.1, words.2, words.3] {
            for byte in 0..<8 as Range<UInt64> {
                bytes[offset] = UInt8(truncatingIfNeeded: word >> (56 - 8 * byte))
                offset += 1
            }
        }
    }

    public mutating func put(_ field: Field, _ value: [UInt8]) {
        precondition(value.count == field.type.byteCount, "\(field.name) has another size")
        put(at: field.offset, value)
    }

    /// Bytes without a fixed place in a layout, relative to the current structure.
    public mutating func put(at offset: Int, _ value: [UInt8]) {
        let start = base + offset
        bytes.replaceSubrange(start..<start + value.count, with: value)
    }
}
