// From what recovery found to the indexes in memory: the checkpoint's sorted run is loaded in bulk,
// the steps since are applied in commit order.

import BSkiplist
import ChunkFormat
import Primitives
import SegmentLog
import Synchronization

/// A namespace between its operation being made and being published.
final class CreatedNamespace: Sendable {
    let description = Mutex<NamespaceDescription?>(nil)
}

enum IndexRebuild {
    /// Returns what could not be brought back: entries whose namespace nobody knows.
    static func run(_ contents: RecoveredContents, into core: StoreCore) -> [RecoveryReport.Damage]
    {
        let descriptions = contents.namespaces.compactMap { operation in
            if case .create(let description) = operation { description } else { nil }
        }
        let dropped = Set(
            (contents.namespaces + contents.steps.compactMap(\.namespaceOperation)).compactMap {
                operation in
                if case .drop(let id, _) = operation { id } else { nil }
            })
        for description in descriptions where !dropped.contains(description.id) {
            load(description, contents.checkpointEntries, into: core)
        }
        for step in contents.steps {
            switch step {
            case .namespace(.create(let description)):
                if core.namespace(description.id) == nil, !dropped.contains(description.id) {
                    core.register(description)
                }
            case .namespace(.drop): break
            case .tombstone(let tombstone):
                core.namespace(tombstone.namespace)?.unpublish(tombstone.key, tombstone.variant)
            case .put(let entry, _): core.namespace(entry.namespace)?.publish(entry)
            }
        }
        let orphans = Set(
            (contents.checkpointEntries + contents.steps.compactMap(\.entry)).map(\.namespace))
        return orphans.sorted().compactMap { id in
            if core.namespace(id) != nil || dropped.contains(id) { return nil }
            return RecoveryReport.Damage(
                file: StoreFiles.journals[0], offset: 0,
                reason: "NSP-10: namespace \(id) has records and no description")
        }
    }

    /// Bulk-loads one namespace's share of the checkpoint, which is sorted by namespace and key.
    private static func load(
        _ description: NamespaceDescription, _ entries: [CheckpointEntry], into core: StoreCore
    ) {
        let lower = entries.partitioningIndex { $0.namespace >= description.id }
        let upper = entries.partitioningIndex { $0.namespace > description.id }
        let index = BSkiplist.bulkLoad(
            arena: core.arena, seed: core.indexSeed, fill: 0.85
        ) { add in
            var previous: IndexKey?
            for entry in entries[lower..<upper] {
                let key = IndexKey(entry.key, entry.variant)
                // A checkpoint that is not sorted is a wrong hint; what is out of order is left
                // out.
                if let previous, previous >= key { continue }
                add(key, IndexValue(entry, ordinal: core.heat.adopt(entry.ordinal)))
                previous = key
            }
        }
        core.register(description, index: index)
    }
}

extension ReplayStep {
    var entry: CheckpointEntry? {
        if case .put(let entry, _) = self { entry } else { nil }
    }

    var namespaceOperation: NamespaceOperation? {
        if case .namespace(let operation) = self { operation } else { nil }
    }
}

extension Array {
    /// The first index whose element satisfies a predicate that is false, then true.
    fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
