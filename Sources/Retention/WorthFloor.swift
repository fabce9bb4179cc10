// The write that need not be made. Worth stands still, so a new row that is worth less than what
// the store forgot last would be the next to go: the engine can tell before it writes a byte. Under
// `recall` most chunks of a scan end here; the ghost keeps their count, and the second or third
// time they are stored. Under `lru`, `gdsf` and `s3-fifo` a newcomer is never worth less.

import Synchronization

/// The line at which the store last forgot.
///
/// *Concurrency:* any thread. *Complexity:* O(1).
public final class WorthFloor: Sendable {
    private let bits = Atomic<UInt64>((-Double.infinity).bitPattern)

    public init() {}

    public var worth: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    /// A round of eviction drew its line at this worth: what stayed is worth more. Not to be told
    /// of newcomers that were turned away.
    public func drew(at worth: Double) {
        if !worth.isNaN { bits.store(worth.bitPattern, ordering: .relaxed) }
    }

    /// Whether a newcomer would outlive the next round. One that would not gets
    /// `RetentionPolicy.forget(…, because: .evicted)` instead of a write.
    public func admits(_ worth: Double) -> Bool { worth >= self.worth }

    /// There is room again, by removals or a higher capacity: everybody may come in.
    public func lift() { bits.store((-Double.infinity).bitPattern, ordering: .relaxed) }
}
