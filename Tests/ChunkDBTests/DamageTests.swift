import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

/// F-D: bytes of the medium change behind the store's back. What is hit is told with its facts, and
/// everything else stays.
@Suite("A damaged store")
struct DamageTests {
    private let all = Set(DamageBench.owners)

    // MARK: Superblock

    @Test(
        "SUP-6 SUP-9 one or two damaged copies are mended and reported", arguments: [[1], [0, 3]])
    func fewCopies(copies: [Int]) throws {
        let bench = try DamageBench()
        for copy in copies { bench.disk.flip("superblock", byte: copy * 65_536 + 100, bit: 3) }
        let found = try bench.examine()
        #expect(found.report.repairedSuperblockCopies == copies)
        #expect(found.intact == all)
        #expect(try bench.examine().report.repairedSuperblockCopies.isEmpty)
    }

    @Test(
        "SUP-6 with three or four damaged copies the store is refused, and nothing is changed",
        arguments: [[0, 1, 2], [0, 1, 2, 3]])
    func manyCopies(copies: [Int]) throws {
        let bench = try DamageBench()
        for copy in copies { bench.disk.flip("superblock", byte: copy * 65_536 + 100, bit: 3) }
        let before = bench.disk.bytes(of: "superblock")
        #expect { try bench.examine() } throws: { error in
            guard case StoreError.log(.superblockDamaged(let texts)) = error else { return false }
            return texts.count == 4 && texts[0].contains("SUP-2")
                && "\(error)".contains("superblock")
        }
        #expect(bench.disk.bytes(of: "superblock") == before)
    }

    @Test("SUP-6 two pairs of two stores, of one generation, are refused, and nothing is changed")
    func twoStores() throws {
        let (bench, other) = (try DamageBench(seed: 1), try DamageBench(seed: 2))
        let (ours, theirs) = (try bench.superblock(), try other.superblock())
        #expect(ours.generation == theirs.generation && ours.storeID != theirs.storeID)
        for copy in 2..<4 {
            let place = copy * 65_536
            let block = other.disk.bytes(of: "superblock", place..<place + 4_096)
            bench.disk.setBytes(block, of: "superblock", at: place)
        }
        let before = bench.disk.bytes(of: "superblock")
        #expect { try bench.examine() } throws: { error in
            guard case StoreError.log(.superblockDamaged) = error else { return false }
            return true
        }
        #expect(bench.disk.bytes(of: "superblock") == before)
    }

    @Test("SUP-3 VER-3 a store of a newer version is refused, and not a byte of it changed")
    func newerVersion() throws {
        let bench = try DamageBench()
        var block = bench.disk.bytes(of: "superblock", 65_536..<69_632)
        block[8] = 2
        for index in 4_080..<4_096 { block[index] = 0 }
        let key = SealKey(secret: try bench.superblock().secret, label: "superblock", salt: [])
        let seal = key.seal(location: bigEndianBytes(1), bytes: block)
        block.replaceSubrange(4_080..., with: bigEndianBytes(seal.high) + bigEndianBytes(seal.low))
        bench.disk.setBytes(block, of: "superblock", at: 65_536)
        let before = bench.disk.fileNames.map { bench.disk.bytes(of: $0) }
        #expect { try bench.examine() } throws: { error in
            guard case StoreError.log(.format(let cause, let file, _)) = error else { return false }
            return cause.code == .otherVersion && cause.clause == "SUP-3" && file == "superblock"
        }
        #expect(bench.disk.fileNames.map { bench.disk.bytes(of: $0) } == before)
    }

    @Test("SUP-8 VER-4 features that a reader may ignore are kept when copies are mended")
    func optionalFeatures() throws {
        let bench = try DamageBench()
        var superblock = try bench.superblock()
        superblock.optionalFeatures = 1 << 40 | 1
        for copy in 0..<3 {
            bench.disk.setBytes(
                superblock.encode(copyIndex: copy), of: "superblock", at: copy * 65_536)
        }
        _ = try bench.examine()
        for copy in 0..<4 {
            let place = copy * 65_536
            let found = try Superblock(
                decoding: bench.disk.bytes(of: "superblock", place..<place + 4_096),
                copyIndex: copy)
            #expect(found == superblock, "copy \(copy)")
        }
    }

    @Test("SUP-4 a forged superblock of absurd geometry is refused, not believed")
    func absurdGeometry() throws {
        let bench = try DamageBench()
        var superblock = try bench.superblock()
        superblock.alignmentUnit = 65_536
        superblock.segmentBytes = 65_536
        superblock.generation += 1
        for copy in 0..<4 {
            bench.disk.setBytes(
                superblock.encode(copyIndex: copy), of: "superblock", at: copy * 65_536)
        }
        #expect { try bench.examine() } throws: { error in
            if case StoreError.log(.unsupported) = error { true } else { false }
        }
    }

    @Test("MRK-6 a store without a mark opens")
    func noMark() throws {
        let bench = try DamageBench(keepsCheckpoint: false)
        bench.disk.setBytes([UInt8](repeating: 0, count: 8_192), of: "superblock", at: 262_144)
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty)
    }

    // MARK: Segments

    @Test(
        "DIG-2 a flipped payload byte is damage with its facts, and all other chunks stand",
        arguments: [0, 1, 2, 3])
    func flippedPayload(plane: Int) throws {
        let bench = try DamageBench()
        let place = try bench.place(of: 3, plane: plane)
        bench.disk.flip(place.file, byte: place.offset + 17, bit: 5)
        let found = try bench.examine()
        #expect(found.intact == all.subtracting([3]))
        let facts = try #require(found.damaged[3])
        #expect(facts.file == place.file)
        #expect(facts.offset == UInt64(place.offset))
        #expect(facts.cause.clause == "DIG-2")
        #expect(facts.cause.field.contains("layer \(plane / 2)"))
        #expect("\(facts)".contains(place.file))
    }

    @Test("DIG-3 a flipped byte of padding is damage too")
    func flippedPadding() throws {
        let machine = SimulatedMachine(seed: 2)
        let chunk = TestChunk(1, tokenCount: 40)
        let db = try machine.open()
        let offset = try machine.run { () async throws -> Int in
            let space = try await db.namespace("acme", model: oddBinding())
            try await chunk.put(in: space)
            let located = try #require(try await space.locate(chunk.key(in: space)))
            return Int(located.extents[0].fileOffset) + 12_100
        }
        machine.disk.flip("segments/00000000", byte: offset, bit: 0)
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            await #expect(throws: StoreError.self) { _ = try await chunk.isIntact(in: space) }
            // Rows whose blocks are whole are still handed over.
            let data = try await space.mustGet(chunk.key(in: space), tokens: 0..<13)
            #expect(data.plane(layer: 0, .keys).count == 3_900)
            await db.close()
        }
    }

    @Test(
        "REC-5 PAY-7 a flipped byte of a header is damage, loud and local",
        arguments: [true, false], [20, 300, 500, 700])
    func flippedHeader(keepsCheckpoint: Bool, byte: Int) throws {
        let bench = try DamageBench(keepsCheckpoint: keepsCheckpoint)
        let place = try bench.place(of: 4)
        bench.disk.flip(place.file, byte: place.offset - 4_096 + byte, bit: 1)
        let found = try bench.examine()
        #expect(found.intact == all.subtracting([4]))
        if keepsCheckpoint {
            let facts = try #require(found.damaged[4])
            #expect(facts.file == place.file)
            #expect(facts.offset == UInt64(place.offset - 4_096))
            #expect(["REC-1", "REC-2", "REC-3", "REC-4", "REC-5"].contains(facts.cause.clause))
        } else {
            // RCV-13: the walk finds it at opening, and says where.
            #expect(found.report.damages.map(\.file) == [place.file])
            #expect(found.report.damages.map(\.offset) == [UInt64(place.offset - 4_096)])
            #expect(throws: StoreError.self) { try bench.examine(strict: true) }
        }
    }

    @Test("REC-2 a record that was moved does not open elsewhere")
    func misdirected() throws {
        let bench = try DamageBench()
        let (one, two) = (try bench.place(of: 4), try bench.place(of: 5))
        let record = bench.disk.bytes(of: one.file, one.offset - 4_096..<one.offset + 16_384)
        bench.disk.setBytes(record, of: two.file, at: two.offset - 4_096)
        let found = try bench.examine()
        #expect(found.wrong.isEmpty)
        #expect(found.intact == all.subtracting([5]))
        #expect(
            found.damaged[5]?.cause.clause == "REC-2" || found.damaged[5]?.cause.clause == "REC-5")
    }

    @Test("REC-9 RCV-13 a flipped commit record in the middle is damage, never silence")
    func flippedCommit() throws {
        let bench = try DamageBench(keepsCheckpoint: false)
        let place = try bench.place(of: 2)
        // The use's first slot.
        bench.disk.flip(place.file, byte: 4_096 + 200, bit: 2)
        let found = try bench.examine()
        #expect(!found.report.damages.isEmpty)
        #expect(found.report.damages.contains { $0.reason.contains("REC-9") })
        #expect(found.wrong.isEmpty)
        #expect(found.missing.count == 1)
        #expect(found.intact.count == 5)
        // RCV-15: strict mode refuses.
        #expect { try bench.examine(strict: true) } throws: { error in
            guard case StoreError.log(.format(let cause, _, _)) = error else { return false }
            return cause.clause == "REC-9"
        }
        // RCV-16: nothing was mended, so the damage is still told, and told the same.
        #expect(try bench.examine().report.damages == found.report.damages)
    }

    @Test("RCV-7 COM-14 one bad commit record costs its own chunk, and no other")
    func everyCommit() throws {
        let machine = SimulatedMachine(seed: 5, segmentSize: .mebibytes(1))
        let owners = 0..<8 as Range<UInt64>
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in owners { try await TestChunk(owner).put(in: space) }
            await db.close()
        }
        machine.disk.removeFile(StoreFiles.checkpoint)
        let slots = try commitSlots(machine.disk, StoreFiles.segment(SegmentID(0)))
        #expect(slots.count == owners.count + 1, "one for the namespace")
        for slot in slots {
            let copy = machine.afterPowerCut(Survival(.all))
            copy.disk.flip(StoreFiles.segment(SegmentID(0)), byte: Int(slot) + 300, bit: 1)
            let db = try copy.open()
            #expect(db.recovery.damages.contains { $0.reason.contains("REC-9") }, "slot \(slot)")
            let lost = try copy.run { () async throws in
                // The namespace is in the journals too.
                let space = try #require(db.namespace("acme"))
                var lost = 0
                for owner in owners {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact != false)
                    if isIntact == nil { lost += 1 }
                }
                await db.close()
                return lost
            }
            #expect(lost == (slot == slots[0] ? 0 : 1), "slot \(slot)")
        }
    }

    /// Where the commit records of a segment's use stand.
    private func commitSlots(_ disk: SimulatedDisk, _ file: String) throws -> [UInt64] {
        let superblock = try Superblock(
            decoding: disk.bytes(of: "superblock", 0..<4_096), copyIndex: 0)
        let header = try SegmentHeader(
            decoding: disk.bytes(of: file, 0..<4_096), segment: SegmentID(0),
            storeID: superblock.storeID, key: SegmentHeader.sealKey(secret: superblock.secret))
        return stride(from: 4_096, to: disk.fileByteCount(file), by: 4_096).map(UInt64.init)
            .filter { offset in
                let place = RecordLocation(segment: SegmentID(0), offset: offset)
                return
                    (try? CommitRecord(
                        decoding: disk.bytes(of: file, Int(offset)..<Int(offset) + 4_096),
                        at: place, unit: 4_096, useSequence: header.useSequence,
                        segmentBytes: header.segmentBytes,
                        key: header.recordKey(secret: superblock.secret))) != nil
            }
    }

    @Test("MRK-4 COM-13 a flipped commit record at the end is told by the mark")
    func flippedLastCommit() throws {
        let bench = try DamageBench(keepsCheckpoint: false)
        let last = bench.disk.fileNames.filter { $0.hasPrefix("segments/") }.last!
        bench.disk.flip(last, byte: 4_096 + 200, bit: 2)
        let byteCount = bench.disk.fileByteCount(last)
        // N-6: told at every opening, and nothing is cut off behind it, or mending would be lost.
        for _ in 0..<3 {
            let found = try bench.examine()
            #expect(found.report.damages.contains { $0.reason.contains("REC-9") })
            #expect(found.wrong.isEmpty)
            #expect(bench.disk.fileByteCount(last) == byteCount)
        }
    }

    @Test(
        "a truncated segment loses only what stood behind the cut", arguments: [true, false])
    func truncated(keepsCheckpoint: Bool) throws {
        let bench = try DamageBench(keepsCheckpoint: keepsCheckpoint)
        let place = try bench.place(of: 2)
        bench.disk.setByteCount(place.offset + 4_096, of: place.file)
        let found = try bench.examine()
        #expect(found.wrong.isEmpty)
        #expect(found.intact.isSuperset(of: [1, 3, 4, 5]))
        if keepsCheckpoint {
            #expect(found.damaged[2] != nil || found.missing.contains(2))
            #expect(found.damaged[2]?.cause.code == .truncated)
        } else {
            #expect(found.damaged[2] != nil || !found.report.damages.isEmpty)
        }
    }

    @Test("CKP-8 a missing segment is told at opening and at reading", arguments: [true, false])
    func missingSegment(keepsCheckpoint: Bool) throws {
        let bench = try DamageBench(keepsCheckpoint: keepsCheckpoint)
        let place = try bench.place(of: 2)
        bench.disk.removeFile(place.file)
        let found = try bench.examine()
        #expect(!found.report.damages.isEmpty)
        #expect(found.wrong.isEmpty)
        #expect(found.intact.count >= 3)
        if keepsCheckpoint {
            #expect(found.report.damages.contains { $0.file == place.file })
            #expect(found.damaged[2]?.file == place.file)
        }
        #expect(throws: StoreError.self) { try bench.examine(strict: true) }
    }

    @Test("RCV-6 a segment whose header was zeroed is damage and stays", arguments: [true, false])
    func zeroedHeader(keepsCheckpoint: Bool) throws {
        let bench = try DamageBench(keepsCheckpoint: keepsCheckpoint)
        let place = try bench.place(of: 2)
        bench.disk.setBytes([UInt8](repeating: 0, count: 4_096), of: place.file, at: 0)
        let found = try bench.examine()
        #expect(found.report.damages.contains { $0.file == place.file })
        #expect(found.intact.count >= 3)
        #expect(found.wrong.isEmpty)
        #expect(bench.disk.fileNames.contains(place.file))
        #expect(throws: StoreError.self) { try bench.examine(strict: true) }
    }

    @Test("RCV-6 an I/O error at a segment's header removes nothing, and passes")
    func unreadableHeader() throws {
        let bench = try DamageBench()
        let names = bench.disk.fileNames
        for number in 1...24 {
            let machine = bench.machine.afterRestart()
            machine.disk.fail(.read, number: number, errorNumber: 5)
            do {
                let db = try machine.open()
                machine.run { await db.close() }
            } catch {
                machine.run { await machine.disk.shutdown() }
            }
            machine.disk.clearFailures()
            #expect(bench.disk.fileNames == names, "read \(number)")
        }
        let found = try bench.examine()
        #expect(found.intact == all, "\(found.report)")
        #expect(found.report.damages.isEmpty)
    }

    @Test("DIR-2 DIR-3 O-3 files that are not ours are told and left alone")
    func unknownFiles() throws {
        let bench = try DamageBench()
        let names = ["notes.txt", "segments/4294967294x", "segments/hello", "segments/1"]
        for name in names { bench.disk.addFile(name, Array(name.utf8)) }
        let found = try bench.examine()
        #expect(found.report.unknownFiles.sorted() == names.sorted())
        #expect(found.intact == all)
        for name in names { #expect(bench.disk.bytes(of: name) == Array(name.utf8)) }
    }

    @Test("a segment of the last number stops new segments, and nothing traps")
    func lastSegmentNumber() throws {
        let bench = try DamageBench()
        bench.disk.addFile("segments/4294967294", [UInt8](repeating: 0x41, count: 8_192))
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.contains { $0.file == "segments/4294967294" })
        let machine = bench.machine.afterRestart()
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            await #expect(throws: StoreError.self) { try await TestChunk(77).put(in: space) }
            await db.close()
        }
    }
}
