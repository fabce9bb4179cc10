// Point lookup: an optimistic descent and one validated look at the leaf.

extension IndexCore {
    /// What a visit to a leaf found.
    enum Sight {
        case present
        case absent
        /// Past the high fence; the neighbour is in `next`.
        case right
        case stale
    }

    /// One validated look at the leaf `index` for `key`.
    ///
    /// Linearization: the moment of the successful `endRead`; the leaf then was live, its fences
    /// enclosed the key, and all that was copied out of it was there at once.
    @inline(__always)
    func look(
        at index: NodeIndex,
        _ key: Key,
        guess: Int,
        value: inout IndexValue,
        next: inout NodeIndex
    ) -> Sight {
        let node = leaves.node(index)
        while true {
            let seen = node.beginRead()
            var sight = Sight.stale
            if seen & VersionBits.obsolete == 0 {
                let meta = node.meta
                let standing = node.standing(of: key, meta: meta)
                if standing == .inside {
                    let (slot, found) = node.leafSearch(key, guess: guess, kernel: kernel)
                    if found {
                        value = node.value(slot)
                        sight = .present
                    } else {
                        sight = .absent
                    }
                } else if standing == .right {
                    next = meta.next
                    sight = .right
                }
            }
            at(.leafRead)
            if node.endRead(seen) { return sight }
        }
    }

    @inline(__always)
    func lookup(_ key: Key) -> IndexValue? {
        lookup(key, from: descend(to: 0, key))
    }

    /// The lookup's last part, from the leaf that a descent arrived at.
    @inline(__always)
    func lookup(_ key: Key, from arrival: Arrival) -> IndexValue? {
        var index = arrival.node
        var guess = arrival.guess
        var value = IndexValue(0, 0, 0)
        while true {
            switch look(at: index, key, guess: guess, value: &value, next: &index) {
            case .present: return value
            case .absent: return nil
            case .right: continue
            case .stale:
                countRestart()
                let again = descend(to: 0, key)
                index = again.node
                guess = again.guess
            }
        }
    }
}
