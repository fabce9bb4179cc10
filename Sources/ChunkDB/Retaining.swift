// Pinning what is there already, and letting it go again. A record says itself how it is kept, and
// is never rewritten in place: the variant is copied, as cleaning copies it, and says otherwise
// there.

import BSkiplist
import ChunkFormat
import Primitives
import SegmentLog

extension Namespace {
    /// Pins a stored variant: no shortage takes it. One that is pinned already costs nothing.
    ///
    /// *Durability:* durable when this returns. *Complexity:* a copy of the variant.
    /// *Returns:* false when it is a miss.
    /// *Throws:* `.quotaExceeded` beyond `StoreOptions.pinnedCapacity`, `.damaged` when its bytes
    /// do not verify; it stays as it was then.
    @discardableResult
    public func pin(_ key: ChunkKey, variant: VariantID = .standalone) async throws(StoreError)
        -> Bool
    {
        try await core.carryOut { [self] () async throws(StoreError) -> Bool in
            try await retain(key, variant, isPinned: true)
        }
    }

    /// Makes a pinned variant evictable. Otherwise as `pin`.
    @discardableResult
    public func unpin(_ key: ChunkKey, variant: VariantID = .standalone) async throws(StoreError)
        -> Bool
    {
        try await core.carryOut { [self] () async throws(StoreError) -> Bool in
            try await retain(key, variant, isPinned: false)
        }
    }

    /// Inside a call: the store's own task carries it out. *Returns:* false when it is a miss.
    func retain(_ key: ChunkKey, _ variant: VariantID, isPinned: Bool)
        async throws(StoreError) -> Bool
    {
        while let entry = try await settledEntry(key, variant) {
            if entry.isPinned == isPinned { return true }
            try await copy(entry, isPinned: isPinned)
            // Unless it was moved or forgotten meanwhile, the next look finds it done.
        }
        return false
    }

    /// Where a variant stands once no write to it is on its way; `nil` for a miss.
    func settledEntry(_ key: ChunkKey, _ variant: VariantID) async throws(StoreError)
        -> CheckpointEntry?
    {
        try requireAlive()
        try await settle(key, variant)
        let indexKey = IndexKey(key, variant)
        guard contains(key, variant: variant) != nil, let value = index.lookup(indexKey)
        else { return nil }
        return checkpointEntry(indexKey, value)
    }

    private func copy(_ entry: CheckpointEntry, isPinned: Bool) async throws(StoreError) {
        let ticket = isPinned ? try takePinned(entry.variantDiskBytes) : nil
        defer { ticket?.end() }
        _ = try await copy(entry, isPinned: isPinned) { (family) throws(StoreError) in
            for index in family.indices {
                family[index].retention = isPinned ? .pinned : .evictable
            }
        }
    }

    /// Puts a copy that says something else in a variant's place.
    /// *Returns:* false when the variant was moved or forgotten meanwhile; nothing happened then.
    func copy(
        _ entry: CheckpointEntry, isPinned: Bool? = nil,
        _ change: (inout [PayloadRecord]) throws(StoreError) -> Void
    ) async throws(StoreError) -> Bool {
        var family: [PayloadRecord]
        // Cleaning goes on beside this, and what is being read is not to be written over (N-9).
        var holds: [SegmentHold] = []
        defer { withExtendedLifetime(holds) {} }
        do throws(LogError) {
            let isThere = { self.isAt(entry) }
            guard let hold = try hold(entry.location, if: isThere) else { return false }
            holds = [hold]
            for sibling in try await core.record(of: entry).siblings {
                guard let hold = try self.hold(sibling.location, if: isThere) else { return false }
                holds.append(hold)
            }
            family = try await core.family(of: entry)
        } catch {
            try fail(entry, error)
            return false
        }
        try change(&family)
        let done = OneEnd()
        do throws(LogError) {
            let needed = await core.log.spaceNeeded(for: family.map(\.prefix.recordBytes))
            if await core.log.availableBytes < needed {
                _ = await core.cleaner.makeRoom(for: needed, in: core)
            }
            let copy = LogMove(
                .change(family), isAlive: { self.isAt(entry) },
                publish: {
                    self.relocate(entry, to: $0, isPinned: isPinned)
                    done.end()
                })
            if let (_, error) = try await core.log.move([copy]).first { throw error }
        } catch {
            try fail(entry, error)
        }
        await core.cleanIfLow()
        return done.isOver
    }

    /// What was read where a variant stood before is not what stands there now, and no damage.
    private func fail(_ entry: CheckpointEntry, _ error: LogError) throws(StoreError) {
        guard case .format(let cause, _, _) = error else { throw .log(error) }
        if let found = contains(entry) { throw damaged(found, entry.location, cause) }
    }

    /// `nil` when the variant lives elsewhere by now, or no more.
    private func contains(_ entry: CheckpointEntry) -> ChunkEntry? {
        isAt(entry) ? contains(entry.key, variant: entry.variant) : nil
    }
}
