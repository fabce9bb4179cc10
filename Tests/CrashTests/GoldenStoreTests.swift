// The engine on the golden store that turned over (format-spec/golden), which no engine wrote; and
// on the same with rows in its checkpoint that somebody forged and sealed.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import Foundation
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("The golden store that turned over")
struct GoldenStoreTests {
    private static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("format-spec/golden/v1/turned-over-store")
    private static let names =
        ["superblock", "journal-0", "journal-1", "checkpoint"]
        + (0..<4).map { "segments/0000000\($0)" }

    private static func machine(keepsCheckpoint: Bool = true) throws -> SimulatedMachine {
        let machine = SimulatedMachine(seed: 1)
        try machine.run { () async throws in
            try await machine.disk.makeDirectory(StoreFiles.segments)
            try await machine.disk.flushDirectory("")
        }
        for name in names where keepsCheckpoint || name != StoreFiles.checkpoint {
            machine.disk.addFile(
                name, [UInt8](try Data(contentsOf: folder.appendingPathComponent(name))))
        }
        return machine
    }

    private struct Opened {
        var report: RecoveryReport
        /// The letters of the chunks, whose every number was compared.
        var living = ""
        var damagedCount = 0
    }

    private static func open(
        _ machine: SimulatedMachine, puts owner: UInt64? = nil, gets other: UInt64? = nil
    ) throws -> Opened {
        let db = try machine.open()
        return try machine.run { () async throws in
            var opened = Opened(report: db.recovery)
            let space = try #require(db.namespace("acme"))
            var keys: [ChunkKey] = []
            space.forEachEntry { entry in
                keys.append(entry.key)
                return true
            }
            for key in keys {
                do throws(StoreError) {
                    guard let data = try await space.get(key) else { continue }
                    let code = data.metadata.tokens[0]
                    guard let letter = UnicodeScalar(code), code < 128 else { continue }
                    #expect(data.metadata.tokens == [code, code + 100])
                    for (kind, start) in [(ExtentKind.keys, 0), (.values, 50)] {
                        let numbers = (0..<16).map { Float(Int(code) * 100 + start + $0) }
                        let bytes = numbers.flatMap { number in
                            (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> ($0 * 8)) }
                        }
                        let plane = data.plane(layer: 0, kind == .keys ? .keys : .values)
                        #expect(Array(plane) == bytes, "\(letter)")
                    }
                    opened.living.unicodeScalars.append(letter)
                } catch {
                    guard case .damaged = error else { throw error }
                    opened.damagedCount += 1
                }
            }
            opened.living = String(opened.living.sorted())
            if let other { #expect(try await TestChunk(other).isIntact(in: space) == true) }
            if let owner { try await TestChunk(owner).put(in: space) }
            await db.close()
            return opened
        }
    }

    @Test(
        "JRN-11 JRN-12 CKP-12 CKP-13 RCV-12 RCV-23 the engine opens it, goes on, opens it again",
        arguments: [true, false])
    func opens(keepsCheckpoint: Bool) throws {
        var machine = try Self.machine(keepsCheckpoint: keepsCheckpoint)
        for round in 0..<3 as Range<UInt64> {
            let opened = try Self.open(
                machine, puts: 1_000 + round, gets: round > 0 ? 999 + round : nil)
            #expect(opened.report.damages == [] && opened.damagedCount == 0)
            #expect(opened.living == "ABEGHJL", "round \(round)")
            #expect(opened.report.readOnlyReason == nil)
            machine = machine.afterPowerCut(Survival(.none, seed: round))
        }
    }

    @Test(
        "CKP-8 CKP-12 RCV-17 a row of a use that never was holds for none, and what is put stays",
        arguments: [6, 99, 1 << 60] as [UInt64])
    func unknownUse(useSequence: UInt64) throws {
        for segment in 0..<6 as Range<UInt32> {
            var machine = try Self.machine()
            try Self.forge(machine, segment: SegmentID(segment), useSequence)
            for round in 0..<2 as Range<UInt64> {
                let opened = try Self.open(
                    machine, puts: 1_000 + round, gets: round > 0 ? 999 + round : nil)
                // Of the use that ended it says that the next one is not the one that is there: B's
                // place and C's are damage where they are not named again (CKP-11, CKP-12).
                #expect(opened.living == "ABEGHJL", "segment \(segment), round \(round)")
                #expect(opened.damagedCount == (segment == 2 ? 1 : 0))
                machine = machine.afterPowerCut(Survival(.none, seed: round))
            }
        }
    }

    @Test(
        "RCV-17 FMT-12 where a row leaves no number for a use, the store is read and not written",
        arguments: [1 << 61, 1 << 62] as [UInt64])
    func numbersUsedUp(useSequence: UInt64) throws {
        for segment in [0, 1, 5] as [UInt32] {
            var machine = try Self.machine()
            try Self.forge(machine, segment: SegmentID(segment), useSequence)
            for _ in 0..<2 {
                let opened = try Self.open(machine)
                #expect(opened.living == "ABEGHJL" && opened.damagedCount == 0)
                #expect(opened.report.readOnlyReason?.contains("RCV-17") == true)
                let refusing = machine.afterRestart()
                #expect(throws: StoreError.self) { try Self.open(refusing, puts: 1_000) }
                machine = machine.afterPowerCut(Survival(.none))
            }
        }
    }

    /// A row in place of the segment's own, or beside the others.
    private static func forge(
        _ machine: SimulatedMachine, segment: SegmentID, _ useSequence: UInt64
    ) throws {
        let name = StoreFiles.checkpoint
        let file = machine.disk.bytes(of: name)
        let superblock = try Superblock(
            decoding: machine.disk.bytes(of: StoreFiles.superblock, 0..<4_096), copyIndex: 0)
        let key = CheckpointHeader.sealKey(secret: superblock.secret)
        let old = try CheckpointHeader(
            decoding: file, storeID: superblock.storeID, fileBytes: UInt64(file.count), key: key)
        var rows = try CheckpointRows.decode(
            Array(file[4_096..<4_096 + old.byteCount(ofPiece: 0)]), header: old)
        rows.segments.removeAll { $0.segment == segment }
        rows.segments.append(
            CheckpointSegment(
                segment: segment, useSequence: useSequence, nextCommitOffset: 0,
                laterCommitOffset: 0, usedBytes: 4_096))
        let parts = CheckpointRows.encode(segments: rows.segments, entries: rows.entries)
        let header = CheckpointHeader(
            storeID: old.storeID, generation: old.generation, commit: old.commit,
            writeSequence: old.writeSequence, segmentCount: UInt64(rows.segments.count),
            entryCount: old.entryCount, tableDigest: Digest128(hashing: parts.table),
            nextCommit: old.nextCommit)
        machine.disk.removeFile(name)
        machine.disk.addFile(name, header.encode(key: key) + parts.body + parts.table)
    }
}
