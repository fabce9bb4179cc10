// Whole files. A file is read through a closure, so that a segment of 256 MiB is never held: only
// its header, its commit records and the header regions that they name are read.

import Primitives

/// Reads up to `byteCount` bytes from `offset`; fewer, or none, at the end or on an error.
public typealias AnnotatorSource = (_ offset: UInt64, _ byteCount: Int) -> [UInt8]

extension Annotator {
    /// All bytes of a file that is at hand.
    public static func source(_ bytes: [UInt8]) -> AnnotatorSource {
        { offset, byteCount in
            guard offset < UInt64(bytes.count), byteCount > 0 else { return [] }
            let start = Int(offset)
            return Array(bytes[start..<min(bytes.count, start + min(byteCount, bytes.count))])
        }
    }

    /// The superblock file: four copies and two marks. Takes the secret from the first good copy.
    public mutating func superblockFile(_ source: AnnotatorSource) {
        let size = Superblock.blockBytes
        var store: Superblock?
        for index in 0..<Superblock.copyCount {
            let offset = UInt64(index) * Superblock.copySpacing
            let bytes = source(offset, size)
            structure(Superblock.layout, bytes, base: offset, title: "superblock, copy \(index)")
            check(offset: offset) { () throws(FormatError) in
                let copy = try Superblock(decoding: bytes, copyIndex: index)
                if store == nil { store = copy }
            }
        }
        if secret == nil { secret = store?.secret }
        for index in 0..<2 {
            let offset = Superblock.markOffset + UInt64(index * size)
            let bytes = source(offset, size)
            if bytes.allSatisfy({ $0 == 0 }) {
                group("mark \(index)", "never written", offset: offset, byteCount: UInt64(size))
                continue
            }
            structure(MarkBlock.layout, bytes, base: offset, title: "mark \(index)")
            guard let store else { continue }
            check(offset: offset) { () throws(FormatError) in
                _ = try MarkBlock(
                    decoding: bytes, index: index, storeID: store.storeID,
                    key: MarkBlock.sealKey(secret: store.secret))
            }
        }
    }

    /// A journal file: header, then blocks. Blocks of zeros are passed over.
    public mutating func journalFile(
        _ source: AnnotatorSource, fileBytes: UInt64, copyIndex: UInt32
    ) {
        let size = UInt64(Superblock.blockBytes)
        let first = source(0, Int(size))
        structure(JournalHeader.layout, first)
        var key: SealKey?
        if let secret {
            check(offset: 0) { () throws(FormatError) in
                key = try JournalHeader(
                    decoding: first, copyIndex: copyIndex, storeID: Self.storeID(first),
                    key: JournalHeader.sealKey(secret: secret)
                ).blockKey(secret: secret)
            }
        }
        var index: UInt64 = 1
        while index < fileBytes / size {
            defer { index += 1 }
            let bytes = source(index * size, Int(size))
            if bytes.allSatisfy({ $0 == 0 }) { continue }
            journalBlock(bytes, index: index, key: key)
        }
    }

    /// The identity that a file's header claims, for a file looked at alone.
    private static func storeID(_ bytes: [UInt8]) -> [UInt8] {
        bytes.count < 24 ? [] : Array(bytes[8..<24])
    }

    mutating func journalBlock(_ bytes: [UInt8], index: UInt64, key: SealKey?) {
        let layout = JournalBlock.layout
        let base = index &* UInt64(Superblock.blockBytes)
        group("journal block \(index)", offset: base, byteCount: UInt64(bytes.count)) {
            $0.structure(layout, bytes, base: base)
            if let key {
                $0.check(offset: base) { () throws(FormatError) in
                    _ = try JournalBlock.decode(bytes, blockIndex: index, key: key)
                }
            }
            guard let reader = try? FieldReader(layout, bytes) else { return }
            let end = min(
                layout.byteCount + Int(reader.u32(layout["entryBytes"])), bytes.count)
            $0.journalEntries(
                Array(bytes[layout.byteCount..<end]), base: base &+ UInt64(layout.byteCount))
            $0.padding(bytes, from: end, to: bytes.count, base: base)
        }
    }

    /// A checkpoint: header, rows, digest slots.
    public mutating func checkpointFile(_ source: AnnotatorSource, fileBytes: UInt64) {
        let first = source(0, Superblock.blockBytes)
        structure(CheckpointHeader.layout, first)
        guard let reader = try? FieldReader(CheckpointHeader.layout, first) else { return }
        if let secret {
            check(offset: 0) { () throws(FormatError) in
                _ = try CheckpointHeader(
                    decoding: first, storeID: Self.storeID(first), fileBytes: fileBytes,
                    key: CheckpointHeader.sealKey(secret: secret))
            }
        }
        var offset = UInt64(Superblock.blockBytes)
        for (layout, field) in [
            (CheckpointSegment.layout, "segmentCount"), (CheckpointEntry.layout, "entryCount"),
        ] {
            let count = reader.u64(CheckpointHeader.layout[field])
            let room = fileBytes > offset ? (fileBytes - offset) / UInt64(layout.byteCount) : 0
            let shown = min(count, room, UInt64(rowCountMax))
            for index in 0..<shown {
                let at = offset + index * UInt64(layout.byteCount)
                structure(
                    layout, source(at, layout.byteCount), base: at,
                    title: "\(layout.name)[\(index)]")
            }
            if shown < count {
                group("… \(count - shown) more \(layout.name)", offset: offset, byteCount: 1)
            }
            offset += min(count, room) * UInt64(layout.byteCount)
        }
        // One slot for every piece that the file's length leaves room for.
        let piece = UInt64(CheckpointHeader.pieceBytes)
        let rowBytes = offset - UInt64(Superblock.blockBytes)
        let block = UInt64(Superblock.blockBytes)
        let bodyBytes = (rowBytes + block - 1) / block * block
        let pieceCount = (bodyBytes + piece - 1) / piece
        let table = block + bodyBytes
        for index in 0..<min(pieceCount, UInt64(rowCountMax)) where table + index * 16 < fileBytes {
            let at = table + index * 16
            line("digest[\(index)]", "", offset: at, bytes: source(at, 16))
        }
    }

