// A checkpoint is a hint, but one that is believed: its rows are held against what the directory
// and the journals say. One that does not fit is ignored as a whole (CKP-7); the log is walked.

import ChunkFormat
import Primitives

struct CheckpointSanity {
    let segments: SegmentTable
    let namespaces: Set<NamespaceID>
    let unit: UInt64
    private var rows: Set<SegmentID> = []
    private var previous: CheckpointEntry?

    init(segments: SegmentTable, namespaces: Set<NamespaceID>, unit: UInt64) {
        self.segments = segments
        self.namespaces = namespaces
        self.unit = unit
    }

    mutating func check(_ segmentRows: [CheckpointSegment]) throws(LogError) {
        for row in segmentRows {
            let header = segments[row.segment]?.header
            let size =
                header?.useSequence == row.useSequence
                ? header!.segmentBytes : Superblock.segmentBytesRange.upperBound
            let (next, later) = (row.nextCommitOffset, row.laterCommitOffset)
            try require(
                row.usedBytes.isMultiple(of: unit) && row.usedBytes >= unit
                    && row.usedBytes <= size && next.isMultiple(of: unit)
                    && (next == 0 || (next >= unit && next < size)) && later.isMultiple(of: unit)
                    && (later == 0 || (later > next && later < size)),
                "nextCommitOffset", "CKP-10", "a slot inside segment \(row.segment)",
                "\(next), \(later) of \(row.usedBytes)")
            try require(
                rows.insert(row.segment).inserted, "segment", "CKP-10",
                "one row for each segment", "two for \(row.segment)")
        }
    }

    mutating func check(_ entries: [CheckpointEntry]) throws(LogError) {
        for entry in entries {
            if entry.namespace != previous?.namespace {
                try require(
                    namespaces.contains(entry.namespace), "namespace", "CKP-6",
                    "a namespace that a journal knows", "\(entry.namespace)")
            }
            if let previous {
                try require(
                    order(previous) < order(entry), "chunkKey", "CKP-6", "ascending entries",
                    "\(entry.key) after \(previous.key)")
            }
            previous = entry
        }
    }

    private func order(_ entry: CheckpointEntry) -> (NamespaceID, ChunkKey, VariantID) {
        (entry.namespace, entry.key, entry.variant)
    }

    private func require(
        _ condition: Bool, _ field: String, _ clause: String, _ expected: @autoclosure () -> String,
        _ found: @autoclosure () -> String
    ) throws(LogError) {
        if condition { return }
        throw .format(
            FormatError(
                .corrupt, structure: "checkpoint", field: field, clause: clause,
                expected: expected(), found: found()),
            file: StoreFiles.checkpoint, offset: UInt64(Superblock.blockBytes))
    }
}
