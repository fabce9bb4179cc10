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
    /// Says what its entries are worth.
    let policy: any RetentionPolicy
    /// Says what `put` stores at all.
    let admission: any AdmissionPolicy
    let options: NamespaceOptions
    let usage: NamespaceUsage
    /// Keys whose put is between admission and publication; touched on the core only.
    private let committing = Mutex<Set<IndexKey>>([])
    private let isDropped = Atomic(false)

    init(
        _ description: NamespaceDescription, core: StoreCore, index: BSkiplist,
        usage: NamespaceUsage
    ) {
        id = description.id
        name = description.name
        binding = description.binding
        bindingDigest = description.binding.digest
        self.core = core
        self.index = index
        self.usage = usage
        policy = core.policies[description.name]
        admission = core.policies.admission(description.name)
        options = core.options.namespaces[description.name] ?? NamespaceOptions()
    }

    /// Nobody looks into a dropped namespace any more: its heat rows are free for others.
    deinit {
        guard isDropped.load(ordering: .acquiring) else { return }
        index.scan(from: IndexKey(.zero, VariantID(0))) { _, value in
            core.heat.free(value.ordinal)
            return true
        }
    }

    /// The key of these tokens under this namespace's model.
    public func key(tokens: [UInt32], identity: ChunkIdentity = .init()) -> ChunkKey {
        ChunkKey(tokens: tokens, bindingDigest: bindingDigest, identity: identity)
    }

    // MARK: Lookups. They never touch the disk, and never wait for it.

    /// The stored variant, or `nil`; one whose time is over is a miss.
    /// *Complexity:* one index lookup.
    public func contains(_ key: ChunkKey, variant: VariantID = .standalone) -> ChunkEntry? {
        if isDropped.load(ordering: .acquiring) { return nil }
        let indexKey = IndexKey(key, variant)
        guard let value = index.lookup(indexKey), !isOver(value) else { return nil }
        return value.entry(indexKey)
    }

    /// Every stored variant of a chunk, in order of variant ids.
    public func variants(of key: ChunkKey) -> [ChunkEntry] {
        var result: [ChunkEntry] = []
        scanVariants(of: key) { indexKey, value in
            if !isOver(value) { result.append(value.entry(indexKey)) }
        }
        return result
    }

    private func scanVariants(of key: ChunkKey, _ body: (IndexKey, IndexValue) -> Void) {
        index.scan(from: IndexKey(key, VariantID(0))) { indexKey, value in
            guard indexKey.chunkKey == key else { return false }
            body(indexKey, value)
            return true
        }
    }

    /// Whether its time has come (PAY-13), by the clock as it is now. The index forgets it when
    /// its key is put again, or when space is needed.
    private func isOver(_ value: IndexValue) -> Bool {
        value.hasExpiry && core.isOver(checkpointEntry(IndexKey(.zero, .standalone), value))
    }

    func checkpointEntry(_ key: IndexKey, _ value: IndexValue) -> CheckpointEntry {
        value.checkpointEntry(
            id, key, expirySeconds: value.hasExpiry ? core.heat.expiry(value.ordinal) : 0)
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
            return isOver(value) || body(value.entry(indexKey))
        }
    }

    /// Number of stored variants, those included whose time is over and whose space is not yet
    /// needed.
    public var entryCount: Int { index.count }

    /// How often and when an entry was last read, since counters began.
    public func heat(of entry: ChunkEntry) -> HeatRow? { core.heat[entry.ordinal] }

    // MARK: Removal

    /// Forgets one variant, or all variants of the chunk. Removing what is not there is no error:
    /// the log remembers it all the same, since forgotten bytes may still stand there.
    /// *Durability:* as asked for when this returns, `accepted` as `written`. Durable, it does not
    /// come back (CONTRACT D-1).
    /// *Throws:* `.cancelled` when the caller's task is; the removal then goes on unwatched.
    /// `.log(.capacityExceeded)` when nothing is there that would make room for the memory of it,
    /// in a store that is a segment beyond its capacity and cannot forget anything.
    public func remove(
        _ key: ChunkKey, variant: VariantID? = nil, durability: Durability = .durable
    ) async throws(StoreError) {
        try await core.carryOut { [self] () async throws(StoreError) in
            try requireAlive()
            try await settle(key, variant)
            await core.payBack()
            if stored(key, variant).isEmpty, await core.log.isAtLimit {
                let unit = UInt64(core.log.superblock.alignmentUnit)
                throw .log(.capacityExceeded(neededBytes: unit, availableBytes: 0))
            }
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
        !isDropped.load(ordering: .acquiring) && isFree(key)
            && committing.withLock { $0.insert(key).inserted }
    }

    /// Whether no entry has the key; one whose time is over makes way, unless its commit is still
    /// to come: it would come after ours, and count.
    private func isFree(_ key: IndexKey) -> Bool {
        guard let value = index.lookup(key) else { return true }
        return isOver(value) && !core.pending.contains(value.entry(key).location) && takeBack(key)
    }

    /// The variants of a chunk, or one of them, whether their time is over or not.
    func stored(_ key: ChunkKey, _ variant: VariantID?) -> [ChunkEntry] {
        var entries: [ChunkEntry] = []
        scanVariants(of: key) { indexKey, value in
            if variant == nil || variant == indexKey.variant {
                entries.append(value.entry(indexKey))
            }
        }
        return entries
    }

    /// The put that was admitted failed: the key is free again.
    func withdraw(_ key: IndexKey) { committing.withLock { _ = $0.remove(key) } }

    func publish(_ entry: CheckpointEntry) {
        let key = IndexKey(entry.key, entry.variant)
        committing.withLock { _ = $0.remove(key) }
        if index.lookup(key) == nil { insert(entry, key) }
    }

    private func insert(_ entry: CheckpointEntry, _ key: IndexKey) {
        _ = index.insert(key, IndexValue(entry, ordinal: newHeat(entry)))
        usage.add(entry)
    }

    /// From the log, when a store is opened: what was put last counts (RCV-14).
    func replay(_ entry: CheckpointEntry) {
        let key = IndexKey(entry.key, entry.variant)
        let earlier = index.lookup(key)
        let ordinal = earlier?.ordinal
        if let earlier { usage.subtract(checkpointEntry(key, earlier)) }
        if let ordinal { core.heat.setExpiry(ordinal, entry.expirySeconds) }
        usage.add(entry)
        _ = index.upsert(key, IndexValue(entry, ordinal: ordinal ?? newHeat(entry)))
    }

    /// Whether the variant lives at this place.
    func isAt(_ entry: CheckpointEntry) -> Bool {
        let key = IndexKey(entry.key, entry.variant)
        return isAlive && index.lookup(key)?.entry(key).location == entry.location
    }

    /// The variant stands at another place now; unless it was forgotten while it was copied.
    /// - Parameter isPinned: `nil` as it was.
    func relocate(
        _ entry: CheckpointEntry, to location: RecordLocation, isPinned: Bool? = nil
    ) {
        guard isAt(entry) else { return }
        var entry = entry
        if let isPinned, isPinned != entry.isPinned {
            usage.subtract(entry)
            entry.flags ^= CheckpointEntry.pinnedFlag
            usage.add(entry)
        }
        entry.location = location
        _ = index.upsert(
            IndexKey(entry.key, entry.variant), IndexValue(entry, ordinal: entry.ordinal))
    }

    /// *Returns:* false when the variant no longer lives at this place.
    func forget(_ entry: CheckpointEntry, because departure: Departure, line: Double) -> Bool {
        isAt(entry)
            && takeBack(IndexKey(entry.key, entry.variant), because: departure, line: line)
    }

    /// Puts that are only accepted stay: their commit comes later than this removal.
    func unpublish(_ key: ChunkKey, _ variant: VariantID?) {
        for entry in stored(key, variant) where !core.pending.contains(entry.location) {
            takeBack(IndexKey(key, entry.variant))
        }
    }

    /// Makes an accepted put visible, if its key is free.
    func accept(_ entry: CheckpointEntry) -> Acceptance {
        let key = IndexKey(entry.key, entry.variant)
        if committing.withLock({ $0.contains(key) }) { return .contested }
        if !isFree(key) { return .taken }
        insert(entry, key)
        return .accepted
    }

    /// Takes an entry out of the index. *Returns:* whether there was one.
    @discardableResult
    func takeBack(
        _ key: IndexKey, because departure: Departure = .removed, line: Double = .infinity
    ) -> Bool {
        guard let value = index.remove(key) else { return false }
        let entry = checkpointEntry(key, value)
        usage.subtract(entry)
        endHeat(entry, departure, line: line)
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
