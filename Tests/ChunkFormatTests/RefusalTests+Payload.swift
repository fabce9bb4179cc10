import KVModel
import Primitives
import Testing

@testable import ChunkFormat

@Suite struct PayloadRefusalTests {
    static func sample() -> PayloadRecord {
        var generator = SeededGenerator(seed: 11)
        var record = Samples.payload(&generator)
        while record.siblings.isEmpty { record = Samples.payload(&generator) }
        return record
    }

    @Test(
        "clear part",
        arguments: [
            Refusal(field: "extentCount", value: 0, clause: "PAY-1"),
            Refusal(field: "extentCount", value: UInt64(UInt32.max), clause: "PAY-1"),
            Refusal(field: "siblingCount", value: 4_097, clause: "PAY-1"),
            Refusal(field: "metadataBytes", value: (32 << 20) + 1, clause: "PAY-1"),
            Refusal(field: "tokenCount", value: (1 << 24) + 1, clause: "PAY-1"),
            Refusal(field: "digestBlockShift", value: 11, clause: "PAY-2"),
            Refusal(field: "digestBlockShift", value: 255, clause: "PAY-2"),
            Refusal(field: "digestAlgorithm", value: 2, clause: "PAY-2"),
            Refusal(field: "digestSlotCount", value: UInt64(UInt32.max), clause: "PAY-3"),
            Refusal(field: "metadataDigest", value: 0, clause: "PAY-4"),
            Refusal(field: "recordIndex", value: 9, clause: "PAY-5"),
            Refusal(field: "recordIndex", value: 1, clause: "PAY-5"),
            Refusal(field: "recordCount", value: 1, clause: "PAY-5"),
            Refusal(field: "retention", value: 2, clause: "PAY-6"),
            Refusal(field: "hashDomain", value: 0, clause: "PAY-6"),
            Refusal(field: "keyForm", value: 3, clause: "PAY-6"),
            Refusal(field: "elementType", value: 6, clause: "PAY-6"),
            Refusal(field: "layerFirst", value: 1_024, clause: "PAY-12"),
            Refusal(field: "layerCount", value: 65_535, clause: "PAY-12"),
            Refusal(field: "keyID", value: 1, clause: "FMT-3"),
            Refusal(field: "reservedTag", value: 1, clause: "FMT-3"),
        ])
    func clearPart(_ refusal: Refusal) {
        refusal.expect(.payload(Self.sample()), PayloadRecord.layout)
    }

    @Test(
        "extent rows",
        arguments: [
            Refusal(field: "offset", value: 0, clause: "EXT-1", base: 256),
            Refusal(field: "offset", value: 4_097, clause: "EXT-1", base: 256),
            Refusal(field: "offset", value: .max - 4_095, clause: "EXT-1", base: 256),
            Refusal(field: "storedBytes", value: 0, clause: "EXT-2", base: 256),
            Refusal(field: "storedBytes", value: .max, clause: "EXT-2", base: 256),
            Refusal(field: "rawBytes", value: 1, clause: "EXT-3", base: 256),
            Refusal(field: "firstDigestSlot", value: 0xFFFF_FFFF, clause: "EXT-4", base: 256),
        ])
    func extents(_ refusal: Refusal) {
        refusal.expect(.payload(Self.sample()), ExtentRow.layout)
    }

    @Test("EXT-2 an extent that ends behind the record is refused")
    func extentPastTheEnd() {
        var record = Self.sample()
        record.extents[0].offset = record.prefix.recordBytes
        #expect(Sealed.payload(record).clause == "EXT-2")
    }

    @Test("EXT-2 the padded length of an extent is not taken modulo four GiB")
    func extentOfFourGiB() {
        var record = Self.sample()
        record.prefix.recordBytes = 4 << 30
        record.extents[0].storedBytes = (4 << 30) - 100
        record.extents[0].rawBytes = record.extents[0].storedBytes
        #expect(Sealed.payload(record).clause == "EXT-2")
    }

    @Test("PAY-5 a variant has as many records as record 0 can name, and itself")
    func recordCount() throws {
        var record = Self.sample()
        (record.siblings, record.metadata) = ([], [])
        (record.recordIndex, record.recordCount) = (1, 4_097)
        let region = record.encode(key: Samples.recordKey)
        _ = try PayloadRecord(decoding: region.bytes, prefix: record.prefix, unit: 4_096)
        record.recordCount = 4_098
        #expect(Sealed.payload(record).clause == "PAY-5")
    }

    @Test("EXT-6 FMT-6 unknown extent kinds and codecs are kept")
    func openNumbers() throws {
        var record = Self.sample()
        record.extents[0].kind = ExtentKind(rawValue: 777)
        record.extents[1].codec = 99
        record.extents[1].rawBytes = 1 << 20
        let region = record.encode(key: Samples.recordKey)
        let decoded = try PayloadRecord(
            decoding: region.bytes, prefix: record.prefix, unit: 4_096)
        #expect(decoded == record)
    }

    @Test(
        "sibling rows",
        arguments: [
            Refusal(field: "offset", value: 0, clause: "SIB-1"),
            Refusal(field: "offset", value: 4_097, clause: "SIB-1"),
            Refusal(field: "headerBytes", value: 1, clause: "REC-3"),
            Refusal(field: "recordBytes", value: .max, clause: "REC-4"),
            Refusal(field: "layerFirst", value: 65_535, clause: "PAY-12"),
        ])
    func siblings(_ refusal: Refusal) {
        let record = Self.sample()
        var refusal = refusal
        refusal.base = 256 + 48 * record.extents.count
        refusal.expect(.payload(record), SiblingRow.layout)
    }

    @Test("FMT-5 the rest of the header region is written as zero")
    func padding() {
        let record = Self.sample()
        let bytes = record.encode(key: Samples.recordKey).bytes
        let used = PayloadRecord.headerBytes(
            extentCount: record.extents.count, siblingCount: record.siblings.count,
            digestCount: record.digests.count, metadataBytes: record.metadata.count)
        #expect(bytes[used...].allSatisfy { $0 == 0 })
    }
}
