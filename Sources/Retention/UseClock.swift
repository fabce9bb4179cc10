// Time as a store feels it: a half-life passes when the store has been used some number of times
// for each entry it holds. A store that grows lives slower, one that nobody uses does not age.

import Synchronization

/// Half-lives so far, in steps of 2^-14.
final class UseClock: Sendable {
    /// Below this many entries a count would forget too fast to mean anything.
    private static let entryCountMin = 64
    private static let fractionBits: UInt64 = 22
    private let usesPerEntry: Double
    private let entryCount = Atomic<Int>(0)
    /// In 2^-36 half-lives; may wrap, as everything that is derived from it does. It starts at a
    /// whole period, so that what is recovered may lie before the start.
    private let fine = Atomic<UInt64>(UInt64(WrappedSteps.period) << fractionBits)
    private let isKnown = Atomic<Bool>(false)

    init(usesPerEntry: Double) {
        self.usesPerEntry = usesPerEntry.isFinite ? min(max(usesPerEntry, 1), 1e6) : 1
    }

    var now: Int64 { Int64(fine.load(ordering: .relaxed) >> Self.fractionBits) }

    func add(entries: Int) { entryCount.add(entries, ordering: .relaxed) }

    /// One use; returns the time after it.
    func tick() -> Int64 {
        let entries = max(entryCount.load(ordering: .relaxed), Self.entryCountMin)
        let step = UInt64(max(0x1p36 / (usesPerEntry * Double(entries)), 1))
        return Int64(fine.wrappingAdd(step, ordering: .relaxed).newValue >> Self.fractionBits)
    }

    /// Takes the latest of the readings.
    func recover(_ reading: Int64) {
        let wasKnown = isKnown.exchange(true, ordering: .relaxed)
        guard !wasKnown || reading > now else { return }
        fine.store(UInt64(bitPattern: reading) << Self.fractionBits, ordering: .relaxed)
    }
}
