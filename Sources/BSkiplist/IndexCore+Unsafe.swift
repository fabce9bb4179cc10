// The index's shared words and the handle through which every operation works.
//
// Control block, one line of 64 bytes or more for each thing that is written at its own pace:
//
//     0  root: level 32 | node 32          written when the index grows a level
//    64  leaves kept for reuse             128  branches kept for reuse
//   192  leaves taken from the arena | branches taken | restarts
//   256  32 entry counters, a line each    every insert and remove adds to its thread's own

import CShims
import Synchronization

/// The index without its class: a handful of constants, copied into registers.
///
/// Generic over the key's width and specialised for both inside this module.
@safe
struct IndexCore<Key: KeyWords>: @unchecked Sendable {
    typealias Layout = NodeLayout<Key>

    let leaves: NodePool<Key>
    let branches: NodePool<Key>
    let control: UnsafeMutableRawPointer
    let seed: UInt64
    let kernel: UInt32
    #if DEBUG
        let hooks = InterleavingHooks()
    #endif

    static var counterStripes: Int { 32 }
    private static var controlBytes: Int { 256 + 64 * counterStripes }

    // SAFETY: the block is zeroed, which is the initial state of every atomic in it, and lives
    // until `freeControl`, which only the owning class's end calls.
    init(leaves: NodePool<Key>, branches: NodePool<Key>, seed: UInt64) {
        self.leaves = leaves
        self.branches = branches
        self.seed = seed
        kernel = cshims_best_kernel()
        unsafe control = UnsafeMutableRawPointer.allocate(
            byteCount: Self.controlBytes,
            alignment: 128
        )
        unsafe control.initializeMemory(as: UInt8.self, repeating: 0, count: Self.controlBytes)
    }

    func freeControl() { unsafe control.deallocate() }

    @inline(__always)
    private func controlWord(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe (control + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: Root

    /// Node and level packed: the leftmost node of the topmost level.
    ///
    /// Acquiring: pairs with the releasing stores in `setRoot` and `replaceRoot`.
    @inline(__always)
    var root: Step { Step(raw: unsafe controlWord(0).pointee.load(ordering: .acquiring)) }

    func setRoot(_ root: Step) {
        unsafe controlWord(0).pointee.store(root.raw, ordering: .releasing)
    }

    func replaceRoot(_ old: Step, by new: Step) -> Bool {
        unsafe controlWord(0).pointee.compareExchange(
            expected: old.raw,
            desired: new.raw,
            ordering: .acquiringAndReleasing
        ).exchanged
    }

    // MARK: Nodes

    var keptLeaves: FreeNodes { unsafe FreeNodes(control + 64) }
    var keptBranches: FreeNodes { unsafe FreeNodes(control + 128) }

    func allocateLeaf() -> NodeIndex {
        let kept = keptLeaves.pop(from: leaves)
        if kept != 0 { return kept }
        unsafe controlWord(192).pointee.wrappingAdd(1, ordering: .relaxed)
        return leaves.allocate()
    }

    func allocateBranch() -> NodeIndex {
        let kept = keptBranches.pop(from: branches)
        if kept != 0 { return kept }
        unsafe controlWord(200).pointee.wrappingAdd(1, ordering: .relaxed)
        return branches.allocate()
    }

    /// Nodes taken from the arena, in use or kept.
    var leavesTaken: Int {
        Int(truncatingIfNeeded: unsafe controlWord(192).pointee.load(ordering: .relaxed))
    }
    var branchesTaken: Int {
        Int(truncatingIfNeeded: unsafe controlWord(200).pointee.load(ordering: .relaxed))
    }

    func forgetNodes() {
        unsafe controlWord(192).pointee.store(0, ordering: .relaxed)
        unsafe controlWord(200).pointee.store(0, ordering: .relaxed)
    }

    // MARK: Counters

    /// Adds to this thread's stripe: no line is fought over while threads are few.
    @inline(__always)
    func addToCount(_ change: Int) {
        let stripe = Int(cshims_thread_slot()) & (Self.counterStripes &- 1)
        unsafe controlWord(256 &+ 64 &* stripe).pointee.wrappingAdd(
            UInt64(bitPattern: Int64(change)),
            ordering: .relaxed
        )
    }

    var count: Int {
        var sum: UInt64 = 0
        for stripe in 0..<Self.counterStripes {
            sum &+= unsafe controlWord(256 + 64 * stripe).pointee.load(ordering: .relaxed)
        }
        return max(0, Int(truncatingIfNeeded: sum))
    }

    @inline(never)
    func countRestart() {
        unsafe controlWord(208).pointee.wrappingAdd(1, ordering: .relaxed)
    }

    var restarts: Int {
        Int(truncatingIfNeeded: unsafe controlWord(208).pointee.load(ordering: .relaxed))
    }
}

/// Where a descent goes next: a node, and its level or what kind of step led there.
struct Step: Equatable {
    var raw: UInt64

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(node: NodeIndex, level: Int) {
        raw = UInt64(node) | UInt64(truncatingIfNeeded: level) << 32
    }

    @inline(__always) var node: NodeIndex { NodeIndex(truncatingIfNeeded: raw) }
    @inline(__always) var level: Int { Int(truncatingIfNeeded: raw >> 32) }
    /// No step: start again from the root.
    @inline(__always) static var restart: Step { Step(raw: 0) }
    @inline(__always) var isRestart: Bool { raw == 0 }
}
