// The metadata part of a variant's first record (format-spec 05): the token ids, which are the
// prompt in clear, and what a planner needs to decide what to recompute (FUSION). Read without
// touching the payload.

import KVModel
import Primitives

public struct ChunkMetadata: Hashable, Sendable {
    public static let prefixCountMax = 4_096

    public var tokens: [UInt32]
    public var recompute: RecomputeMetadata
    public var detail: VariantDetail

    public init(
        tokens: [UInt32], recompute: RecomputeMetadata, detail: VariantDetail = VariantDetail()
    ) {
        self.tokens = tokens
        self.recompute = recompute
        self.detail = detail
    }

    private static let revision: UInt16 = 1

    /// Bytes that `encode` gives at most for these counts; what a streamed put reserves. Detail
    /// takes room only where it is counted: `positionCount` is 0 or the tokens, `layerCount` 0 or
    /// the layers whose sums are kept, `otherBytes` those of sections of other kinds.
    public static func byteCount(
        tokenCount: Int, prefixCount: Int, scoreCount: Int, deviationCount: Int,
        positionCount: Int = 0, layerCount: Int = 0, otherBytes: Int = 0
    ) -> Int {
        let detail =
            3 * MetadataSections.headBytes + positionCount * 4 + layerCount * (1 + prefixCount) * 2
        return 40 + tokenCount * 4 + prefixCount * 40 + (scoreCount + deviationCount) * 2
            + MetadataSections.reservedBytes + (positionCount + layerCount == 0 ? 0 : detail)
            + otherBytes
    }

    /// Whether these can stand beside the sections that this version knows: of kinds it does not
    /// know, each once.
    public static func canHold(_ sections: [MetadataSection]) -> Bool {
        let known = MetadataSectionKind.allCases.count
        return sections.count <= MetadataSections.countMax - known
            && Set(sections.map(\.kind)).count == sections.count
            && sections.allSatisfy { MetadataSectionKind(rawValue: $0.kind) == nil }
    }

    public func encode() -> [UInt8] {
        var writer = ByteStreamWriter()
        writer.put(Self.revision)
        writer.put(UInt16(recompute.contextImpact == nil ? 0 : 1))
        writer.put(recompute.creationMilliseconds)
        writer.put(recompute.contextImpact?.interMean ?? 0)
        writer.put(recompute.contextImpact?.intraMean ?? 0)
        writer.put(UInt32(0))
        writer.put(UInt32(tokens.count))
        for token in tokens { writer.put(token) }
        writer.put(UInt32(recompute.prefix.count))
        for share in recompute.prefix {
            writer.put(share.key.bytes)
            writer.put(UInt32(share.tokenCount))
            writer.put(share.interMean)
        }
        for scores in [recompute.tokenScores, recompute.deviationProfile] {
            writer.put(UInt32(scores.count))
            for score in scores { writer.put(score.bitPattern) }
        }
        MetadataSections(recompute, detail).write(to: &writer)
        return writer.bytes
    }

    public init(decoding bytes: [UInt8]) throws(FormatError) {
        var reader = ByteStreamReader(bytes, structure: "metadata")
        let revision: UInt16 = try reader.integer("revision")
        try reader.require(
            revision == Self.revision, "revision", clause: "MET-1", expected: "\(Self.revision)",
            found: "\(revision)")
        let flags: UInt16 = try reader.integer("flags")
        try reader.require(
            flags <= 1, "flags", clause: "MET-2", expected: "0 or 1", found: "\(flags)")
        let creation = try reader.float("creationMilliseconds")
        let inter = try reader.float("interMean")
        let intra = try reader.float("intraMean")
        let reserved: UInt32 = try reader.integer("reserved")
        try reader.require(
            reserved == 0, "reserved", clause: "FMT-3", expected: "0", found: "\(reserved)")
        let tokenCount = try reader.count(
            "tokenCount", itemBytes: 4, max: PayloadRecord.tokenCountMax)
        var tokens: [UInt32] = []
        tokens.reserveCapacity(tokenCount)
        for _ in 0..<tokenCount { tokens.append(try reader.integer("tokens")) }
        let prefixCount = try reader.count(
            "prefixCount", itemBytes: 40, max: Self.prefixCountMax)
        var prefix: [PrefixShare] = []
        for _ in 0..<prefixCount {
            guard let key = ChunkKey(bytes: try reader.take(32, "prefix.key")) else {
                preconditionFailure("32 bytes were taken")
            }
            let count: UInt32 = try reader.integer("prefix.tokenCount")
            prefix.append(
                PrefixShare(
                    key: key, tokenCount: Int(count),
                    interMean: try reader.float("prefix.interMean")))
        }
        let scores = try Self.halves(&reader, "tokenScores")
        let deviations = try Self.halves(&reader, "deviationProfile")
        let sections = try MetadataSections(
            &reader, tokenCount: tokenCount, prefixCount: prefixCount)
        try reader.finish()
        self.init(
            tokens: tokens,
            recompute: RecomputeMetadata(
                prefix: prefix,
                contextImpact: flags == 1
                    ? ContextImpact(interMean: inter, intraMean: intra) : nil,
                tokenScores: scores, deviationProfile: deviations,
                creationMilliseconds: creation, deviceClass: sections.deviceClass,
                parent: sections.parent),
            detail: sections.detail)
    }

    private static func halves(_ reader: inout ByteStreamReader, _ field: String)
        throws(FormatError) -> [Float16]
    {
        let count = try reader.count(field, itemBytes: 2, max: PayloadRecord.tokenCountMax)
        var values: [Float16] = []
        values.reserveCapacity(count)
        for _ in 0..<count {
            values.append(Float16(bitPattern: try reader.integer(field)))
        }
        return values
    }
}
