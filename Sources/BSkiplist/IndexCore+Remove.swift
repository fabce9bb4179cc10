// Remove, and the merge that gives back what removals have emptied.
//
// A removal touches its leaf and nothing above. When it leaves a leaf empty, or under five eighths
// with a neighbour that has room, the leaf and a neighbour under the same branch become one. The
// right one always dies: no node's low fence ever changes, so no separator is ever wrong.
//
// The bounds keep churn compact: with as many inserts as removals of hashes, leaves stay at 0.64
// full for good. Merging only leaves below a quarter lets them sink to 0.54, and never merging but
// empty ones is known to end below 0.4.
//
// The merge is the only operation that holds more than one published lock: the branch above, the
// left node, the right node, taken in this order. See the deadlock argument in BSkiplist.swift.

extension IndexCore {
    func remove(_ key: Key) -> IndexValue? {
        while true {
            let chosen = descend(to: 0, key)
            at(.leafChosen)
            let (index, held) = lockLeaf(key, hint: chosen.node)
            if index == 0 {
                countRestart()
                continue
            }
            let leaf = leaves.node(index)
            let meta = leaf.meta
            let (slot, found) = leaf.leafSearch(
                key,
                guess: chosen.guess,
                kernel: kernel
            )
            guard found else {
                leaf.unlockUnchanged(held)
                return nil
            }
            let value = leaf.value(slot)
            leaf.leafRemove(at: slot, meta: meta)
            leaf.unlock(held)
            addToCount(-1)
            if Self.wantsMerge(meta.count - 1) {
                at(.mergeWanted)
                merge(level: 0, key)
            }
            return value
        }
    }

    /// Whether a node with `count` slots in use should look for a partner: when empty, and on every
    /// fourth removal below the bound, so that a refused merge is not sought at each step.
    private static func wantsMerge(_ count: Int) -> Bool {
        let capacity = Layout.capacity
        return count == 0 || (count <= capacity * 5 / 8 && (count & 3 == 0 || capacity <= 8))
    }

    /// Joins the node of `level` that covers `key` with a neighbour under the same branch, if both
    /// fit. Gives up rather than wait for a better moment: a later removal asks again.
    private func merge(level: Int, _ key: Key) {
        var attempts = 0
        while attempts < 2 && root.level > level {
            attempts += 1
            let (parentIndex, parentHeld) = lockBranch(key, level: level + 1, hint: 0)
            let parent = branches.node(parentIndex)
            let meta = parent.meta
            if meta.count < 2 {
                parent.unlockUnchanged(parentHeld)
                // An only child has no sibling here: first its parent must find one.
                if meta.unbounded && parent.low == Key.least { return }
                merge(level: level + 1, key)
                continue
            }
            let used = parent.used
            let slot = parent.branchSlot(key)
            let rightSlot = slot > 0 ? slot : used.next(from: 1)
            let left = parent.child(used.previous(below: rightSlot))
            let right = parent.child(rightSlot)
            let joined =
                level == 0
                ? joinLeaves(left, right)
                : joinBranches(left, right)
            guard joined else {
                parent.unlockUnchanged(parentHeld)
                return
            }
            parent.branchRemove(at: rightSlot)
            parent.unlock(parentHeld)
            // Only now, with no branch naming it, may the right node be reused.
            if level == 0 {
                keptLeaves.push(chain: right, count: 1, in: leaves)
            } else {
                keptBranches.push(chain: right, count: 1, in: branches)
            }
            if Self.wantsMerge(meta.count - 1) {
                merge(level: level + 1, key)
            }
            return
        }
    }

    /// Whether two nodes should become one: always if one is empty, else only with room to spare,
    /// so that the next inserts do not split it again.
    private static func fit(_ left: Int, _ right: Int) -> Bool {
        left == 0 || right == 0 || left + right <= Layout.capacity * 7 / 8
    }

    private func joinLeaves(_ leftIndex: NodeIndex, _ rightIndex: NodeIndex) -> Bool {
        let left = leaves.node(leftIndex)
        let right = leaves.node(rightIndex)
        let leftHeld = left.lock()
        let rightHeld = right.lock()
        let leftCount = left.meta.count
        let rightCount = right.meta.count
        // A node between the two is linked and not yet posted: not now.
        guard left.meta.next == rightIndex,
            Self.fit(leftCount, rightCount)
        else {
            right.unlockUnchanged(rightHeld)
            left.unlockUnchanged(leftHeld)
            return false
        }
        unsafe withUnsafeTemporaryAllocation(
            of: (Key, IndexValue).self,
            capacity: Layout.capacity
        ) { buffer in
            // SAFETY: the two counts together are at most a leaf's capacity (`fit`).
            guard let entries = buffer.baseAddress else { return }
            var count = unsafe left.leafCopy(into: entries)
            count += unsafe right.leafCopy(into: entries + count)
            extend(left, over: right, count: count)
            unsafe left.leafPlace(entries, count: count)
        }
        right.unlockObsolete(rightHeld)
        left.unlock(leftHeld)
        return true
    }

    private func joinBranches(_ leftIndex: NodeIndex, _ rightIndex: NodeIndex) -> Bool {
        let left = branches.node(leftIndex)
        let right = branches.node(rightIndex)
        let leftHeld = left.lock()
        let rightHeld = right.lock()
        let leftCount = left.meta.count
        let rightCount = right.meta.count
        // A branch is never empty; one with a single child must be joined, whatever the room, or
        // that child could never find a sibling.
        let room = leftCount + rightCount <= Layout.capacity
        let wanted =
            leftCount == 1 || rightCount == 1
            || leftCount + rightCount <= Layout.capacity * 7 / 8
        guard left.meta.next == rightIndex, room, wanted else {
            right.unlockUnchanged(rightHeld)
            left.unlockUnchanged(leftHeld)
            return false
        }
        let entries = left.branchEntries() + right.branchEntries()
        extend(left, over: right, count: entries.count)
        left.branchPlace(entries[...])
        right.unlockObsolete(rightHeld)
        left.unlock(leftHeld)
        return true
    }

    /// The left node takes over the right one's range and link; the right one is out of its level.
    private func extend(_ left: Node<Key>, over right: Node<Key>, count: Int) {
        let meta = right.meta
        left.high = right.high
        left.meta = NodeMeta(
            count: count,
            level: meta.level,
            unbounded: meta.unbounded,
            next: meta.next
        )
        right.meta = NodeMeta(count: 0, level: meta.level, unbounded: false, next: 0)
    }
}
