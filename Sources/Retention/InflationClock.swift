// GDSF's L: the merit of the best entry forgotten so far. What was stored or used long ago ages by
// standing still while L rises; a full turnover of entries of merit 1 raises it by 1.

import Synchronization

/// L in whole steps: rises, never falls.
final class InflationClock: Sendable {
    private let steps = Atomic<Int64>(0)
    /// Whether a row has been recovered yet, and nothing else happened.
    private let isKnown = Atomic<Bool>(false)

    var now: Int64 { steps.load(ordering: .relaxed) }

    /// An entry of this merit was forgotten for space.
    func rise(to merit: Double) {
        guard merit.isFinite, abs(merit) < 0x1p52 else { return }
        steps.max(Int64(merit), ordering: .relaxed)
    }

    /// Finds L again from rows that keep it as it was at their last use: the latest reading.
    func recover(latest score: Float) {
        recover(score) { $0 > 0 }
    }

    /// Finds L again from rows that keep the L at which they fall due: the earliest reading.
    func recover(earliest score: Float) {
        recover(score) { $0 < 0 }
    }

    private func recover(_ score: Float, isBetter: (Int64) -> Bool) {
        let known = now
        let distance = WrappedSteps.distance(from: known, to: score)
        let wasKnown = isKnown.exchange(true, ordering: .relaxed)
        if !wasKnown || isBetter(distance) { steps.store(known &+ distance, ordering: .relaxed) }
    }
}
