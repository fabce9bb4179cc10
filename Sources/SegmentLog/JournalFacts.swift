import ChunkFormat
import Primitives

extension JournalEntry {
    /// The commit that made it a fact. A namespace has the number of its commit (NSP-7).
    var commit: UInt64 {
        switch self {
        case .tombstone(let tombstone): tombstone.commit
        case .namespaceOperation(.create(let description)): UInt64(description.id.raw)
        case .namespaceOperation(.drop(_, let commit)): commit
        case .freed(let use): use.commit
        }
    }

    /// One order for all facts, so that a rewritten journal is the same on every run: by commit,
    /// descriptions of namespaces first, then by what the fact is of.
    static func isOrdered(_ left: JournalEntry, _ right: JournalEntry) -> Bool {
        let (a, b) = (left.place, right.place)
        return a != b ? a < b : left.name.lexicographicallyPrecedes(right.name)
    }

    private var place: UInt64 {
        if case .namespaceOperation(.create) = self { 0 } else { commit }
    }

    private var name: [UInt8] {
        switch self {
        case .tombstone(let tombstone):
            tombstone.key.bytes + bigEndianBytes(tombstone.variant?.raw ?? 0)
        case .namespaceOperation(.create(let description)):
            bigEndianBytes(UInt64(description.id.raw))
        case .namespaceOperation(.drop(let id, _)): bigEndianBytes(UInt64(id.raw))
        case .freed(let use): bigEndianBytes(use.useSequence)
        }
    }
}
