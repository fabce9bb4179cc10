// The arena that any number of indexes share: one pool per node size.
//
// Sharing lets a dropped index's nodes serve the others. An index keeps the nodes that it frees
// while it lives and hands all of them over at its end: so a reader that comes late to a node can
// only ever meet a node of its own index, and no epochs are needed (see BSkiplist.swift, I7).

import Synchronization

public final class NodeArena: @unchecked Sendable {
    let wideLeaves: NodePool<IndexKey>
    let wideBranches: NodePool<IndexKey>
    let slimLeaves: NodePool<SlimIndexKey>
    let slimBranches: NodePool<SlimIndexKey>
    private let reservations: [Reservation]
    private let control: Reservation

    /// Reserves address space; memory is taken as nodes are.
    public init() {
        let control = Reservation(bytes: 1 << 24, hugePages: false)
        var reservations: [Reservation] = []
        var used = 0
        func pool<Key: KeyWords>(_: Key.Type, stride: Int, reserve: Int) -> NodePool<Key> {
            let reservation = Reservation(bytes: reserve, hugePages: true)
            reservations.append(reservation)
            defer { used += NodePool<Key>.controlBytes }
            // SAFETY: each pool gets its own stretch of the zeroed control mapping, and the base
            // is page-aligned, so node 0 (never handed out) ends where node 1 begins, in line.
            return unsafe NodePool(
                base: reservation.base,
                control: control.base + used,
                stride: stride,
                capacity: min(UInt64(reservation.bytes / stride), UInt64(UInt32.max))
            )
        }
        wideLeaves = pool(
            IndexKey.self,
            stride: NodeLayout<IndexKey>.leafBytes,
            reserve: 1 << 36
        )
        wideBranches = pool(
            IndexKey.self,
            stride: NodeLayout<IndexKey>.branchBytes,
            reserve: 1 << 33
        )
        slimLeaves = pool(
            SlimIndexKey.self,
            stride: NodeLayout<SlimIndexKey>.leafBytes,
            reserve: 1 << 36
        )
        slimBranches = pool(
            SlimIndexKey.self,
            stride: NodeLayout<SlimIndexKey>.branchBytes,
            reserve: 1 << 33
        )
        self.control = control
        self.reservations = reservations
    }

    deinit {
        for reservation in reservations { reservation.unmap() }
        control.unmap()
    }

    /// Bytes of nodes that are in use by an index or kept by one for reuse.
    public var allocatedBytes: Int {
        wideLeaves.nodesInUse * wideLeaves.stride + wideBranches.nodesInUse * wideBranches.stride
            + slimLeaves.nodesInUse * slimLeaves.stride
            + slimBranches.nodesInUse * slimBranches.stride
    }
}
