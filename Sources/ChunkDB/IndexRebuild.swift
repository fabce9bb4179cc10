// From what recovery found to the indexes in memory: the checkpoint's sorted run is loaded in bulk
// while it is read (CheckpointIndexes), the steps since are applied in commit order.

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
    static func run(
        _ contents: RecoveredContents, _ indexes: [NamespaceID: BSkiplist],
        _ usages: [NamespaceID: NamespaceUsage], into core: StoreCore
    ) -> [RecoveryReport.Damage] {
        let descriptions = contents.namespaces.compactMap { operation in
            if case .create(let description) = operation { description } else { nil }
        }
        let dropped = Set(
            (contents.namespaces + contents.steps.compactMap(\.namespaceOperation)).compactMap {
                operation in
                if case .drop(let id, _) = operation { id } else { nil }
            })
        for description in descriptions where !dropped.contains(description.id) {
            core.register(
                description, index: indexes[description.id],
                usage: usages[description.id] ?? NamespaceUsage())
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
            case .put(let entry, _): core.namespace(entry.namespace)?.replay(entry)
            }
        }
        // A checkpoint with entries of an unknown namespace was not used (CKP-6).
        let orphans = Set(contents.steps.compactMap(\.entry).map(\.namespace))
        return orphans.sorted().compactMap { id in
            if core.namespace(id) != nil || dropped.contains(id) { return nil }
            return RecoveryReport.Damage(
                file: StoreFiles.journals[0], offset: 0,
                reason: "NSP-10: namespace \(id) has records and no description")
        }
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
