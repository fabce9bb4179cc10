// What a variant is worth keeping for (FUSION, "Cache-Craft"; the notes on the paper know no decay
// and ε = 1e-6, by which one perfect hit outweighs 150,000 repairs). `Retention` keeps the same
// number as a logarithm in the heat table; a simulation or a caller's own table keeps this.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

public struct UseScore: Hashable, Sendable {
    /// f as it was at the last use.
    public private(set) var value = 0.0
    public private(set) var lastUseSeconds = 0.0
    public let halfLifeSeconds: Double
    /// ε: what a use without repair counts as.
    public let smallestFixCost: Double

    public init(halfLifeSeconds: Double, smallestFixCost: Double = 0.05) {
        precondition(halfLifeSeconds > 0 && smallestFixCost > 0, "both must be positive")
        self.halfLifeSeconds = halfLifeSeconds
        self.smallestFixCost = smallestFixCost
    }

    /// f·2^(−Δt/halfLife) now; time that runs backwards does not raise it.
    public func value(at seconds: Double) -> Double {
        value * exp2(-max(0, seconds - lastUseSeconds) / halfLifeSeconds)
    }

    /// f ← f·2^(−Δt/halfLife) + 1/max(CFO, ε); a cost that is no number is that of repairing all.
    public mutating func use(fixCost: Double, at seconds: Double) {
        value = value(at: seconds) + 1 / max(fixCost.isNaN ? 1 : fixCost, smallestFixCost)
        lastUseSeconds = max(seconds, lastUseSeconds)
    }
}
