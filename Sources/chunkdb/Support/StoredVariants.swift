// Applying steps to a checkpoint: the checkpoint stays one sorted array, as large as it is; what
// the steps change lies over it, and there are only as many of them as commits since.

import ChunkFormat
import Primitives

struct StoredVariants {
    private struct ChunkName: Hashable {
        let namespace: NamespaceID
        let key: ChunkKey
    }
    /// By place, each place once.
    private let base: [CheckpointEntry]
    /// What became of variants since; an inner `nil` is gone.
    private var changes: [ChunkName: [VariantID: CheckpointEntry?]] = [:]

    init(_ checkpoint: [CheckpointEntry]) {
        // A checkpoint out of order is a wrong hint; the first row of a place counts.
        let isSorted = zip(checkpoint, checkpoint.dropFirst()).allSatisfy { $0.place < $1.place }
        guard !isSorted else {
            base = checkpoint
            return
        }
        var sorted: [CheckpointEntry] = []
        for (_, entry) in checkpoint.enumerated().sorted(by: {
            $0.element.place == $1.element.place
                ? $0.offset < $1.offset : $0.element.place < $1.element.place
        }) {
            if let last = sorted.last, last.place == entry.place { continue }
            sorted.append(entry)
        }
        base = sorted
    }

    /// The later of two counts: it is the same, copied, or the first was forgotten (RCV-14).
    mutating func insert(_ entry: CheckpointEntry) {
        let name = ChunkName(namespace: entry.namespace, key: entry.key)
        changes[name, default: [:]].updateValue(entry, forKey: entry.variant)
    }

    mutating func remove(_ tombstone: Tombstone) {
        let name = ChunkName(namespace: tombstone.namespace, key: tombstone.key)
        let gone =
            tombstone.variant.map { [$0] }
            ?? baseVariants(of: name).map(\.variant) + Array((changes[name] ?? [:]).keys)
        for variant in gone { changes[name, default: [:]].updateValue(nil, forKey: variant) }
    }

    /// What is stored now, by namespace, key, variant.
    var sorted: [CheckpointEntry] {
        if changes.isEmpty { return base }
        let kept = base.filter { entry in
            let name = ChunkName(namespace: entry.namespace, key: entry.key)
            return changes[name]?[entry.variant] == nil
        }
        let changed = changes.values.flatMap { $0.values.compactMap { $0 } }
        return (kept + changed).sorted { $0.place < $1.place }
    }

    private func baseVariants(of name: ChunkName) -> ArraySlice<CheckpointEntry> {
        let first = (name.namespace, name.key, VariantID(0))
        var low = 0
        var high = base.count
        while low < high {
            let middle = low + (high - low) / 2
            if base[middle].place < first { low = middle + 1 } else { high = middle }
        }
        return base[low...].prefix { $0.namespace == name.namespace && $0.key == name.key }
    }
}

extension CheckpointEntry {
    /// Its place in the order of the index.
    fileprivate var place: (NamespaceID, ChunkKey, VariantID) { (namespace, key, variant) }
}
