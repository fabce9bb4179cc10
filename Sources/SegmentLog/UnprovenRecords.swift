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
    /// Members that an I/O error hides, and kinds that version 0 keeps and does not read: they
    /// stay named where they are.
    var inPlace: [CommitMember] = []
    /// Of the journals: they may be read back, and not be durable, as the commits.
    var facts: [JournalEntry] = []

    /// Rows of the commit that names all of it.
    var memberCount: Int {
        families.reduce(metadata.count + inPlace.count) { $0 + $1.records.count }
    }
}
