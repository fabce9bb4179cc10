import KVModel
import Primitives

@testable import ChunkFormat

/// Fixed keys, and values drawn from a seed.
enum Samples {
    static let secret = Array(UInt8(0x20)...0x3F)
    static let storeID = Array(UInt8(0xA0)...0xAF)
    static let salt = Array(UInt8(0x60)...0x7F)
    static let unit: UInt32 = 4_096
    static let recordKey = SealKey(secret: secret, label: "segment use", salt: salt)
    static let segmentBytes: UInt64 = 1 << 20

    static func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// A number that counts something, up to `FieldReader.counterMax`.
    static func counter(_ generator: inout SeededGenerator) -> UInt64 {
        generator.next() >> 2
    }

    static func key(_ generator: inout SeededGenerator) -> ChunkKey {
        ChunkKey(bytes: bytes(32, &generator))!
    }

    static func digest(_ generator: inout SeededGenerator) -> Digest128 {
        Digest128(high: generator.next(), low: generator.next())
    }

    static func location(_ generator: inout SeededGenerator) -> RecordLocation {
        RecordLocation(
            segment: SegmentID(UInt32.random(in: 0...999, using: &generator)),
            offset: UInt64.random(in: 1...200, using: &generator) * 4_096)
    }

    static func prefix(
        _ kind: RecordKind, headerBytes: UInt32 = 4_096, extraBytes: UInt64 = 0,
        _ generator: inout SeededGenerator
    ) -> RecordPrefix {
        RecordPrefix(
            kind: kind, headerBytes: headerBytes, recordBytes: UInt64(headerBytes) + extraBytes,
            writeSequence: WriteSequence(counter(&generator)), location: location(&generator))
    }

    static func superblock(_ generator: inout SeededGenerator) -> Superblock {
        Superblock(
            storeID: bytes(16, &generator), secret: bytes(32, &generator),
            generation: counter(&generator),
            alignmentUnit: 1 << UInt32.random(in: 12...16, using: &generator),
            segmentBytes: UInt64.random(in: 1...65_536, using: &generator) << 16,
            capacityBytes: generator.next(), createdSeconds: generator.next(),
            optionalFeatures: generator.next())
    }

    static func segmentHeader(_ generator: inout SeededGenerator) -> SegmentHeader {
        SegmentHeader(
            storeID: storeID, segment: SegmentID(UInt32.random(in: 0...9, using: &generator)),
            useSequence: counter(&generator), salt: bytes(32, &generator), segmentBytes: 131_072,
            alignmentUnit: 4_096,
            firstCommitOffset: UInt64.random(in: 1...15, using: &generator) * 4_096,
            secondCommitOffset: UInt64.random(in: 16...31, using: &generator) * 4_096,
            createdSeconds: generator.next(),
            writeClass: UInt16.random(in: 0...9, using: &generator))
    }

    static func tombstone(_ generator: inout SeededGenerator) -> Tombstone {
        Tombstone(
            namespace: NamespaceID(UInt32.random(in: 0...9, using: &generator)),
            key: key(&generator),
            variant: Bool.random(using: &generator) ? VariantID(generator.next()) : nil,
            commit: counter(&generator))
    }

    static func member(_ generator: inout SeededGenerator) -> CommitMember {
        CommitMember(
            kind: RecordKind.allCases.randomElement(using: &generator)!,
            isAbandoned: Bool.random(using: &generator), location: location(&generator),
            headerBytes: 8_192, recordBytes: UInt64.random(in: 2...99, using: &generator) * 4_096,
            seal: digest(&generator))
    }

    static func commit(_ generator: inout SeededGenerator) -> CommitRecord {
        let prefix = prefix(.commit, &generator)
        let number = UInt64.random(in: 2...1 << 40, using: &generator)
        let hasNext = Bool.random(using: &generator)
        return CommitRecord(
            prefix: prefix, commit: number,
            previousCommit: UInt64.random(in: 0..<number, using: &generator),
            syncedCommit: UInt64.random(in: 0..<number, using: &generator),
            useSequence: 7,
            nextCommitOffset: hasNext ? prefix.location.offset + 4_096 : 0,
            laterCommitOffset: hasNext && Bool.random(using: &generator)
                ? prefix.location.offset + 8_192 : 0,
            members: (0..<Int.random(in: 0...82, using: &generator)).map { _ in
                member(&generator)
            })
    }

