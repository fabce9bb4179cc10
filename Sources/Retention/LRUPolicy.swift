import ChunkFormat

/// Forgets what was not used for the longest time. The yardstick of all others; blind to scans.
public struct LRUPolicy: RetentionPolicy {
    public let name = "lru"
    public init() {}

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        HeatRow(useCount: 0, lastUseSeconds: seconds, score: 0, lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        row.count(fixCost: fixCost, at: seconds)
    }

    /// Seconds since the store was created.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double {
        Double(row.lastUseSeconds)
    }
}
