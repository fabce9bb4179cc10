// A concurrent ordered map from words to words: a B-skiplist whose nodes are B-link nodes.
//
//   level 2   [ . . . ]------------------------------> 0
//   level 1   [ . . . . ]-->[ . . . ]-->[ . . . . . ]-> 0     branches: separators and children
//   level 0   [ ]->[ ]->[ ]->[ ]->[ ]->[ ]->[ ]->[ ]-->0      leaves: keys and values
//
// Every node knows its own range: a low fence that never changes, a high fence, and its right
// neighbour. So a lookup trusts no path: it validates each node by itself, and a live node whose
// fences enclose the key is the key's node. Lookups write nothing that is shared. An insert locks
// one leaf; a split publishes its new node by the left neighbour's link, then names it in the level
// above, bottom-up (the paper works top-down and hand over hand: arXiv 2507.21492). Details are
// where they happen: NodeLayout (bytes), Node+Unsafe (versions), +Split, +Remove, +Scan, +Batch.
//
// Invariants; `checkInvariants` walks I1…I8 on an index at rest.
//   I1 On each level, from the leftmost node by `next`: the first low fence is the least key, each
//      other is its left neighbour's high fence; the last node, and only it, is unbounded.
//   I2 Keys ascend strictly within a node and lie within its fences; separators likewise, the
//      first of them being the branch's low fence.
//   I3 A node's count is the number of its used slots; a gap repeats the prefix (in a branch also
//      the child) before it.
//   I4 A separator's child is one level below and has the separator as its low fence.
//   I5 At rest each node, but the one on the top level, is named by exactly one branch.
//   I6 At rest no node of a level is locked or obsolete.
//   I7 The nodes in the levels and the nodes kept are the nodes taken from the arena; a node
//      passes to another index only when this one ends. A node is kept only after it is obsolete
//      and no branch and no link names it.
//   I8 The count is the number of entries in the leaves.
//
// No deadlock: locks have one order: higher levels before lower, on a level left before right, the
// lists of kept nodes last. A reader, an insert, a remove and a posting wait for a lock only while
// holding none. A split locks its new node while holding the old one; nothing names the new node,
// so only a late reader can hold it, who waits for nothing. A merge takes parent, left child, right
// child: in order. So no circle of waiting can close.

/// The index of the engine: 40-byte keys, 24-byte values.
///
/// *Concurrency:* any number of threads in any mix of operations. Point operations are linearizable
/// per key; scans are weakly consistent (C-1).
/// *Complexity:* point operations visit one node per level, about log44 of the count.
public final class BSkiplist: @unchecked Sendable {
    let core: IndexCore<IndexKey>
    private let arena: NodeArena

    /// An empty index whose nodes come from `arena`; `seed` decides which keys are tall.
    public init(arena: NodeArena, seed: UInt64) {
        self.arena = arena
        core = IndexCore(leaves: arena.wideLeaves, branches: arena.wideBranches, seed: seed)
        core.plantFirstLeaf()
    }

    /// Gives all nodes back to the arena. Nobody can be inside an index that nobody holds.
    deinit {
        core.giveBackNodes()
        core.freeControl()
    }
}
