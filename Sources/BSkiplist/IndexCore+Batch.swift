// Batched lookup: many descents at once, so that their cache misses overlap.
//
// All paths have the same length, so no state machine is needed: a group of keys goes down level by
// level, each visit prefetching the next node of its own key (of a leaf also the guessed record)
// while the others take their turn. Every visit validates itself, as in a single lookup.

extension IndexCore {
    /// One descent in flight.
    struct Lane {
        var at: Step
        var guess: Int
    }

    /// Descents in flight: enough to cover a memory latency, few enough for the fill buffers.
    static var groupWidth: Int { 16 }

    /// Looks up `count` keys; `found` gets the answers in the keys' order.
    func lookup(
        batch keys: UnsafePointer<Key>,
        count: Int,
        into found: UnsafeMutablePointer<IndexValue?>
    ) {
        unsafe withUnsafeTemporaryAllocation(of: Lane.self, capacity: Self.groupWidth) { lanes in
            // SAFETY: every index is below `count` or the group's width.
            guard let lanes = lanes.baseAddress else { return }
            var start = 0
            while start < count {
                let width = min(Self.groupWidth, count &- start)
                unsafe lookupGroup(keys + start, width, into: found + start, lanes)
                start &+= width
            }
        }
    }

    @inline(__always)
    private func lookupGroup(
        _ keys: UnsafePointer<Key>,
        _ width: Int,
        into found: UnsafeMutablePointer<IndexValue?>,
        _ lanes: UnsafeMutablePointer<Lane>
    ) {
        let root = self.root
        var lane = 0
        while lane < width {
            unsafe lanes[lane] = Lane(at: root, guess: rootGuess(keys[lane]))
            lane &+= 1
        }
        var level = root.level
        while level > 0 {
            lane = 0
            while lane < width {
                var (at, guess) = unsafe (lanes[lane].at, lanes[lane].guess)
                while at.level == level {
                    at = visit(at, unsafe keys[lane], guess: &guess)
                }
                if at.isRestart {
                    countRestart()
                    let arrival = descend(to: level &- 1, unsafe keys[lane])
                    at = Step(node: arrival.node, level: level &- 1)
                    guess = arrival.guess
                }
                if level == 1 {
                    prefetchLeaf(at.node, guess)
                } else {
                    prefetchBranch(at.node, guess)
                }
                unsafe lanes[lane] = Lane(at: at, guess: guess)
                lane &+= 1
            }
            level &-= 1
        }
        lane = 0
        while lane < width {
            let (at, guess) = unsafe (lanes[lane].at, lanes[lane].guess)
            unsafe found[lane] = lookup(
                keys[lane],
                from: Arrival(node: at.node, guess: guess, parent: 0)
            )
            lane &+= 1
        }
    }

    /// How many keys are present before the first that is not.
    func leadingHits(_ keys: UnsafePointer<Key>, count: Int) -> Int {
        unsafe withUnsafeTemporaryAllocation(
            of: IndexValue?.self,
            capacity: Self.groupWidth
        ) { found in
            // SAFETY: as in `lookup(batch:)`; optionals of plain words need no deinitialization.
            guard let found = found.baseAddress else { return 0 }
            var start = 0
            while start < count {
                let width = min(Self.groupWidth, count &- start)
                unsafe lookup(batch: keys + start, count: width, into: found)
                var lane = 0
                while lane < width {
                    if unsafe found[lane] == nil { return start &+ lane }
                    lane &+= 1
                }
                start &+= width
            }
            return count
        }
    }
}
