// The checkpoint's entries, loaded in bulk while they are read: at no time is there more of them in
// memory than one piece, beside the indexes themselves.

import BSkiplist
import ChunkFormat
import Primitives
import SegmentLog

final class CheckpointIndexes: CheckpointSink {
    let arena = NodeArena()
    private(set) var heat = HeatTable(rows: [])
    /// Whose scores the rows are (HEA-6).
    private(set) var policyDigest: Digest128?
    private var seed: UInt64 = 0
    /// Those that the journals describe and no drop has ended.
    private var living: Set<NamespaceID> = []
    private var indexes: [NamespaceID: BSkiplist] = [:]
    private var loader: (namespace: NamespaceID, BSkiplist.Loader)?

    /// Decides node heights; drawn per store and not guessable by a tenant.
    static func seed(of superblock: Superblock) -> UInt64 {
        superblock.secret.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    func begin(_ superblock: Superblock, heat: HeatFile?, namespaces: [NamespaceOperation]) {
        seed = Self.seed(of: superblock)
        self.heat = HeatTable(rows: heat?.rows ?? [])
        policyDigest = heat?.policyDigest
        for case .create(let description) in namespaces { living.insert(description.id) }
        for case .drop(let id, _) in namespaces { living.remove(id) }
    }

    func take(_ entries: [CheckpointEntry]) {
        for entry in entries where living.contains(entry.namespace) {
            if loader?.namespace != entry.namespace {
                endNamespace()
                loader = (
                    entry.namespace, BSkiplist.Loader(arena: arena, seed: seed, fill: 0.85)
                )
            }
            let ordinal = heat.adopt(entry.ordinal)
            if entry.expirySeconds > 0 { heat.setExpiry(ordinal, entry.expirySeconds) }
            loader?.1.add(
                IndexKey(entry.key, entry.variant), IndexValue(entry, ordinal: ordinal))
        }
    }

    private func endNamespace() {
        guard let (namespace, loader) = loader else { return }
        indexes[namespace] = loader.finish()
        self.loader = nil
    }

    func discard() {
        endNamespace()
        indexes = [:]
        heat = HeatTable(rows: [])
    }

    /// The indexes of all namespaces that the checkpoint has entries of.
    func finish() -> [NamespaceID: BSkiplist] {
        endNamespace()
        heat.endAdoption()
        return indexes
    }
}
