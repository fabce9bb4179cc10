import ChunkFormat

/// Cache-Craft's score (arXiv 2502.15734; FUSION.md): f ← f·2^(−Δt/halfLife) + 1/max(CFO, ε) at
/// each use, so that what is reused with little repair is worth more; the lowest is forgotten
/// first.
///
/// A put counts as a use that repaired everything: f = 1. That surplus goes before the last variant
/// of any chunk holds for every policy, through `worth`. Numerics as `LFUPolicy`.
public struct CacheCraftPolicy: RetentionPolicy {
    public let name = "cache-craft"
    /// Seconds in which a use loses half its weight.
    public let halfLifeSeconds: Double
    /// ε: no use counts more than 1/ε.
    public let smallestFixCost: Double

    public init(halfLifeSeconds: Double = 86_400, smallestFixCost: Double = 0.05) {
        self.halfLifeSeconds = halfLifeSeconds >= 1 ? halfLifeSeconds : 1
        self.smallestFixCost = smallestFixCost >= 1e-6 ? min(smallestFixCost, 1) : 1e-6
    }

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        HeatRow(useCount: 0, lastUseSeconds: seconds, score: 1, lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        let cost = fixCost.isFinite ? min(Double(fixCost), 1) : 1
        row.addDecayed(
            1 / max(cost, smallestFixCost), halfLifeSeconds: halfLifeSeconds, at: seconds)
        row.count(fixCost: fixCost, at: seconds)
    }

    /// Base-2 logarithm of the decayed f, up to a constant.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double {
        row.decayedLogarithm(halfLifeSeconds: halfLifeSeconds)
    }
}
