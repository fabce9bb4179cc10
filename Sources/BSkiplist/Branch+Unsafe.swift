// The branch: separators that route, and the child that each of them starts.
//
//   slot       0      1      2      3      4      5
//   prefix   | 00.. | 00.. | 3b.. | 3b.. | 3b.. | 9f.. |    compared on every visit
//   used     |  x   |      |  x   |  x   |      |  x   |
//   child    |  a   |  a   |  b   |  c   |  c   |  d   |
//   rest     |  0   |      |  y   |  z   |      |  w   |    the separator's other words: ties only
//
// Gaps and guesses are as in a leaf; a gap repeats prefix and child of the used slot before it, so
// routing takes the last slot whose prefix is below the key's and needs no bitmap. Slot 0 is always
// used and its separator is the branch's own low fence: every key that stands inside has a child.
//
// Keeping separators whole means that a million keys with one prefix, or a thousand variants of
// one key, route as sharply as hashes do, only with a binary search instead of a count.

import Synchronization

extension Node {
    // SAFETY: slots are below the capacity, so all offsets are inside the node.
    @inline(__always)
    func child(_ slot: Int) -> NodeIndex {
        #if LOCKED_READS
            return unsafe base.load(fromByteOffset: Layout.children &+ 4 &* slot, as: UInt32.self)
        #else
            return unsafe (base + (Layout.children &+ 4 &* slot))
                .assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .relaxed)
        #endif
    }

    @inline(__always)
    private func setChild(_ slot: Int, _ child: NodeIndex) {
        unsafe base.storeBytes(
            of: child,
            toByteOffset: Layout.children &+ 4 &* slot,
            as: UInt32.self
        )
    }

    @inline(__always)
    private func separatorRest(_ slot: Int) -> NodeWords {
        words(at: Layout.separators &+ 8 &* Key.restWords &* slot)
    }

    @inline(__always)
    func separator(_ slot: Int) -> Key {
        Key(prefix: prefix(slot), rest: separatorRest(slot))
    }

    /// The child for `key`, and the prefixes of the separators on both sides of it.
    ///
    /// `guess` is where to start looking.
    @inline(__always)
    func route(
        _ key: Key,
        meta: NodeMeta,
        guess: Int,
        kernel: UInt32
    ) -> (child: NodeIndex, low: UInt64, high: UInt64) {
        let rank = prefixRank(key.prefix, guess: guess, kernel: kernel)
        var next = rank
        var slot = rank == 0 ? 0 : rank &- 1
        if rank < Layout.capacity && prefix(rank) == key.prefix {
            next = firstSeparator(above: key, from: rank)
            slot = max(used.previous(below: next), 0)
        }
        let bound =
            next < Layout.capacity ? prefix(next) : meta.unbounded ? .max : highPrefix
        return (child(slot), prefix(slot), bound)
    }

    /// The first used slot not before `from` whose separator is above `key`; the capacity if none.
    @inline(never)
    private func firstSeparator(above key: Key, from: Int) -> Int {
        let used = self.used
        var low = from
        var high = Layout.capacity
        while low < high {
            let middle = (low &+ high) >> 1
            let slot = used.next(from: middle)
            if slot >= high || key < separator(slot) { high = middle } else { low = slot &+ 1 }
        }
        return min(used.next(from: low), Layout.capacity)
    }

    // MARK: For the lock's holder

    /// The used slot that covers `key`, which stands inside.
    func branchSlot(_ key: Key) -> Int {
        used.previous(below: firstSeparator(above: key, from: 0))
    }

    /// Adds a separator that is not present. The branch is not full.
    func branchInsert(_ key: Key, _ child: NodeIndex, meta: NodeMeta) {
        let next = firstSeparator(above: key, from: 0)
        var used = self.used
        let place = self.place(for: key.prefix, before: next, meta: meta, &used) {
            shiftBranch(from: $0, to: $1, count: $2)
        }
        key.storeRest(separatorRest(place))
        fillBranch(from: place, to: next, key.prefix, child)
        used.insert(place)
        self.used = used
        var changed = meta
        changed.count = meta.count &+ 1
        self.meta = changed
    }

    /// Gives slots `from..<to` (at least one) one prefix and child.
    private func fillBranch(from: Int, to: Int, _ prefix: UInt64, _ child: NodeIndex) {
        var slot = from
        repeat {
            setPrefix(slot, prefix)
            setChild(slot, child)
            slot &+= 1
        } while slot < to
    }

    private func shiftBranch(from: Int, to: Int, count: Int) {
        shift(
            from: Layout.prefixes &+ 8 &* from,
            to: Layout.prefixes &+ 8 &* to,
            bytes: 8 &* count
        )
        shift(
            from: Layout.children &+ 4 &* from,
            to: Layout.children &+ 4 &* to,
            bytes: 4 &* count
        )
        let restBytes = 8 &* Key.restWords
        shift(
            from: Layout.separators &+ restBytes &* from,
            to: Layout.separators &+ restBytes &* to,
            bytes: restBytes &* count
        )
    }

    /// Removes the separator in `slot`, which is not slot 0.
    func branchRemove(at slot: Int) {
        var used = self.used
        used.remove(slot)
        let next = min(used.next(from: slot), Layout.capacity)
        fillBranch(from: slot, to: next, prefix(slot &- 1), child(slot &- 1))
        self.used = used
        var meta = self.meta
        meta.count &-= 1
        self.meta = meta
    }

    /// All separators and children, in order.
    func branchEntries() -> [(Key, NodeIndex)] {
        var entries: [(Key, NodeIndex)] = []
        entries.reserveCapacity(Layout.capacity)
        var slot = used.next(from: 0)
        while slot < Layout.capacity {
            entries.append((separator(slot), child(slot)))
            slot = used.next(from: slot &+ 1)
        }
        return entries
    }

    /// Replaces the content; the fences must be set, and the first separator be the low one.
    func branchPlace(_ entries: ArraySlice<(Key, NodeIndex)>) {
        var meta = self.meta
        var used = Self.noSlots
        var slot = 0
        var left = entries.count
        var last: (prefix: UInt64, child: NodeIndex) = (0, 0)
        for (key, child) in entries {
            let room = Layout.capacity &- left
            let place = max(slot, min(slotGuess(key.prefix, meta: meta), room))
            if place > slot { fillBranch(from: slot, to: place, last.prefix, last.child) }
            last = (key.prefix, child)
            fillBranch(from: place, to: place &+ 1, key.prefix, child)
            key.storeRest(separatorRest(place))
            used.insert(place)
            slot = place &+ 1
            left &-= 1
        }
        if slot < Layout.capacity {
            fillBranch(from: slot, to: Layout.capacity, last.prefix, last.child)
        }
        self.used = used
        meta.count = entries.count
        self.meta = meta
    }
}
