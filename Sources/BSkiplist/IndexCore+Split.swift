// Promotion: a full node gives its upper part to a new right neighbour, and the key that heads the
// new node rises one level.
//
// Which key rises is the skiplist's part. Among the slots near the middle the one with the tallest
// tower is taken, and towers depend on nothing but the key and the index's seed, so the same keys
// tend to head nodes whatever the order of arrival. The paper promotes a tall key when it arrives,
// full node or not, which costs it a third of every leaf; here it waits until room is needed.
//
// Order of publication, bottom-up: the new node is filled while nothing names it; the old node's
// link and high fence name it (one release of one lock); then, with no lock held, its separator is
// posted in the branch above. Between the last two a reader passes through the left neighbour.

extension IndexCore {
    /// The slot to split at: the tallest key in the middle eighth.
    private func splitSlot(of count: Int, key: (Int) -> Key) -> Int {
        let middle = count / 2
        let reach = count / 16
        var best = middle
        var height = -1
        var slot = middle - reach
        while slot <= middle + reach {
            let tower = key(slot).towerHeight(seed: seed)
            if tower > height {
                height = tower
                best = slot
            }
            slot += 1
        }
        return best
    }

    /// Fills the header of a node that nothing names yet; returns the version it is locked at.
    ///
    /// The lock is needed even so: a reader that comes late to a reused node may hold it.
    private func prepare(
        _ node: Node<Key>,
        level: Int,
        low: Key,
        rightOf left: Node<Key>
    ) -> UInt64 {
        let held = node.lock()
        let meta = left.meta
        node.meta = NodeMeta(
            count: 0,
            level: level,
            unbounded: meta.unbounded,
            next: meta.next
        )
        node.low = low
        node.high = left.high
        return held
    }

    /// Ends `left` at `low`, where `right` begins.
    private func link(_ left: Node<Key>, to right: NodeIndex, at low: Key, count: Int) {
        left.high = low
        left.meta = NodeMeta(
            count: count,
            level: left.meta.level,
            unbounded: false,
            next: right
        )
    }

    @inline(never)
    func splitLeaf(
        _ leaf: Node<Key>,
        _ held: UInt64,
        inserting key: Key,
        _ value: IndexValue,
        at slot: Int,
        parent: NodeIndex
    ) {
        let meta = leaf.meta
        let rightIndex = allocateLeaf()
        let right = leaves.node(rightIndex)
        // Keys that only ever grow (a load in order) leave full leaves behind, not half ones.
        let appending = meta.unbounded && slot >= Layout.capacity
        var low = key
        var rightHeld: UInt64 = 0
        unsafe withUnsafeTemporaryAllocation(
            of: (Key, IndexValue).self,
            capacity: Layout.capacity
        ) { buffer in
            // SAFETY: the buffer has room for a full leaf, and every slot is below the count.
            guard let entries = buffer.baseAddress else { return }
            let count = unsafe leaf.leafCopy(into: entries)
            let from = appending ? count : splitSlot(of: count) { unsafe entries[$0].0 }
            if !appending { low = unsafe entries[from].0 }
            rightHeld = prepare(right, level: 0, low: low, rightOf: leaf)
            unsafe right.leafPlace(entries + from, count: count - from)
            link(leaf, to: rightIndex, at: low, count: from)
            unsafe leaf.leafPlace(entries, count: from)
        }
        let target = key < low ? leaf : right
        let place = target.leafSearch(key, guess: 0, kernel: kernel).slot
        target.leafInsert(key, value, before: place, meta: target.meta)
        right.unlock(rightHeld)
        leaf.unlock(held)
        at(.splitLinked)
        post(low, rightIndex, level: 1, hint: parent)
    }

    /// Names `child`, which begins at `separator`, in the branch of `level` that covers it.
    func post(_ separator: Key, _ child: NodeIndex, level: Int, hint: NodeIndex) {
        if root.level < level { growRoot(to: level) }
        let (index, held) = lockBranch(separator, level: level, hint: hint)
        let branch = branches.node(index)
        let meta = branch.meta
        if meta.count < Layout.capacity {
            branch.branchInsert(separator, child, meta: meta)
            branch.unlock(held)
            return
        }
        let entries = branch.branchEntries()
        let rightIndex = allocateBranch()
        let right = branches.node(rightIndex)
        let last = entries[entries.count - 1].0
        let appending = meta.unbounded && last < separator
        let from = appending ? entries.count - 1 : splitSlot(of: entries.count) { entries[$0].0 }
        let low = entries[from].0
        let rightHeld = prepare(right, level: level, low: low, rightOf: branch)
        right.branchPlace(entries[from...])
        link(branch, to: rightIndex, at: low, count: from)
        branch.branchPlace(entries[..<from])
        let target = separator < low ? branch : right
        target.branchInsert(separator, child, meta: target.meta)
        right.unlock(rightHeld)
        branch.unlock(held)
        at(.splitLinked)
        post(low, rightIndex, level: level + 1, hint: 0)
    }

    /// Puts a new topmost level over the old one, if nobody else has.
    private func growRoot(to level: Int) {
        let old = root
        if old.level >= level { return }
        let index = allocateBranch()
        let node = branches.node(index)
        let held = node.lock()
        node.meta = NodeMeta(count: 0, level: level, unbounded: true, next: 0)
        node.low = Key.least
        node.branchPlace([(Key.least, old.node)])
        // Locked until it is known to be in the index: a late reader of a reused node may not take
        // it for one otherwise.
        if replaceRoot(old, by: Step(node: index, level: level)) {
            node.unlock(held)
        } else {
            node.unlockObsolete(held)
            keptBranches.push(chain: index, count: 1, in: branches)
        }
    }

    /// Makes the first leaf, which covers every key.
    func plantFirstLeaf() {
        let index = allocateLeaf()
        let leaf = leaves.node(index)
        let held = leaf.lock()
        leaf.meta = NodeMeta(count: 0, level: 0, unbounded: true, next: 0)
        leaf.low = Key.least
        leaf.leafClear()
        leaf.unlock(held)
        setRoot(Step(node: index, level: 0))
    }
}
