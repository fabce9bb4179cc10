// A chunk whose headers were opened: every extent has a place, and the facts to verify it by. What
// the feed and `get` read from.

import BlockIO
import ChunkFormat
import Codecs
import KVModel
import Primitives
import SegmentLog

/// One extent of a stored chunk, ready to be read.
public struct LocatedExtent: Sendable {
    public let row: ExtentRow
    let opened: OpenedRecord
    /// As long as this extent is named anywhere, its bytes stay (CONTRACT G-3).
    let hold: SegmentHold
    /// How to decode it; `nil` when it is raw.
    let coding: BytePlanes?
    var handle: SegmentHandle { hold.handle }

    public var layer: Int { Int(row.layer) }
    public var kind: ExtentKind { row.kind }
    public var file: FileID { handle.file }
    /// From the segment's first byte.
    public var fileOffset: UInt64 { opened.record.prefix.location.offset + row.offset }
    /// What a read transfers: stored bytes and padding, whole units.
    public var paddedBytes: Int {
        Int(row.paddedBytes(unit: handle.header.alignmentUnit))
    }
    /// Without the padding: the rows, or what they are decoded from.
    public var storedBytes: Int { Int(row.storedBytes) }
    /// Of the rows.
    public var rawBytes: Int { Int(row.rawBytes) }
    /// Whether the rows are to be decoded; what is stored is not them.
    public var isCoded: Bool { coding != nil }
    /// The size of a digest block; reads that verify begin and end on this grid.
    public var digestBlockBytes: Int { opened.record.digestBlockBytes }

    /// Parts of the rows that are verified, or decoded, alone begin on this grid…
    var gridBytes: Int { coding?.blockBytes ?? digestBlockBytes }
    /// …and the last of them ends here.
    var gridEnd: Int { isCoded ? rawBytes : paddedBytes }

    /// A buffer to read this extent into, and its neighbours in the file: the bytes on disk are not
    /// written over before the read has ended, whatever becomes of its caller (CONTRACT N-9).
    public func keeping(_ slice: IOSlice) -> IOSlice { slice.holding(hold) }

    /// Compares bytes read from `blockOffset` of this extent on with their digests; `nil` when they
    /// agree. *Complexity:* O(n), the speed of XXH3.
    public func verify(_ bytes: UnsafeRawBufferPointer, blockOffset: Int = 0) -> DamageFacts? {
        let damage = unsafe ExtentDigests.check(
            bytes, blockOffset: blockOffset, of: row, in: opened.record)
        return damage.map(facts)
    }

    /// Decodes the rows of a coded extent, all of them.
    /// - Parameters:
    ///   - stored: the whole extent, verified, with or without its padding.
    ///   - target: `rawBytes` long; undefined when this gives damage.
    /// *Complexity:* O(n), the speed of LZ4.
    public func decode(
        _ stored: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> DamageFacts? {
        unsafe decode(stored, 0..<rawBytes, into: target)
    }

    /// As above, of the rows' bytes `range`, which begins at a block and ends with one or the last.
    func decode(
        _ stored: UnsafeRawBufferPointer, _ range: Range<Int>,
        into target: UnsafeMutableRawBufferPointer
    ) -> DamageFacts? {
        guard let coding else { preconditionFailure("a raw extent is not decoded") }
        let block = coding.blockBytes
        precondition(range.lowerBound.isMultiple(of: block))
        do throws(CodecError) {
            // SAFETY: the caller's buffers; the decoder checks their lengths.
            try unsafe coding.decode(
                UnsafeRawBufferPointer(rebasing: stored[..<storedBytes]), rawBytes: rawBytes,
                blocks: range.lowerBound / block..<(range.upperBound + block - 1) / block,
                into: target)
            return nil
        } catch {
            return facts(FormatError(error, layer: row.layer, kind: row.kind))
        }
    }

    func facts(_ cause: FormatError) -> DamageFacts {
        DamageFacts(
            key: opened.record.key, variant: opened.record.variant, file: handle.fileName,
            offset: fileOffset, cause: cause)
    }
}

/// A stored chunk and where its planes are.
public struct LocatedChunk: Sendable {
    public let entry: ChunkEntry
    public let tokenCount: Int
    public let basePosition: Int
    public let metadata: ChunkMetadata
    /// Planes, in layer order, keys before values.
    public let extents: [LocatedExtent]
    /// Raw sidecars of those layers.
    let sidecars: [LocatedExtent]

