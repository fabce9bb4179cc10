// Where nodes of one size live: one reserved mapping, a bump pointer, and the nodes given back.
//
// The mapping reserves address space, not memory: pages arrive when first touched, as huge pages
// where the system grants them (without them almost every leaf visit misses the TLB as well). It
// is never unmapped or moved while the arena lives, so an index of 32 bits names a node for good
// and a reader that comes late reads a node, not a fault.
//
// Given-back nodes are kept as a list of chains: within a chain nodes hang together by `next`, as
// they did in their level, and the chain's first node carries the head of the next chain where its
// low prefix was. So dropping an index of any size costs one step per level.

import CShims
import Glibc
import Synchronization

/// Chains of nodes to be reused, under a spin lock of their own (the innermost lock of all).
///
///   0 lock | 8 head of the first chain | 16 nodes in all
@safe
struct FreeNodes {
    static let bytes = 64

    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    // SAFETY: base points at `bytes` zeroed bytes owned by the pool or the index.
    @inline(__always)
    private func word(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe (base + index &* 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(__always)
    var count: Int { Int(truncatingIfNeeded: unsafe word(2).pointee.load(ordering: .relaxed)) }

    private func withLock<Result>(_ body: () -> Result) -> Result {
        var waits = 0
        // Acquiring: pairs with the releasing store below.
        while unsafe word(0).pointee.exchange(1, ordering: .acquiring) != 0 {
            waits &+= 1
            if waits & 0x3F == 0 { cshims_yield() } else { cshims_pause() }
        }
        defer { unsafe word(0).pointee.store(0, ordering: .releasing) }
        return body()
    }

    /// Adds `count` nodes that hang together by `next`, from `head` on.
    func push<Key: KeyWords>(chain head: NodeIndex, count: Int, in pool: NodePool<Key>) {
        withLock {
            let first = unsafe word(1).pointee.load(ordering: .relaxed)
            pool.node(head).words(at: NodeOffset.lowPrefix)[0] = first
            unsafe word(1).pointee.store(UInt64(head), ordering: .relaxed)
            let sum = UInt64(truncatingIfNeeded: self.count &+ count)
            unsafe word(2).pointee.store(sum, ordering: .relaxed)
        }
    }

    /// A node, or 0.
    func pop<Key: KeyWords>(from pool: NodePool<Key>) -> NodeIndex {
        if count == 0 { return 0 }
        return withLock {
            let head = NodeIndex(unsafe word(1).pointee.load(ordering: .relaxed))
            if head == 0 { return 0 }
            let nextChain = pool.node(head).lowPrefix
            let next = pool.node(head).meta.next
            if next == 0 {
                unsafe word(1).pointee.store(nextChain, ordering: .relaxed)
            } else {
                pool.node(next).words(at: NodeOffset.lowPrefix)[0] = nextChain
                unsafe word(1).pointee.store(UInt64(next), ordering: .relaxed)
            }
            let rest = UInt64(truncatingIfNeeded: count &- 1)
            unsafe word(2).pointee.store(rest, ordering: .relaxed)
            return head
        }
    }

    /// Takes all chains away without a lock; for an index that is being dropped.
    func takeChains<Key: KeyWords>(from pool: NodePool<Key>, _ body: (NodeIndex, Int) -> Void) {
        var node = pop(from: pool)
        while node != 0 {
            var meta = pool.node(node).meta
            meta = NodeMeta(count: 0, level: meta.level, unbounded: false, next: 0)
            pool.node(node).meta = meta
            body(node, 1)
            node = pop(from: pool)
        }
    }
}

/// All nodes of one size. A handle of three words: the memory belongs to the arena.
@safe
struct NodePool<Key: KeyWords>: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    /// 0 bump | 64 free nodes
    let control: UnsafeMutableRawPointer
    let stride: Int
    let capacity: UInt64

    static var controlBytes: Int { 64 + FreeNodes.bytes }

    // SAFETY: indices come from `allocate`, hence are below the capacity.
    @inline(__always)
    func node(_ index: NodeIndex) -> Node<Key> {
        unsafe Node(base + Int(index) &* stride)
    }

    private var bump: UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe control.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    var free: FreeNodes { unsafe FreeNodes(control + 64) }

    /// Nodes ever handed out and not given back to the arena.
    var nodesInUse: Int {
        Int(truncatingIfNeeded: unsafe bump.pointee.load(ordering: .relaxed)) &- free.count
    }

    /// A node that is in no level. Its memory is zero or an obsolete node's.
    func allocate() -> NodeIndex {
        let reused = free.pop(from: self)
        if reused != 0 { return reused }
        let index = unsafe bump.pointee.wrappingAdd(1, ordering: .relaxed).newValue
        precondition(index < capacity, "the arena's address space is used up")
        return NodeIndex(truncatingIfNeeded: index)
    }
}

/// A reserved range of addresses.
@safe
struct Reservation: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let bytes: Int

    /// Reserves `bytes`, or as large a half, quarter, … of it as the system's limits allow.
    init(bytes wanted: Int, hugePages: Bool) {
        var bytes = wanted
        while true {
            // SAFETY: a fresh anonymous mapping aliases nothing.
            let mapped = unsafe mmap(
                nil,
                bytes,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0
            )
            if let mapped = unsafe mapped, unsafe mapped != MAP_FAILED {
                // A wish, not a need: refused, the index is slower and as right as before.
                if hugePages { _ = unsafe madvise(mapped, bytes, MADV_HUGEPAGE) }
                unsafe base = mapped
                self.bytes = bytes
                return
            }
            bytes /= 2
            precondition(bytes >= 1 << 24, "no address space for an index")
        }
    }

    func unmap() { _ = unsafe munmap(base, bytes) }
}
