// Where every byte of a variant will stand, before any is written: pure arithmetic over what its
// layers take. A variant is one or more records, each a contiguous range of layers, none
// larger than a segment can hold (PRODUCT D5a).

import ChunkFormat
import Codecs
import KVModel
import Primitives
import SegmentLog

struct RecordPlan: Sendable {
    let layers: Range<Int>
    let headerBytes: Int
    let recordBytes: UInt64
    /// In order K0 V0 K1 V1 …, then sidecars; offsets count from the record's first byte.
    let extents: [ExtentRow]
    let digestSlotCount: Int
}

struct VariantPlan: Sendable {
    let records: [RecordPlan]
    /// What the metadata part may take; it is filled at commit.
    let metadataBytes: Int

    /// All records.
    var diskBytes: UInt64 { records.reduce(0) { $0 + $1.recordBytes } }

    /// Stored bytes of all extents, without padding (PAY-9).
    var variantBytes: UInt64 {
        records.reduce(0) { $0 + $1.extents.reduce(0) { $0 + $1.storedBytes } }
    }

    /// *Throws:* `.recordTooLarge` when one layer alone exceeds a segment, `.shape` when a header
    /// or the number of records would exceed what a reader accepts.
    init(
        layers: [LayerShape], tokenCount: Int, prefixCount: Int, detail: DetailRoom, unit: Int,
        digestBlockBytes: Int, recordBytesMax: UInt64, recordCountMax: Int
    ) throws(StoreError) {
        metadataBytes = ChunkMetadata.byteCount(
            tokenCount: tokenCount, prefixCount: prefixCount, scoreCount: tokenCount,
            deviationCount: tokenCount, positionCount: detail.listsPositions ? tokenCount : 0,
            layerCount: detail.layerCount, otherBytes: detail.otherBytes)
        let layerBytes = layers.map { $0.diskBytes(unit: unit) }
        let extentCount = layers.reduce(0) { $0 + $1.extents.count }
        guard extentCount <= PayloadRecord.extentCountMax else {
            throw .shape(
                what: "extents of a chunk", expected: "at most \(PayloadRecord.extentCountMax)",
                found: "\(extentCount)")
        }
        // A header cannot outgrow this: rows and slots of all layers, siblings, metadata.
        let slotsMax = layerBytes.reduce(0) { $0 + Int($1) / digestBlockBytes } + extentCount
        let headerMax = UInt64(
            aligned(
                PayloadRecord.headerBytes(
                    extentCount: extentCount, siblingCount: layerBytes.count,
                    digestCount: slotsMax, metadataBytes: metadataBytes), to: unit))
        var ranges: [Range<Int>] = []
        var first = 0
        var bytes = headerMax
        for layer in layerBytes.indices {
            guard headerMax + layerBytes[layer] <= recordBytesMax else {
                throw .log(
                    .recordTooLarge(
                        recordBytes: headerMax + layerBytes[layer],
                        maximumBytes: recordBytesMax))
            }
            if bytes + layerBytes[layer] > recordBytesMax {
                ranges.append(first..<layer)
                first = layer
                bytes = headerMax
            }
            bytes += layerBytes[layer]
        }
        ranges.append(first..<layerBytes.count)
        guard headerMax <= UInt64(RecordPrefix.headerBytesMax),
            metadataBytes <= PayloadRecord.metadataBytesMax
        else {
            throw .shape(
                what: "header of a chunk",
                expected:
                    "at most \(ByteCount(UInt64(PayloadRecord.metadataBytesMax))) of metadata",
                found: "\(ByteCount(headerMax)), for \(tokenCount) tokens")
        }
        guard ranges.count <= recordCountMax else {
            throw .shape(
                what: "records of a chunk", expected: "at most \(recordCountMax); larger segments",
                found: "\(ranges.count)")
        }
        let metadataBytes = self.metadataBytes
        records = ranges.enumerated().map { index, range in
            Self.record(
                range, layers[range], tokenCount: tokenCount, unit: unit,
                digestBlockBytes: digestBlockBytes,
                siblingCount: index == 0 ? ranges.count - 1 : 0,
                metadataBytes: index == 0 ? metadataBytes : 0)
        }
    }

    /// Planes first, so that layers are neighbours; then the sidecars, to be read alone.
    private static func record(
        _ range: Range<Int>, _ layers: ArraySlice<LayerShape>, tokenCount: Int, unit: Int,
        digestBlockBytes: Int, siblingCount: Int, metadataBytes: Int
    ) -> RecordPlan {
        var slot = 0
        var offset = 0
        var rows: [ExtentRow] = []
        for row in layers.flatMap(\.planes) + layers.flatMap(\.sidecars) {
            var row = row
            row.firstDigestSlot = UInt32(slot)
            row.offset = UInt64(offset)
            let padded = Int(row.paddedBytes(unit: UInt32(unit)))
            slot += (padded + digestBlockBytes - 1) / digestBlockBytes
            offset += padded
            rows.append(row)
        }
        let headerBytes = aligned(
            PayloadRecord.headerBytes(
                extentCount: rows.count, siblingCount: siblingCount, digestCount: slot,
                metadataBytes: metadataBytes), to: unit)
        for index in rows.indices { rows[index].offset += UInt64(headerBytes) }
        return RecordPlan(
            layers: range, headerBytes: headerBytes,
            recordBytes: UInt64(headerBytes + offset), extents: rows, digestSlotCount: slot)
    }
}

/// What a layer of a variant takes: rows that have no place yet.
struct LayerShape: Sendable {
    /// Keys, then values.
    let planes: [ExtentRow]
    /// In order of type.
    let sidecars: [ExtentRow]

    var extents: [ExtentRow] { planes + sidecars }

    /// - Parameters:
    ///   - planes: stored bytes of the keys and of the values.
    ///   - form: `nil` when they are raw.
    init(
        layer: Int, tokenCount: Int, rawBytes: Int, planes: [Int], form: BytePlanes?,
        sidecars: ArraySlice<Sidecar>
    ) {
        self.planes = zip([ExtentKind.keys, .values], planes).map { kind, storedBytes in
            ExtentRow(
                layer: UInt16(layer), kind: kind, codec: form == nil ? 0 : BytePlanes.codec,
                tokenCount: UInt32(tokenCount), firstDigestSlot: 0,
                codecParameters: form?.parameters ?? 0, offset: 0,
                storedBytes: UInt64(storedBytes), rawBytes: UInt64(rawBytes))
        }
        self.sidecars = sidecars.map { sidecar in
            ExtentRow(
                layer: UInt16(layer), kind: .sidecar, tokenCount: 0, firstDigestSlot: 0,
                codecParameters: UInt64(sidecar.type), offset: 0,
                storedBytes: UInt64(sidecar.bytes.count), rawBytes: UInt64(sidecar.bytes.count))
        }
    }

    func diskBytes(unit: Int) -> UInt64 {
        extents.reduce(0) { $0 + $1.paddedBytes(unit: UInt32(unit)) }
    }
}
