import ChunkFormat
import KVModel
import Primitives

/// A whole small store, made of described values: what an independent reader is tried on.
///
/// Namespace 1 holds chunk A (removed by commit 4) and chunk B, in two records. The checkpoint
/// stands at commit 2, so A is in it, and B and the removal are found by walking the chain.
enum GoldenStore {
    static let unit: UInt32 = 4_096
    static let storeID = Array(UInt8(0xA0)...0xAF)
    static let secret = Array(UInt8(0x20)...0x3F)
    static let salt = Array(UInt8(0x60)...0x7F)
    static let second: UInt64 = 1_767_225_600
    static let segment = SegmentID(0)

    static let superblock = Superblock(
        storeID: storeID, secret: secret, generation: 1, alignmentUnit: unit,
        segmentBytes: 131_072, capacityBytes: 16 << 20, createdSeconds: second)
    static let mark = MarkBlock(turn: 3, syncedCommit: 3)
    static let segmentHeader = SegmentHeader(
        storeID: storeID, segment: segment, useSequence: 1, salt: salt, segmentBytes: 131_072,
        alignmentUnit: unit, firstCommitOffset: 4_096, secondCommitOffset: 12_288,
        createdSeconds: second + 1)
    static let recordKey = segmentHeader.recordKey(secret: secret)

