// From the root to the node that covers a key, writing nothing.
//
// Each visit is one validated look at one node. Nothing is carried from visit to visit but the
// index of the next node, because a node's own fences say whether it is the right one.

import CShims

extension IndexCore {
    /// One visit to a branch: down to a child, or right to the neighbour, or `.restart`.
    ///
    /// `guess` is the slot where the key should stand in this node, and becomes that in the next.
    @inline(__always)
    func visit(_ at: Step, _ key: Key, guess: inout Int) -> Step {
        let node = branches.node(at.node)
        while true {
            let seen = node.beginRead()
            var step = Step.restart
            if seen & VersionBits.obsolete == 0 {
                let meta = node.meta
                if meta.level == at.level {
                    let standing = node.standing(of: key, meta: meta)
                    if standing == .inside {
                        // The separators around the child are its fences, unless it was split a
                        // moment ago; then the next guess is off, and nothing else.
                        let (child, low, high) = node.route(
                            key,
                            meta: meta,
                            guess: guess,
                            kernel: kernel
                        )
                        step = Step(node: child, level: at.level &- 1)
                        guess = Node<Key>.slotGuess(key.prefix, low: low, high: high)
                    } else if standing == .right {
                        step = Step(node: meta.next, level: at.level)
                    }
                }
            }
            if node.endRead(seen) { return step }
        }
    }

    /// The guess in the topmost node, whose fences are the ends of all keys.
    @inline(__always)
    func rootGuess(_ key: Key) -> Int {
        Node<Key>.slotGuess(key.prefix, low: 0, high: .max)
    }

    /// Goes down to `level`. The true node may stand to the right of the one returned.
    @inline(__always)
    func descend(to level: Int, _ key: Key) -> Arrival {
        while true {
            var at = root
            var arrival = Arrival(node: 0, guess: rootGuess(key), parent: 0)
            while at.level > level {
                arrival.parent = at.node
                at = visit(at, key, guess: &arrival.guess)
                if at.isRestart { break }
                if at.level == 0 {
                    prefetchLeaf(at.node, arrival.guess)
                } else {
                    prefetchBranch(at.node, arrival.guess)
                }
            }
            if !at.isRestart {
                arrival.node = at.node
                return arrival
            }
            countRestart()
        }
    }

    /// Locks the branch of `level` that covers `key`, looking first at `hint` (0: none).
    func lockBranch(_ key: Key, level: Int, hint: NodeIndex) -> (index: NodeIndex, held: UInt64) {
        var index = hint != 0 ? hint : descend(to: level, key).node
        while true {
            let node = branches.node(index)
            let held = node.lock()
            var standing = Standing.stale
            var next: NodeIndex = 0
            if held & VersionBits.obsolete == 0 {
                let meta = node.meta
                if meta.level == level { standing = node.standing(of: key, meta: meta) }
                next = meta.next
            }
            if standing == .inside { return (index, held) }
            node.unlockUnchanged(held)
            index = standing == .right ? next : descend(to: level, key).node
        }
    }

    /// Locks the leaf that covers `key`, looking first at `hint`. 0 when `hint` is stale.
    @inline(__always)
    func lockLeaf(_ key: Key, hint: NodeIndex) -> (index: NodeIndex, held: UInt64) {
        var index = hint
        while true {
            let node = leaves.node(index)
            let held = node.lock()
            var standing = Standing.stale
            var next: NodeIndex = 0
            if held & VersionBits.obsolete == 0 {
                let meta = node.meta
                standing = node.standing(of: key, meta: meta)
                next = meta.next
            }
            if standing == .inside { return (index, held) }
            node.unlockUnchanged(held)
            if standing == .stale { return (0, 0) }
            index = next
        }
    }

    // MARK: Prefetch

    /// Header, and prefix and record around the guessed slot, all at once.
    @inline(__always)
    func prefetchLeaf(_ index: NodeIndex, _ guess: Int) {
        let leaf = leaves.node(index)
        leaf.prefetchHeaderAndPrefixes(around: guess)
        let record = Layout.records &+ Layout.recordBytes &* guess
        leaf.prefetchLines(
            from: record &- Layout.recordBytes,
            to: record &+ 2 &* Layout.recordBytes &- 1
        )
    }

    @inline(__always)
    func prefetchBranch(_ index: NodeIndex, _ guess: Int) {
        let branch = branches.node(index)
        branch.prefetchHeaderAndPrefixes(around: guess)
        let child = Layout.children &+ 4 &* guess
        branch.prefetchLines(from: child &- 4, to: child &+ 7)
    }
}

/// Where a descent ended.
struct Arrival {
    var node: NodeIndex
    /// The slot in which the key should stand.
    var guess: Int
    /// The branch it came through: a hint for posting.
    var parent: NodeIndex
}

extension Node {
    @inline(__always)
    func prefetchHeaderAndPrefixes(around guess: Int) {
        prefetchLines(from: 0, to: 0)
        prefetchLines(
            from: Layout.prefixes &+ 8 &* max(guess &- 2, 0),
            to: Layout.prefixes &+ 8 &* min(guess &+ 2, Layout.capacity &- 1)
        )
    }

    /// The lines that hold the bytes from `first` to `last`.
    @inline(__always)
    func prefetchLines(from first: Int, to last: Int) {
        var line = first & ~63
        while line <= last {
            // SAFETY: a prefetch reads nothing.
            unsafe cshims_prefetch(base + line)
            line &+= 64
        }
    }
}
