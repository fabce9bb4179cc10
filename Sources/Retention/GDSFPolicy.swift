// Greedy-Dual-Size-Frequency (Cherkasova 1998): H = L + frequency · cost / bytes. The row keeps the
// L of its last use; frequency, cost and bytes are known anyway, so H is computed when it is asked
// for. L is `InflationClock`, folded into the row's Float by `WrappedSteps`.
//
// Steps: one entry of reference cost per byte, used never, is worth 1,024 of them. The part beside
// L is kept within 1 step … half a period, so that whatever stands still falls behind L before its
// reading wraps.

import ChunkFormat

/// Frequency times recompute cost for each byte, ageing by what had to be forgotten.
public struct GDSFPolicy: RetentionPolicy {
    public let name = "gdsf"
    private let stepsPerCostPerByte: Double
    private let inflation = InflationClock()
    private static let stepsMax = Double(WrappedSteps.period / 2)

    /// - Parameter referenceCostPerByte: recompute cost for each byte of an ordinary entry, in the
    ///   unit of the facts. Only resolution depends on it, and a factor of a hundred is harmless.
    ///   The default is a token of Llama-3-8B in bfloat16: 131,072 bytes.
    public init(referenceCostPerByte: Double = 1 / 131_072) {
        stepsPerCostPerByte =
            1_024 / (referenceCostPerByte > 1e-30 ? referenceCostPerByte : 1e-30)
    }

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        HeatRow(
            useCount: 0, lastUseSeconds: seconds, score: WrappedSteps.encode(inflation.now),
            lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        row.count(fixCost: fixCost, at: seconds)
        row.score = WrappedSteps.encode(inflation.now)
    }

    /// H in steps.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double {
        let frequency = Double(row.useCount) + 1
        let gain = frequency * facts.costPerByte * stepsPerCostPerByte
        return Double(WrappedSteps.decode(row.score, notAfter: inflation.now))
            + min(max(gain, 1), Self.stepsMax)
    }

    public func forget(
        _ row: HeatRow, keyHash: UInt64, merit: Double, because departure: Departure
    ) {
        if departure == .evicted { inflation.rise(to: merit) }
    }

    public func recover(_ row: HeatRow) { inflation.recover(latest: row.score) }
}
