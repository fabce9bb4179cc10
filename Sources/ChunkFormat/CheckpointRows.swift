// The body of a checkpoint, piece by piece: rows are packed one behind the other, and cut where a
// piece is full, so that neither writing nor reading ever holds more than a piece.

import Primitives

/// Turns rows into pieces and their digest slots.
public struct CheckpointEncoder {
    private var rows: [UInt8] = []
    private var segmentRow = FieldWriter(byteCount: CheckpointSegment.layout.byteCount)
    private var entryRow = FieldWriter(byteCount: CheckpointEntry.layout.byteCount)
    private var slots: [UInt8] = []
    public private(set) var segmentCount: UInt64 = 0
    public private(set) var entryCount: UInt64 = 0

    public init() {
        rows.reserveCapacity(CheckpointHeader.pieceBytes + entryRow.bytes.count)
    }

    /// Segments come first, then entries.
    public mutating func add(_ segment: CheckpointSegment) {
        precondition(entryCount == 0, "segment rows stand before entry rows")
        segment.write(to: &segmentRow)
        rows += segmentRow.bytes
        segmentCount += 1
    }

    public mutating func add(_ entry: CheckpointEntry) {
        entry.write(to: &entryRow)
        rows += entryRow.bytes
        entryCount += 1
    }

    /// The next whole piece, if there is one.
    public mutating func takePiece() -> [UInt8]? {
        rows.count >= CheckpointHeader.pieceBytes ? take(CheckpointHeader.pieceBytes) : nil
    }

    /// What is left when all rows were added, less than a piece, filled up with zeros to a block;
    /// `nil` when nothing is.
    public mutating func takeLastPiece() -> [UInt8]? {
        guard !rows.isEmpty else { return nil }
        let padded = aligned(rows.count, to: Superblock.blockBytes)
        rows += [UInt8](repeating: 0, count: padded - rows.count)
        return take(padded)
    }

    private mutating func take(_ byteCount: Int) -> [UInt8] {
        let piece = Array(rows[..<byteCount])
        rows.removeFirst(byteCount)
        addSlot(piece)
        return piece
    }

    private mutating func addSlot(_ piece: [UInt8]) {
        let digest = Digest128(hashing: piece)
        slots += bigEndianBytes(digest.high) + bigEndianBytes(digest.low)
    }

    /// The digest slots of all pieces taken, padded to a block.
    public var digestTable: [UInt8] {
        let padded = aligned(max(slots.count, 16), to: Superblock.blockBytes)
        return slots + [UInt8](repeating: 0, count: padded - slots.count)
    }
}

/// Turns pieces, in order, into rows.
public struct CheckpointDecoder {
    private var segmentsLeft: UInt64
    private var entriesLeft: UInt64
    /// The begin of a row whose end stands in the next piece.
    private var rest: [UInt8] = []

    public init(_ header: CheckpointHeader) {
        segmentsLeft = header.segmentCount
        entriesLeft = header.entryCount
    }

    /// Appends the rows that the piece completes.
    public mutating func take(
        _ piece: [UInt8], segments: inout [CheckpointSegment], entries: inout [CheckpointEntry]
    ) throws(FormatError) {
        let bytes = rest.isEmpty ? piece : rest + piece
        var offset = 0
        while segmentsLeft > 0, bytes.count - offset >= CheckpointSegment.layout.byteCount {
            segments.append(try CheckpointSegment(decoding: bytes, at: offset))
            offset += CheckpointSegment.layout.byteCount
            segmentsLeft -= 1
        }
        while segmentsLeft == 0, entriesLeft > 0,
            bytes.count - offset >= CheckpointEntry.layout.byteCount
        {
            entries.append(try CheckpointEntry(decoding: bytes, at: offset))
            offset += CheckpointEntry.layout.byteCount
            entriesLeft -= 1
        }
        rest = segmentsLeft > 0 || entriesLeft > 0 ? Array(bytes[offset...]) : []
    }

    /// *Throws:* `.truncated` when the pieces ended before the rows.
    public func finish() throws(FormatError) {
        if segmentsLeft == 0 && entriesLeft == 0 { return }
        throw FormatError(
            .truncated, structure: "checkpoint", field: "entryCount", clause: "CKP-3",
            expected: "\(segmentsLeft) more segments, \(entriesLeft) more entries", found: "none")
    }
}

/// A whole body at once, for tools and tests.
public enum CheckpointRows {
    /// All rows, then zeros up to a whole block; and the digest table.
    public static func encode(segments: [CheckpointSegment], entries: [CheckpointEntry])
        -> (body: [UInt8], table: [UInt8])
    {
        var encoder = CheckpointEncoder()
        var body: [UInt8] = []
        for segment in segments { encoder.add(segment) }
        for entry in entries {
            encoder.add(entry)
            if let piece = encoder.takePiece() { body += piece }
        }
        while let piece = encoder.takePiece() { body += piece }
        if let piece = encoder.takeLastPiece() { body += piece }
        return (body, encoder.digestTable)
    }

    public static func decode(_ body: [UInt8], header: CheckpointHeader) throws(FormatError)
        -> (segments: [CheckpointSegment], entries: [CheckpointEntry])
    {
        var decoder = CheckpointDecoder(header)
        var segments: [CheckpointSegment] = []
        var entries: [CheckpointEntry] = []
        try decoder.take(body, segments: &segments, entries: &entries)
        try decoder.finish()
        return (segments, entries)
    }
}
