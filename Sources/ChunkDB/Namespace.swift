// A namespace: one tenant bound to one model (PRODUCT D2). It has its own index; keys never cross
// it.

import BSkiplist
import ChunkFormat
import KVModel
import Primitives
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
    /// *Durability:* durable when this returns: it does not come back (CONTRACT D-1).
    public func remove(_ key: ChunkKey, variant: VariantID? = nil) async throws(StoreError) {
        try core.gate.enter()
        defer { core.gate.leave() }
        do throws(LogError) {
            try await core.log.remove(id, key, variant) { [self] in
                unpublish(key, variant)
            }
        } catch {
            throw .log(error)
        }
        await core.checkpointIfDue()
    }

    // MARK: Steps of the core

    /// Whether a put of this key may go on (CONTRACT P-5).
    func admit(_ key: IndexKey) -> Bool {
        index.lookup(key) == nil && committing.withLock { $0.insert(key).inserted }
    }

    /// The put that was admitted failed: the key is free again.
    func withdraw(_ key: IndexKey) { committing.withLock { _ = $0.remove(key) } }

    func publish(_ entry: CheckpointEntry) {
        let key = IndexKey(entry.key, entry.variant)
        committing.withLock { _ = $0.remove(key) }
        _ = index.insert(key, IndexValue(entry, ordinal: core.heat.addRow()))
    }

    func unpublish(_ key: ChunkKey, _ variant: VariantID?) {
        if let variant {
            _ = index.remove(IndexKey(key, variant))
        } else {
            for entry in variants(of: key) { _ = index.remove(IndexKey(key, entry.variant)) }
        }
    }
}
