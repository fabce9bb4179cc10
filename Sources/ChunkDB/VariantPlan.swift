// Where every byte of a variant will stand, before any is written: pure arithmetic over the
// binding's geometry. A variant is one or more records, each a contiguous range of layers, none
// larger than a segment can hold (PRODUCT D5a).

import ChunkFormat
import KVModel
import Primitives
import SegmentLog

struct RecordPlan: Sendable {
    let layers: Range<Int>
    let headerBytes: Int
    let recordBytes: UInt64
    /// In order K0 V0 K1 V1 …; offsets count from the record's first byte.
    let extents: [ExtentRow]
    let digestSlotCount: Int
}

struct VariantPlan: Sendable {
    let records: [RecordPlan]
    /// What the metadata part may take; it is filled at commit.
    let metadataBytes: Int

    /// All records.
    var diskBytes: UInt64 { records.reduce(0) { $0 + $1.recordBytes } }

    /// *Throws:* `.recordTooLarge` when one layer alone exceeds a segment, `.shape` when a header
    /// or the number of records would exceed what a reader accepts.
    init(
        binding: ModelBinding, tokenCount: Int, prefixCount: Int, detail: DetailRoom, unit: Int,
        digestBlockBytes: Int, recordBytesMax: UInt64, recordCountMax: Int
    ) throws(StoreError) {
        metadataBytes = ChunkMetadata.byteCount(
            tokenCount: tokenCount, prefixCount: prefixCount, scoreCount: tokenCount,
            deviationCount: tokenCount, positionCount: detail.listsPositions ? tokenCount : 0,
            layerCount: detail.layerCount, otherBytes: detail.otherBytes)
        let layerBytes = binding.layers.indices.map { layer in
            2 * UInt64(aligned(binding.rowBytes(layer: layer) * tokenCount, to: unit))
        }
        // A header cannot outgrow this: rows and slots of all layers, siblings, metadata.
        let slotsMax = layerBytes.reduce(0) { $0 + Int($1) / digestBlockBytes + 2 }
        let headerMax = UInt64(
            aligned(
                PayloadRecord.headerBytes(
                    extentCount: 2 * layerBytes.count, siblingCount: layerBytes.count,
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
        records = ranges.enumerated().map { index, layers in
            Self.record(
                layers, binding: binding, tokenCount: tokenCount, unit: unit,
                digestBlockBytes: digestBlockBytes,
                siblingCount: index == 0 ? ranges.count - 1 : 0,
                metadataBytes: index == 0 ? metadataBytes : 0)
        }
    }

    private static func record(
        _ layers: Range<Int>, binding: ModelBinding, tokenCount: Int, unit: Int,
        digestBlockBytes: Int, siblingCount: Int, metadataBytes: Int
    ) -> RecordPlan {
        var slot = 0
        var offset = 0
        var rows: [ExtentRow] = []
        for layer in layers {
            let bytes = binding.rowBytes(layer: layer) * tokenCount
            for kind in [ExtentKind.keys, .values] {
                rows.append(
                    ExtentRow(
                        layer: UInt16(layer), kind: kind, tokenCount: UInt32(tokenCount),
                        firstDigestSlot: UInt32(slot), offset: UInt64(offset),
                        storedBytes: UInt64(bytes), rawBytes: UInt64(bytes)))
                let padded = aligned(bytes, to: unit)
                slot += (padded + digestBlockBytes - 1) / digestBlockBytes
                offset += padded
            }
        }
        let headerBytes = aligned(
            PayloadRecord.headerBytes(
                extentCount: rows.count, siblingCount: siblingCount, digestCount: slot,
                metadataBytes: metadataBytes), to: unit)
        for index in rows.indices { rows[index].offset += UInt64(headerBytes) }
        return RecordPlan(
            layers: layers, headerBytes: headerBytes,
            recordBytes: UInt64(headerBytes + offset), extents: rows, digestSlotCount: slot)
    }
}
