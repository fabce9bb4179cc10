// Which stored variants deserve their bytes: replacement policies and admission. Pure arithmetic
// over the engine's heat rows; no I/O, no clock of its own, the same answers on every run.
//
// The engine asks `row(ofNew:)` at a put, `use` at a read, `worth` when it looks for space, and
// says `forget` when an entry leaves. It forgets the lowest worth first.

/// What a policy may know about a stored variant beside its heat row. Sixteen bytes of heat are
/// kept for every entry; these facts come from the index.
public struct VariantFacts: Hashable, Sendable {
    /// Bytes of the log that forgetting the variant sets free, headers included.
    public var diskBytes: UInt64
    public var tokenCount: Int
    /// What a miss costs: milliseconds if the caller measured them, otherwise token equivalents
    /// (`recomputeTokens`). Entries that compete must not mix the two.
    public var recomputeCost: Double
    /// The chunk has other variants of higher worth. Surplus is forgotten before the last variant
    /// of any chunk.
    public var isSurplus: Bool

    /// - Parameter recomputeMilliseconds: measured cost of computing the variant; nil takes
    ///   `recomputeTokens(tokenCount)`.
    public init(
        diskBytes: UInt64, tokenCount: Int, recomputeMilliseconds: Double? = nil,
        isSurplus: Bool = false
    ) {
        self.diskBytes = diskBytes
        self.tokenCount = tokenCount
        self.recomputeCost = recomputeMilliseconds ?? Self.recomputeTokens(tokenCount)
        self.isSurplus = isSurplus
    }

    /// Prefill of n tokens in units of one token's projections: n·(1 + n / `quadraticTokens`).
    ///
    /// The superlinear part is attention: 4·d·L FLOPs for each query and key that meet, n²/2
    /// pairs, beside 2·P for each token. Llama-3-8B: P = 8e9, d·L = 131,072, so the two are equal
    /// at n = 61,000.
    public static func recomputeTokens(
        _ tokenCount: Int, quadraticTokens: Double = 61_000
    ) -> Double {
        let tokens = Double(max(tokenCount, 0))
        return tokens * (1 + tokens / quadraticTokens)
    }

    /// Cost of a miss for each byte kept; finite and positive whatever the fields are.
    var costPerByte: Double {
        let cost = recomputeCost.isFinite ? recomputeCost : 0
        return max(cost, 1e-6) / Double(max(diskBytes, 1))
    }
}

/// Why an entry leaves.
public enum Departure: Hashable, Sendable {
    /// The engine needed the space: the policy learns from it.
    case evicted
    /// Removed, replaced, expired or dropped with its namespace.
    case removed
}
