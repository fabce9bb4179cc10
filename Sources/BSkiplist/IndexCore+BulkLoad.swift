// Building an index from a sorted run: every level grows at its right end, in one pass, with no
// locks beyond the ones that nobody contends for (the index is not yet shared).

/// Takes ascending entries and builds all levels as it goes.
struct BulkLoader<Key: KeyWords> {
    private let core: IndexCore<Key>
    private let leafTarget: Int
    private let branchTarget: Int
    /// The rightmost node of every level.
    private var open: [NodeIndex]
    /// The rightmost leaf's entries: they are placed when its high fence is known.
    private var pending: [(Key, IndexValue)] = []
    /// The same for the rightmost branch of each level above.
    private var separators: [[(Key, NodeIndex)]] = []
    private var last: Key?
    private var count = 0

    /// `fill` is the share of a node's slots to use; the rest waits for later inserts.
    init(into core: IndexCore<Key>, fill: Double) {
        precondition(fill > 0 && fill <= 1, "fill is a share of a node")
        self.core = core
        let target = Int((Double(NodeLayout<Key>.capacity) * fill).rounded())
        leafTarget = max(1, target)
        branchTarget = max(2, target)
        open = [core.root.node]
    }

    mutating func add(_ key: Key, _ value: IndexValue) {
        if let last { precondition(last < key, "a bulk load's run must ascend") }
        last = key
        count += 1
        if pending.count >= leafTarget {
            let index = core.allocateLeaf()
            start(core.leaves.node(index), level: 0, low: key)
            close(core.leaves.node(open[0]), at: key, next: index)
            placePending()
            open[0] = index
            addSeparator(key, index, level: 1)
        }
        pending.append((key, value))
    }

    private mutating func placePending() {
        let leaf = core.leaves.node(open[0])
        unsafe pending.withUnsafeBufferPointer { entries in
            // SAFETY: at most `leafTarget` entries, which fit a leaf.
            guard let base = entries.baseAddress else { return leaf.leafClear() }
            unsafe leaf.leafPlace(base, count: entries.count)
        }
        pending.removeAll(keepingCapacity: true)
    }

    private mutating func placeSeparators(level: Int) {
        core.branches.node(open[level]).branchPlace(separators[level - 1][...])
        separators[level - 1].removeAll(keepingCapacity: true)
    }

    mutating func finish() {
        placePending()
        for level in open.indices.dropFirst() { placeSeparators(level: level) }
        core.addToCount(count)
    }

    private mutating func addSeparator(_ key: Key, _ child: NodeIndex, level: Int) {
        if open.count == level {
            let index = core.allocateBranch()
            start(core.branches.node(index), level: level, low: Key.least)
            separators.append([(Key.least, core.root.node)])
            core.setRoot(Step(node: index, level: level))
            open.append(index)
        }
        if separators[level - 1].count >= branchTarget {
            let index = core.allocateBranch()
            start(core.branches.node(index), level: level, low: key)
            close(core.branches.node(open[level]), at: key, next: index)
            placeSeparators(level: level)
            open[level] = index
            addSeparator(key, index, level: level + 1)
        }
        separators[level - 1].append((key, child))
    }

    private func start(_ node: Node<Key>, level: Int, low: Key) {
        let held = node.lock()
        node.meta = NodeMeta(count: 0, level: level, unbounded: true, next: 0)
        node.low = low
        node.unlock(held)
    }

    private func close(_ node: Node<Key>, at high: Key, next: NodeIndex) {
        let meta = node.meta
        node.high = high
        node.meta = NodeMeta(count: meta.count, level: meta.level, unbounded: false, next: next)
    }
}