    /// A heat table: header and rows.
    public mutating func heatFile(_ source: AnnotatorSource, fileBytes: UInt64) {
        let layout = HeatFile.layout
        let first = source(0, Superblock.blockBytes)
        structure(layout, first)
        guard let reader = try? FieldReader(layout, first) else { return }
        if let secret, fileBytes <= 64 << 20 {
            check(offset: 0) { () throws(FormatError) in
                _ = try HeatFile(
                    decoding: source(0, Int(fileBytes)), storeID: Self.storeID(first),
                    key: HeatFile.sealKey(secret: secret))
            }
        }
        let count = reader.u64(layout["rowCount"])
        let start = UInt64(layout.byteCount)
        let width = UInt64(HeatRow.layout.byteCount)
        let room = fileBytes > start ? (fileBytes - start) / width : 0
        let shown = min(count, room, UInt64(rowCountMax))
        for index in 0..<shown {
            let at = start + index * width
            structure(
                HeatRow.layout, source(at, Int(width)), base: at, title: "heatRow[\(index)]")
        }
        if shown < count {
            group("… \(count - shown) more heatRow", offset: start + shown * width, byteCount: 1)
        }
    }

    /// A segment: its header, then along the commit chain every commit record and the header
    /// regions in this segment that it names.
    public mutating func segmentFile(_ source: AnnotatorSource, segment: SegmentID) {
        let first = source(0, Superblock.blockBytes)
        structure(SegmentHeader.layout, first)
        guard let reader = try? FieldReader(SegmentHeader.layout, first) else { return }
        let layout = SegmentHeader.layout
        let unit = reader.u32(layout["alignmentUnit"])
        var key: SealKey?
        if let secret {
            check(offset: 0) { () throws(FormatError) in
                key = try SegmentHeader(
                    decoding: first, segment: segment, storeID: Self.storeID(first),
                    key: SegmentHeader.sealKey(secret: secret)
                ).recordKey(secret: secret)
            }
        }
        guard unit >= 4_096, unit <= 65_536, unit.nonzeroBitCount == 1 else { return }
        var slot = reader.u64(layout["firstCommitOffset"])
        var later = reader.u64(layout["secondCommitOffset"])
        var shown = 0
        while slot != 0, shown < rowCountMax {
            // A slot that does not open is shown, and the one after it tried, once.
            let slots =
                commitSlot(source, at: slot, segment: segment, unit: unit, key: key)
                ?? (next: later, later: 0)
            guard slots.next > slot else { break }
            (slot, later) = slots
            shown += 1
        }
    }

    /// Annotates one slot of the chain and what it names. *Returns:* the slots after it, `nil` when
    /// it does not open.
    private mutating func commitSlot(
        _ source: AnnotatorSource, at slot: UInt64, segment: SegmentID, unit: UInt32, key: SealKey?
    ) -> (next: UInt64, later: UInt64)? {
        let bytes = source(slot, Int(unit))
        let layout = CommitRecord.layout
        guard let reader = try? FieldReader(layout, bytes),
            reader.u32(layout["magic"]) == RecordPrefix.magic,
            reader.u16(layout["kind"]) == RecordKind.commit.rawValue
        else {
            let isZero = bytes.allSatisfy { $0 == 0 }
            group(
                "commit slot", isZero ? "empty" : "no commit record here", offset: slot,
                byteCount: UInt64(unit))
            return nil
        }
        headerRegion(
            bytes, at: RecordLocation(segment: segment, offset: slot), unit: unit, key: key)
        let member = CommitMember.layout
        let room = (bytes.count - layout.byteCount) / member.byteCount
        for index in 0..<min(Int(reader.u32(layout["memberCount"])), room) {
            let at = layout.byteCount + index * member.byteCount
            guard let row = try? FieldReader(member, bytes, at: at),
                row.u32(member["segment"]) == segment.raw,
                row.u16(member["flags"]) & 1 == 0,
                row.u32(member["headerBytes"]) <= RecordPrefix.headerBytesMax
            else { continue }
            let place = RecordLocation(segment: segment, offset: row.u64(member["offset"]))
            headerRegion(
                source(place.offset, Int(row.u32(member["headerBytes"]))), at: place, unit: unit,
                key: key)
        }
        return (
            reader.u64(layout["nextCommitOffset"]), reader.u64(layout["laterCommitOffset"])
        )
    }
}
