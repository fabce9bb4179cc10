// The one protocol behind which all policies stand, and the one rule that all of them obey: surplus
// variants go first (FUSION.md, Cache-Craft).
//
// Worth is a standing number: while a row is not used it does not move, so that an engine may keep
// it in a heap, in a segment's summary or not at all. Ageing happens by newer rows growing past
// older ones; that is why no call takes "now" to compare two rows. It also means that an engine can
// spare a write (`WorthFloor`).

import ChunkFormat

/// Which variants are worth their bytes.
///
/// *Concurrency:* all calls may come from any thread. A row is the caller's, and must not be handed
/// in twice at once. *Complexity:* O(1) each, no allocation.
///
/// Seconds are those of the heat table, since the store was created. A clock that jumps back counts
/// as no time at all.
public protocol RetentionPolicy: Sendable {
    /// As the registry knows it.
    var name: String { get }

    /// The row of a variant that was just put. A put is no use; a policy with a memory of forgotten
    /// keys finds the key's past here, and counts the uses it remembers.
    /// - Parameter keyHash: any 64 bits that stand for the chunk key and variant.
    func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow

    /// Counts one use.
    /// - Parameter fixCost: the CFO of this use, 0…1: the share of its tokens that were repaired.
    func use(_ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32)

    /// How much the row speaks for keeping the variant, surplus or not: the higher the better.
    /// Comparable between all rows of one policy; never NaN, whatever the row's bits are.
    func merit(of row: HeatRow, facts: VariantFacts) -> Double

    /// An entry has left. Called once for each.
    /// - Parameter merit: what it had when it was chosen, or the round's line if that is lower.
    func forget(_ row: HeatRow, keyHash: UInt64, merit: Double, because departure: Departure)

    /// At open, once for each living entry's row that came with the store, in any order and before
    /// any other call: what the policy keeps in memory is found again.
    func recover(_ row: HeatRow)
}

extension RetentionPolicy {
    /// What separates surplus from everything else. Merits lie within ±2^43; at this size a Double
    /// still resolves 1/256.
    private static var surplusGap: Double { 0x1p44 }

    /// What the engine compares: lowest first. The merit, below all others for surplus.
    public func worth(of row: HeatRow, facts: VariantFacts) -> Double {
        let merit = merit(of: row, facts: facts)
        return facts.isSurplus ? merit - Self.surplusGap : merit
    }

    /// An entry has left; see `forget(_:keyHash:merit:because:)`.
    /// - Parameter line: the worth at which this round of eviction drew its line. An engine that
    ///   frees whole segments also forgets a few entries above it; what ages the others is the
    ///   line, or one rare entry would make everything else look old.
    public func forget(
        _ row: HeatRow, keyHash: UInt64, facts: VariantFacts, because departure: Departure,
        line: Double = .infinity
    ) {
        forget(
            row, keyHash: keyHash, merit: min(merit(of: row, facts: facts), line),
            because: departure)
    }

    /// A row that another policy wrote, or none did, instead of `recover`: its counts stay, its
    /// score is made anew, a use counting as one.
    public func adopted(
        _ row: HeatRow, keyHash: UInt64, facts: VariantFacts, at seconds: UInt32
    ) -> HeatRow {
        var fresh = self.row(
            ofNew: keyHash, facts: facts, at: min(row.lastUseSeconds, seconds))
        if row.useCount > 0 {
            use(&fresh, facts: facts, fixCost: row.lastFixCost, at: fresh.lastUseSeconds)
        }
        fresh.useCount = max(fresh.useCount, row.useCount)
        return fresh
    }

    public func forget(
        _ row: HeatRow, keyHash: UInt64, merit: Double, because departure: Departure
    ) {}

    public func recover(_ row: HeatRow) {}
}

extension HeatRow {
    /// A use, counted; the score is the policy's.
    mutating func count(fixCost: Float, at seconds: UInt32) {
        useCount = useCount == .max ? .max : useCount + 1
        lastUseSeconds = seconds
        if !score.isFinite { score = 0 }
        lastFixCost = fixCost.isFinite ? min(max(fixCost, 0), 1) : 1
    }

    /// Seconds since the last use, none if the clock went back.
    func secondsIdle(at seconds: UInt32) -> Double {
        seconds > lastUseSeconds ? Double(seconds - lastUseSeconds) : 0
    }

    /// A score that was a decayed count: positive and finite whatever the bits are.
    var decayedCount: Double {
        score.isFinite && score > 0 ? Double(score) : Double(Float.leastNormalMagnitude)
    }
}
