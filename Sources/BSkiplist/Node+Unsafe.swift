// A node's version word, header and fences; what leaves and branches have in common.
//
// The version word is lock, tombstone and clock in one: bit 0 locked, bit 1 obsolete (not in any
// level), the rest counts changes. It goes on counting when a node is reused, so a reader that
// slept through a removal and a rebirth still sees that its version is gone.
//
// A reader takes the version (`beginRead`), reads what it likes, and believes it only if the
// version is still the same (`endRead`). After a bounded number of waits it takes the lock instead
// and gives it back unchanged, which other readers do not notice; so a read ends even beside a
// writer that never rests. In the locked-reads build it always takes the lock.

import CShims
import Synchronization

/// How a key stands to a node's fences.
enum Standing {
    case inside
    /// At or past the high fence: go to the right neighbour.
    case right
    /// Below the low fence, or the node is not what it was: start again from the root.
    case stale
}

// SAFETY: a Node is made only by `NodePool` from an index inside its mapping, so every offset below
// is inside one node. Reading a recycled node is harmless: it is still a node, and the fences or
// the version tell.
@safe
struct Node<Key: KeyWords> {
    typealias Layout = NodeLayout<Key>

    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    @inline(__always)
    func words(at offset: Int) -> NodeWords { unsafe NodeWords(base + offset) }
}

// MARK: - Version word

enum VersionBits {
    static let locked: UInt64 = 1
    static let obsolete: UInt64 = 2
    static let step: UInt64 = 4
    /// Waits before a reader gives up hoping and takes the lock.
    static let patience = 64
}

extension Node {
    @inline(__always)
    private var version: UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe base.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The version to validate against later. Bit 0 set means that this reader holds the lock.
    ///
    /// Acquiring: pairs with the releasing store of `unlock`, so that what follows reads at least
    /// what that writer wrote.
    @inline(__always)
    func beginRead() -> UInt64 {
        #if LOCKED_READS
            return lock() | VersionBits.locked
        #else
            let seen = unsafe version.pointee.load(ordering: .acquiring)
            if seen & VersionBits.locked == 0 { return seen }
            return waitToRead()
        #endif
    }

    @inline(never)
    private func waitToRead() -> UInt64 {
        var waits = 0
        while waits < VersionBits.patience {
            let seen = unsafe version.pointee.load(ordering: .acquiring)
            if seen & VersionBits.locked == 0 { return seen }
            cshims_pause()
            waits &+= 1
        }
        return lock() | VersionBits.locked
    }

    /// Whether what was read since `beginRead` belongs together.
    @inline(__always)
    func endRead(_ seen: UInt64) -> Bool {
        if seen & VersionBits.locked != 0 {
            unlockUnchanged(seen & ~VersionBits.locked)
            return true
        }
        // Acquire fence: the relaxed reads above it may not sink below the version's reload.
        // Pairs with the release fence in `lock`.
        atomicMemoryFence(ordering: .acquiring)
        return unsafe version.pointee.load(ordering: .relaxed) == seen
    }

    /// Takes the lock, whatever the node is; returns the version without the lock bit.
    @inline(__always)
    func lock() -> UInt64 {
        let seen = unsafe version.pointee.load(ordering: .relaxed)
        if seen & VersionBits.locked == 0 && tryLock(seen) { return seen }
        return waitToLock()
    }

    @inline(__always)
    private func tryLock(_ seen: UInt64) -> Bool {
        // Acquiring: pairs with the releasing store of the previous holder.
        let taken = unsafe version.pointee.weakCompareExchange(
            expected: seen,
            desired: seen | VersionBits.locked,
            ordering: .acquiring
        ).exchanged
        // Release fence: the lock bit is seen before any of the holder's writes is. Pairs with the
        // acquire fence of `endRead`.
        if taken { atomicMemoryFence(ordering: .releasing) }
        return taken
    }

    @inline(never)
    private func waitToLock() -> UInt64 {
        var waits = 0
        while true {
            let seen = unsafe version.pointee.load(ordering: .relaxed)
            if seen & VersionBits.locked == 0 && tryLock(seen) { return seen }
            waits &+= 1
            if waits & 0x7F == 0 { cshims_yield() } else { cshims_pause() }
        }
    }

    /// Gives the lock back after a change. Releasing: pairs with `beginRead` and `tryLock`.
    @inline(__always)
    func unlock(_ held: UInt64) {
        unsafe version.pointee.store(
            (held &+ VersionBits.step) & ~VersionBits.obsolete,
            ordering: .releasing
        )
    }

    /// Gives the lock back; the node is out of its level and waits to be reused.
    @inline(__always)
    func unlockObsolete(_ held: UInt64) {
        unsafe version.pointee.store(
            (held &+ VersionBits.step) | VersionBits.obsolete,
            ordering: .releasing
        )
    }

    /// Gives the lock back with nothing changed: optimistic readers stay valid.
    @inline(__always)
    func unlockUnchanged(_ held: UInt64) {
        unsafe version.pointee.store(held, ordering: .releasing)
    }

    /// For the invariants walk.
    var versionWord: UInt64 { unsafe version.pointee.load(ordering: .acquiring) }
}

// MARK: - Header and fences

extension Node {
    @inline(__always)
    var meta: NodeMeta {
        get { NodeMeta(raw: words(at: NodeOffset.meta)[0]) }
        nonmutating set { words(at: NodeOffset.meta)[0] = newValue.raw }
    }

    @inline(__always)
    var lowPrefix: UInt64 { words(at: NodeOffset.lowPrefix)[0] }

    @inline(__always)
    var highPrefix: UInt64 { words(at: NodeOffset.highPrefix)[0] }

    @inline(__always)
    var low: Key {
        get { Key(prefix: lowPrefix, rest: words(at: NodeOffset.lowRest)) }
        nonmutating set {
            words(at: NodeOffset.lowPrefix)[0] = newValue.prefix
            newValue.storeRest(words(at: NodeOffset.lowRest))
        }
    }

    /// Meaningless when the node is unbounded.
    @inline(__always)
    var high: Key {
        get { Key(prefix: highPrefix, rest: words(at: Layout.highRest)) }
        nonmutating set {
            words(at: NodeOffset.highPrefix)[0] = newValue.prefix
            newValue.storeRest(words(at: Layout.highRest))
        }
    }

    /// Where `key` stands to this node. One line is read unless a fence ties in the prefix.
    ///
    /// Because a node carries both fences in full, a visit needs no faith in how it came here: a
    /// live node of the right level whose fences enclose the key *is* the key's node (I1).
    @inline(__always)
    func standing(of key: Key, meta: NodeMeta) -> Standing {
        let prefix = key.prefix
        let low = lowPrefix
        if prefix <= low && (prefix < low || key < self.low) { return .stale }
        if meta.unbounded { return .inside }
        let high = highPrefix
        if prefix < high { return .inside }
        return prefix > high || key >= self.high ? .right : .inside
    }
}
