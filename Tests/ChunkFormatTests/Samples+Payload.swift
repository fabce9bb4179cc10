import KVModel
import Primitives

@testable import ChunkFormat

extension Samples {
    /// A payload record of some layers, with a header region that fits its parts.
    static func payload(_ generator: inout SeededGenerator) -> PayloadRecord {
        let metadata = metadata(&generator).encode()
        let layerCount = Int.random(in: 1...20, using: &generator)
        let recordCount = Int.random(in: 1...4, using: &generator)
        let shift = UInt8.random(in: PayloadRecord.digestBlockShiftRange, using: &generator)
        let stored = UInt64.random(in: 1...200_000, using: &generator)
        let block = UInt64(1) << shift
        let padded = (stored + 4_095) / 4_096 * 4_096
        let slots = Int((padded + block - 1) / block)
        let needed = PayloadRecord.headerBytes(
            extentCount: layerCount * 2, siblingCount: recordCount - 1,
            digestCount: layerCount * 2 * slots, metadataBytes: metadata.count)
        let headerBytes = UInt32(aligned(needed, to: 4_096))
        var extents: [ExtentRow] = []
        for index in 0..<layerCount * 2 {
            extents.append(
                ExtentRow(
                    layer: UInt16(index / 2), kind: index % 2 == 0 ? .keys : .values,
                    tokenCount: 9, firstDigestSlot: UInt32(index * slots),
                    offset: UInt64(headerBytes) + UInt64(index) * padded, storedBytes: stored,
                    rawBytes: stored))
        }
        let prefix = prefix(
            .payload, headerBytes: headerBytes, extraBytes: UInt64(layerCount * 2) * padded,
            &generator)
        return PayloadRecord(
            prefix: prefix, namespace: NamespaceID(4), key: key(&generator),
            variant: VariantID(generator.next()), bindingDigest: bytes(32, &generator),
            hashDomain: HashDomain.allCases.randomElement(using: &generator)!,
            keyForm: KeyForm.allCases.randomElement(using: &generator)!,
            elementType: ElementType.allCases.randomElement(using: &generator)!,
            retention: RetentionKind.allCases.randomElement(using: &generator)!, tokenCount: 9,
            basePosition: UInt32.random(in: 0...9_999, using: &generator), layerFirst: 0,
            layerCount: UInt16(layerCount), recordIndex: 0, recordCount: UInt16(recordCount),
            digestBlockShift: shift, variantBytes: generator.next(),
            createdSeconds: generator.next(), expirySeconds: generator.next(), extents: extents,
            siblings: (1..<max(recordCount, 1)).map { index in
                SiblingRow(
                    location: location(&generator), headerBytes: 4_096, recordBytes: 40_960,
                    layerFirst: UInt16(index * 20), layerCount: 20, seal: digest(&generator))
            },
            digests: (0..<layerCount * 2 * slots).map { _ in digest(&generator) },
            metadata: metadata)
    }
}
