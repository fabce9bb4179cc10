import KVModel
import Primitives
import Testing

@testable import ChunkFormat

/// Each value outside its range is refused with its clause, also when the seal is right.
@Suite struct RefusalTests {
    static let superblockCases = [
        Refusal(field: "magic", value: 0, clause: "SUP-1"),
        Refusal(field: "copyIndex", value: 2, clause: "SUP-2"),
        Refusal(field: "formatVersion", value: 0, clause: "SUP-3"),
        Refusal(field: "formatVersion", value: 2, clause: "SUP-3"),
        Refusal(field: "requiredFeatures", value: 4, clause: "SUP-3"),
        Refusal(field: "generation", value: .max, clause: "FMT-12"),
        Refusal(field: "alignmentUnit", value: 512, clause: "SUP-4"),
        Refusal(field: "alignmentUnit", value: 12_288, clause: "SUP-4"),
        Refusal(field: "alignmentUnit", value: 1 << 17, clause: "SUP-4"),
        Refusal(field: "segmentBytes", value: 0, clause: "SUP-5"),
        Refusal(field: "segmentBytes", value: (1 << 32) + 65_536, clause: "SUP-5"),
        Refusal(field: "segmentBytes", value: 65_537, clause: "SUP-5"),
        Refusal(field: "digestAlgorithm", value: 2, clause: "SUP-7"),
        Refusal(field: "sealAlgorithm", value: 0, clause: "SUP-7"),
        Refusal(field: "keyID", value: 1, clause: "FMT-3"),
        Refusal(field: "reserved", value: 1, clause: "FMT-3"),
    ]
    @Test("superblock", arguments: superblockCases)
    func superblock(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 1)
        refusal.expect(.superblock(&generator), Superblock.layout)
    }

    @Test(
        "SUP-2 VER-1 VER-2 VER-3 a copy elsewhere does not open; another version says so",
        arguments: [0, 9])
    func superblockPlace(version: UInt64) {
        var generator = SeededGenerator(seed: 1)
        let sealed = Sealed.superblock(&generator)
        #expect(throws: FormatError.self) { try Superblock(decoding: sealed.bytes, copyIndex: 2) }
        let newer = sealed.with(Superblock.layout["formatVersion"], version).resealed()
        do {
            _ = try Superblock(decoding: newer.bytes, copyIndex: 1)
            Issue.record("version \(version) opened")
        } catch {
            #expect(error.code == .otherVersion)
        }
    }

    @Test(
        "mark",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "MRK-1"),
            Refusal(field: "storeID", value: 0, clause: "MRK-3"),
            Refusal(field: "turn", value: 6, clause: "MRK-4"),
            Refusal(field: "turn", value: .max, clause: "FMT-12"),
            Refusal(field: "syncedCommit", value: .max, clause: "FMT-12"),
            Refusal(field: "reserved", value: 1, clause: "FMT-3"),
        ])
    func mark(_ refusal: Refusal) {
        refusal.expect(.mark(), MarkBlock.layout)
        #expect(Sealed.mark().with(MarkBlock.layout["turn"], 7).clause == "MRK-2")
    }

    @Test(
        "segment header",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "SEG-1"),
            Refusal(field: "segment", value: 77, clause: "SEG-2"),
            Refusal(field: "useSequence", value: .max, clause: "FMT-12"),
            Refusal(field: "storeID", value: 0, clause: "SEG-3"),
            Refusal(field: "alignmentUnit", value: 4_097, clause: "SEG-4"),
            Refusal(field: "segmentBytes", value: 12_288, clause: "SEG-5"),
            Refusal(field: "segmentBytes", value: 1 << 33, clause: "SEG-5"),
            Refusal(field: "firstCommitOffset", value: 0, clause: "SEG-6"),
            Refusal(field: "firstCommitOffset", value: 4_097, clause: "SEG-6"),
            Refusal(field: "firstCommitOffset", value: 131_072, clause: "SEG-6"),
            Refusal(field: "secondCommitOffset", value: 4_097, clause: "SEG-6"),
            Refusal(field: "secondCommitOffset", value: 131_072, clause: "SEG-6"),
            Refusal(field: "keyID", value: 1, clause: "FMT-3"),
        ])
    func segmentHeader(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 2)
        refusal.expect(.segmentHeader(&generator), SegmentHeader.layout)
        let sealed = Sealed.segmentHeader(&generator)
        #expect(sealed.with(SegmentHeader.layout["salt"], 0).clause == "SEG-2")
    }

    @Test(
        "record prefix",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "REC-1"),
            Refusal(field: "offset", value: 4_096 * 999, clause: "REC-2"),
            Refusal(field: "segment", value: 1_000, clause: "REC-2"),
            Refusal(field: "headerBytes", value: 0, clause: "REC-3"),
            Refusal(field: "headerBytes", value: 4_097, clause: "REC-3"),
            Refusal(field: "headerBytes", value: (64 << 20) + 4_096, clause: "REC-3"),
            Refusal(field: "recordBytes", value: 0, clause: "REC-4"),
            Refusal(field: "recordBytes", value: 4_097, clause: "REC-4"),
            Refusal(field: "recordBytes", value: (1 << 32) + 4_096, clause: "REC-4"),
            Refusal(field: "reservedPrefix", value: 1, clause: "FMT-3"),
            Refusal(field: "writeSequence", value: .max, clause: "FMT-12"),
        ])
    func recordPrefix(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 3)
        refusal.expect(.tombstones(&generator), RecordPrefix.layout)
        let sealed = Sealed.tombstones(&generator)
        #expect(sealed.with(RecordPrefix.layout["writeSequence"], 0).clause == "REC-5")
    }

    @Test(
        "tombstones",
        arguments: [
            Refusal(field: "count", value: 0, clause: "TMB-2"),
            Refusal(field: "count", value: 63, clause: "TMB-2"),
            Refusal(field: "count", value: UInt64(UInt32.max), clause: "TMB-2"),
        ])
    func tombstones(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 4)
        refusal.expect(.tombstones(&generator), TombstoneRecord.layout)
        let scope = Refusal(field: "scope", value: 3, clause: "TMB-1", base: 80)
        scope.expect(.tombstones(&generator), Tombstone.layout)
        let number = Refusal(field: "commit", value: .max, clause: "FMT-12", base: 80)
        number.expect(.tombstones(&generator), Tombstone.layout)
    }

    @Test(
        "commits",
        arguments: [
            Refusal(field: "kind", value: 2, clause: "COM-1"),
            Refusal(field: "useSequence", value: 8, clause: "COM-1"),
            Refusal(field: "commit", value: 0, clause: "COM-2"),
            Refusal(field: "commit", value: .max, clause: "FMT-12"),
            Refusal(field: "previousCommit", value: .max, clause: "COM-2"),
            Refusal(field: "syncedCommit", value: .max, clause: "COM-2"),
            Refusal(field: "nextCommitOffset", value: 1 << 20, clause: "COM-3"),
            Refusal(field: "nextCommitOffset", value: 4_097, clause: "COM-3"),
            Refusal(field: "laterCommitOffset", value: 1 << 20, clause: "COM-14"),
            Refusal(field: "laterCommitOffset", value: 4_097, clause: "COM-14"),
            Refusal(field: "memberCount", value: 83, clause: "COM-4"),
            Refusal(field: "memberCount", value: UInt64(UInt32.max), clause: "COM-4"),
        ])
    func commits(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 5)
        refusal.expect(.commit(Samples.commit(&generator)), CommitRecord.layout)
    }

    @Test(
        "COM-6 commit members, which may stand in any segment",
        arguments: [
            Refusal(field: "flags", value: 8, clause: "COM-4", base: 128),
            Refusal(field: "offset", value: 0, clause: "COM-4", base: 128),
            Refusal(field: "offset", value: 1 << 33, clause: "COM-4", base: 128),
            Refusal(field: "headerBytes", value: 0, clause: "REC-3", base: 128),
            Refusal(field: "recordBytes", value: 4_096, clause: "REC-4", base: 128),
            Refusal(field: "reservedRow", value: 1, clause: "FMT-3", base: 128),
        ])
    func members(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 6)
        var commit = Samples.commit(&generator)
        commit.members = [Samples.member(&generator)]
        #expect(Sealed.commit(commit).clause == nil)
        refusal.expect(.commit(commit), CommitMember.layout)
    }
}
