// Places where a test may stop a thread, in debug builds only: a race that needs a certain
// interleaving is then forced, not hoped for. Release builds hold no trace of it.

import Synchronization

/// A place in an operation at which a test may step in.
public enum InterleavingPoint: Sendable, CaseIterable {
    /// A leaf was read and not yet validated.
    case leafRead
    /// An insert has chosen its leaf and not yet locked it.
    case leafChosen
    /// A node was split; the right half is linked and not yet posted above.
    case splitLinked
    /// A leaf has become empty enough and the merge has not begun.
    case mergeWanted
    /// A scan has left one leaf and not yet entered the next.
    case scanBetweenLeaves
}

#if DEBUG
    /// The test's step-in. Set only while no operation runs: then the flag alone orders everything.
    final class InterleavingHooks: @unchecked Sendable {
        private let armed = Atomic<Bool>(false)
        private var body: (@Sendable (InterleavingPoint) -> Void)?

        func set(_ new: (@Sendable (InterleavingPoint) -> Void)?) {
            armed.store(false, ordering: .relaxed)
            body = new
            // Releasing: pairs with the load in `fire`.
            armed.store(new != nil, ordering: .releasing)
        }

        func fire(_ point: InterleavingPoint) {
            guard armed.load(ordering: .acquiring) else { return }
            body?(point)
        }
    }
#endif

extension IndexCore {
    @inline(__always)
    func at(_ point: InterleavingPoint) {
        #if DEBUG
            hooks.fire(point)
        #endif
    }
}
