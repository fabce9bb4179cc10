// What is remembered of keys that are not stored: 32 bits of the key's hash and 32 bits that the
// owner chooses, in sets of eight, one cache line each. Memory is fixed. A full set forgets its
// lowest rank, so ranks that grow with time make it age by itself.
//
// Ranks wrap: they are compared by their distance from the rank that is being remembered, which is
// taken to be close to the present. Two keys may share a slot's tag: one in 2^29 lookups is wrong.

import Synchronization

/// A bounded memory of keys.
///
/// *Concurrency:* any thread. *Complexity:* O(1), one cache line, no allocation.
final class GhostTable: Sendable {
    private static let ways = 8
    /// Ranks up to this far ahead of the one being remembered count as later, not as ancient.
    private static let aheadMax: UInt32 = 1 << 22
    private let setMask: UInt64
    /// Tag above rank; 0 is empty.
    private let slots: Mutex<[UInt64]>

    /// - Parameter slotCount: rounded up to a power of two, at least 8, at most 2^27 (1 GiB).
    init(slotCount: Int) {
        var count = Self.ways
        while count < min(slotCount, 1 << 27) { count *= 2 }
        setMask = UInt64(count / Self.ways - 1)
        slots = Mutex([UInt64](repeating: 0, count: count))
    }

    /// Keeps `rank` for the key, in place of what was kept for it.
    func remember(_ keyHash: UInt64, rank: UInt32) {
        let (set, tag) = place(keyHash)
        slots.withLock { slots in
            var victim = set
            var oldest: UInt32 = 0
            for slot in set..<set + Self.ways {
                if slots[slot] >> 32 == tag || slots[slot] == 0 {
                    victim = slot
                    if slots[slot] != 0 { break }
                    oldest = .max
                    continue
                }
                let age = rank &+ Self.aheadMax &- UInt32(truncatingIfNeeded: slots[slot])
                if age > oldest {
                    oldest = age
                    victim = slot
                }
            }
            slots[victim] = tag << 32 | UInt64(rank)
        }
    }

    /// What is kept for the key; nil if nothing is, or no longer.
    func recall(_ keyHash: UInt64) -> UInt32? { find(keyHash, removing: false) }

    /// The same, and forgets it.
    func take(_ keyHash: UInt64) -> UInt32? { find(keyHash, removing: true) }

    private func find(_ keyHash: UInt64, removing: Bool) -> UInt32? {
        let (set, tag) = place(keyHash)
        return slots.withLock { slots in
            for slot in set..<set + Self.ways where slots[slot] >> 32 == tag {
                let rank = UInt32(truncatingIfNeeded: slots[slot])
                if removing { slots[slot] = 0 }
                return rank
            }
            return nil
        }
    }

    /// First slot of the set, and a tag that is not 0.
    private func place(_ keyHash: UInt64) -> (set: Int, tag: UInt64) {
        // SplitMix64's finaliser: callers may hand in weak hashes.
        var mixed = (keyHash ^ (keyHash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return (Int(mixed & setMask) * Self.ways, max(mixed >> 32, 1))
    }
}
