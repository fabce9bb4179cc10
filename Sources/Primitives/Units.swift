// Units that cross module boundaries. An index, a count and a number of bytes are three species;
// what a reader could confuse has a type, what stays inside a function is an `Int`.

/// A number of bytes, with binary units for people.
public struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var bytes: UInt64

    public init(_ bytes: UInt64) { self.bytes = bytes }

    public static func bytes(_ count: UInt64) -> Self { Self(count) }
    public static func kibibytes(_ count: UInt64) -> Self { Self(saturating: count, shift: 10) }
    public static func mebibytes(_ count: UInt64) -> Self { Self(saturating: count, shift: 20) }
    public static func gibibytes(_ count: UInt64) -> Self { Self(saturating: count, shift: 30) }

    private init(saturating count: UInt64, shift: UInt64) {
        let (value, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
        bytes = overflow ? .max : value
    }

    public static func < (left: Self, right: Self) -> Bool { left.bytes < right.bytes }

    /// For example `1.5 GiB`; exact below one KiB.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let tenths = (value * 10).rounded() / 10
        let text = tenths == tenths.rounded() && tenths >= 10 ? "\(Int(tenths))" : "\(tenths)"
        return "\(text) \(units[unit])"
    }
}

/// The number of a segment file. Files are named by number only (CONTRACT S-1), never by a caller.
public struct SegmentID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let raw: UInt32
    public init(_ raw: UInt32) { self.raw = raw }
    public static func < (left: Self, right: Self) -> Bool { left.raw < right.raw }
    public var description: String {
        let digits = String(raw)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

/// The place of an effect in the one order of all writes of a store. Never reused, never goes back.
public struct WriteSequence: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let raw: UInt64
    public init(_ raw: UInt64) { self.raw = raw }
    public static let zero = Self(0)
    public static func < (left: Self, right: Self) -> Bool { left.raw < right.raw }
    public var next: Self { Self(raw &+ 1) }
    public var description: String { "#\(raw)" }
}

/// Where bytes are: a range inside one segment.
public struct Extent: Hashable, Sendable, CustomStringConvertible {
    public let segment: SegmentID
    public let offset: UInt64
    public let byteCount: UInt64
    public init(segment: SegmentID, offset: UInt64, byteCount: UInt64) {
        self.segment = segment
        self.offset = offset
        self.byteCount = byteCount
    }
    public var description: String { "\(segment)+\(offset):\(byteCount)" }
}

/// Rounds up to a multiple of `unit` (a power of two); `nil` when the result does not fit.
@inlinable
public func roundUp(_ value: UInt64, to unit: UInt64) -> UInt64? {
    let (sum, overflow) = value.addingReportingOverflow(unit - 1)
    return overflow ? nil : sum & ~(unit - 1)
}

/// Rounds up to a multiple of `unit` (a power of two) for sizes the program made itself.
@inlinable
public func aligned(_ value: Int, to unit: Int) -> Int { (value + unit - 1) & ~(unit - 1) }

extension UInt64 {
    /// Sums, differences and products of numbers that bytes on disk, or callers, may have made up:
    /// what does not fit is the nearest number that does.
    public func saturatingAdd(_ other: UInt64) -> UInt64 {
        let (sum, isOver) = addingReportingOverflow(other)
        return isOver ? .max : sum
    }

    public func saturatingSubtract(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }

    public func saturatingMultiply(_ other: UInt64) -> UInt64 {
        let (product, isOver) = multipliedReportingOverflow(by: other)
        return isOver ? .max : product
    }
}
