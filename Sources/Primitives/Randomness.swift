// Two sources of randomness: `SeededGenerator`, which tests replay, and the `Entropy` seam, from
// which salts and identities are drawn (PRODUCT D9).

/// SplitMix64: small, fast, and the same on every machine for one seed.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Where salts, secrets and store identities come from.
public protocol Entropy: AnyObject, Sendable {
    /// Fresh random bytes. Fails closed: an implementation traps rather than return weak ones.
    func bytes(_ count: Int) -> [UInt8]
}

/// The kernel's generator, through the standard library (which traps when there is none).
public final class SystemEntropy: Entropy {
    public init() {}

    public func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
