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

    /// One order for all facts, so that a rewritten journal is the same on every run.
    private var order: (UInt64, [UInt8]) {
        switch self {
        case .tombstone(let tombstone):
            (tombstone.commit, tombstone.key.bytes + bigEndianBytes(tombstone.variant?.raw ?? 0))
        case .namespaceOperation(.create(let description)):
            (0, bigEndianBytes(UInt64(description.id.raw)))
        case .namespaceOperation(.drop(let id, let commit)):
            (commit, bigEndianBytes(UInt64(id.raw)))
        case .freed(let use):
            (use.commit, bigEndianBytes(use.useSequence))
        }
    }

    static func isOrdered(_ left: JournalEntry, _ right: JournalEntry) -> Bool {
        let (a, b) = (left.order, right.order)
        return a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
    }
}
