import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Damaged checkpoints, journals and heat")
struct MetadataDamageTests {
    private let all = Set(DamageBench.owners)

    @Test(
        "CKP-5 CKP-7 RCV-5 a damaged checkpoint is ignored whole, reported, and nothing is missing",
        arguments: [3, 30, 4_096 + 10, 4_096 + 400, 4_096 + 4_096 + 3])
    func flippedCheckpoint(byte: Int) throws {
        let bench = try DamageBench()
        bench.disk.flip("checkpoint", byte: byte, bit: 4)
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty)
        #expect(try #require(found.report.checkpointIgnored).contains("CKP"))
        #expect(try #require(found.report.checkpointIgnored).contains("checkpoint at byte"))
        #expect(try bench.examine().report.checkpointIgnored == nil, "closing wrote a new one")
    }

    @Test("CKP-3 a truncated checkpoint is ignored", arguments: [0, 100, 4_096, 8_192])
    func truncatedCheckpoint(byteCount: Int) throws {
        let bench = try DamageBench()
        bench.disk.setByteCount(byteCount, of: "checkpoint")
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.checkpointIgnored != nil)
        #expect(found.report.damages.isEmpty)
    }

    /// A checkpoint with valid seals and digests that says whatever the test wants.
    private func forge(
        _ bench: DamageBench, on disk: SimulatedDisk? = nil, segments: [CheckpointSegment],
        entries: [CheckpointEntry], commit: UInt64 = 1, segmentCount: UInt64? = nil,
        entryCount: UInt64? = nil,
        fileBytes: Int? = nil
    ) throws {
        let superblock = try bench.superblock()
        let (body, table) = CheckpointRows.encode(segments: segments, entries: entries)
        let header = CheckpointHeader(
            storeID: superblock.storeID, generation: 9, commit: commit,
            writeSequence: WriteSequence(1), segmentCount: segmentCount ?? UInt64(segments.count),
            entryCount: entryCount ?? UInt64(entries.count), tableDigest: Digest128(hashing: table))
        let bytes =
            header.encode(key: CheckpointHeader.sealKey(secret: superblock.secret))
            + body + table
        let disk = disk ?? bench.disk
        disk.removeFile("checkpoint")
        disk.addFile("checkpoint", bytes)
        if let fileBytes { disk.setByteCount(fileBytes, of: "checkpoint") }
    }

    private func row(_ segment: UInt32, next: UInt64, used: UInt64) -> CheckpointSegment {
        CheckpointSegment(
            segment: SegmentID(segment), useSequence: UInt64(segment) + 1, nextCommitOffset: next,
            laterCommitOffset: 0,
            usedBytes: used)
    }

    @Test(
        "CKP-3 CKP-8 a sealed checkpoint with absurd rows is ignored, and destroys nothing",
        arguments: 0..<7)
    func hostileRows(variant: Int) throws {
        let bench = try DamageBench()
        switch variant {
        case 0: try forge(bench, segments: [row(0, next: 1 << 63, used: 8_192)], entries: [])
        case 1: try forge(bench, segments: [row(0, next: .max & ~4_095, used: .max)], entries: [])
        case 2: try forge(bench, segments: [row(0, next: 4_096, used: 0)], entries: [])
        case 3: try forge(bench, segments: [row(0, next: 4_097, used: 8_192)], entries: [])
        case 4:
            let one = row(0, next: 4_096, used: 8_192)
            try forge(bench, segments: [one, one], entries: [])
        case 5: try forge(bench, segments: [], entries: [], entryCount: 1 << 34)
        default:
            // A file that is long and empty: its length must not become memory.
            let entryCount: UInt64 = 1 << 34
            try forge(
                bench, segments: [], entries: [], entryCount: entryCount, fileBytes: 1 << 41)
        }
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty, "\(found.report.damages)")
        #expect(try #require(found.report.checkpointIgnored).contains("CKP"))
    }

    @Test(
        "CKP-6 a sealed checkpoint whose entries are out of order, or of nobody, is ignored",
        arguments: [0, 1])
    func hostileEntries(variant: Int) throws {
        let bench = try DamageBench()
        let entry = { (namespace: UInt32, byte: UInt8) in
            CheckpointEntry(
                namespace: NamespaceID(namespace),
                key: ChunkKey(bytes: [UInt8](repeating: byte, count: 32))!, variant: .standalone,
                location: RecordLocation(segment: SegmentID(0), offset: 4_096),
                headerBytes: 4_096, variantDiskBytes: 8_192, tokenCount: 1, flags: 0, ordinal: 0)
        }
        try forge(
            bench, segments: [],
            entries: variant == 0 ? [entry(1, 9), entry(1, 3)] : [entry(77, 1)])
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(try #require(found.report.checkpointIgnored).contains("CKP-6"))
    }

    @Test("REC-6 an entry that points at a commit or at a namespace's creation is damage")
    func otherKinds() throws {
        let bench = try DamageBench()
        // The first slot of the first use, and the first record, which made the namespace.
        let offsets: [UInt64] = [4_096, 3 * 4_096]
        let entries = zip(DamageBench.owners, offsets).map { owner, offset in
            CheckpointEntry(
                namespace: NamespaceID(1),
                key: ChunkKey(tokens: TestChunk(owner).tokens, binding: smallBinding(layers: 2)),
                variant: .standalone,
                location: RecordLocation(segment: SegmentID(0), offset: offset),
                headerBytes: 4_096, variantDiskBytes: 8_192, tokenCount: 16, flags: 0,
                ordinal: .max)
        }.sorted { $0.key < $1.key }
        try forge(bench, segments: [], entries: entries, commit: 1 << 40)
        let found = try bench.examine()
        #expect(found.damaged.keys.sorted() == [0, 1])
        #expect(found.damaged.values.map(\.cause.clause) == ["REC-6", "REC-6"])
        #expect(found.wrong.isEmpty)
    }

    @Test("DIR-4 a file with .new is never read, whatever it holds")
    func drafts() throws {
        let bench = try DamageBench()
        let checkpoint = bench.disk.bytes(of: StoreFiles.checkpoint)
        // What a process that was cut off may have left: a whole later state of every file.
        var later = bench.machine
        later.disk = bench.disk.crash(Survival(.all))
        let db = try later.open()
        try later.run { () async throws in
            let space = try #require(db.namespace("acme"))
            try await space.remove(TestChunk(3).key(in: space))
            try await db.drop(space)
            await db.close()
        }
        for name in StoreFiles.journals + [StoreFiles.heat] {
            bench.disk.addFile(name + ".new", later.disk.bytes(of: name))
        }
        bench.disk.removeFile(StoreFiles.checkpoint)
        bench.disk.addFile(StoreFiles.checkpointDraft, checkpoint)
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty && found.report.unknownFiles.isEmpty)
        #expect(found.report.checkpointIgnored == "there is none")
    }

    @Test("D4 PAY-7 entries that point anywhere cost a damage report each, never wrong bytes")
    func hostileLocations() throws {
        let bench = try DamageBench()
        let namespace = NamespaceID(1)
        let binding = smallBinding(layers: 2)
        let locations: [(UInt32, UInt64)] = [
            (0, 4_096), (0, 1 << 43), (0, 8_192), (999, 4_096), (1, 20_480), (2, 12_288),
        ]
        let entries = zip(DamageBench.owners, locations).map { owner, location in
            CheckpointEntry(
                namespace: namespace,
                key: ChunkKey(tokens: TestChunk(owner).tokens, binding: binding),
                variant: .standalone,
                location: RecordLocation(
                    segment: SegmentID(location.0), offset: location.1 & 0xFFF_FFFF_F000),
                headerBytes: owner == 5 ? 0xFFFF << 12 : 4_096, variantDiskBytes: 1 << 43,
                tokenCount: .max, flags: .max, ordinal: .max)
        }.sorted { $0.key < $1.key }
        try forge(bench, segments: [], entries: entries, commit: 1 << 40)
        let found = try bench.examine()
        #expect(found.wrong.isEmpty)
        #expect(found.intact.union(found.damaged.keys) == all)
        // The log still has everything: without the forgery all is back.
        bench.disk.removeFile("checkpoint")
        #expect(try bench.examine().intact == all)
    }

    @Test("D4 PAY-7 N-1 an entry that points at another namespace's record of its key is damage")
    func foreignNamespace() throws {
        let bench = try DamageBench()
        let db = try bench.machine.open()
        let (mine, other) = try bench.machine.run { () async throws in
            let acme = try #require(db.namespace("acme"))
            let globex = try await db.namespace("globex", model: smallBinding(layers: 2))
            try await TestChunk(3).put(in: globex)
            let entry = try #require(acme.contains(TestChunk(3).key(in: acme)))
            await db.close()
            return ((id: acme.id, entry: entry), globex.id)
        }
        let entries = [mine.id, other].map { space in
            CheckpointEntry(
                namespace: space, key: mine.entry.key, variant: .standalone,
                location: RecordLocation(
                    segment: mine.entry.extent.segment, offset: mine.entry.extent.offset),
                headerBytes: 4_096, variantDiskBytes: mine.entry.diskBytes,
                tokenCount: UInt32(mine.entry.tokenCount), flags: 0, ordinal: .max)
        }
        let next = bench.machine.afterRestart()
        try forge(bench, on: next.disk, segments: [], entries: entries, commit: 1 << 40)
        let again = try next.open()
        try next.run { () async throws in
            let acme = try #require(again.namespace("acme"))
            #expect(try await TestChunk(3).isIntact(in: acme) == true)
            let globex = try #require(again.namespace("globex"))
            await #expect {
                _ = try await TestChunk(3).isIntact(in: globex)
            } throws: { error in
                guard case StoreError.damaged(let facts) = error else { return false }
                return facts.cause.clause == "PAY-7"
            }
            await again.close()
        }
    }

    @Test(
        "JRN-2 JRN-8 RCV-4 RCV-19 with one journal damaged the other serves", arguments: [0, 1],
        [5, 4_096 + 60])
    func oneJournal(copy: Int, byte: Int) throws {
        let bench = try DamageBench()
        bench.disk.flip("journal-\(copy)", byte: byte, bit: 1)
        let found = try bench.examine()
        #expect(found.intact == all)
        // Damage is told once, and mended from the other copy.
        let again = try bench.examine()
        #expect(again.report.damages.isEmpty)
        #expect(again.intact == all)
        // Then the first may fail as well.
        bench.disk.flip("journal-\(1 - copy)", byte: byte, bit: 1)
        #expect(try bench.examine().intact == all)
    }

    @Test(
        "JRN-6 D-2 one fault never brings a removed key back, one copy is enough",
        arguments: [0, 1])
    func removedStaysRemoved(copy: Int) throws {
        let machine = SimulatedMachine(seed: 4, segmentSize: .kibibytes(64))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            for owner in 0..<4 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            try await space.remove(TestChunk(1).key(in: space))
            try await space.remove(TestChunk(2).key(in: space))
            await db.close()
        }
        let next = machine.afterRestart()
        next.disk.removeFile("checkpoint")
        // Block 2 has the first removal, with a good block behind it.
        next.disk.flip("journal-\(copy)", byte: 2 * 4_096 + 50, bit: 0)
        let again = try next.open()
        #expect(again.recovery.repairedJournalCopies == [copy])
        #expect(again.recovery.damages.isEmpty)
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            for owner in 0..<4 as Range<UInt64> {
                let isThere = space.contains(TestChunk(owner).key(in: space)) != nil
                #expect(isThere == (owner == 0 || owner == 3))
            }
            await again.close()
        }
    }

    @Test("JRN-1 with both journals damaged the store is refused, with file and clause")
    func bothJournals() throws {
        let bench = try DamageBench()
        for copy in 0..<2 { bench.disk.flip("journal-\(copy)", byte: 5, bit: 1) }
        #expect { try bench.examine() } throws: { error in
            guard case StoreError.log(.format(let cause, let file, _)) = error else { return false }
            return cause.clause == "JRN-1" && file == "journal-0"
        }
    }

    @Test("NSP-7 with all facts of both journals gone the log brings the namespaces back")
    func emptyJournals() throws {
        let bench = try DamageBench()
        for copy in 0..<2 {
            bench.disk.setBytes(
                [UInt8](repeating: 0, count: 4 * 4_096), of: "journal-\(copy)", at: 4_096)
        }
        let found = try bench.examine()
        #expect(found.wrong.isEmpty)
        #expect(found.intact == all, "\(found.report)")
    }

    @Test("HEA-5 garbage in place of the heat table is no damage", arguments: [0, 7, 4_096, 9_000])
    func heat(byteCount: Int) throws {
        let bench = try DamageBench()
        bench.disk.removeFile("heat")
        bench.disk.addFile("heat", [UInt8](repeating: 0xA7, count: byteCount))
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty)
        #expect(found.report.checkpointIgnored == nil)
    }

    @Test("HEA-5 a heat file of absurd length is not read")
    func endlessHeat() throws {
        let bench = try DamageBench()
        bench.disk.setByteCount(1 << 42, of: "heat")
        #expect(try bench.examine().intact == all)
    }

    @Test("N-6 after damage no checkpoint is written unasked, so that nothing is lost for good")
    func transientDamage() throws {
        let bench = try DamageBench(keepsCheckpoint: false)
        let place = try bench.place(of: 3)
        bench.disk.flip(place.file, byte: place.offset - 4_000, bit: 0)
        #expect(try bench.examine().missing == [3])
        // The fault passes: a cable, a controller.
        bench.disk.flip(place.file, byte: place.offset - 4_000, bit: 0)
        let found = try bench.examine()
        #expect(found.intact == all)
        #expect(found.report.damages.isEmpty)
    }
}
