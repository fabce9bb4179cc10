// Insert and upsert: one leaf, locked once. Only a full leaf costs more (see +Split).

extension IndexCore {
    enum Presence {
        case inserted
        case found
    }

    /// Puts `value` at `key`; if the key is there, `replace` says whether the value changes.
    ///
    /// Linearization: the release of the leaf's lock. A split's posting comes after and changes no
    /// answer, only the way to it.
    @inline(__always)
    func put(
        _ key: Key,
        _ value: IndexValue,
        replace: Bool,
        old: inout IndexValue
    ) -> Presence {
        while true {
            let chosen = descend(to: 0, key)
            at(.leafChosen)
            let (index, held) = lockLeaf(key, hint: chosen.node)
            if index == 0 {
                countRestart()
                continue
            }
            let leaf = leaves.node(index)
            let meta = leaf.meta
            let (slot, found) = leaf.leafSearch(
                key,
                guess: chosen.guess,
                kernel: kernel
            )
            if found {
                old = leaf.value(slot)
                if replace {
                    leaf.setValue(slot, value)
                    leaf.unlock(held)
                } else {
                    leaf.unlockUnchanged(held)
                }
                return .found
            }
            if meta.count < Layout.capacity {
                leaf.leafInsert(key, value, before: slot, meta: meta)
                leaf.unlock(held)
            } else {
                splitLeaf(leaf, held, inserting: key, value, at: slot, parent: chosen.parent)
            }
            addToCount(1)
            return .inserted
        }
    }
}
