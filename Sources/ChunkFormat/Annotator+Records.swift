// Header regions: the prefix, then what its kind says stands behind it, to the last zero of
// padding.

import Primitives

extension Annotator {
    /// The header region at `location`, whose bytes begin with `bytes[0]`. With `key`, that of the
    /// segment use, says whether the seal opens.
    public mutating func headerRegion(
        _ bytes: [UInt8], at location: RecordLocation, unit: UInt32 = 4_096, key: SealKey? = nil
    ) {
        let base = location.offset
        let reader: FieldReader
        do throws(FormatError) {
            reader = try FieldReader(RecordPrefix.layout, bytes)
        } catch {
            verdict("\(error)", offset: base)
            return
        }
        let kind = RecordKind(rawValue: reader.u16(RecordPrefix.layout["kind"]))
        let headerBytes = Int(reader.u32(RecordPrefix.layout["headerBytes"]))
        let region = Array(bytes.prefix(max(headerBytes, RecordPrefix.layout.byteCount)))
        let title = "record at \(location)"
        group(
            title, kind.map { "\($0)" } ?? "unknown kind", offset: base,
            byteCount: UInt64(region.count)
        ) {
            $0.structure(RecordPrefix.layout, region, base: base)
            $0.seal(region, at: location, unit: unit, key: key)
            switch kind {
            case .payload: $0.payload(region, unit: unit, location: location)
            case .tombstone:
                $0.table(TombstoneRecord.layout, "count", of: Tombstone.layout, region, base)
            case .commit:
                $0.table(CommitRecord.layout, "memberCount", of: CommitMember.layout, region, base)
            case .namespaceOperation: $0.namespace(region, base: base)
            case .annotation, .object, nil: break
            }
        }
    }

    private mutating func seal(
        _ region: [UInt8], at location: RecordLocation, unit: UInt32, key: SealKey?
    ) {
        guard let key else { return }
        do throws(FormatError) {
            _ = try RecordPrefix.open(region, at: location, unit: unit, key: key)
            group("seal opens", offset: location.offset, byteCount: UInt64(region.count))
        } catch {
            verdict("\(error)", offset: location.offset)
        }
    }

    /// A layout whose own fields follow the prefix, then as many rows as one of them says.
    private mutating func table(
        _ layout: Layout, _ countField: String, of row: Layout, _ region: [UInt8], _ base: UInt64
    ) {
        own(layout, region, base)
        guard let reader = try? FieldReader(layout, region) else { return }
        let count = UInt64(reader.u32(layout[countField]))
        rows(row, region, at: layout.byteCount, count: count, base: base)
        let room = UInt64((region.count - layout.byteCount) / row.byteCount)
        if count <= room {
            let end = layout.byteCount + Int(count) * row.byteCount
            padding(region, from: end, to: region.count, base: base)
        }
    }

    /// A record layout's fields behind the prefix.
    private mutating func own(_ layout: Layout, _ region: [UInt8], _ base: UInt64) {
        let first = RecordPrefix.layout.byteCount
        group(
            layout.name, offset: base &+ UInt64(first),
            byteCount: UInt64(layout.byteCount - first)
        ) {
            $0.fields(layout, region, at: 0, base: base, from: first)
        }
    }

    private mutating func namespace(_ region: [UInt8], base: UInt64) {
        let layout = NamespaceRecord.layout
        own(layout, region, base)
        guard let reader = try? FieldReader(layout, region) else { return }
        let count = Int(reader.u32(layout["operationBytes"]))
        guard count <= region.count - layout.byteCount else {
            verdict("operationBytes reaches past the region", offset: base)
            return
        }
        let end = layout.byteCount + count
        namespaceOperation(
            Array(region[layout.byteCount..<end]), base: base &+ UInt64(layout.byteCount))
        padding(region, from: end, to: region.count, base: base)
    }

    private mutating func payload(_ region: [UInt8], unit: UInt32, location: RecordLocation) {
        let base = location.offset
        let layout = PayloadRecord.layout
        own(layout, region, base)
        guard let reader = try? FieldReader(layout, region) else { return }
        var offset = layout.byteCount
        // Each count is below 2^32 and each row below 2^10 bytes: the sums stay far below 2^63.
        for (row, field) in [
            (ExtentRow.layout, "extentCount"), (SiblingRow.layout, "siblingCount"),
        ] {
            let count = UInt64(reader.u32(layout[field]))
            rows(row, region, at: min(offset, region.count), count: count, base: base)
            offset += Int(count) * row.byteCount
        }
        let slotCount = Int(reader.u32(layout["digestSlotCount"]))
        let room = max(0, region.count - offset) / 16
        for index in 0..<min(slotCount, room, rowCountMax) {
            let at = offset + index * 16
            line(
                "digest[\(index)]", "", offset: base &+ UInt64(at),
                bytes: Array(region[at..<at + 16]))
        }
        offset += slotCount * 16
        let metadataBytes = Int(reader.u32(layout["metadataBytes"]))
        if metadataBytes > 0, offset + metadataBytes <= region.count {
            metadata(Array(region[offset..<offset + metadataBytes]), base: base &+ UInt64(offset))
        }
        padding(region, from: offset + metadataBytes, to: region.count, base: base)
        check(offset: base) { () throws(FormatError) in
            let prefix = try RecordPrefix(decoding: region, at: location, unit: max(unit, 1))
            _ = try PayloadRecord(decoding: region, prefix: prefix, unit: max(unit, 1))
        }
    }
}
