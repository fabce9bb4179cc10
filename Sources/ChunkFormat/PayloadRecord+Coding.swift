import KVModel
import Primitives

extension PayloadRecord {
    /// The whole header region, padded to `prefix.headerBytes`, and its seal.
    public func encode(key sealKey: SealKey) -> SealedRegion {
        var writer = FieldWriter(byteCount: Int(prefix.headerBytes))
        prefix.write(to: &writer)
        writer.put(F.namespace, namespace.raw)
        writer.put(F.retention, retention.rawValue)
        writer.put(F.hashDomain, hashDomain.rawValue)
        writer.put(F.keyForm, keyForm.rawValue)
        writer.put(F.elementType, elementType.rawValue)
        writer.put(F.chunkKey, key.bytes)
        writer.put(F.variantID, variant.raw)
        writer.put(F.bindingDigest, bindingDigest)
        writer.put(F.tokenCount, tokenCount)
        writer.put(F.basePosition, basePosition)
        writer.put(F.layerFirst, layerFirst)
        writer.put(F.layerCount, layerCount)
        writer.put(F.recordIndex, recordIndex)
        writer.put(F.recordCount, recordCount)
        writer.put(F.extentCount, UInt32(extents.count))
        writer.put(F.siblingCount, UInt32(siblings.count))
        writer.put(F.digestSlotCount, UInt32(digests.count))
        writer.put(F.metadataBytes, UInt32(metadata.count))
        writer.put(F.digestAlgorithm, UInt16(1))
        writer.put(F.digestBlockShift, digestBlockShift)
        writer.put(F.variantBytes, variantBytes)
        writer.put(F.createdSeconds, createdSeconds)
        writer.put(F.expirySeconds, expirySeconds)
        writer.put(F.metadataDigest, Digest128(hashing: metadata))

        var offset = Self.layout.byteCount
        for extent in extents {
            writer.move(to: offset)
            extent.write(to: &writer)
            offset += ExtentRow.layout.byteCount
        }
        for sibling in siblings {
            writer.move(to: offset)
            sibling.write(to: &writer)
            offset += SiblingRow.layout.byteCount
        }
        writer.move(to: 0)
        for digest in digests {
            writer.put(at: offset, bigEndianBytes(digest.high) + bigEndianBytes(digest.low))
            offset += 16
        }
        writer.put(at: offset, metadata)
        return prefix.sealed(writer, key: sealKey)
    }

