/// What a crash may take of an operation that returned success (CONTRACT 2.3).
public enum Durability: UInt8, Sendable, Comparable, CaseIterable {
    /// The store owns the bytes and every later `get` of this process sees them. Any crash may take
    /// them, and a failed write withdraws them.
    case accepted
    /// Every write that the operation needs was seen to complete: it survives the end of this
    /// process, not a power cut.
    case written
    /// Flushed after those completions: it survives a power cut.
    case durable

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
