// A count that halves with time, kept as it was at the last use: f ← f·2^(−Δt/halfLife) + 1. The
// score is at least 1 after every use, so it can neither underflow nor decay into noise, and at
// u uses a second it settles at u·halfLife/ln 2.
//
// Merit is log2 f + lastUse/halfLife, the logarithm of f·2^((lastUse − t)/halfLife) without the
// part that is the same for all rows: the order of the decayed counts at every t, with no power
// that a month of idleness would turn to zero.

import ChunkFormat
import Glibc

/// Least frequently used, with decay.
public struct LFUPolicy: RetentionPolicy {
    public let name = "lfu"
    /// Seconds in which a use loses half its weight.
    public let halfLifeSeconds: Double

    public init(halfLifeSeconds: Double = 86_400) {
        self.halfLifeSeconds = halfLifeSeconds >= 1 ? halfLifeSeconds : 1
    }

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        HeatRow(useCount: 0, lastUseSeconds: seconds, score: 1, lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        row.addDecayed(1, halfLifeSeconds: halfLifeSeconds, at: seconds)
        row.count(fixCost: fixCost, at: seconds)
    }

    /// Base-2 logarithm of the decayed count, up to a constant.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double {
        row.decayedLogarithm(halfLifeSeconds: halfLifeSeconds)
    }
}

extension HeatRow {
    /// f ← f·2^(−Δt/halfLife) + weight. To be called before the use is counted.
    mutating func addDecayed(_ weight: Double, halfLifeSeconds: Double, at seconds: UInt32) {
        let kept = decayedCount * exp2(-secondsIdle(at: seconds) / halfLifeSeconds)
        score = Float(min(kept + weight, 1e30))
    }

    func decayedLogarithm(halfLifeSeconds: Double) -> Double {
        log2(decayedCount) + Double(lastUseSeconds) / halfLifeSeconds
    }
}
