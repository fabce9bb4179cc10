// S3-FIFO (Yang et al., SOSP 2023) for an engine that has no queues, only segments to free: a row
// keeps the date at which a FIFO would look at it and let it go, on a clock that counts turnovers
// of the store (`InflationClock`: the date of the last entry forgotten is the tail of the queue).
//
//      stored, unknown       small queue     due a tenth of a lap from now
//      stored, ghost knows   main queue      due a lap from now
//      used                  one more lap, as the 2-bit counter does: at most four from now
//
// So what was not used since it was stored is demoted ten times as fast, and one that is used in
// time moves to main. The small queue's share is steered, not cut: while it holds more than a tenth
// of the entries, newcomers live shorter. The ghost counts for as many departures as the store has
// entries; one that knew more would call everything main. A row with no use is in the small queue.

import ChunkFormat
import Synchronization

/// Quick demotion of what was not used, a few laps for what was.
public struct S3FIFOPolicy: RetentionPolicy {
    public let name = "s3-fifo"
    private let tail = InflationClock()
    private let ghost: GhostTable
    private let counts = Counts()
    private static let lap: Int64 = 1 << 16
    private static let smallLap = lap / 10
    private static let lapCountMax: Int64 = 4

    private final class Counts: Sendable {
        let entries = Atomic<Int>(0)
        /// In the small queue.
        let small = Atomic<Int>(0)
        /// Remembered by the ghost so far.
        let departures = Atomic<UInt32>(0)
    }

    /// - Parameter ghostSlots: forgotten keys remembered, 8 bytes each; as many as the store will
    ///   have entries, or more.
    public init(ghostSlots: Int = RetentionOptions.defaultGhostSlots) {
        ghost = GhostTable(slotCount: ghostSlots)
    }

    public func row(ofNew keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> HeatRow {
        let entryCount = counts.entries.add(1, ordering: .relaxed).newValue
        let age = ghost.take(keyHash).map { counts.departures.load(ordering: .relaxed) &- $0 }
        let isKnown = age.map { Int($0) < entryCount } ?? false
        var life = Self.lap
        if !isKnown {
            let small = counts.small.add(1, ordering: .relaxed).newValue
            let share = Double(entryCount) / Double(max(10 * small, 1))
            life = Int64(Double(Self.smallLap) * min(max(share, 1 / 64), 1))
        }
        return HeatRow(
            useCount: isKnown ? 1 : 0, lastUseSeconds: seconds,
            score: WrappedSteps.encode(tail.now &+ life), lastFixCost: 0)
    }

    public func use(
        _ row: inout HeatRow, facts: VariantFacts, fixCost: Float, at seconds: UInt32
    ) {
        if row.useCount == 0 { counts.small.subtract(1, ordering: .relaxed) }
        let now = tail.now
        let due = max(self.due(row), now)
        let latest = now &+ Self.lapCountMax * Self.lap
        row.score = WrappedSteps.encode(max(due, min(due &+ Self.lap, latest)))
        row.count(fixCost: fixCost, at: seconds)
    }

    /// The date in steps of the clock.
    public func merit(of row: HeatRow, facts: VariantFacts) -> Double { Double(due(row)) }

    public func forget(
        _ row: HeatRow, keyHash: UInt64, merit: Double, because departure: Departure
    ) {
        counts.entries.subtract(1, ordering: .relaxed)
        if row.useCount == 0 { counts.small.subtract(1, ordering: .relaxed) }
        guard departure == .evicted else { return }
        tail.rise(to: merit)
        if row.useCount == 0 {
            let rank = counts.departures.wrappingAdd(1, ordering: .relaxed).newValue
            ghost.remember(keyHash, rank: rank)
        }
    }

    public func recover(_ row: HeatRow) {
        counts.entries.add(1, ordering: .relaxed)
        if row.useCount == 0 { counts.small.add(1, ordering: .relaxed) }
        tail.recover(earliest: row.score)
    }

    private func due(_ row: HeatRow) -> Int64 {
        WrappedSteps.decode(row.score, notAfter: tail.now &+ (Self.lapCountMax + 1) * Self.lap)
    }
}
