import ChunkFormat

/// What the newest commits say, which nothing proves: all that recovery must write anew before the
/// log may go on (format-spec RCV-12).
struct UnprovenRecords {
    /// The records of one variant, record 0 first, every block of them verified.
    struct Family {
        let commit: UInt64
        let isBatched: Bool
        let records: [PayloadRecord]
    }
    var families: [Family] = []
    /// Tombstones and namespace operations.
    var metadata: [CommitMember] = []
    /// Kinds that version 1 keeps and does not read: they stay named where they are.
    var inPlace: [CommitMember] = []
    /// Why nothing may be written: an I/O error hides what may have been acknowledged, and a commit
    /// that skips it would give it up for good.
    var obstacle: String?
    /// What the journals say above the last proven commit, which may be read back and not be
    /// durable either, and what records of the log say that the journals may have lost.
    var facts: Set<JournalEntry> = []

    /// Rows of the commit that names all of it.
    var memberCount: Int {
        families.reduce(metadata.count + inPlace.count) { $0 + $1.records.count }
    }

    /// What it takes where it is written anew.
    var byteCount: UInt64 {
        let records = families.flatMap { $0.records.map(\.prefix.recordBytes) }
        return (metadata.map(\.recordBytes) + records).reduce(0, +)
    }
}
