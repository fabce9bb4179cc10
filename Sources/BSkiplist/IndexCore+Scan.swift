// The ordered scan: leaf after leaf, each copied out and validated before anyone sees it.
//
// The position is a key, never a node: everything below `cursor` has been given, so whatever
// happens to the leaves between two steps, no key is given twice or out of order, and none is
// missed that was there throughout (C-1). The next leaf's index is only a hint.
//
// A look takes as many entries as the caller expects to want, and more later: "all variants of a
// chunk" stops after two or three and should not pay for a leaf; a long scan soon takes whole
// leaves. What is expected is also asked of memory early: a leaf's lines all at once, the next
// leaf's before this one's entries are copied.

extension IndexCore {
    /// What one look at a leaf gave a scan.
    private struct Look {
        var sight: Sight
        var count: Int
        var next: NodeIndex
        /// The slot to go on at.
        var stop = 0
        /// The key to go on at; nil at the end of the index.
        var cursor: Key?
    }

    /// Copies up to `limit` entries from `cursor` on. `expected` are likely to be wanted.
    private func copy(
        _ index: NodeIndex,
        from cursor: Key,
        guess: Int,
        limit: Int,
        expected: Int,
        into entries: UnsafeMutablePointer<(Key, IndexValue)>
    ) -> Look {
        let node = leaves.node(index)
        while true {
            var look = Look(sight: .stale, count: 0, next: 0, cursor: nil)
            let seen = node.beginRead()
            if seen & VersionBits.obsolete == 0 {
                let meta = node.meta
                let standing = node.standing(of: cursor, meta: meta)
                look.next = meta.next
                if standing == .right { look.sight = .right }
                if standing == .inside {
                    look.sight = .present
                    let used = node.used
                    var slot = node.leafSearch(
                        cursor,
                        guess: guess,
                        kernel: kernel
                    ).slot
                    let here = used.count(from: slot) &- (64 &- Layout.capacity)
                    if here < expected && meta.next != 0 {
                        prefetchAhead(meta.next, from: 0, limit: expected &- here)
                    }
                    while slot < Layout.capacity && look.count < limit {
                        // SAFETY: `limit` is the room at `entries`.
                        unsafe node.copyEntry(slot, to: entries + look.count)
                        look.count &+= 1
                        slot = used.next(from: slot &+ 1)
                    }
                    if slot < Layout.capacity {
                        look.cursor = node.leafKey(slot)
                        look.next = index
                        look.stop = slot
                    } else if !meta.unbounded {
                        look.cursor = node.high
                    }
                }
            }
            if node.endRead(seen) { return look }
        }
    }

    @inline(__always)
    func scan(from start: Key, expecting: Int, _ body: (Key, IndexValue) -> Bool) {
        unsafe withUnsafeTemporaryAllocation(
            of: (Key, IndexValue).self,
            capacity: Layout.capacity
        ) { buffer in
            // SAFETY: the buffer holds `capacity` entries of trivial type; `limit` is at most that.
            guard let entries = buffer.baseAddress else { return }
            var cursor = start
            let arrival = descend(to: 0, cursor)
            var index = arrival.node
            var guess = arrival.guess
            var expected = max(expecting, 1)
            var limit = min(expected, Layout.capacity)
            if limit > 8 { prefetchAhead(index, from: guess, limit: limit) }
            while true {
                let look = unsafe copy(
                    index,
                    from: cursor,
                    guess: guess,
                    limit: limit,
                    expected: expected,
                    into: entries
                )
                if look.sight == .right {
                    index = look.next
                    continue
                }
                if look.sight == .stale {
                    countRestart()
                    index = descend(to: 0, cursor).node
                    continue
                }
                expected &-= look.count
                if look.next != 0 && expected <= 0 {
                    prefetchAhead(look.next, from: look.stop, limit: limit &* 2)
                }
                var slot = 0
                while slot < look.count {
                    let entry = unsafe entries[slot]
                    if !body(entry.0, entry.1) { return }
                    slot &+= 1
                }
                guard let next = look.cursor else { return }
                at(.scanBetweenLeaves)
                cursor = next
                guess = look.stop
                index = look.next
                limit = min(max(limit &* 2, expected), Layout.capacity)
            }
        }
    }

    /// Keys that cut the index into up to `parts` ranges of about as many leaves each, ascending
    /// and without the start of the first range.
    func cuts(parts: Int) -> [Key] {
        // High up there are enough separators for any number of threads, and few enough to read.
        var level = root.level
        var keys: [Key] = []
        while level > 0 && parts > 1 {
            keys = separators(level: level)
            if keys.count >= 8 * parts { break }
            level -= 1
        }
        let wanted = min(parts - 1, keys.count)
        if wanted < 1 { return [] }
        return (0..<wanted).map { keys[($0 + 1) * keys.count / (wanted + 1)] }
    }

    /// All separators of a level but the first, which is no bound.
    private func separators(level: Int) -> [Key] {
        var keys: [Key] = []
        var cursor = Key.least
        while true {
            let (index, held) = lockBranch(cursor, level: level, hint: 0)
            let node = branches.node(index)
            let meta = node.meta
            let high = node.high
            keys += node.branchEntries().map(\.0)
            node.unlockUnchanged(held)
            if meta.unbounded { break }
            cursor = high
        }
        keys.removeFirst()
        return keys
    }

    /// Asks for what the next look will read while the entries of this one are handed out.
    @inline(__always)
    private func prefetchAhead(_ index: NodeIndex, from slot: Int, limit: Int) {
        let leaf = leaves.node(index)
        if slot == 0 {
            leaf.prefetchLines(from: 0, to: Layout.records &- 1)
        }
        // Gaps take their share: half as many slots again as entries.
        let end = min(slot &+ limit &+ limit / 2, Layout.capacity)
        leaf.prefetchLines(
            from: Layout.records &+ slot &* Layout.recordBytes,
            to: Layout.records &+ end &* Layout.recordBytes &- 1
        )
    }
}
