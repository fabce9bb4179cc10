// The default. What a byte is expected to save: how often the variant is asked for, times what a
// miss costs, times the share that reuse saves, over its bytes. Two things make the frequency worth
// trusting. It is counted over the store's own time, which halves a count whenever the store has
// been used `usesPerEntry` times as often as it has entries, so that nothing has to be tuned to
// seconds. And it survives being forgotten: a ghost keeps the counts of keys that left, as
// TinyLFU's sketch does (Einziger et al. 2017), but exactly, per key, and ageing without a sweep.
//
// The row's score is log2 f + the half-lives so far: forward decay (Cormode et al. 2009), in steps
// of 2^-14 folded by `WrappedSteps`. A scan's chunks come with f = 1 and go first; a chunk that
// comes back finds its past. Counts above 2^15 stop growing (a use adds less than half a step).

import ChunkFormat
import Glibc
import Synchronization

/// Expected compute saved for each byte, from a frequency that forgotten keys keep.
public struct RecallPolicy: RetentionPolicy {
    public let name = "recall"
    private let clock: UseClock
    private let ghost: GhostTable
    private static let stepsPerHalfLife = 16_384.0
    /// The base-2 logarithm of the highest count that a row is read as, and then some.
    private static let aheadMax: Int64 = 40 * 16_384
    /// A use that is repaired in full still shows that the chunk is wanted.
    private static let smallestShareSaved = 0.05

    /// - Parameters:
    ///   - ghostSlots: forgotten keys remembered, 8 bytes each: four times the entries is
    ///     enough on every trace of the bench.
    ///   - usesPerEntry: uses in which a count halves, for each entry stored. Long for steady
    ///     traffic, short for drifting.
    public init(
        ghostSlots: Int = RetentionOptions.defaultGhostSlots,
        usesPerEntry: Double = RetentionOptions.defaultUsesPerEntry
    ) {
        ghost = GhostTable(slotCount: ghostSlots)
        clock = UseClock(usesPerEntry: usesPerEntry)
    }

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        clock.add(entries: 1)
        let now = clock.tick()
        let kept = ghost.take(keyHash).map { rank in
            Self.kept(now &+ Int64(Int32(truncatingIfNeeded: Int64(rank) &- now)), now: now)
        }
        // No more than the uses remembered: `recover` relies on it.
        return HeatRow(
            useCount: UInt32(min((kept ?? 0).rounded(.up), 1e9)), lastUseSeconds: seconds,
            score: Self.counted(kept ?? 0, now: now), lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        let now = clock.tick()
        row.score = Self.counted(Self.kept(score(of: row, now: now), now: now), now: now)
        row.count(fixCost: fixCost, at: seconds)
    }

    /// Base-2 logarithm of the cost saved for each byte, up to a constant.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double {
        let share = row.lastFixCost.isFinite ? 1 - Double(row.lastFixCost) : 0
        let gain = facts.costPerByte * min(max(share, Self.smallestShareSaved), 1)
        return Double(score(of: row, now: clock.now)) / Self.stepsPerHalfLife + log2(gain)
    }

    public func forget(
        _ row: HeatRow, keyHash: UInt64, merit: Double, because departure: Departure
    ) {
        clock.add(entries: -1)
        guard departure == .evicted else { return }
        ghost.remember(
            keyHash, rank: UInt32(truncatingIfNeeded: score(of: row, now: clock.now)))
    }

    /// The clock is read off the newest row: its score less its count, which its uses bound. A row
    /// that was put last, and never used, gives it exactly.
    public func recover(_ row: HeatRow) {
        clock.add(entries: 1)
        let countMax = Int64(log2(Double(row.useCount) + 1) * Self.stepsPerHalfLife)
        let now = clock.now
        let reading = now &+ WrappedSteps.distance(from: now, to: row.score) &- countMax
        clock.recover(reading)
    }

    private func score(of row: HeatRow, now: Int64) -> Int64 {
        WrappedSteps.decode(row.score, notAfter: now &+ Self.aheadMax)
    }

    /// A count that was written as `score`, decayed to now.
    private static func kept(_ score: Int64, now: Int64) -> Double {
        exp2(Double(score &- now) / stepsPerHalfLife)
    }

    /// f ← f·2^(−Δ) + 1, as a score.
    private static func counted(_ kept: Double, now: Int64) -> Float {
        let steps = (log2(kept + 1) * stepsPerHalfLife).rounded()
        return WrappedSteps.encode(now &+ Int64(min(steps, Double(aheadMax))))
    }
}