    /// The extent of one plane; `nil` when the layer was not asked for. *Complexity:* O(1).
    public func extent(layer: Int, _ kind: ExtentKind) -> LocatedExtent? {
        guard let first = extents.first?.layer, let last = extents.last?.layer,
            (first...last).contains(layer), kind == .keys || kind == .values
        else { return nil }
        return extents[2 * (layer - first) + (kind == .keys ? 0 : 1)]
    }
}

extension Namespace {
    /// Opens the headers of a stored variant, from memory or with one read per record that is not
    /// cached. `nil` is a miss.
    /// *Throws:* `.damaged` when a header does not open or is another chunk's.
    public func locate(
        _ key: ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil
    ) async throws(StoreError) -> LocatedChunk? {
        let layers = layers ?? 0..<binding.layerCount
        guard layers.lowerBound >= 0, layers.upperBound <= binding.layerCount else {
            throw .shape(
                what: "layers", expected: "within 0..<\(binding.layerCount)", found: "\(layers)")
        }
        try requireAlive()
        if contains(key, variant: variant) == nil {
            usage.count { $0.missCount += 1 }
            return nil
        }
        try core.gate.enter()
        defer { core.gate.leave() }
        while let entry = try await settled(key, variant) {
            if let chunk = try await locate(entry, layers) { return chunk }
            // It was moved or forgotten meanwhile: the index says which.
        }
        usage.count { $0.missCount += 1 }
        return nil
    }

    /// The entry once it can be read from the disk; an accepted one may be withdrawn.
    private func settled(_ key: ChunkKey, _ variant: VariantID) async throws(StoreError)
        -> ChunkEntry?
    {
        guard let entry = contains(key, variant: variant) else { return nil }
        guard core.pending.contains(entry.location) else { return entry }
        let (core, location) = (core, entry.location)
        try await core.carryOut { () async throws(StoreError) in
            await core.pending.wait(for: location)
        }
        return contains(key, variant: variant)
    }

    /// `nil` when the entry is no longer what the index says.
    private func locate(_ entry: ChunkEntry, _ layers: Range<Int>) async throws(StoreError)
        -> LocatedChunk?
    {
        guard let hold = try hold(entry, entry.location) else { return nil }
        let root = try await open(entry, entry.location, hold, headerBytes: entry.headerBytes)
        try require(root, entry, root.record.recordIndex == 0, "recordIndex", "0")
        var records = [(root, hold)]
        for (index, sibling) in root.record.siblings.enumerated() {
            let range = Int(sibling.layerFirst)..<Int(sibling.layerFirst) + Int(sibling.layerCount)
            guard range.overlaps(layers) else { continue }
            guard let hold = try self.hold(entry, sibling.location) else { return nil }
            let opened = try await open(
                entry, sibling.location, hold, headerBytes: sibling.headerBytes)
            do throws(FormatError) {
                try root.record.requireSibling(
                    opened.record, seal: opened.seal, index: index + 1)
            } catch {
                throw damaged(entry, sibling.location, error)
            }
            records.append((opened, hold))
        }
        var extents: [LocatedExtent] = []
        var sidecars: [LocatedExtent] = []
        for (opened, hold) in records {
            try require(
                opened, entry, opened.holdsItsLayers, "layerCount",
                "the layers it holds (PAY-7)")
            for row in opened.record.extents where layers.contains(Int(row.layer)) {
                if row.kind == .sidecar, row.codec == 0, row.codecParameters <= UInt32.max {
                    sidecars.append(
                        LocatedExtent(row: row, opened: opened, hold: hold, coding: nil))
                }
                guard row.kind == .keys || row.kind == .values else { continue }
                let coding = try coding(of: row, entry, opened)
                extents.append(LocatedExtent(row: row, opened: opened, hold: hold, coding: coding))
            }
        }
        try requireAllPlanes(extents, layers, root, entry)
        guard let metadata = root.metadata else {
            preconditionFailure("record 0 was opened with its metadata")
        }
        let tokenCount = Int(root.record.tokenCount)
        try require(
            root, entry, metadata.tokens.count == tokenCount, "tokenCount",
            "\(metadata.tokens.count), as the metadata has it (MET-4)")
        try requireVariantBytes(records.map(\.0), root, entry)
        return LocatedChunk(
            entry: entry, tokenCount: tokenCount, basePosition: Int(root.record.basePosition),
            metadata: metadata, extents: extents, sidecars: sidecars)
    }

    /// A hold on the segment of one of a variant's records; `nil` when the variant was moved or
    /// forgotten. Held first and then looked up again: see `SegmentTable`.
    func hold(_ entry: ChunkEntry, _ location: RecordLocation) throws(StoreError) -> SegmentHold? {
        do throws(LogError) {
            return try hold(location) {
                contains(entry.key, variant: entry.variant)?.location == entry.location
            }
        } catch {
            guard case .format(let cause, _, _) = error else { throw .log(error) }
            throw damaged(entry, location, cause)
        }
    }

    /// - Parameter isThere: whether the index still names what stands there.
    func hold(_ location: RecordLocation, if isThere: () -> Bool) throws(LogError) -> SegmentHold? {
        let hold = core.log.segments.hold(location.segment)
        guard isThere() else { return nil }
        if hold == nil { _ = try core.reader.handle(location) }
        return hold
    }