    static let binding = ModelBinding(
        name: "golden-2l", weightsDigest: [UInt8](repeating: 0xC3, count: 32),
        layers: [LayerGeometry](
            repeating: LayerGeometry(kvHeadCount: 2, headDimension: 4), count: 2),
        elementType: .float32,
        rotary: RotaryEmbedding(
            base: 500_000, dimension: 4,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                originalPositionCount: 8_192)),
        calibration: BlendCalibration(checkLayer: 1, tensor: .realignedKeys))
    static let create = NamespaceOperation.create(
        NamespaceDescription(id: NamespaceID(1), name: "acme", binding: binding))

    static let tokensA: [UInt32] = [101, 7, 70_000]
    static let tokensB: [UInt32] = [5, 6, 7, 8]
    static let keyA = ChunkKey(tokens: tokensA, binding: binding)
    static let keyB = ChunkKey(tokens: tokensB, binding: binding)
    static let contextB = PrefixContext(prefix: [keyA], basePosition: 3)

    static func location(_ offset: UInt64) -> RecordLocation {
        RecordLocation(segment: segment, offset: offset)
    }

    // MARK: Records

    static let namespaceRecord = NamespaceRecord(
        prefix: RecordPrefix(
            kind: .namespaceOperation, headerBytes: unit, recordBytes: UInt64(unit),
            writeSequence: WriteSequence(1), location: location(8_192)),
        operation: create)

    /// A plane: number *i* of layer *l* is `l × 1000 + base + i`, in f32, padded to U.
    static func plane(layer: Int, base: Float, tokenCount: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in 0..<tokenCount * binding.layers[layer].rowElementCount {
            let bits = (Float(layer * 1_000) + base + Float(index)).bitPattern
            for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: bits >> (shift * 8))) }
        }
        let padded = aligned(bytes.count, to: Int(unit))
        return bytes + [UInt8](repeating: 0, count: padded - bytes.count)
    }

    /// The extents of some layers, as rows, slots and bytes.
    static func extents(layers: Range<Int>, tokenCount: Int, base: Float)
        -> (rows: [ExtentRow], digests: [Digest128], bytes: [UInt8])
    {
        var rows: [ExtentRow] = []
        var digests: [Digest128] = []
        var payload: [UInt8] = []
        for layer in layers {
            for (kind, start) in [(ExtentKind.keys, base), (.values, base + 500)] {
                let bytes = plane(layer: layer, base: start, tokenCount: tokenCount)
                let stored = UInt64(binding.rowBytes(layer: layer) * tokenCount)
                rows.append(
                    ExtentRow(
                        layer: UInt16(layer), kind: kind, tokenCount: UInt32(tokenCount),
                        firstDigestSlot: UInt32(digests.count),
                        offset: UInt64(unit) + UInt64(payload.count), storedBytes: stored,
                        rawBytes: stored))
                digests.append(Digest128(hashing: bytes))
                payload += bytes
            }
        }
        return (rows, digests, payload)
    }

    static func payload(
        _ key: ChunkKey, _ variant: VariantID, sequence: UInt64, at offset: UInt64,
        layers: Range<Int>, tokenCount: Int, base: Float, basePosition: UInt32, recordIndex: UInt16,
        recordCount: UInt16, siblings: [SiblingRow], metadata: [UInt8]
    ) -> (record: PayloadRecord, region: SealedRegion, payload: [UInt8]) {
        let parts = extents(layers: layers, tokenCount: tokenCount, base: base)
        let record = PayloadRecord(
            prefix: RecordPrefix(
                kind: .payload, headerBytes: unit,
                recordBytes: UInt64(unit) + UInt64(parts.bytes.count),
                writeSequence: WriteSequence(sequence), location: location(offset)),
            namespace: NamespaceID(1), key: key, variant: variant, bindingDigest: binding.digest,
            hashDomain: .standalone, keyForm: .afterRotation, elementType: .float32,
            tokenCount: UInt32(tokenCount), basePosition: basePosition,
            layerFirst: UInt16(layers.lowerBound), layerCount: UInt16(layers.count),
            recordIndex: recordIndex, recordCount: recordCount, digestBlockShift: 16,
            variantBytes: binding.payloadBytes(tokenCount: tokenCount), createdSeconds: second + 2,
            // Chunk A ends in 127 years.
            expirySeconds: key == keyA ? second + 4_000_000_000 : 0, extents: parts.rows,
            siblings: siblings, digests: parts.digests, metadata: metadata)
        return (record, record.encode(key: recordKey), parts.bytes)
    }

    static let chunkA = payload(
        keyA, .standalone, sequence: 3, at: 16_384, layers: 0..<2, tokenCount: 3, base: 1,
        basePosition: 0, recordIndex: 0, recordCount: 1, siblings: [],
        metadata: ChunkMetadata(
            tokens: tokensA, recompute: RecomputeMetadata(creationMilliseconds: 12.5)
        ).encode())
    static let metadataB = ChunkMetadata(
        tokens: tokensB,
        recompute: RecomputeMetadata(
            prefix: [PrefixShare(key: keyA, tokenCount: 3, interMean: 0.25)],
            contextImpact: ContextImpact(interMean: 0.5, intraMean: 2),
            tokenScores: [0.5, 1, 0.25, 0], deviationProfile: [2, 0.125, 0, 1],
            creationMilliseconds: 8, deviceClass: DeviceClass("golden")))
    /// What `metadataB` would be with all detail, repaired from the standalone form.
    static let metadataWithDetail = {
        var metadata = metadataB
        metadata.recompute.parent = .standalone
        metadata.detail = VariantDetail(
            positions: [3, 4, 6, 9], layerIntra: [0.75, 0.5], layerInter: [0.25, 0.5],
            others: [MetadataSection(kind: 900, bytes: [1, 2, 3])])
        return metadata
    }()
    static let chunkB1 = payload(
        keyB, contextB.variantID, sequence: 6, at: 53_248, layers: 1..<2, tokenCount: 4, base: 9,
        basePosition: 3, recordIndex: 1, recordCount: 2, siblings: [], metadata: [])
    static let chunkB0 = payload(
        keyB, contextB.variantID, sequence: 5, at: 40_960, layers: 0..<1, tokenCount: 4, base: 9,
        basePosition: 3, recordIndex: 0, recordCount: 2,
        siblings: [
            SiblingRow(
                location: location(53_248), headerBytes: unit,
                recordBytes: chunkB1.record.prefix.recordBytes, layerFirst: 1, layerCount: 1,
                seal: chunkB1.region.seal)
        ], metadata: metadataB.encode())

    /// Chunk A once more, as a record might stand behind those of the store: planes under codec 1,
    /// a sidecar for each layer. Its extents are zeros.
    static let coded = {
        var record = chunkA.record
        var rows: [ExtentRow] = []
        for (index, kind) in [ExtentKind.keys, .values, .keys, .values, .sidecar, .sidecar]
            .enumerated()
        {
            let isPlane = kind != .sidecar
            let storedBytes: UInt64 = isPlane ? 90 + UInt64(index) : 333
            rows.append(
                ExtentRow(
                    layer: UInt16(index / 2 % 2 + (index == 5 ? 1 : 0)), kind: kind,
                    codec: isPlane ? 1 : 0, tokenCount: isPlane ? 3 : 0,
                    firstDigestSlot: UInt32(index), codecParameters: isPlane ? 0x1004 : 7,
                    offset: UInt64(unit) * UInt64(index + 1), storedBytes: storedBytes,
                    rawBytes: isPlane ? 96 : storedBytes))
        }
        record.prefix = RecordPrefix(
            kind: .payload, headerBytes: unit, recordBytes: 7 * UInt64(unit),
            writeSequence: WriteSequence(9), location: location(73_728))
        record.extents = rows
        record.variantBytes = rows.reduce(0) { $0 + $1.storedBytes }
        record.digests = rows.map { _ in
            Digest128(hashing: [UInt8](repeating: 0, count: Int(unit)))
        }
        return record
    }()

    static let tombstone = Tombstone(
        namespace: NamespaceID(1), key: keyA, variant: nil, commit: 4)
    static let tombstoneRecord = TombstoneRecord(
        prefix: RecordPrefix(
            kind: .tombstone, headerBytes: unit, recordBytes: UInt64(unit),
            writeSequence: WriteSequence(8), location: location(69_632)),
        tombstones: [tombstone])

    // MARK: Commits

    static func member(_ region: SealedRegion, _ prefix: RecordPrefix) -> CommitMember {
        CommitMember(
            kind: RecordKind(rawValue: prefix.kind)!, location: prefix.location,
            headerBytes: prefix.headerBytes, recordBytes: prefix.recordBytes, seal: region.seal)
    }

    static func commit(
        _ number: UInt64, sequence: UInt64, at offset: UInt64, next: UInt64,
        later: UInt64, _ members: [CommitMember]
    ) -> CommitRecord {
        CommitRecord(
            prefix: RecordPrefix(
                kind: .commit, headerBytes: unit, recordBytes: UInt64(unit),
                writeSequence: WriteSequence(sequence), location: location(offset)),
            commit: number, previousCommit: number - 1, syncedCommit: number - 1, useSequence: 1,
            nextCommitOffset: next, laterCommitOffset: later, members: members)
    }

    static let commits = [
        commit(
            1, sequence: 2, at: 4_096, next: 12_288, later: 36_864,
            [member(namespaceRecord.encode(key: recordKey), namespaceRecord.prefix)]),
        commit(
            2, sequence: 4, at: 12_288, next: 36_864, later: 65_536,
            [member(chunkA.region, chunkA.record.prefix)]),
        commit(
            3, sequence: 7, at: 36_864, next: 65_536, later: 73_728,
            [
                member(chunkB0.region, chunkB0.record.prefix),
                member(chunkB1.region, chunkB1.record.prefix),
            ]),
        commit(
            4, sequence: 9, at: 65_536, next: 73_728, later: 77_824,
            [member(tombstoneRecord.encode(key: recordKey), tombstoneRecord.prefix)]),
    ]

    // MARK: The other files

    static func journalHeader(_ copyIndex: UInt32) -> JournalHeader {
        JournalHeader(
            storeID: storeID, copyIndex: copyIndex,
            salt: [UInt8](repeating: 0x90 + UInt8(copyIndex), count: 32))
    }
    static let checkpointSegment = CheckpointSegment(
        segment: segment, useSequence: 1, nextCommitOffset: 36_864,
        laterCommitOffset: 65_536, usedBytes: 40_960)
    static let checkpointEntry = CheckpointEntry(
        namespace: NamespaceID(1), key: keyA, variant: .standalone, location: location(16_384),
        headerBytes: unit, variantDiskBytes: 20_480, tokenCount: 3, flags: 0, ordinal: 0,
        expirySeconds: 4_000_000_000)
    static let heat = HeatFile(
        generation: 1, policyDigest: Digest128(hashing: Array("default=recall\n".utf8)),
        rows: [HeatRow(useCount: 3, lastUseSeconds: 60, score: 0.75, lastFixCost: 0.125)])
}
