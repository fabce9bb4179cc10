// Slots with gaps between them: what leaves and branches have in common.
//
// Every entry stands as near as order and room allow to the slot where its prefix would stand if
// all prefixes were spread evenly between the node's fences. A gap repeats the prefix of the last
// used slot before it (0 if there is none): so the prefixes ascend over all slots, and the first
// slot whose prefix is not below a given one is a used one.
//
// Why gaps: where an entry stands depends on the fences, not on how many entries the node holds,
// and the fences' prefixes are also in the branch above. So a descent knows the slot before it has
// seen the node, and asks for header, prefix and record at once: one memory latency, not three. An
// insert finds a gap beside it and moves little. Entries that are not even stand where there is
// room, and cost what a sorted array costs. Placement is never relied on: a search starts at the
// guess and goes on until the prefixes say stop.

import CShims

extension Node {
    @inline(__always)
    func prefix(_ slot: Int) -> UInt64 { words(at: Layout.prefixes)[slot] }

    @inline(__always)
    func setPrefix(_ slot: Int, _ prefix: UInt64) { words(at: Layout.prefixes)[slot] = prefix }

    /// Which slots are in use. Bits beyond the capacity are set for good: they are never a gap, and
    /// "the next used slot" of a node's end is the capacity.
    @inline(__always)
    var used: SlotSet {
        get { SlotSet(bits: words(at: NodeOffset.bitmap)[0]) }
        nonmutating set { words(at: NodeOffset.bitmap)[0] = newValue.bits }
    }

    @inline(__always)
    static var noSlots: SlotSet {
        SlotSet(bits: Layout.capacity >= 64 ? 0 : ~0 << UInt64(Layout.capacity))
    }

    /// The slot where a prefix stands between two fences if all is even.
    @inline(__always)
    static func slotGuess(_ prefix: UInt64, low: UInt64, high: UInt64) -> Int {
        let guess = cshims_interpolate(
            low,
            high,
            UInt32(truncatingIfNeeded: Layout.capacity),
            prefix
        )
        return min(Int(truncatingIfNeeded: guess), Layout.capacity &- 1)
    }

    @inline(__always)
    func slotGuess(_ prefix: UInt64, meta: NodeMeta) -> Int {
        Self.slotGuess(prefix, low: lowPrefix, high: meta.unbounded ? .max : highPrefix)
    }

    /// The number of prefixes below `prefix`, sought from slot `guess` outwards; within
    /// [0, capacity] even when torn.
    @inline(__always)
    func prefixRank(_ prefix: UInt64, guess: Int, kernel: UInt32) -> Int {
        #if LOCKED_READS
            // The sanitizer does not see into the C kernels.
            var rank = 0
            while rank < Layout.capacity && self.prefix(rank) < prefix { rank &+= 1 }
            return rank
        #else
            // SAFETY: the kernel reads `capacity` words from the prefixes on, no more.
            let rank = unsafe cshims_rank(
                kernel,
                (base + Layout.prefixes).assumingMemoryBound(to: UInt64.self),
                UInt32(truncatingIfNeeded: Layout.capacity),
                prefix,
                UInt32(truncatingIfNeeded: guess)
            )
            return Int(truncatingIfNeeded: rank)
        #endif
    }

    // MARK: For the lock's holder

    /// A free slot for a new entry that belongs before the used slot `next`: the gap nearest to
    /// the guess if there is one at this very place, else one made by `shift(from, to, count)`.
    @inline(__always)
    func place(
        for prefix: UInt64,
        before next: Int,
        meta: NodeMeta,
        _ used: inout SlotSet,
        shift: (Int, Int, Int) -> Void
    ) -> Int {
        let previous = used.previous(below: next)
        if next &- previous > 1 {
            return min(max(slotGuess(prefix, meta: meta), previous &+ 1), next &- 1)
        }
        let gapAbove = used.nextGap(from: next)
        let gapBelow = used.previousGap(below: max(previous, 0))
        let above = gapAbove < Layout.capacity ? gapAbove &- next : .max
        let below = gapBelow >= 0 ? previous &- gapBelow : .max
        if above <= below {
            shift(next, next &+ 1, above)
            used.insert(gapAbove)
            return next
        }
        shift(gapBelow &+ 1, gapBelow, below)
        used.insert(gapBelow)
        return previous
    }

    /// Moves bytes within one of this node's arrays.
    @inline(__always)
    func shift(from source: Int, to destination: Int, bytes: Int) {
        // SAFETY: both ranges lie inside this node's arrays; copyMemory allows the overlap.
        unsafe (base + destination).copyMemory(from: base + source, byteCount: bytes)
    }
}

/// The even spread of prefixes between two fences, for placing many: one division for all.
struct PrefixSpread {
    private let low: UInt64
    private let perPrefix: Double

    init(low: UInt64, high: UInt64) {
        self.low = low
        perPrefix = high > low ? 1 / Double(high &- low) : 0
    }

    /// At most `capacity`, which rounding may reach.
    @inline(__always)
    func slot(_ prefix: UInt64, of capacity: Int) -> Int {
        if prefix <= low { return 0 }
        let share = min(Double(prefix &- low) * perPrefix, 1)
        return Int(share * Double(capacity))
    }
}

/// A set of slots in one word. Slots may run to 64, "past the end", in all questions.
struct SlotSet: Equatable {
    var bits: UInt64

    @inline(__always)
    private static func below(_ slot: Int) -> UInt64 {
        slot >= 64 ? ~0 : (1 << UInt64(truncatingIfNeeded: slot)) &- 1
    }

    @inline(__always)
    func contains(_ slot: Int) -> Bool {
        bits >> UInt64(truncatingIfNeeded: slot) & 1 != 0
    }
    @inline(__always)
    mutating func insert(_ slot: Int) { bits |= 1 << UInt64(truncatingIfNeeded: slot) }
    @inline(__always)
    mutating func remove(_ slot: Int) { bits &= ~(1 << UInt64(truncatingIfNeeded: slot)) }

    /// The first slot in the set that is not below `slot`; 64 if none.
    @inline(__always)
    func next(from slot: Int) -> Int { (bits & ~Self.below(slot)).trailingZeroBitCount }
    /// The slots in the set from `slot` on, those beyond the capacity among them.
    @inline(__always)
    func count(from slot: Int) -> Int { (bits & ~Self.below(slot)).nonzeroBitCount }
    /// The last slot in the set below `slot`; -1 if none.
    @inline(__always)
    func previous(below slot: Int) -> Int { 63 &- (bits & Self.below(slot)).leadingZeroBitCount }
    /// The first slot not in the set that is not below `slot`; 64 if none.
    @inline(__always)
    func nextGap(from slot: Int) -> Int { (~bits & ~Self.below(slot)).trailingZeroBitCount }
    /// The last slot not in the set below `slot`; -1 if none.
    @inline(__always)
    func previousGap(below slot: Int) -> Int {
        63 &- (~bits & Self.below(slot)).leadingZeroBitCount
    }
}