    /// Decodes a header region whose seal was checked by `RecordPrefix.open`.
    public init(decoding bytes: [UInt8], prefix: RecordPrefix, unit: UInt32) throws(FormatError) {
        let reader = try FieldReader(Self.layout, bytes)
        try reader.requireZeroReserved("FMT-3")
        let extentCount = Int(reader.u32(F.extentCount))
        let siblingCount = Int(reader.u32(F.siblingCount))
        let digestCount = Int(reader.u32(F.digestSlotCount))
        let metadataBytes = Int(reader.u32(F.metadataBytes))
        let shift = reader.u8(F.digestBlockShift)
        try reader.require(
            (1...Self.extentCountMax).contains(extentCount), F.extentCount, "PAY-1",
            expected: "1 to \(Self.extentCountMax)")
        try reader.require(
            siblingCount <= Self.siblingCountMax, F.siblingCount, "PAY-1",
            expected: "at most \(Self.siblingCountMax)")
        try reader.require(
            metadataBytes <= Self.metadataBytesMax, F.metadataBytes, "PAY-1",
            expected: "at most \(Self.metadataBytesMax)")
        try reader.require(
            Self.digestBlockShiftRange.contains(shift), F.digestBlockShift, "PAY-2",
            expected: "12 to 20")
        try reader.require(
            reader.u16(F.digestAlgorithm) == 1, F.digestAlgorithm, "PAY-2",
            expected: "1, XXH3-128")
        // Every count is at most 2^32, so the sum cannot overflow an Int.
        let needed = Self.headerBytes(
            extentCount: extentCount, siblingCount: siblingCount, digestCount: digestCount,
            metadataBytes: metadataBytes)
        try reader.require(
            needed <= Int(prefix.headerBytes) && needed <= bytes.count, F.digestSlotCount, "PAY-3",
            expected: "parts that fit the header region of \(prefix.headerBytes)")

        var offset = Self.layout.byteCount
        var extents: [ExtentRow] = []
        for _ in 0..<extentCount {
            extents.append(
                try ExtentRow(
                    decoding: bytes, at: offset, in: prefix, unit: unit,
                    blockBytes: 1 << Int(shift), digestSlotCount: digestCount))
            offset += ExtentRow.layout.byteCount
        }
        try Self.requireDisjoint(extents, unit: unit, blockBytes: 1 << Int(shift))
        var siblings: [SiblingRow] = []
        for _ in 0..<siblingCount {
            siblings.append(try SiblingRow(decoding: bytes, at: offset, unit: unit))
            offset += SiblingRow.layout.byteCount
        }
        let digests = digestTable(bytes, at: offset, count: digestCount)
        offset += digestCount * 16
        let metadata = Array(bytes[offset..<offset + metadataBytes])
        try reader.require(
            Digest128(hashing: metadata) == reader.digest(F.metadataDigest), F.metadataDigest,
            "PAY-4", expected: "the digest of the metadata part")
        try reader.require(
            reader.u16(F.recordIndex) < reader.u16(F.recordCount)
                && Int(reader.u16(F.recordCount)) <= Self.siblingCountMax + 1,
            F.recordIndex, "PAY-5",
            expected: "less than recordCount, which is at most \(Self.siblingCountMax + 1)")
        try reader.require(
            siblingCount
                == (reader.u16(F.recordIndex) == 0 ? Int(reader.u16(F.recordCount)) - 1 : 0),
            F.siblingCount, "PAY-5",
            expected: "in record 0 a row for each other record of the variant, else none")
        try reader.require(
            (metadataBytes > 0) == (reader.u16(F.recordIndex) == 0), F.metadataBytes, "PAY-8",
            expected: "a metadata part in record 0, and in no other")
        try reader.require(
            Int(reader.u16(F.layerFirst)) + Int(reader.u16(F.layerCount)) <= Self.layerCountMax,
            F.layerCount, "PAY-12", expected: "layers below \(Self.layerCountMax)")
        try reader.require(
            Int(reader.u32(F.tokenCount)) <= Self.tokenCountMax, F.tokenCount, "PAY-1",
            expected: "at most \(Self.tokenCountMax)")
        guard let hashDomain = HashDomain(rawValue: reader.u8(F.hashDomain)),
            let keyForm = KeyForm(rawValue: reader.u8(F.keyForm)),
            let elementType = ElementType(rawValue: reader.u8(F.elementType)),
            let retention = RetentionKind(rawValue: reader.u8(F.retention)),
            let key = ChunkKey(bytes: reader.bytes(F.chunkKey))
        else {
            throw FormatError(
                .corrupt, structure: "payloadHeader", field: "hashDomain", clause: "PAY-6",
                expected: "known hashDomain, keyForm, elementType and retention",
                found: [F.hashDomain, F.keyForm, F.elementType, F.retention]
                    .map(reader.describe).joined(separator: ", "))
        }
        self.init(
            prefix: prefix, namespace: NamespaceID(reader.u32(F.namespace)), key: key,
            variant: VariantID(reader.u64(F.variantID)),
            bindingDigest: reader.bytes(F.bindingDigest), hashDomain: hashDomain, keyForm: keyForm,
            elementType: elementType, retention: retention,
            tokenCount: reader.u32(F.tokenCount), basePosition: reader.u32(F.basePosition),
            layerFirst: reader.u16(F.layerFirst), layerCount: reader.u16(F.layerCount),
            recordIndex: reader.u16(F.recordIndex), recordCount: reader.u16(F.recordCount),
            digestBlockShift: shift, variantBytes: reader.u64(F.variantBytes),
            createdSeconds: reader.u64(F.createdSeconds),
            expirySeconds: reader.u64(F.expirySeconds), extents: extents, siblings: siblings,
            digests: digests, metadata: metadata)
    }
}

extension PayloadRecord {
    /// No byte and no digest slot belongs to two extents.
    private static func requireDisjoint(_ extents: [ExtentRow], unit: UInt32, blockBytes: Int)
        throws(FormatError)
    {
        // Every row was checked: ends are inside the record, so no sum overflows.
        try requireDisjoint(
            extents.map { $0.offset..<$0.offset + $0.paddedBytes(unit: unit) }, "offset")
        try requireDisjoint(
            extents.map { extent in
                let first = UInt64(extent.firstDigestSlot)
                let slots = extent.digestSlotCount(unit: unit, blockBytes: blockBytes)
                return first..<first + UInt64(slots)
            }, "firstDigestSlot")
    }

    private static func requireDisjoint(_ ranges: [Range<UInt64>], _ field: String)
        throws(FormatError)
    {
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        for (one, next) in zip(sorted, sorted.dropFirst()) where next.lowerBound < one.upperBound {
            throw FormatError(
                .corrupt, structure: "extentRow", field: field, clause: "EXT-8",
                expected: "at least \(one.upperBound)", found: "\(next.lowerBound)")
        }
    }
}

/// Digest slots one after the other. The caller has checked that they are inside `bytes`.
func digestTable(_ bytes: [UInt8], at start: Int, count: Int) -> [Digest128] {
    func word(_ at: Int) -> UInt64 {
        bytes[at..<at + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
    return (0..<count).map { index in
        let at = start + index * 16
        return Digest128(high: word(at), low: word(at + 8))
    }
}
