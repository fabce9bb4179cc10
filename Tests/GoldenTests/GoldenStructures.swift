import ChunkFormat
import KVModel
import Primitives

/// One structure at a time: its bytes and what the annotator says of them.
struct GoldenStructure: Sendable {
    let name: String
    let bytes: [UInt8]
    let annotate: @Sendable (inout Annotator, [UInt8]) -> Void

    static let all: [GoldenStructure] = plain + records + streams

    private static func plain(_ name: String, _ layout: String, _ bytes: [UInt8]) -> Self {
        Self(name: name, bytes: bytes) { $0.structure(AllLayouts.named(layout)!, $1) }
    }

    private static func record(_ name: String, at offset: UInt64, _ bytes: [UInt8]) -> Self {
        Self(name: name, bytes: bytes) {
            $0.headerRegion($1, at: GoldenStore.location(offset), key: GoldenStore.recordKey)
        }
    }

    private static let secret = GoldenStore.secret

    private static let plain = [
        plain("superblock", "superblock", GoldenStore.superblock.encode(copyIndex: 2)),
        plain("mark", "markBlock", GoldenStore.markBlock),
        plain(
            "segment-header", "segmentHeader",
            GoldenStore.segmentHeader.encode(key: SegmentHeader.sealKey(secret: secret))),
        plain(
            "journal-header", "journalHeader",
            GoldenStore.journalHeader(1).encode(key: JournalHeader.sealKey(secret: secret))),
        Self(name: "journal-blocks", bytes: GoldenStore.journalBlocks) {
            $0.journalFile(Annotator.source($1), fileBytes: UInt64($1.count), copyIndex: 0)
        },
        plain(
            "checkpoint-header", "checkpointHeader",
            GoldenStore.checkpointHeader.encode(key: CheckpointHeader.sealKey(secret: secret))),
        Self(
            name: "checkpoint-rows",
            bytes: Array(GoldenStore.checkpointRows.prefix(48 + 72))
        ) {
            $0.structure(AllLayouts.named("checkpointSegment")!, $1)
            $0.structure(AllLayouts.named("checkpointEntry")!, $1, at: 48)
        },
        Self(
            name: "heat",
            bytes: GoldenStore.heat.encode(
                storeID: GoldenStore.storeID, key: HeatFile.sealKey(secret: secret))
        ) {
            $0.heatFile(Annotator.source($1), fileBytes: UInt64($1.count))
        },
    ]

    private static let records = [
        record("payload-record", at: 16_384, GoldenStore.chunkA.region.bytes),
        record("payload-first-of-two", at: 40_960, GoldenStore.chunkB0.region.bytes),
        record("payload-second-of-two", at: 53_248, GoldenStore.chunkB1.region.bytes),
        record(
            "payload-coded", at: 73_728,
            GoldenStore.coded.encode(key: GoldenStore.recordKey).bytes),
        record(
            "tombstone-record", at: 69_632,
            GoldenStore.tombstoneRecord.encode(key: GoldenStore.recordKey).bytes),
        record(
            "namespace-create-record", at: 8_192,
            GoldenStore.namespaceRecord.encode(key: GoldenStore.recordKey).bytes),
        record(
            "namespace-drop-record", at: 8_192,
            NamespaceRecord(
                prefix: GoldenStore.namespaceRecord.prefix,
                operation: .drop(NamespaceID(1), commit: 9)
            ).encode(key: GoldenStore.recordKey).bytes),
        record(
            "commit-record", at: 36_864,
            GoldenStore.commits[2].encode(key: GoldenStore.recordKey).bytes),
    ]

    private static let streams = [
        Self(name: "metadata", bytes: GoldenStore.metadataB.encode()) { $0.metadata($1) },
        Self(name: "metadata-sections", bytes: GoldenStore.metadataWithDetail.encode()) {
            $0.metadata($1)
        },
        Self(
            name: "namespace-yarn",
            bytes: NamespaceOperation.create(
                NamespaceDescription(id: NamespaceID(3), name: "y", binding: yarn)
            ).encode()
        ) { $0.namespaceOperation($1) },
        Self(name: "namespace-operation", bytes: GoldenStore.create.encode()) {
            $0.namespaceOperation($1)
        },
        Self(
            name: "namespace-irregular",
            bytes: NamespaceOperation.create(
                NamespaceDescription(id: NamespaceID(2), name: "acme-Ω", binding: irregular)
            ).encode()
        ) { $0.namespaceOperation($1) },
    ]

    private static let yarn = ModelBinding(
        name: "", weightsDigest: [UInt8](repeating: 9, count: 32),
        layers: [LayerGeometry(kvHeadCount: 2, headDimension: 64)], elementType: .bfloat16,
        rotary: RotaryEmbedding(
            base: 150_000, dimension: 64,
            scaling: .yarn(
                YarnScaling(
                    factor: 32, attentionFactor: 1.25, originalPositionCount: 4_096,
                    roundsRamp: false))))

    /// Five layers in three runs, one of them with a window.
    private static let irregular = ModelBinding(
        name: "", weightsDigest: [UInt8](repeating: 7, count: 32),
        layers: [
            LayerGeometry(kvHeadCount: 1, headDimension: 64),
            LayerGeometry(kvHeadCount: 8, headDimension: 128, windowTokenCount: 4_096),
            LayerGeometry(kvHeadCount: 8, headDimension: 128, windowTokenCount: 4_096),
            LayerGeometry(kvHeadCount: 8, headDimension: 128, windowTokenCount: 4_096),
            LayerGeometry(kvHeadCount: 8, headDimension: 128),
        ],
        elementType: .bfloat16,
        rotary: RotaryEmbedding(
            base: 10_000, dimension: 64, pairing: .interleaved, scaling: .linear(factor: 4)),
        keyForm: .beforeRotation, tensorParallelRank: 1, tensorParallelSize: 2)
}
