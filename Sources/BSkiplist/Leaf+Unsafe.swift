// The leaf: entries in gapped slots (see Slots+Unsafe.swift).
//
//   slot       0      1      2      3      4      5      6      7
//   prefix   | 0    | 1a.. | 1a.. | 3b.. | 3b.. | 3b.. | 9f.. | 9f.. |
//   used     |      |  x   |      |  x   |  x   |      |  x   |      |
//   record   |      | 1a.. |      | 3b.a | 3b.b |      | 9f.. |      |    rest of key, value
//
// A hit compares one prefix line and one record; a miss on hashes reads no record at all.

extension Node {
    @inline(__always)
    func record(_ slot: Int) -> NodeWords {
        words(at: Layout.records &+ slot &* Layout.recordBytes)
    }

    @inline(__always)
    func leafKey(_ slot: Int) -> Key { Key(prefix: prefix(slot), rest: record(slot)) }

    @inline(__always)
    func value(_ slot: Int) -> IndexValue {
        let words = record(slot).advanced(by: Key.restWords)
        return IndexValue(words[0], words[1], words[2])
    }

    /// The lock's holder only.
    @inline(__always)
    func setValue(_ slot: Int, _ value: IndexValue) {
        let words = record(slot).advanced(by: Key.restWords)
        words[0] = value.v0
        words[1] = value.v1
        words[2] = value.v2
    }

    // MARK: Search

    /// The first used slot whose key is not below `key` (the capacity if none), and whether it is
    /// `key`. `guess` is where to start looking.
    @inline(__always)
    func leafSearch(_ key: Key, guess: Int, kernel: UInt32) -> (slot: Int, found: Bool) {
        let rank = prefixRank(key.prefix, guess: guess, kernel: kernel)
        let used = self.used
        if rank >= Layout.capacity { return (rank, false) }
        if prefix(rank) != key.prefix { return (used.next(from: rank), false) }
        // A gap may repeat a removed key word for word: the bitmap has the last say.
        if used.contains(rank) && key.restEquals(record(rank)) { return (rank, true) }
        return leafSearchTie(key, from: rank, used: used)
    }

    /// The prefix ties and the first of the tie is another key: binary search by the whole key.
    @inline(never)
    private func leafSearchTie(
        _ key: Key,
        from: Int,
        used: SlotSet
    ) -> (slot: Int, found: Bool) {
        var low = from
        var high = Layout.capacity
        while low < high {
            let middle = (low &+ high) >> 1
            let slot = used.next(from: middle)
            if slot >= high || leafKey(slot) >= key {
                high = middle
            } else {
                low = slot &+ 1
            }
        }
        let slot = used.next(from: low)
        return (slot, slot < Layout.capacity && leafKey(slot) == key)
    }

    // MARK: Changes; the lock's holder only

    /// Puts an entry before `next`, the first used slot with a greater key. The leaf is not full.
    @inline(__always)
    func leafInsert(_ key: Key, _ value: IndexValue, before next: Int, meta: NodeMeta) {
        var used = self.used
        let place = self.place(for: key.prefix, before: next, meta: meta, &used) {
            shiftLeaf(from: $0, to: $1, count: $2)
        }
        // The gaps from here on now follow the new key.
        var slot = place
        repeat {
            setPrefix(slot, key.prefix)
            slot &+= 1
        } while slot < next
        key.storeRest(record(place))
        setValue(place, value)
        used.insert(place)
        self.used = used
        var changed = meta
        changed.count = meta.count &+ 1
        self.meta = changed
    }

    @inline(__always)
    private func shiftLeaf(from: Int, to: Int, count: Int) {
        shift(
            from: Layout.prefixes &+ 8 &* from,
            to: Layout.prefixes &+ 8 &* to,
            bytes: 8 &* count
        )
        shift(
            from: Layout.records &+ Layout.recordBytes &* from,
            to: Layout.records &+ Layout.recordBytes &* to,
            bytes: Layout.recordBytes &* count
        )
    }

    func leafRemove(at slot: Int, meta: NodeMeta) {
        var used = self.used
        used.remove(slot)
        let before = slot > 0 ? prefix(slot &- 1) : 0
        var gap = slot
        let next = min(used.next(from: slot), Layout.capacity)
        while gap < next {
            setPrefix(gap, before)
            gap &+= 1
        }
        self.used = used
        var changed = meta
        changed.count = meta.count &- 1
        self.meta = changed
    }

    /// Makes every slot a gap.
    func leafClear() {
        used = Self.noSlots
        var slot = 0
        while slot < Layout.capacity {
            setPrefix(slot, 0)
            slot &+= 1
        }
    }

    /// Copies the entry in `slot` out, as it lies: prefix, then record.
    @inline(__always)
    func copyEntry(_ slot: Int, to entry: UnsafeMutablePointer<(Key, IndexValue)>) {
        #if LOCKED_READS
            unsafe entry.initialize(to: (leafKey(slot), value(slot)))
        #else
            // SAFETY: an entry is a prefix and a record without padding (`EntryLayoutTests`). The
            // read is plain and may be torn; the caller validates the node before using the entry.
            let raw = UnsafeMutableRawPointer(entry)
            unsafe raw.storeBytes(of: prefix(slot), as: UInt64.self)
            unsafe (raw + 8).copyMemory(from: record(slot).base, byteCount: Layout.recordBytes)
        #endif
    }

    /// Copies all entries out, in order; returns how many.
    func leafCopy(into entries: UnsafeMutablePointer<(Key, IndexValue)>) -> Int {
        let used = self.used
        var count = 0
        var slot = used.next(from: 0)
        while slot < Layout.capacity {
            // SAFETY: the caller's buffer has room for a full leaf.
            unsafe copyEntry(slot, to: entries + count)
            count &+= 1
            slot = used.next(from: slot &+ 1)
        }
        return count
    }

    /// Replaces the content by `count` ascending entries, each as near to its guess as order and
    /// room allow. The fences must be set.
    func leafPlace(_ entries: UnsafePointer<(Key, IndexValue)>, count: Int) {
        var meta = self.meta
        var used = Self.noSlots
        var slot = 0
        var last: UInt64 = 0
        var number = 0
        let spread = PrefixSpread(low: lowPrefix, high: meta.unbounded ? .max : highPrefix)
        while number < count {
            // SAFETY: the caller passes `count` entries; for the layout see `copyEntry`.
            let entry = unsafe UnsafeRawPointer(entries + number)
            let prefix = unsafe entry.load(as: UInt64.self)
            let room = Layout.capacity &- (count &- number)
            let place = max(slot, min(spread.slot(prefix, of: Layout.capacity), room))
            while slot < place {
                setPrefix(slot, last)
                slot &+= 1
            }
            last = prefix
            setPrefix(slot, last)
            unsafe record(slot).base.copyMemory(from: entry + 8, byteCount: Layout.recordBytes)
            used.insert(slot)
            slot &+= 1
            number &+= 1
        }
        while slot < Layout.capacity {
            setPrefix(slot, last)
            slot &+= 1
        }
        self.used = used
        meta.count = count
        self.meta = meta
    }
}
