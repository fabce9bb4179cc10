import KVModel
import Primitives
import Testing

@testable import ChunkFormat

/// The open end of the metadata part (format-spec 05, "Sections").
@Suite struct MetadataSectionTests {
    static let metadata = ChunkMetadata(
        tokens: [1, 2, 3],
        recompute: RecomputeMetadata(
            prefix: [
                PrefixShare(key: .zero, tokenCount: 7), PrefixShare(key: .zero, tokenCount: 9),
            ])
    )

    /// The metadata above with these sections behind it, as they are.
    static func bytes(_ sections: [(kind: UInt16, bytes: [UInt8])], count: UInt32? = nil) -> [UInt8]
    {
        var writer = ByteStreamWriter()
        writer.put(Array(metadata.encode().dropLast(4)))
        writer.put(count ?? UInt32(sections.count))
        for section in sections {
            writer.put(section.kind)
            writer.put(UInt32(section.bytes.count))
            writer.put(section.bytes)
        }
        return writer.bytes
    }

    func clause(_ sections: (kind: UInt16, bytes: [UInt8])..., count: UInt32? = nil) -> String? {
        do throws(FormatError) {
            _ = try ChunkMetadata(decoding: Self.bytes(sections, count: count))
            return nil
        } catch {
            return error.clause
        }
    }

    func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test("MET-5 MET-7 MET-8 each wrong section is refused with its clause")
    func refusals() {
        #expect(clause() == nil)
        #expect(clause((1, zeros(8)), (2, [0x61])) == nil)
        #expect(clause((2, [0x61]), (1, zeros(8))) == "MET-5")
        #expect(clause((900, []), (900, [])) == "MET-5", "unknown kinds are in order too")
        #expect(clause((1, zeros(7))) == "MET-7")
        #expect(clause((2, [])) == "MET-7")
        #expect(clause((2, zeros(33))) == "MET-7")
        #expect(clause((2, [0xFF])) == "MET-7", "no UTF-8")
        #expect(clause((3, [1, 0, 0, 0, 2, 0, 0, 0])) == "MET-7", "two positions, three tokens")
        #expect(clause((3, [1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0])) == nil)
        #expect(clause((3, [1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0])) == "MET-8")
        #expect(clause((4, zeros(2_048))) == nil)
        #expect(clause((4, zeros(2_050))) == "MET-7", "1,025 layers")
        #expect(clause((4, zeros(3))) == "MET-7")
        #expect(clause((5, zeros(4 * 1_024))) == nil)
        #expect(clause((5, zeros(6))) == "MET-7", "a layer and a half of two prefix chunks")
        #expect(clause((5, [])) == "MET-7")
    }

    @Test("MET-3 FMT-4 counts are within their limits, and the stream ends with its last section")
    func counts() {
        let many = (0..<65).map { (kind: UInt16(100 + $0), bytes: [UInt8]()) }
        #expect((try? ChunkMetadata(decoding: Self.bytes(Array(many.prefix(64))))) != nil)
        #expect((try? ChunkMetadata(decoding: Self.bytes(many))) == nil, "65 sections")
        #expect(clause((900, [1]), count: 2) == "FMT-4")
        #expect(clause((900, [1]), count: 0) == "FMT-4")
        #expect(clause((900, [1]), count: .max) == "FMT-4")
        var bytes = Self.bytes([(900, [1])])
        bytes[bytes.count - 2] = 0xFF
        #expect((try? ChunkMetadata(decoding: bytes)) == nil, "a section of four billion bytes")
    }

    @Test("MET-6 FMT-6 sections of unknown kind are kept, in their place")
    func unknown() throws {
        let bytes = Self.bytes([(0, [9]), (1, zeros(8)), (6, []), (65_535, [1, 2, 3])])
        let decoded = try ChunkMetadata(decoding: bytes)
        #expect(decoded.detail.others.map(\.kind) == [0, 6, 65_535])
        #expect(decoded.recompute.parent == .standalone)
        #expect(decoded.encode() == bytes)
    }

    @Test("1,024 tokens behind 5 chunks take 3 KiB beside token ids and profile")
    func size() {
        let metadata = ChunkMetadata(
            tokens: [UInt32](repeating: 7, count: 1_024),
            recompute: RecomputeMetadata(
                prefix: (0..<5).map { PrefixShare(key: .zero, tokenCount: $0, interMean: 0.1) },
                contextImpact: ContextImpact(interMean: 1, intraMean: 2),
                tokenScores: [Float16](repeating: 1, count: 1_024),
                deviationProfile: [Float16](repeating: 1, count: 1_024), creationMilliseconds: 1,
                deviceClass: DeviceClass(String(repeating: "d", count: 32)),
                parent: VariantID(1)),
            detail: VariantDetail(
                layerIntra: [Float16](repeating: 1, count: 32),
                layerInter: [Float16](repeating: 1, count: 32 * 5)))
        let beside = metadata.encode().count - 1_024 * 4 - 1_024 * 2
        #expect(beside == 2_736, "36 + 5 × 40 + 2,048 + 4 + 14 + 38 + 70 + 326")
        #expect(beside <= 3 << 10)
    }
}
