// The walk that checks I1…I8 (BSkiplist.swift) on an index at rest, and the figures it yields.

/// What an index is made of.
public struct IndexStatistics: Equatable, Sendable {
    /// Levels, the leaves' included.
    public var levels = 0
    public var leaves = 0
    public var branches = 0
    public var entries = 0
    /// Share of the leaves' slots in use.
    public var leafFill = 0.0
    /// Nodes kept for reuse.
    public var keptNodes = 0
    /// Operations that had to start again from the root, since the index was made.
    public var restarts = 0
}

extension IndexCore {
    private func node(_ index: NodeIndex, level: Int) -> Node<Key> {
        level == 0 ? leaves.node(index) : branches.node(index)
    }

    /// The leftmost node of each level, the leaves' first.
    func leftmostNodes() -> [NodeIndex] {
        var at = root
        var nodes = [at.node]
        while at.level > 0 {
            at = Step(node: branches.node(at.node).child(0), level: at.level - 1)
            nodes.append(at.node)
        }
        return nodes.reversed()
    }

    func statistics() -> IndexStatistics {
        var statistics = IndexStatistics()
        let heads = leftmostNodes()
        statistics.levels = heads.count
        var index = heads[0]
        while index != 0 {
            let meta = leaves.node(index).meta
            statistics.leaves += 1
            statistics.entries += meta.count
            index = meta.next
        }
        statistics.keptNodes = keptLeaves.count + keptBranches.count
        statistics.branches = branchesTaken - keptBranches.count
        statistics.leafFill =
            Double(statistics.entries) / Double(statistics.leaves * Layout.capacity)
        statistics.restarts = restarts
        return statistics
    }

    /// Every violation found, each with the invariant's number; empty when the index is sound.
    func checkInvariants() -> [String] {
        var faults: [String] = []
        let heads = leftmostNodes()
        var named: [Set<NodeIndex>] = Array(repeating: [], count: heads.count)
        var reached: [Set<NodeIndex>] = Array(repeating: [], count: heads.count)
        var entries = 0
        for level in heads.indices.reversed() {
            var index = heads[level]
            var expectedLow = Key.least
            while index != 0 {
                let node = self.node(index, level: level)
                let meta = node.meta
                let place = "level \(level) node \(index)"
                if !reached[level].insert(index).inserted {
                    faults.append("I1 \(place): the level is a ring")
                    break
                }
                if node.low != expectedLow {
                    faults.append("I1 \(place): low is not the left's high")
                }
                if meta.level != level { faults.append("I1 \(place): says level \(meta.level)") }
                if meta.unbounded != (meta.next == 0) {
                    faults.append("I1 \(place): unbounded and last disagree")
                }
                if node.versionWord & (VersionBits.locked | VersionBits.obsolete) != 0 {
                    faults.append("I6 \(place): locked or obsolete")
                }
                if level == 0 {
                    checkLeaf(node, meta, place, &faults)
                    entries += meta.count
                } else {
                    checkBranch(node, meta, place, &named[level - 1], &faults)
                }
                expectedLow = node.high
                index = meta.next
            }
        }
        for level in 0..<(heads.count - 1) where named[level] != reached[level] {
            let unnamed = reached[level].subtracting(named[level]).count
            faults.append("I5 level \(level): \(unnamed) nodes not named by a branch")
        }
        if reached[heads.count - 1].count != 1 { faults.append("I5: the top level has neighbours") }
        let branchesReached = reached.dropFirst().reduce(0) { $0 + $1.count }
        if reached[0].count + keptLeaves.count != leavesTaken
            || branchesReached + keptBranches.count != branchesTaken
        {
            faults.append("I7: nodes reached and kept are not the nodes taken")
        }
        if entries != count { faults.append("I8: \(entries) entries, count says \(count)") }
        return faults
    }

    private func checkLeaf(
        _ node: Node<Key>,
        _ meta: NodeMeta,
        _ place: String,
        _ faults: inout [String]
    ) {
        var last: Key?
        var count = 0
        for slot in 0..<Layout.capacity {
            guard node.used.contains(slot) else {
                if node.prefix(slot) != last?.prefix ?? 0 { faults.append("I3 \(place): gap") }
                continue
            }
            let key = node.leafKey(slot)
            if let last, last >= key { faults.append("I2 \(place): order") }
            last = key
            count += 1
            if key < node.low || (!meta.unbounded && key >= node.high) {
                faults.append("I2 \(place): key outside the fences")
            }
        }
        if count != meta.count { faults.append("I3 \(place): count is not the bitmap's") }
    }

    private func checkBranch(
        _ node: Node<Key>,
        _ meta: NodeMeta,
        _ place: String,
        _ named: inout Set<NodeIndex>,
        _ faults: inout [String]
    ) {
        if meta.count == 0 { faults.append("I4 \(place): no child") }
        if !node.used.contains(0) { faults.append("I2 \(place): slot 0 is a gap") }
        var last: (separator: Key, child: NodeIndex)?
        var count = 0
        for slot in 0..<Layout.capacity {
            let separator = node.separator(slot)
            guard node.used.contains(slot) else {
                if node.prefix(slot) != last?.separator.prefix || node.child(slot) != last?.child {
                    faults.append("I3 \(place): gap")
                }
                continue
            }
            if slot == 0 && separator != node.low {
                faults.append("I2 \(place): slot 0 is not the low fence")
            }
            if let last, last.separator >= separator { faults.append("I2 \(place): order") }
            last = (separator, node.child(slot))
            count += 1
            if !meta.unbounded && separator >= node.high {
                faults.append("I2 \(place): separator outside the fences")
            }
            let child = node.child(slot)
            if !named.insert(child).inserted { faults.append("I5 \(place): child named twice") }
            if self.node(child, level: meta.level - 1).low != separator {
                faults.append("I4 \(place): child \(child) begins elsewhere")
            }
        }
        if count != meta.count { faults.append("I3 \(place): count is not the bitmap's") }
    }
}
