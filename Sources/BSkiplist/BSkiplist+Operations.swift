// The public operations: each is one call into the specialised core.

extension BSkiplist {
    /// The value at `key`, or nil.
    public func lookup(_ key: IndexKey) -> IndexValue? { core.lookup(key) }

    /// The values at `keys`, in the keys' order; the descents are interleaved.
    public func lookup(batch keys: [IndexKey]) -> [IndexValue?] {
        let count = keys.count
        return unsafe keys.withUnsafeBufferPointer { keys in
            unsafe [IndexValue?](unsafeUninitializedCapacity: count) { found, initialized in
                // SAFETY: both buffers hold `count` elements.
                if let keys = keys.baseAddress, let found = found.baseAddress {
                    unsafe core.lookup(batch: keys, count: count, into: found)
                }
                initialized = count
            }
        }
    }

    /// As above, into the caller's memory: no allocation. `found` holds as many as `keys`.
    public func lookup(
        batch keys: UnsafeBufferPointer<IndexKey>,
        into found: UnsafeMutableBufferPointer<IndexValue?>
    ) {
        precondition(found.count >= keys.count, "room for every answer")
        // SAFETY: checked above.
        if let from = keys.baseAddress, let to = found.baseAddress {
            unsafe core.lookup(batch: from, count: keys.count, into: to)
        }
    }

    /// How many of `keys` are present before the first that is not: the hits of a prefix chain.
    public func leadingHits(_ keys: [IndexKey]) -> Int {
        unsafe keys.withUnsafeBufferPointer { keys in
            // SAFETY: the buffer holds `count` keys.
            guard let base = keys.baseAddress else { return 0 }
            return unsafe core.leadingHits(base, count: keys.count)
        }
    }

    /// Adds an entry; false, and nothing changed, when the key is present.
    public func insert(_ key: IndexKey, _ value: IndexValue) -> Bool {
        var old = IndexValue(0, 0, 0)
        return core.put(key, value, replace: false, old: &old) == .inserted
    }

    /// Sets the value at `key`; returns the one it had.
    public func upsert(_ key: IndexKey, _ value: IndexValue) -> IndexValue? {
        var old = IndexValue(0, 0, 0)
        return core.put(key, value, replace: true, old: &old) == .found ? old : nil
    }

    /// Removes the entry at `key`; returns its value.
    public func remove(_ key: IndexKey) -> IndexValue? { core.remove(key) }

    /// Gives the entries from `key` on, ascending, until `body` returns false.
    ///
    /// - Parameter expecting: about how many will be taken. It decides what is fetched early, and
    ///   nothing else.
    ///
    /// *Concurrency:* weakly consistent (C-1): only entries that existed at some time during the
    /// scan, each at most once, and all that existed throughout. No lock is held during `body`,
    /// which may use the index.
    public func scan(
        from key: IndexKey, expecting: Int = 8, _ body: (IndexKey, IndexValue) -> Bool
    ) {
        core.scan(from: key, expecting: expecting, body)
    }

    /// Keys that cut the index into at most `parts` ranges of about one size, ascending; the first
    /// range begins below the first key. Scanning the ranges on as many threads is the parallel
    /// snapshot.
    public func cuts(parts: Int) -> [IndexKey] { core.cuts(parts: parts) }

    /// The number of entries; exact when no writer is active.
    public var count: Int { core.count }

    /// Bytes of the nodes that this index uses or keeps.
    public var allocatedBytes: Int {
        core.leavesTaken * core.leaves.stride + core.branchesTaken * core.branches.stride
    }

    /// Levels, nodes, fill. Walks the leaves: for reports, not for each request.
    public func statistics() -> IndexStatistics { core.statistics() }

    /// Violations of the invariants I1…I8; empty when sound. Only for an index at rest.
    public func checkInvariants() -> [String] { core.checkInvariants() }

    #if DEBUG
        /// Calls `body` at the named points of every operation, on the operation's thread; nil
        /// stops it. To be set while no operation runs.
        public func setInterleavingHook(_ body: (@Sendable (InterleavingPoint) -> Void)?) {
            core.hooks.set(body)
        }
    #endif
}

// MARK: - Bulk load

extension BSkiplist {
    /// Builds an index from entries that `run` hands over in ascending order.
    ///
    /// - Parameter fill: the share of each node's slots to use, in (0, 1].
    public static func bulkLoad(
        arena: NodeArena,
        seed: UInt64,
        fill: Double,
        run: (_ add: (IndexKey, IndexValue) -> Void) throws -> Void
    ) rethrows -> BSkiplist {
        let index = BSkiplist(arena: arena, seed: seed)
        var loader = BulkLoader(into: index.core, fill: fill)
        try run { key, value in loader.add(key, value) }
        loader.finish()
        return index
    }

    /// Builds an index from ascending entries that come over time.
    public final class Loader {
        private let index: BSkiplist
        private var loader: BulkLoader<IndexKey>

        /// - Parameter fill: the share of each node's slots to use, in (0, 1].
        public init(arena: NodeArena, seed: UInt64, fill: Double) {
            index = BSkiplist(arena: arena, seed: seed)
            loader = BulkLoader(into: index.core, fill: fill)
        }

        /// Traps unless the key is above the last one.
        public func add(_ key: IndexKey, _ value: IndexValue) { loader.add(key, value) }

        /// To be called once, also when the index is not wanted any more.
        public func finish() -> BSkiplist {
            loader.finish()
            return index
        }
    }

    /// Builds an index from an ascending sequence of entries.
    public static func bulkLoad(
        arena: NodeArena,
        seed: UInt64,
        fill: Double,
        run: some Sequence<(IndexKey, IndexValue)>
    ) -> BSkiplist {
        bulkLoad(arena: arena, seed: seed, fill: fill) { add in
            for (key, value) in run { add(key, value) }
        }
    }
}