    private func open(
        _ entry: ChunkEntry, _ location: RecordLocation, _ hold: SegmentHold, headerBytes: UInt32
    ) async throws(StoreError) -> OpenedRecord {
        let place = RecordCache.Place(hold.handle, location)
        if let opened = core.records[place] {
            try requireIdentity(opened, entry)
            return opened
        }
        let opened: OpenedRecord
        do throws(LogError) {
            let (record, seal) = try await core.reader.payload(
                at: location, headerBytes: headerBytes, hold: hold)
            do throws(FormatError) {
                opened = try OpenedRecord(record: record, seal: seal)
            } catch {
                throw .format(
                    error, file: StoreFiles.segment(location.segment), offset: location.offset)
            }
        } catch {
            switch error {
            case .format(let cause, _, _): throw damaged(entry, location, cause)
            case .disk(let error): throw StoreError(error)
            default: throw .log(error)
            }
        }
        try requireIdentity(opened, entry)
        core.records.insert(opened, at: place)
        return opened
    }

    /// The record is the truth (PRODUCT D4): namespace, key, variant and model, compared in full.
    private func requireIdentity(_ opened: OpenedRecord, _ entry: ChunkEntry) throws(StoreError) {
        let record = opened.record
        try require(opened, entry, record.namespace == id, "namespace", "\(id)")
        try require(opened, entry, record.key == entry.key, "chunkKey", "\(entry.key)")
        try require(opened, entry, record.variant == entry.variant, "variantID", "\(entry.variant)")
        try require(
            opened, entry, record.bindingDigest == bindingDigest, "bindingDigest",
            hexadecimal(bindingDigest))
    }

    private func require(
        _ opened: OpenedRecord, _ entry: ChunkEntry, _ condition: Bool, _ field: String,
        _ expected: @autoclosure () -> String
    ) throws(StoreError) {
        if condition { return }
        throw damaged(
            entry, opened.record.prefix.location,
            FormatError(
                .corrupt, structure: "payloadHeader", field: field, clause: "PAY-7",
                expected: expected(), found: "another"))
    }

    /// `nil` for raw rows. *Throws:* `.unsupported` when the rows are not there for us (EXT-6).
    private func coding(of row: ExtentRow, _ entry: ChunkEntry, _ opened: OpenedRecord)
        throws(StoreError) -> BytePlanes?
    {
        switch row.codec {
        case 0: return nil
        case BytePlanes.codec:
            do throws(CodecError) {
                return try BytePlanes(
                    parameters: row.codecParameters, rawBytes: row.rawBytes,
                    storedBytes: row.storedBytes)
            } catch {
                throw damaged(
                    entry, opened.record.prefix.location,
                    FormatError(error, layer: row.layer, kind: row.kind))
            }
        default:
            throw .log(.unsupported("codec \(row.codec), in layer \(row.layer) of \(entry.key)"))
        }
    }

    /// What all records hold adds up to what each says (PAY-9). Of some of them only that it is no
    /// more is known.
    private func requireVariantBytes(
        _ records: [OpenedRecord], _ root: OpenedRecord, _ entry: ChunkEntry
    ) throws(StoreError) {
        let storedBytes = records.reduce(UInt64(0)) { sum, opened in
            opened.record.extents.reduce(sum) { $0 + $1.storedBytes }
        }
        let variantBytes = root.record.variantBytes
        let areAll = records.count == root.record.siblings.count + 1
        try require(
            root, entry, areAll ? storedBytes == variantBytes : storedBytes < variantBytes,
            "variantBytes", "\(storedBytes), as the extents have it (PAY-9)")
    }

    /// Every plane of the layers, once, of the binding's size: a table that says otherwise is
    /// damage.
    private func requireAllPlanes(
        _ extents: [LocatedExtent], _ layers: Range<Int>, _ root: OpenedRecord, _ entry: ChunkEntry
    ) throws(StoreError) {
        let tokens = Int(root.record.tokenCount)
        let expected = layers.flatMap { layer in
            [ExtentKind.keys, .values].map { kind in
                PlaneShape(
                    layer: layer, kind: kind, rawBytes: binding.rowBytes(layer: layer) * tokens,
                    tokenCount: root.record.tokenCount)
            }
        }
        let found = extents.map {
            PlaneShape(
                layer: $0.layer, kind: $0.kind, rawBytes: Int($0.row.rawBytes),
                tokenCount: $0.row.tokenCount)
        }
        try require(
            root, entry, found == expected, "extents",
            "K and V of layers \(layers), \(tokens) rows each")
    }

    private struct PlaneShape: Equatable {
        let layer: Int
        let kind: ExtentKind
        let rawBytes: Int
        let tokenCount: UInt32
    }

    func damaged(_ entry: ChunkEntry, _ location: RecordLocation, _ cause: FormatError)
        -> StoreError
    {
        core.count { $0.damageCount += 1 }
        return .damaged(
            DamageFacts(
                key: entry.key, variant: entry.variant,
                file: StoreFiles.segment(location.segment), offset: location.offset, cause: cause))
    }
}
