// What is in the store, in order: the checkpoint's entries, then every step since in commit order,
// as the engine rebuilds its index (PRODUCT D3), but into a sorted array, and keeping what the
// engine could not place.

import ChunkFormat
import KVModel
import Primitives
import SegmentLog

struct Listing: Sendable {
    /// Living namespaces, in order of their numbers.
    let namespaces: [NamespaceDescription]
    /// By namespace, key, variant.
    let entries: [CheckpointEntry]
    private let names: [NamespaceID: String]
    private let bindingDigests: [NamespaceID: [UInt8]]

    init(_ contents: RecoveredContents) {
        var descriptions: [NamespaceID: NamespaceDescription] = [:]
        var dropped: Set<NamespaceID> = []
        let stepped = contents.steps.compactMap { step -> NamespaceOperation? in
            if case .namespace(let operation) = step { operation } else { nil }
        }
        for operation in contents.namespaces + stepped {
            switch operation {
            case .create(let description):
                if descriptions[description.id] == nil {
                    descriptions[description.id] = description
                }
            case .drop(let id, _): dropped.insert(id)
            }
        }
        for id in dropped { descriptions[id] = nil }
        namespaces = descriptions.values.sorted { $0.id < $1.id }
        names = descriptions.mapValues(\.name)
        bindingDigests = descriptions.mapValues(\.binding.digest)

        var variants = StoredVariants(contents.checkpointEntries)
        for step in contents.steps {
            switch step {
            case .namespace: break
            case .put(let entry, _): variants.insert(entry)
            case .tombstone(let tombstone): variants.remove(tombstone)
            }
        }
        entries = variants.sorted.filter { !dropped.contains($0.namespace) }
    }

    func namespace(_ id: NamespaceID) -> NamespaceDescription? {
        namespaces.first { $0.id == id }
    }

    /// Its name; one that no surviving description names is shown by its number.
    func name(of id: NamespaceID) -> String { names[id] ?? "#\(id)" }

    func bindingDigest(of id: NamespaceID) -> [UInt8]? { bindingDigests[id] }

    /// The namespaces a user means by a name or by `#number`.
    func namespaceIDs(_ text: String?) throws(ShellError) -> Set<NamespaceID>? {
        guard let text else { return nil }
        let named = namespaces.filter { $0.name == text }.map(\.id)
        if !named.isEmpty { return Set(named) }
        if text.hasPrefix("#"), let raw = UInt32(text.dropFirst()) {
            let id = NamespaceID(raw)
            if names[id] != nil || entries.contains(where: { $0.namespace == id }) { return [id] }
        }
        let known = namespaces.map { "\"\($0.name)\"" }.joined(separator: ", ")
        throw ShellError(
            .notFound,
            "no namespace \"\(text)\"; there \(namespaces.count == 1 ? "is" : "are") "
                + "\(known.isEmpty ? "none" : known)")
    }

    /// Entries of keys that begin with a prefix, of all namespaces or some.
    func entries(prefix: KeyPrefix? = nil, namespaces: Set<NamespaceID>? = nil)
        -> [CheckpointEntry]
    {
        let range = prefix.map { $0.lowest...$0.highest }
        return entries.filter { entry in
            (range?.contains(entry.key) ?? true) && (namespaces?.contains(entry.namespace) ?? true)
        }
    }

    /// All stored variants of the one chunk that the arguments name.
    /// *Throws:* `.notFound` when there is none, `.usage` when several keys begin so.
    func variants(of chunk: ChunkArguments) throws(ShellError) -> [CheckpointEntry] {
        try variants(of: chunk.key, namespace: chunk.namespace, variant: chunk.variant)
    }

    func variants(
        of prefix: KeyPrefix, namespace: String?, variant: VariantID?
    ) throws(ShellError) -> [CheckpointEntry] {
        let found = entries(prefix: prefix, namespaces: try namespaceIDs(namespace))
        let keys = Set(found.map(\.key)).sorted()
        guard let key = keys.first else {
            throw ShellError(.notFound, "no key begins with \(prefix)")
        }
        guard keys.count == 1 else {
            let shown = keys.prefix(8).map { "  \($0)" }.joined(separator: "\n")
            let more = keys.count > 8 ? "\n  … and \(keys.count - 8) more" : ""
            throw ShellError(
                .usage, "\(keys.count) keys begin with \(prefix):\n\(shown)\(more)")
        }
        guard let variant else { return found }
        let wanted = found.filter { $0.variant == variant }
        guard !wanted.isEmpty else {
            let stored = Set(found.map(\.variant)).sorted().map(\.description)
            throw ShellError(
                .notFound,
                "\(key): no variant \(variant); stored: \(stored.joined(separator: ", "))")
        }
        return wanted
    }
}

extension CheckpointEntry {
    var isPinned: Bool { flags & 1 == 1 }
}
