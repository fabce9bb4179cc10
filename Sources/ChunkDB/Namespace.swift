// A namespace: one tenant bound to one model (PRODUCT D2). It has its own index; keys never cross
// it.

import BSkiplist
import ChunkFormat
import KVModel
import Primitives
import Retention
import SegmentLog
import Synchronization

public final class Namespace: Sendable {
    public let id: NamespaceID
    public let name: String
    public let binding: ModelBinding
    let bindingDigest: [UInt8]
    let core: StoreCore
    let index: BSkiplist
    /// Keys whose put is between admission and publication; touched on the core only.
    private let committing = Mutex<Set<IndexKey>>([])
    private let isDropped = Atomic(false)

    init(_ description: NamespaceDescription, core: StoreCore, index: BSkiplist) {
        id = description.id
        name = description.name
        binding = description.binding
        bindingDigest = description.binding.digest
        self.core = core
        self.index = index
    }

    /// The key of these tokens under this namespace's model.
    public func key(tokens: [UInt32], identity: ChunkIdentity = .init()) -> ChunkKey {
        ChunkKey(tokens: tokens, bindingDigest: bindingDigest, identity: identity)
    }

    // MARK: Lookups. They never touch the disk, and never wait for it.

    /// The stored variant, or `nil`. *Complexity:* one index lookup.
    public func contains(_ key: ChunkKey, variant: VariantID = .standalone) -> ChunkEntry? {
        if isDropped.load(ordering: .acquiring) { return nil }
        let indexKey = IndexKey(key, variant)
        return index.lookup(indexKey)?.entry(indexKey)
    }

    /// Every stored variant of a chunk, in order of variant ids.
    public func variants(of key: ChunkKey) -> [ChunkEntry] {
        var result: [ChunkEntry] = []
        index.scan(from: IndexKey(key, VariantID(0))) { indexKey, value in
            guard indexKey.chunkKey == key else { return false }
            result.append(value.entry(indexKey))
            return true
        }
        return result
    }

    /// Entries whose key begins with `prefix`, in byte order, until `body` returns false.
    /// *Concurrency:* weakly consistent (CONTRACT C-1).
    public func forEachEntry(
        prefix: [UInt8] = [], _ body: (ChunkEntry) -> Bool
    ) {
        guard prefix.count <= 32 else { return }
        let first = ChunkKey(
            bytes: prefix + [UInt8](repeating: 0, count: 32 - prefix.count))!
        index.scan(from: IndexKey(first, VariantID(0))) { indexKey, value in
            let key = indexKey.chunkKey
            guard prefix.isEmpty || key.bytes.starts(with: prefix) else { return false }
            return body(value.entry(indexKey))
        }
    }

    /// Number of stored variants.
    public var entryCount: Int { index.count }

    /// How often and when an entry was last read, since counters began.
    public func heat(of entry: ChunkEntry) -> HeatRow? { core.heat[entry.ordinal] }

    // MARK: Removal

    /// Forgets one variant, or all variants of the chunk. Removing what is not there is no error.
    /// *Durability:* as asked for when this returns, `accepted` as `written`. Durable, it does not
    /// come back (CONTRACT D-1).
    /// *Throws:* `.cancelled` when the caller's task is; the removal then goes on unwatched.
    public func remove(
        _ key: ChunkKey, variant: VariantID? = nil, durability: Durability = .durable
    ) async throws(StoreError) {
        try await core.carryOut { [self] () async throws(StoreError) in
            try requireAlive()
            try await settle(key, variant)
            do throws(LogError) {
                try await core.log.remove(id, key, variant, durability) { [self] in
                    unpublish(key, variant)
                }
            } catch {
                throw .log(error)
            }
            await core.checkpointIfDue()
            await core.cleanIfLow()
        }
    }

    /// *Throws:* `.noSuchNamespace` once this one was dropped.
    func requireAlive() throws(StoreError) {
        if isDropped.load(ordering: .acquiring) { throw .noSuchNamespace(name) }
    }

    // MARK: Steps of the core

    /// Whether a put of this key may go on (CONTRACT P-5).
    func admit(_ key: IndexKey) -> Bool {
        !isDropped.load(ordering: .acquiring) && index.lookup(key) == nil
            && committing.withLock { $0.insert(key).inserted }
    }

    /// The put that was admitted failed: the key is free again.
    func withdraw(_ key: IndexKey) { committing.withLock { _ = $0.remove(key) } }

    func publish(_ entry: CheckpointEntry) {
        let key = IndexKey(entry.key, entry.variant)
        committing.withLock { _ = $0.remove(key) }
        if index.lookup(key) == nil { insert(entry, key) }
    }

    private func insert(_ entry: CheckpointEntry, _ key: IndexKey) {
        _ = index.insert(key, IndexValue(entry, ordinal: core.newHeat(entry)))
    }

    /// From the log, when a store is opened: what was put last counts (RCV-14).
    func replay(_ entry: CheckpointEntry) {
        let key = IndexKey(entry.key, entry.variant)
        let ordinal = contains(entry.key, variant: entry.variant)?.ordinal
        _ = index.upsert(key, IndexValue(entry, ordinal: ordinal ?? core.newHeat(entry)))
    }

    /// Whether the variant lives at this place.
    func isAt(_ entry: CheckpointEntry) -> Bool {
        contains(entry.key, variant: entry.variant)?.location == entry.location
    }

    /// The variant stands at another place now.
    func relocate(_ entry: CheckpointEntry, to location: RecordLocation) {
        var entry = entry
        entry.location = location
        _ = index.upsert(
            IndexKey(entry.key, entry.variant), IndexValue(entry, ordinal: entry.ordinal))
    }

    /// *Returns:* false when the variant no longer lives at this place.
    func forget(_ entry: CheckpointEntry, line: Double) -> Bool {
        isAt(entry)
            && takeBack(IndexKey(entry.key, entry.variant), because: .evicted, line: line)
    }

    /// Puts that are only accepted stay: their commit comes later than this removal.
    func unpublish(_ key: ChunkKey, _ variant: VariantID?) {
        let entries =
            variant.map { contains(key, variant: $0).map { [$0] } ?? [] }
            ?? variants(of: key)
        for entry in entries where !core.pending.contains(entry.location) {
            takeBack(IndexKey(key, entry.variant))
        }
    }

    /// Makes an accepted put visible, if its key is free.
    func accept(_ entry: CheckpointEntry) -> Acceptance {
        let key = IndexKey(entry.key, entry.variant)
        if committing.withLock({ $0.contains(key) }) { return .contested }
        if index.lookup(key) != nil { return .taken }
        insert(entry, key)
        return .accepted
    }

    /// Takes an entry out of the index. *Returns:* whether there was one.
    @discardableResult
    func takeBack(
        _ key: IndexKey, because departure: Departure = .removed, line: Double = .infinity
    ) -> Bool {
        guard let value = index.remove(key) else { return false }
        core.endHeat(value.checkpointEntry(id, key), departure, line: line)
        return true
    }

    /// Whether an accepted put is still wanted.
    var isAlive: Bool { !isDropped.load(ordering: .acquiring) }

    /// The last step of `ChunkDB.drop`: calls that come later find nothing.
    func markDropped() { isDropped.store(true, ordering: .releasing) }
}

/// What became of a put that wants only to be accepted.
enum Acceptance: Sendable {
    case accepted
    /// The key has a chunk that everybody sees.
    case taken
    /// Another put of the key was admitted to a group that is on its way.
    case contested
}
