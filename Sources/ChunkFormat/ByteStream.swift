// Variable-length parts (metadata, bindings, names) are written one value after the other. Counts
// are checked against what is left before anything is allocated (FMT-4).

import Primitives

struct ByteStreamWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
        var rest = UInt64(value)
        for _ in 0..<Value.bitWidth / 8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }
    mutating func put(_ value: Float) { put(value.bitPattern) }
    mutating func put(_ value: [UInt8]) { bytes += value }
}

struct ByteStreamReader {
    private let bytes: [UInt8]
    private let structure: String
    private var position = 0

    init(_ bytes: [UInt8], structure: String) {
        self.bytes = bytes
        self.structure = structure
    }

    var remaining: Int { bytes.count - position }

    mutating func take(_ count: Int, _ field: String) throws(FormatError) -> [UInt8] {
        guard count >= 0, count <= remaining else {
            throw FormatError(
                .truncated, structure: structure, field: field, clause: "FMT-4",
                expected: "\(count) bytes", found: "\(remaining)")
        }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(
        _ field: String, as type: Value.Type = Value.self
    ) throws(FormatError) -> Value {
        let raw = try take(Value.bitWidth / 8, field)
        return Value(truncatingIfNeeded: raw.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    mutating func float(_ field: String) throws(FormatError) -> Float {
        Float(bitPattern: try integer(field))
    }

    /// A count of items of `itemBytes` each that are still to come.
    mutating func count(_ field: String, itemBytes: Int, max: Int) throws(FormatError) -> Int {
        let count = Int(try integer(field, as: UInt32.self))
        try require(
            count <= max && count <= remaining / itemBytes, field,
            expected: "at most \(min(max, remaining / itemBytes))", found: "\(count)")
        return count
    }

    func require(
        _ condition: Bool, _ field: String, clause: String = "FMT-4",
        expected: @autoclosure () -> String, found: @autoclosure () -> String
    ) throws(FormatError) {
        if condition { return }
        throw FormatError(
            .corrupt, structure: structure, field: field, clause: clause, expected: expected(),
            found: found())
    }

    /// *Throws:* when bytes are left that nobody asked for.
    func finish() throws(FormatError) {
        try require(remaining == 0, "end", expected: "no bytes left", found: "\(remaining)")
    }
}
