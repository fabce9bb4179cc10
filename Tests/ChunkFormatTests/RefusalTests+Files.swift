import KVModel
import Primitives
import Testing

@testable import ChunkFormat

@Suite struct FileRefusalTests {
    @Test(
        "journal header",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "JRN-1"),
            Refusal(field: "storeID", value: 0, clause: "JRN-2"),
            Refusal(field: "copyIndex", value: 0, clause: "JRN-2"),
            Refusal(field: "reserved", value: 1, clause: "FMT-3"),
        ])
    func journalHeader(_ refusal: Refusal) {
        refusal.expect(.journalHeader(), JournalHeader.layout)
        #expect(Sealed.journalHeader().with(JournalHeader.layout["salt"], 0).clause == "JRN-2")
    }

    @Test(
        "journal block",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "JRN-3"),
            Refusal(field: "blockIndex", value: 7, clause: "JRN-4"),
            Refusal(field: "entryBytes", value: 4_049, clause: "JRN-5"),
            Refusal(field: "entryBytes", value: 0xFFFF_FFFF, clause: "JRN-5"),
            Refusal(field: "entryBytes", value: 70, clause: "FMT-4"),
            Refusal(field: "reservedBlock", value: 1, clause: "FMT-3"),
        ])
    func journalBlock(_ refusal: Refusal) {
        var generator = SeededGenerator(seed: 12)
        let sealed = Sealed.journalBlock(&generator)
        refusal.expect(sealed, JournalBlock.layout)
        #expect(sealed.with(JournalBlock.layout["blockIndex"], 0).clause == "JRN-4")
    }

    @Test("JRN-5 entries are of a known kind and of its length")
    func journalEntries() {
        var generator = SeededGenerator(seed: 13)
        var sealed = Sealed.journalBlock(&generator)
        sealed.bytes[48] = 4
        #expect(sealed.resealed().clause == "JRN-5")
        sealed.bytes[48] = 1
        sealed.bytes[50] = 63
        #expect(sealed.resealed().clause == "JRN-5")
    }

    @Test(
        "checkpoint header",
        arguments: [
            Refusal(field: "magic", value: 0, clause: "CKP-1"),
            Refusal(field: "storeID", value: 0, clause: "CKP-2"),
            Refusal(field: "generation", value: .max, clause: "FMT-12"),
            Refusal(field: "commit", value: .max, clause: "FMT-12"),
            Refusal(field: "nextCommit", value: 2, clause: "CKP-13"),
            Refusal(field: "segmentCount", value: (1 << 24) + 1, clause: "CKP-3"),
            Refusal(field: "entryCount", value: .max, clause: "CKP-3"),
            Refusal(field: "entryCount", value: 1 << 34, clause: "CKP-3"),
            Refusal(field: "reserved", value: 1, clause: "FMT-3"),
        ])
    func checkpointHeader(_ refusal: Refusal) {
        refusal.expect(.checkpointHeader(), CheckpointHeader.layout)
        #expect(
            Sealed.checkpointHeader().with(CheckpointHeader.layout["commit"], 9).clause == "CKP-2")
        #expect(Sealed.checkpointHeader(fileBytes: 8_192).clause == "CKP-3")
    }

    @Test("CKP-3 CKP-4 checkpoint rows: no header of nothing, no row past the end")
    func checkpointRows() {
        let header = CheckpointHeader(
            storeID: Samples.storeID, generation: 1, commit: 1, writeSequence: WriteSequence(1),
            segmentCount: 0, entryCount: 1, tableDigest: .zero)
        func clause(_ bytes: [UInt8], _ header: CheckpointHeader) -> String? {
            do throws(FormatError) {
                _ = try CheckpointRows.decode(bytes, header: header)
                return nil
            } catch {
                return error.clause
            }
        }
        #expect(clause([UInt8](repeating: 0, count: 72), header) == "CKP-4")
        #expect(clause([UInt8](repeating: 0, count: 71), header) == "CKP-3")
        var huge = header
        huge.entryCount = 1 << 34
        #expect(clause([UInt8](repeating: 0, count: 72), huge) == "CKP-4")
    }

    @Test("HEA-1 HEA-2 HEA-3 heat table")
    func heat() {
        let key = HeatFile.sealKey(secret: Samples.secret)
        let row = HeatRow(useCount: 1, lastUseSeconds: 2, score: 3, lastFixCost: 4)
        let digest = Digest128(hashing: [])
        let bytes = HeatFile(generation: 1, policyDigest: digest, rows: [row, row]).encode(
            storeID: Samples.storeID, key: key)
        func clause(_ bytes: [UInt8]) -> String? {
            do throws(FormatError) {
                _ = try HeatFile(decoding: bytes, storeID: Samples.storeID, key: key)
                return nil
            } catch {
                return error.clause
            }
        }
        func changed(_ index: Int) -> [UInt8] {
            var copy = bytes
            copy[index] ^= 0xFF
            return copy
        }
        #expect(clause(bytes) == nil)
        #expect(clause(changed(0)) == "HEA-1")
        #expect(clause(changed(9)) == "HEA-2")
        #expect(clause(changed(4_096)) == "HEA-3")
        #expect(clause(changed(8_191)) == "HEA-3", "padding is under the digest")
        #expect(clause(Array(bytes.prefix(4_096 + 16))) == "HEA-3")
    }

    @Test("MET-1 MET-2 MET-3 FMT-4 metadata")
    func metadata() {
        let bytes = ChunkMetadata(
            tokens: [1, 2, 3], recompute: RecomputeMetadata(creationMilliseconds: 1)
        ).encode()
        func clause(_ change: (inout [UInt8]) -> Void) -> String? {
            var copy = bytes
            change(&copy)
            do throws(FormatError) {
                _ = try ChunkMetadata(decoding: copy)
                return nil
            } catch {
                return error.clause
            }
        }
        #expect(clause { _ in } == nil)
        #expect(clause { $0[0] = 2 } == "MET-1")
        #expect(clause { $0[2] = 2 } == "MET-2")
        #expect(clause { $0[16] = 1 } == "FMT-3")
        #expect(clause { $0[23] = 0xFF } == "FMT-4", "four billion tokens")
        #expect(clause { $0.append(0) } == "FMT-4")
        #expect(clause { $0.removeLast() } == "FMT-4")
    }
}