    static func binding(_ generator: inout SeededGenerator) -> ModelBinding {
        let dimension = Int.random(in: 1...64, using: &generator) * 2
        var layers: [LayerGeometry] = []
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            let layer = LayerGeometry(
                kvHeadCount: Int.random(in: 1...16, using: &generator), headDimension: dimension,
                windowTokenCount: Bool.random(using: &generator) ? nil : 4_096)
            let count = Int.random(in: 1...100, using: &generator)
            layers += [LayerGeometry](repeating: layer, count: count)
        }
        let scaling: [RotaryScaling] = [
            .none, .linear(factor: 4),
            .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                originalPositionCount: 8_192),
            .yarn(
                YarnScaling(
                    factor: 16, attentionFactor: 1.5, originalPositionCount: 4_096,
                    roundsRamp: Bool.random(using: &generator))),
        ]
        return ModelBinding(
            name: "model-é", weightsDigest: bytes(32, &generator), layers: layers,
            elementType: ElementType.allCases.randomElement(using: &generator)!,
            rotary: RotaryEmbedding(
                base: 10_000, dimension: dimension,
                pairing: RotaryPairing.allCases.randomElement(using: &generator)!,
                scaling: scaling.randomElement(using: &generator)!),
            keyForm: KeyForm.allCases.randomElement(using: &generator)!,
            tensorParallelRank: 1, tensorParallelSize: 4,
            calibration: Bool.random(using: &generator)
                ? nil : BlendCalibration(checkLayer: layers.count - 1, tensor: .values))
    }

    static func namespaceOperation(_ generator: inout SeededGenerator) -> NamespaceOperation {
        let id = NamespaceID(UInt32.random(in: 0...(.max), using: &generator))
        if Int.random(in: 0..<4, using: &generator) == 0 {
            return .drop(id, commit: counter(&generator))
        }
        let name = String(repeating: "n", count: Int.random(in: 0...255, using: &generator))
        return .create(NamespaceDescription(id: id, name: name, binding: binding(&generator)))
    }

    static func metadata(_ generator: inout SeededGenerator) -> ChunkMetadata {
        let count = Int.random(in: 0...200, using: &generator)
        let hasScores = Bool.random(using: &generator)
        let prefixCount = Int.random(in: 0...5, using: &generator)
        return ChunkMetadata(
            tokens: (0..<count).map { _ in UInt32.random(in: 0...(.max), using: &generator) },
            recompute: RecomputeMetadata(
                prefix: (0..<prefixCount).map { _ in
                    PrefixShare(key: key(&generator), tokenCount: 3, interMean: 0.5)
                },
                contextImpact: Bool.random(using: &generator)
                    ? nil : ContextImpact(interMean: 1.5, intraMean: 0.25),
                tokenScores: hasScores ? (0..<count).map { Float16($0) } : [],
                deviationProfile: hasScores ? (0..<count).map { Float16($0) / 2 } : [],
                creationMilliseconds: 3,
                deviceClass: Bool.random(using: &generator) ? nil : DeviceClass("h200"),
                parent: Bool.random(using: &generator) ? nil : VariantID(generator.next())),
            detail: detail(tokenCount: count, prefixCount: prefixCount, &generator))
    }

    static func detail(
        tokenCount: Int, prefixCount: Int, _ generator: inout SeededGenerator
    ) -> VariantDetail {
        var detail = VariantDetail()
        let layerCount = Int.random(in: 0...4, using: &generator)
        if Bool.random(using: &generator) {
            detail.positions = (0..<tokenCount).map { UInt32($0 * 3) }
        }
        detail.layerIntra = (0..<layerCount).map { Float16($0) }
        detail.layerInter = (0..<layerCount * prefixCount).map { Float16($0) }
        if Bool.random(using: &generator) {
            detail.others = [6, 65_535].map {
                MetadataSection(kind: $0, bytes: bytes(Int($0 % 7), &generator))
            }
        }
        return detail
    }
}
