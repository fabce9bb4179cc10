// Every structure of the format, in the order of format-spec. The spec test walks this list in both
// directions: a layout without a table, or a table without a layout, fails.

public enum AllLayouts {
    /// Format-spec file, then its layouts.
    public static let byDocument: [(document: String, layouts: [Layout])] = [
        ("02-superblock.md", [Superblock.layout, MarkBlock.layout]),
        ("03-segment.md", [SegmentHeader.layout]),
        ("04-record.md", [RecordPrefix.layout]),
        ("05-payload.md", [PayloadRecord.layout, ExtentRow.layout, SiblingRow.layout]),
        (
            "06-tombstone-and-namespace.md",
            [TombstoneRecord.layout, Tombstone.layout, NamespaceRecord.layout]
        ),
        ("07-commit.md", [CommitRecord.layout, CommitMember.layout]),
        ("08-journal.md", [JournalHeader.layout, JournalBlock.layout, FreedUse.layout]),
        (
            "09-checkpoint.md",
            [CheckpointHeader.layout, CheckpointSegment.layout, CheckpointEntry.layout]
        ),
        ("10-heat.md", [HeatFile.layout, HeatRow.layout]),
    ]

    public static let all: [Layout] = byDocument.flatMap(\.layouts)

    public static func named(_ name: String) -> Layout? { all.first { $0.name == name } }
}
