// How `show` comes by its facts.

import ChunkFormat
import KVModel
import Primitives
import SegmentLog

extension ShowReport.Variant {
    init(
        _ stored: StoredVariant, in listing: Listing, unit: UInt32, withDigests: Bool,
        withTokens: Bool
    ) {
        let entry = stored.entry
        variant = "\(entry.variant)"
        namespace = listing.name(of: entry.namespace)
        namespaceID = entry.namespace.raw
        model = listing.namespace(entry.namespace).map { ModelFacts($0.binding) }
        tokenCount = stored.root?.tokenCount ?? entry.tokenCount
        diskBytes = entry.variantDiskBytes
        isPinned = entry.isPinned
        identity = stored.root.map { ShowReport.Identity($0) }
        records = stored.records.map { ShowReport.Record($0, withDigests: withDigests) }
        extents = stored.records.enumerated().flatMap { index, record in
            record.header.extents.map {
                ShowReport.Extent($0, of: record.header, recordIndex: index, unit: unit)
            }
        }
        metadata = stored.metadata.map { ShowReport.Metadata($0, withTokens: withTokens) }
        damages = stored.damages
    }
}

extension ShowReport.Identity {
    init(_ record: PayloadRecord) {
        hashDomain = "\(record.hashDomain)"
        bindingDigest = hexadecimal(record.bindingDigest)
        elementType = "\(record.elementType)"
        keyForm = "\(record.keyForm)"
        basePosition = record.basePosition
        planeBytes = record.variantBytes
        createdSeconds = record.createdSeconds
        expirySeconds = record.expirySeconds == 0 ? nil : record.expirySeconds
        retention = "\(record.retention)"
    }
}

extension ShowReport.Record {
    init(_ record: StoredVariant.Record, withDigests: Bool) {
        let prefix = record.header.prefix
        file = StoreFiles.segment(prefix.location.segment)
        offset = prefix.location.offset
        headerBytes = prefix.headerBytes
        recordBytes = prefix.recordBytes
        writeSequence = prefix.writeSequence.raw
        layerFirst = record.header.layerFirst
        layerCount = record.header.layerCount
        digestBlockBytes = record.header.digestBlockBytes
        digestSlotCount = record.header.digests.count
        seal = "\(record.seal)"
        digests = withDigests ? record.header.digests.map(\.description) : nil
    }
}

extension ShowReport.Extent {
    init(_ row: ExtentRow, of record: PayloadRecord, recordIndex: Int, unit: UInt32) {
        self.recordIndex = recordIndex
        layer = row.layer
        kind = row.isSidecar ? "sidecar \(row.codecParameters)" : "\(row.kind)"
        codec = row.codec
        tokenCount = row.tokenCount
        fileOffset = record.prefix.location.offset &+ row.offset
        storedBytes = row.storedBytes
        paddedBytes = row.paddedBytes(unit: unit)
        rawBytes = row.rawBytes
        firstDigestSlot = row.firstDigestSlot
        digestSlotCount = row.digestSlotCount(unit: unit, blockBytes: record.digestBlockBytes)
    }
}

extension ShowReport.Metadata {
    init(_ metadata: ChunkMetadata, withTokens: Bool) {
        let recompute = metadata.recompute
        tokenCount = metadata.tokens.count
        prefix = recompute.prefix.map {
            Prefix(
                key: "\($0.key)", tokenCount: $0.tokenCount, interMean: $0.interMean.finite)
        }
        contextImpact = recompute.contextImpact.map {
            Impact(interMean: $0.interMean.finite, intraMean: $0.intraMean.finite)
        }
        tokenScoreCount = recompute.tokenScores.count
        deviationCount = recompute.deviationProfile.count
        creationMilliseconds = recompute.creationMilliseconds.finite
        deviceClass = recompute.deviceClass?.name
        parent = recompute.parent.map { "\($0)" }
        let detail = metadata.detail
        positionCount = detail.positions.isEmpty ? nil : detail.positions.count
        capturedLayerCount = detail.layerIntra.isEmpty ? nil : detail.layerIntra.count
        unknownSections = detail.others.isEmpty ? nil : detail.others.map(\.kind)
        guard withTokens else { return }
        tokens = metadata.tokens
        func numbers(_ scores: [Float16]) -> [Double?]? {
            scores.isEmpty ? nil : scores.map { Float($0).finite }
        }
        tokenScores = numbers(recompute.tokenScores)
        deviations = numbers(recompute.deviationProfile)
    }
}
