// The small pieces, without a store.

import ArgumentParser
import ChunkFormat
import Foundation
import KVModel
import Primitives
import Testing

@testable import SegmentLog
@testable import chunkdb

@Suite("Pieces of the shell")
struct PieceTests {
    @Test("what is not plain is spelled out, in text and in JSON")
    func escaping() throws {
        #expect(printable("grün 東京 1×2") == "grün 東京 1×2")
        #expect(printable("a\u{1B}[31m\tb\u{7F}\u{9B}") == "a\\u{1b}[31m\\u{9}b\\u{7f}\\u{9b}")
        #expect(printable("\u{202E}\u{200B}\u{2028}") == "\\u{202e}\\u{200b}\\u{2028}")
        let text = "\u{202E}\u{1B}\u{7F}\u{E0001}"
        let encoded = printableJSON(
            String(decoding: try JSONEncoder().encode([text]), as: UTF8.self))
        #expect(encoded.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
        #expect(try JSONDecoder().decode([String].self, from: Data(encoded.utf8)) == [text])
        #expect(columnCount("e\u{301}東") == 3)
    }

    @Test("times that no calendar has are numbers")
    func times() {
        #expect(timeText(0) == "1970-01-01T00:00:00Z")
        #expect(timeText(.max) == "second 18446744073709551615 of 1970")
    }

    @Test("clauses are found in reasons")
    func clauses() {
        #expect(DamageFacts.clause(in: "superblock.seal: SUP-2: expected a") == "SUP-2")
        #expect(DamageFacts.clause(in: "a read failed: XXH3-128 no") == nil)
    }

    @Test("locks are read from the kernel's list")
    func locks() {
        let list = """
            1: POSIX  ADVISORY  WRITE 700 fe:00:77 0 EOF
            2: FLOCK  ADVISORY  WRITE 701 fe:00:78 0 EOF
            2: -> FLOCK  ADVISORY  WRITE 702 fe:00:79 0 EOF
            """
        #expect(StoreLock.isHeld(device: 0xFE00, file: 78, in: list))
        #expect(!StoreLock.isHeld(device: 0xFE00, file: 77, in: list))
        #expect(!StoreLock.isHeld(device: 0xFE01, file: 78, in: list))
        #expect(!StoreLock.isHeld(device: 0xFE00, file: 79, in: list))
    }

    @Test("keys are cut as short as they stay apart")
    func digits() {
        let tail = String(repeating: "0", count: 44)
        let alike = ["aaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaa2"].map { $0 + tail }
        #expect(LsReport.distinguishingDigits(alike) == 24)
        #expect(LsReport.distinguishingDigits(Array(alike.prefix(1))) == 16)
    }

    private func entry(_ namespace: UInt32, _ word: UInt64, _ variant: UInt64, at block: UInt64 = 1)
        -> CheckpointEntry
    {
        CheckpointEntry(
            namespace: NamespaceID(namespace), key: ChunkKey(words: (word, 0, 0, 0)),
            variant: VariantID(variant),
            location: RecordLocation(segment: SegmentID(0), offset: block << 12),
            headerBytes: 4_096, variantDiskBytes: 8_192, tokenCount: 1, flags: 0, ordinal: 0)
    }

    @Test("a checkpoint out of order, or with a place twice, is put right")
    func unsortedCheckpoint() {
        let variants = StoredVariants([
            entry(1, 6, 0), entry(1, 5, 0), entry(1, 6, 0, at: 7), entry(1, 5, 2),
        ])
        #expect(variants.sorted == [entry(1, 5, 0), entry(1, 5, 2), entry(1, 6, 0)])
    }

    @Test("the listing is what the log says, in commit order")
    func listing() throws {
        func description(_ id: UInt32, _ name: String) -> NamespaceOperation {
            .create(
                NamespaceDescription(
                    id: NamespaceID(id), name: name, binding: binding("m", layers: 1)))
        }
        func tombstone(_ word: UInt64, _ variant: UInt64?) -> ReplayStep {
            .tombstone(
                Tombstone(
                    namespace: NamespaceID(1), key: ChunkKey(words: (word, 0, 0, 0)),
                    variant: variant.map { VariantID($0) }, commit: 9))
        }
        var contents = RecoveredContents()
        contents.namespaces = [description(1, "one"), description(2, "two")]
        contents.checkpointEntries = [
            entry(1, 5, 0), entry(1, 5, 1), entry(1, 6, 0), entry(1, 6, 1), entry(2, 1, 0),
        ]
        contents.steps = [
            .put(entry(1, 5, 0, at: 9), commit: 7),  // RCV-14: the later counts.
            tombstone(5, 1), tombstone(6, nil),
            .put(entry(1, 6, 1, at: 8), commit: 10),  // Put again after its removal.
            .put(entry(1, 6, 1, at: 4), commit: 10),
            .put(entry(1, 7, 3), commit: 10), tombstone(7, nil),
            .namespace(.drop(NamespaceID(2), commit: 11)),
            .put(entry(3, 1, 0), commit: 12),  // Nobody describes namespace 3.
        ]
        let listing = Listing(contents)
        #expect(listing.namespaces.map(\.name) == ["one"])
        #expect(listing.entries == [entry(1, 5, 0, at: 9), entry(1, 6, 1, at: 4), entry(3, 1, 0)])
        #expect(listing.name(of: NamespaceID(3)) == "#3")
        #expect(try listing.namespaceIDs("#3") == [NamespaceID(3)])
        let prefix = try #require(KeyPrefix(argument: "0000000000000006"))
        #expect(listing.entries(prefix: prefix) == [entry(1, 6, 1, at: 4)])
        var chunk = try ChunkArguments.parse(["000000000000000"])
        #expect(throws: ShellError.self) { try listing.variants(of: chunk) }
        chunk = try ChunkArguments.parse(["0000000000000005"])
        #expect(try listing.variants(of: chunk) == [entry(1, 5, 0, at: 9)])
    }

    @Test("RCV-14 of two puts of a variant the later one is shown, also over a checkpoint's entry")
    func laterPut() {
        func entry(at offset: UInt64) -> CheckpointEntry {
            CheckpointEntry(
                namespace: NamespaceID(1), key: .zero, variant: .standalone,
                location: RecordLocation(segment: SegmentID(2), offset: offset),
                headerBytes: 4_096, variantDiskBytes: 8_192, tokenCount: 1, flags: 0,
                ordinal: .max)
        }
        for checkpoint in [[], [entry(at: 4_096)]] {
            var variants = StoredVariants(checkpoint)
            variants.insert(entry(at: 8_192))
            // Copied by cleaning, or forgotten and put again with other bytes.
            variants.insert(entry(at: 12_288))
            #expect(variants.sorted.map(\.location.offset) == [12_288])
        }
    }
}
