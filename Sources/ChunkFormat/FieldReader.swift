import Primitives

/// A structure being decoded. The range is checked once, when the reader is made; after that no
/// field can lie outside, so no bytes on disk reach a trap.
public struct FieldReader: Sendable {
    public let layout: Layout
    private let bytes: [UInt8]
    private let base: Int

    /// *Throws:* `.truncated` when the structure does not fit between `offset` and the end.
    public init(_ layout: Layout, _ bytes: [UInt8], at offset: Int = 0) throws(FormatError) {
        guard offset >= 0, offset <= bytes.count, bytes.count - offset >= layout.byteCount else {
            throw FormatError(
                .truncated, structure: layout.name, field: "",
                expected: "\(layout.byteCount) bytes at \(offset)", found: "\(bytes.count)")
        }
        self.layout = layout
        self.bytes = bytes
        base = offset
    }

    private func integer(_ field: Field) -> UInt64 {
        var value: UInt64 = 0
        var index = field.type.byteCount
        while index > 0 {
            index -= 1
            value = value << 8 | UInt64(bytes[base + field.offset + index])
        }
        return value
    }

    public func u8(_ field: Field) -> UInt8 { UInt8(truncatingIfNeeded: integer(field)) }
    public func u16(_ field: Field) -> UInt16 { UInt16(truncatingIfNeeded: integer(field)) }
    public func u32(_ field: Field) -> UInt32 { UInt32(truncatingIfNeeded: integer(field)) }
    public func u64(_ field: Field) -> UInt64 { integer(field) }
    public func f32(_ field: Field) -> Float { Float(bitPattern: u32(field)) }

    public func bytes(_ field: Field) -> [UInt8] {
        Array(bytes[base + field.offset..<base + field.offset + field.type.byteCount])
    }

    /// The four words of a field of 32 bytes, the most significant byte first.
    public func words(_ field: Field) -> (UInt64, UInt64, UInt64, UInt64) {
        precondition(field.type.byteCount == 32, "\(field.name) has another size")
        let offset = base + field.offset
        func word(_ index: Int) -> UInt64 {
            var value: UInt64 = 0
            for byte in 0..<8 { value = value << 8 | UInt64(bytes[offset + 8 * index + byte]) }
            return value
        }
        return (word(0), word(1), word(2), word(3))
    }

    public func digest(_ field: Field) -> Digest128 {
        let slot = bytes(field)
        let halves = (0..<2).map { half in
            slot[half * 8..<half * 8 + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        return Digest128(high: halves[0], low: halves[1])
    }

    /// *Throws:* `.corrupt` for the first reserved byte that is not zero.
    public func requireZeroReserved(_ clause: String) throws(FormatError) {
        for field in layout.reservedFields {
            if !isZero(field) {
                throw FormatError(
                    .corrupt, structure: layout.name, field: field.name, clause: clause,
                    expected: "zeros", found: hexadecimal(bytes(field).prefix(16)))
            }
        }
    }

    /// By index: reserved parts are most of a block, and every block of an opening is looked at.
    private func isZero(_ field: Field) -> Bool {
        var index = base + field.offset
        let end = index + field.type.byteCount
        while index < end {
            if bytes[index] != 0 { return false }
            index += 1
        }
        return true
    }

    /// The largest number that counts something for ever: commits, uses, generations, turns. Adding
    /// to one that was read can never overflow.
    public static let counterMax: UInt64 = 1 << 62

    /// *Throws:* `.corrupt` for the first of these counters that is out of range (FMT-12).
    public func requireCounters(_ fields: Field...) throws(FormatError) {
        for field in fields {
            try require(
                u64(field) <= Self.counterMax, field, "FMT-12", expected: "at most 2^62")
        }
    }

    /// *Throws:* `.corrupt` with the field's facts when the condition does not hold.
    public func require(
        _ condition: Bool, _ field: Field, _ clause: String, expected: @autoclosure () -> String
    ) throws(FormatError) {
        if condition { return }
        throw FormatError(
            .corrupt, structure: layout.name, field: field.name, clause: clause,
            expected: expected(), found: describe(field))
    }

    /// The field's value for people.
    public func describe(_ field: Field) -> String {
        switch field.type {
        case .u8, .u16, .u32, .u64: String(integer(field))
        case .f32: String(f32(field))
        case .digest: digest(field).description
        case .bytes, .reserved: hexadecimal(bytes(field))
        }
    }
}
