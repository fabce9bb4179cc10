// S-6: every length and count that a file can claim, at its limits and at the limits of arithmetic,
// behind a seal that is right: a value or an error that names its clause, and above the limit
// always the error. A trap would end the run.

import ChunkFormat
import Foundation
import Primitives
import Testing

@Suite("S-6: lengths")
struct LengthTests {
    static let secret = Array(UInt8(0x20)...0x3F)
    static let storeID = Array(UInt8(0xA0)...0xAF)
    static let recordKey = SealKey(
        secret: secret, label: "segment use", salt: Array(UInt8(0x60)...0x7F))

    /// A golden, where its seal stands, and how it is decoded.
    struct Target: Sendable {
        var bytes: [UInt8]
        var seal: (at: Int, key: SealKey, location: [UInt8])?
        let decode: @Sendable ([UInt8]) throws -> Void
    }

    struct Length: Sendable, CustomStringConvertible {
        let golden: String
        let layout: String
        let field: String
        let maximum: UInt64
        /// Where the layout begins; for a stream, where the value stands.
        var base = 0
        var width = 0
        var description: String { "\(golden): \(layout).\(field)" }
    }

    static let lengths: [Length] = [
        Length(
            golden: "superblock", layout: "superblock", field: "alignmentUnit", maximum: 65_536),
        Length(golden: "superblock", layout: "superblock", field: "segmentBytes", maximum: 1 << 32),
        Length(
            golden: "segment-header", layout: "segmentHeader", field: "segmentBytes",
            maximum: 1 << 32),
        Length(
            golden: "segment-header", layout: "segmentHeader", field: "firstCommitOffset",
            maximum: 131_072 - 4_096),
        Length(
            golden: "segment-header", layout: "segmentHeader", field: "secondCommitOffset",
            maximum: 131_072 - 4_096),
        Length(
            golden: "checkpoint-header", layout: "checkpointHeader", field: "segmentCount",
            maximum: 1 << 24),
        Length(
            golden: "checkpoint-header", layout: "checkpointHeader", field: "entryCount",
            maximum: 1 << 34),
        Length(golden: "heat", layout: "heatHeader", field: "rowCount", maximum: 1 << 32),
        Length(
            golden: "journal-block", layout: "journalBlock", field: "entryBytes", maximum: 4_048),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "headerBytes",
            maximum: 1 << 26),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "recordBytes",
            maximum: 1 << 32),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "tokenCount",
            maximum: 1 << 24),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "extentCount",
            maximum: 65_536),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "siblingCount",
            maximum: 4_096),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "digestSlotCount",
            maximum: (1 << 26) / 16),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "metadataBytes",
            maximum: 1 << 25),
        Length(
            golden: "payload-record", layout: "payloadHeader", field: "digestBlockShift",
            maximum: 20),
        Length(
            golden: "payload-record", layout: "extentRow", field: "offset", maximum: 20_480,
            base: 256),
        Length(
            golden: "payload-record", layout: "extentRow", field: "storedBytes", maximum: 20_480,
            base: 256),
        Length(
            golden: "payload-record", layout: "extentRow", field: "rawBytes", maximum: 1 << 32,
            base: 256),
        Length(
            golden: "payload-record", layout: "extentRow", field: "firstDigestSlot", maximum: 4,
            base: 256),
        Length(
            golden: "payload-first-of-two", layout: "siblingRow", field: "headerBytes",
            maximum: 1 << 26, base: 352),
        Length(
            golden: "payload-first-of-two", layout: "siblingRow", field: "recordBytes",
            maximum: 1 << 32, base: 352),
        Length(
            golden: "payload-first-of-two", layout: "siblingRow", field: "offset",
            maximum: 1 << 32, base: 352),
        Length(golden: "tombstone-record", layout: "tombstoneHeader", field: "count", maximum: 62),
        Length(
            golden: "namespace-create-record", layout: "namespaceHeader", field: "operationBytes",
            maximum: 4_016),
        Length(golden: "commit-record", layout: "commitHeader", field: "memberCount", maximum: 82),
        Length(
            golden: "commit-record", layout: "commitHeader", field: "nextCommitOffset",
            maximum: 131_072 - 4_096),
        Length(
            golden: "commit-record", layout: "commitMember", field: "recordBytes",
            maximum: 1 << 32, base: 128),
        Length(
            golden: "commit-record", layout: "commitMember", field: "headerBytes",
            maximum: 1 << 26, base: 128),
        Length(
            golden: "metadata", layout: "stream", field: "tokensCount", maximum: 1 << 24, base: 20,
            width: 4),
        Length(
            golden: "metadata", layout: "stream", field: "sectionsCount", maximum: 64, base: 0x6C,
            width: 4),
        Length(
            golden: "namespace-operation", layout: "stream", field: "nameBytes", maximum: 255,
            base: 6, width: 2),
    ]

    @Test("S-6 FMT-4 FMT-10 a boundary table of every length", arguments: lengths)
    func boundaries(_ length: Length) throws {
        let target = try Self.target(length.golden)
        try target.decode(target.bytes)
        var (at, width) = (length.base, length.width)
        if width == 0 {
            let layout = try #require(AllLayouts.named(length.layout))
            let field = try #require(layout.fields.first { $0.name == length.field })
            (at, width) = (length.base + field.offset, field.type.byteCount)
        }
        let values: [UInt64] = [
            0, 1, length.maximum - 1, length.maximum, length.maximum + 1, 1 << 31, 1 << 32,
            1 << 63, .max - 4_095, .max,
        ]
        for value in values where width == 8 || value < 1 << UInt64(8 * width) {
            var bytes = target.bytes
            for index in 0..<width {
                bytes[at + index] = UInt8(truncatingIfNeeded: value >> (index * 8))
            }
            do {
                try target.decode(Self.resealed(bytes, target))
                #expect(value <= length.maximum, "\(length) = \(value) was taken")
            } catch {
                let refusal = try #require(error as? FormatError, "\(length) = \(value): \(error)")
                #expect(refusal.clause.wholeMatch(of: /[A-Z]{3}-\d+/) != nil, "\(refusal)")
            }
        }
    }

    private static func resealed(_ damaged: [UInt8], _ target: Target) -> [UInt8] {
        guard let seal = target.seal else { return damaged }
        var bytes = damaged
        let range = seal.at..<seal.at + 16
        bytes.replaceSubrange(range, with: [UInt8](repeating: 0, count: 16))
        let code = seal.key.seal(location: seal.location, bytes: bytes)
        bytes.replaceSubrange(range, with: bigEndianBytes(code.high) + bigEndianBytes(code.low))
        return bytes
    }

    private static let goldens = GateTests.sources.deletingLastPathComponent()
        .appending(path: "format-spec/golden/v1")

    private static func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: goldens.appending(path: name)))
    }

    private static func block(
        _ name: String, _ key: SealKey, _ location: [UInt8],
        _ decode: @escaping @Sendable ([UInt8]) throws -> Void
    ) throws -> Target {
        Target(bytes: try read(name + ".bin"), seal: (4_080, key, location), decode: decode)
    }

    private static func record(
        _ name: String, at offset: UInt64,
        _ decode: @escaping @Sendable ([UInt8], RecordPrefix) throws -> Void
    ) throws -> Target {
        let place = RecordLocation(segment: SegmentID(0), offset: offset)
        return Target(
            bytes: try read(name + ".bin"),
            seal: (48, recordKey, bigEndianBytes(0) + bigEndianBytes(offset))
        ) { bytes in
            let (prefix, _) = try RecordPrefix.open(bytes, at: place, unit: 4_096, key: recordKey)
            try decode(bytes, prefix)
        }
    }

    static func target(_ name: String) throws -> Target {
        switch name {
        case "superblock":
            return try block(
                name, SealKey(secret: secret, label: "superblock", salt: []), bigEndianBytes(2)
            ) { _ = try Superblock(decoding: $0, copyIndex: 2) }
        case "segment-header":
            let key = SegmentHeader.sealKey(secret: secret)
            return try block(name, key, bigEndianBytes(0)) {
                _ = try SegmentHeader(
                    decoding: $0, segment: SegmentID(0), storeID: storeID, key: key)
            }
        case "checkpoint-header":
            let key = CheckpointHeader.sealKey(secret: secret)
            return try block(name, key, []) {
                _ = try CheckpointHeader(
                    decoding: $0, storeID: storeID, fileBytes: 1 << 41, key: key)
            }
        case "heat":
            let key = HeatFile.sealKey(secret: secret)
            return Target(bytes: try read("heat.bin"), seal: nil) { bytes in
                // The seal is of the first block only.
                let one = Target(
                    bytes: [], seal: (4_080, key, []), decode: { _ in })
                let head = resealed(Array(bytes.prefix(4_096)), one)
                _ = try HeatFile(
                    decoding: head + bytes.dropFirst(4_096), storeID: storeID, key: key)
            }
        case "journal-block":
            let key = SealKey(
                secret: secret, label: "journal block", salt: [UInt8](repeating: 0x90, count: 32))
            let file = try read("small-store/journal-0")
            return Target(
                bytes: Array(file[4_096..<8_192]), seal: (32, key, bigEndianBytes(1))
            ) { _ = try JournalBlock.decode($0, blockIndex: 1, key: key) }
        case "payload-record":
            return try record(name, at: 16_384) {
                _ = try PayloadRecord(decoding: $0, prefix: $1, unit: 4_096)
            }
        case "payload-first-of-two":
            return try record(name, at: 40_960) {
                _ = try PayloadRecord(decoding: $0, prefix: $1, unit: 4_096)
            }
        case "tombstone-record":
            return try record(name, at: 69_632) {
                _ = try TombstoneRecord(decoding: $0, prefix: $1)
            }
        case "namespace-create-record":
            return try record(name, at: 8_192) { _ = try NamespaceRecord(decoding: $0, prefix: $1) }
        case "commit-record":
            return try record(name, at: 36_864) {
                _ = try CommitRecord(
                    decoding: $0, at: $1.location, unit: 4_096, useSequence: 1,
                    segmentBytes: 131_072, key: recordKey)
            }
        case "metadata":
            return Target(bytes: try read("metadata.bin"), seal: nil) {
                _ = try ChunkMetadata(decoding: $0)
            }
        default:
            return Target(bytes: try read("namespace-operation.bin"), seal: nil) {
                _ = try NamespaceOperation(decoding: $0)
            }
        }
    }
}
