// Identities. A stored thing is named by (namespace, ChunkKey, VariantID); see PRODUCT D1, D1a and
// format-spec 01. Both are compared in full, in byte order; words are kept big-endian so that the
// order of numbers is the order of bytes.

/// The content identity of a chunk: 32 bytes, SHA-256 over typed, length-prefixed fields, or a
/// caller's own 32 bytes.
public struct ChunkKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let words: (UInt64, UInt64, UInt64, UInt64)

    public init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// The caller's own identity; `nil` unless it has exactly 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        words = (
            bigEndian(bytes, at: 0), bigEndian(bytes, at: 8),
            bigEndian(bytes, at: 16), bigEndian(bytes, at: 24)
        )
    }

    /// From 64 hexadecimal digits; `nil` for anything else.
    public init?(hexadecimal text: String) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard let high = hexDigit(digits[index]), let low = hexDigit(digits[index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }

    public var bytes: [UInt8] {
        [words.0, words.1, words.2, words.3].flatMap(bigEndianBytes)
    }

    public static let zero = Self(words: (0, 0, 0, 0))

    public static func == (left: Self, right: Self) -> Bool {
        left.words == right.words
    }
    public static func < (left: Self, right: Self) -> Bool {
        left.words < right.words
    }
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }
    public var description: String { hexadecimal(bytes) }
}

/// Which computed form of a chunk: the first 8 bytes of SHA-256 over (ordered prefix, positions
/// class, payload kind, codec); zero is the standalone, raw form.
public struct VariantID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let raw: UInt64
    public init(_ raw: UInt64) { self.raw = raw }
    public static let standalone = Self(0)
    public static func < (left: Self, right: Self) -> Bool { left.raw < right.raw }
    public var description: String { hexadecimal(raw) }
}

/// The number of a namespace; never reused.
public struct NamespaceID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let raw: UInt32
    public init(_ raw: UInt32) { self.raw = raw }
    public static func < (left: Self, right: Self) -> Bool { left.raw < right.raw }
    public var description: String { String(raw) }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// The eight bytes of a number, the most significant first.
public func bigEndianBytes(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) }
}
