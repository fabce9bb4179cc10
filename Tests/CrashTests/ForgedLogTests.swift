// Logs that no writer of ours leaves, sealed as if one had: what recovery makes of two commits with
// one number, of records of unknown kinds, and of facts older than what they hide.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Logs that were made by hand")
struct ForgedLogTests {
    private static let unit = StoreBytes.unit

    /// Sessions that each put some chunks; all but the last are closed. *Returns:* the medium as
    /// the last process left it, without the checkpoint.
    private static func store(
        seed: UInt64, _ sessions: [Range<UInt64>], keepsCheckpoint: Bool = false
    )
        throws -> SimulatedMachine
    {
        var machine = SimulatedMachine(seed: seed)
        for (index, owners) in sessions.enumerated() {
            let db = try machine.open()
            try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                for owner in owners { try await TestChunk(owner).put(in: space) }
                if index + 1 < sessions.count || keepsCheckpoint { await db.close() }
            }
            machine = machine.afterPowerCut(Survival(.all, seed: seed))
        }
        if !keepsCheckpoint, machine.disk.fileNames.contains(StoreFiles.checkpoint) {
            machine.disk.removeFile(StoreFiles.checkpoint)
        }
        return machine
    }

    private struct Missing: Error {}

    private struct Opened {
        var report: RecoveryReport
        var intact: Set<UInt64> = []
        var damaged: Set<UInt64> = []
    }

    /// Opens, reads chunks 0 to 9, goes on if asked to, and closes.
    private static func open(
        _ machine: SimulatedMachine, puts owner: UInt64? = nil, closes: Bool = true
    ) throws -> Opened {
        let db = try machine.open()
        return try machine.run { () async throws in
            var opened = Opened(report: db.recovery)
            if let space = db.namespace("acme") {
                for owner in 0..<10 as Range<UInt64> {
                    do throws(StoreError) {
                        let isIntact = try await TestChunk(owner).isIntact(in: space)
                        #expect(isIntact != false, "chunk \(owner)")
                        if isIntact == true { opened.intact.insert(owner) }
                    } catch {
                        guard case .damaged = error else { throw error }
                        opened.damaged.insert(owner)
                    }
                }
                if let owner { try await TestChunk(owner).put(in: space) }
            }
            if closes { await db.close() }
            return opened
        }
    }

    /// Puts a commit record in place of what stands in its slot.
    private static func write(_ commit: CommitRecord, in use: StoreBytes.Use, _ bytes: StoreBytes) {
        let key = use.header.recordKey(secret: bytes.superblock.secret)
        bytes.disk.setBytes(
            commit.encode(key: key).bytes, of: use.file, at: Int(commit.prefix.location.offset))
    }

    // MARK: Commits

    @Test(
        "RCV-8 of two commits with one number the one in the later use counts",
        arguments: [true, false])
    func oneNumberTwice(firstSegmentIsLater: Bool) throws {
        let machine = try Self.store(seed: 1, [1..<2, 2..<3])
        let bytes = try StoreBytes(machine.disk)
        try #require(bytes.uses.count == 2)
        let (first, second) = (bytes.uses[0], bytes.uses[1])
        let original = try #require(first.commits.last)
        var twin = try #require(second.commits.first)
        (twin.commit, twin.previousCommit) = (original.commit, original.previousCommit)
        twin.syncedCommit = original.syncedCommit
        Self.write(twin, in: second, bytes)
        if firstSegmentIsLater {
            // The whole first use, begun after the second one.
            var header = first.header
            header.useSequence = second.header.useSequence + 1
            let key = SegmentHeader.sealKey(secret: bytes.superblock.secret)
            machine.disk.setBytes(header.encode(key: key), of: first.file, at: 0)
            for var commit in first.commits {
                commit.useSequence = header.useSequence
                Self.write(commit, in: first, bytes)
            }
        }
        bytes.clearMarks()
        let opened = try Self.open(machine)
        #expect(opened.report.damages == [])
        #expect(opened.intact == [firstSegmentIsLater ? 1 : 2])
    }

    enum Proof: String, CaseIterable { case nothing, mark, checkpoint, freedUse, laterCommit }

    @Test(
        "RCV-9 RCV-10 a commit is proven by mark, checkpoint, freed use or later commit, or not",
        arguments: Proof.allCases)
    func proof(_ proof: Proof) throws {
        let isLater = proof == .laterCommit
        let machine = try Self.store(
            seed: 2, [1..<(isLater ? 4 : 3)], keepsCheckpoint: proof == .checkpoint)
        let bytes = try StoreBytes(machine.disk)
        let use = try #require(bytes.uses.first)
        let commit = use.commits[2]
        if isLater { try #require(use.commits[3].syncedCommit >= commit.commit) }
        if proof == .mark {
            try #require(bytes.syncedByMark >= commit.commit)
        } else {
            bytes.clearMarks()
        }
        if proof == .checkpoint {
            try #require(bytes.checkpoint!.commit >= commit.commit)
        }
        if proof == .freedUse {
            // A segment that is long gone.
            let freed = FreedUse(
                segment: SegmentID(900), useSequence: 1, firstCommit: 0, lastCommit: 0,
                previousCommit: 0, commit: commit.commit)
            try bytes.append(.freed(freed), toCopies: [0, 1])
        }
        // A block of chunk 2: damage if it is proven, a torn tail if not.
        let member = try #require(commit.members.first { $0.kind == RecordKind.payload.rawValue })
        let block = Int(member.location.offset) + Int(member.headerBytes)
        machine.disk.flip(use.file, byte: block + 5, bit: 1)
        let opened = try Self.open(machine, puts: 5, closes: false)
        #expect(opened.intact == (isLater ? [1, 3] : [1]))
        #expect(opened.damaged == (proof == .nothing ? [] : [2]))
        #expect(opened.report.droppedRecordCount == (proof == .nothing ? 1 : 0))
        // What is written next builds on it, whoever proves it: it is found from there as well.
        let next = machine.afterPowerCut(Survival(.none))
        if proof == .checkpoint { next.disk.removeFile(StoreFiles.checkpoint) }
        try StoreBytes(next.disk).clearMarks()
        let again = try Self.open(next)
        #expect(again.intact == opened.intact.union([5]))
        #expect(again.damaged == opened.damaged)
        #expect(again.report.damages == [])
    }

    @Test("JRN-12 REC-9 behind a hole, too, a commit that is no longer needed does not count")
    func holeBeforeEndedCommits() throws {
        let machine = try Self.store(seed: 7, [1..<6])
        let bytes = try StoreBytes(machine.disk)
        let use = try #require(bytes.uses.first)
        try #require(use.commits.count == 6)
        let freed = FreedUse(
            segment: SegmentID(900), useSequence: 1, firstCommit: use.commits[2].commit,
            lastCommit: use.commits[3].commit, previousCommit: use.commits[1].commit,
            commit: use.commits[4].commit)
        try bytes.append(.freed(freed), toCopies: [0, 1])
        let hole = use.commits[4].prefix.location.offset
        machine.disk.flip(use.file, byte: Int(hole) + 5, bit: 1)
        let opened = try Self.open(machine)
        #expect(opened.report.damages.contains { $0.reason.hasPrefix("REC-9") })
        #expect(opened.intact == [1, 5])
    }

    // MARK: Records of unknown kinds

    enum Naming: CaseIterable { case unproven, proven }

    @Test(
        "REC-7 a record of unknown kind refuses the store if it is required, else it is kept",
        arguments: [true, false], Naming.allCases)
    func unknownKind(isRequired: Bool, _ naming: Naming) throws {
        let machine = try Self.store(seed: 3, [1..<3])
        let bytes = try StoreBytes(machine.disk)
        let use = try #require(bytes.uses.first)
        let last = try #require(use.commits.last)
        let key = use.header.recordKey(secret: bytes.superblock.secret)
        // Far behind all else; a tombstone's form, under a kind that nobody has given out.
        let place = RecordLocation(segment: use.header.segment, offset: 160 << 10)
        var prefix = RecordPrefix(
            kind: .tombstone, flags: isRequired ? RecordPrefix.requiredFlag : 0,
            headerBytes: 4_096, recordBytes: 4_096, writeSequence: WriteSequence(1_000),
            location: place)
        prefix.kind = 77
        let region = TombstoneRecord(prefix: prefix, tombstones: []).encode(key: key)
        machine.disk.setBytes(region.bytes, of: use.file, at: Int(place.offset))
        var member = CommitMember(
            kind: .object, location: place, headerBytes: 4_096, recordBytes: 4_096,
            seal: region.seal)
        member.kind = 77
        Self.write(Self.following(last, in: last.nextCommitOffset, [member]), in: use, bytes)
        if naming == .proven {
            var proof = Self.following(last, in: last.laterCommitOffset, [])
            (proof.commit, proof.previousCommit) = (last.commit + 2, last.commit + 1)
            proof.syncedCommit = last.commit + 1
            Self.write(proof, in: use, bytes)
        }
        if isRequired {
            let before = Self.allBytes(machine.disk)
            #expect {
                _ = try machine.open()
            } throws: { error in
                guard case StoreError.log(.format(let cause, _, _)) = error else { return false }
                return cause.clause == "REC-7" && cause.code == .otherVersion
            }
            machine.run { await machine.disk.shutdown() }
            #expect(Self.allBytes(machine.disk) == before, "not a byte of it is changed")
            return
        }
        for _ in 0..<2 {
            let next = machine.afterRestart()
            let opened = try Self.open(next)
            #expect(opened.report.damages == [] && opened.intact == [1, 2])
            let found = try StoreBytes(machine.disk)
            let record = machine.disk.bytes(
                of: use.file, Int(place.offset)..<Int(place.offset) + Self.unit)
            #expect(record == region.bytes)
            #expect(found.commits.contains { $0.members.contains { $0.kind == 77 } })
        }
    }

    @Test(
        "PAY-11 a record has the digest of its namespace's binding, and with another it is damage",
        arguments: [true, false])
    func otherBinding(isChanged: Bool) throws {
        let machine = try Self.store(seed: 5, [1..<3])
        let bytes = try StoreBytes(machine.disk)
        // Of the same shape in every number: only the digest tells.
        var other = smallBinding(layers: 2)
        other.weightsDigest[0] ^= 1
        try Self.changeFirstChunk(bytes) { record in
            #expect(record.bindingDigest == smallBinding(layers: 2).digest)
            if isChanged { record.bindingDigest = other.digest }
        }
        let opened = try Self.open(machine)
        #expect(opened.intact == (isChanged ? [2] : [1, 2]))
        #expect(opened.damaged == (isChanged ? [1] : []))
    }

    @Test(
        "PAY-7 a record that holds other layers than its range says is damage",
        arguments: [0..<2, 0..<3, 0..<1, 1..<2] as [Range<UInt16>])
    func otherLayers(range: Range<UInt16>) throws {
        let machine = try Self.store(seed: 6, [1..<3])
        try Self.changeFirstChunk(StoreBytes(machine.disk)) { record in
            (record.layerFirst, record.layerCount) = (range.lowerBound, UInt16(range.count))
        }
        let opened = try Self.open(machine)
        let isSame = range == 0..<2
        #expect(opened.intact == (isSame ? [1, 2] : [2]))
        #expect(opened.damaged == (isSame ? [] : [1]))
    }

    /// Seals the record of the first chunk anew, and the commit that names it.
    private static func changeFirstChunk(
        _ bytes: StoreBytes, _ change: (inout PayloadRecord) -> Void
    ) throws {
        let use = try #require(bytes.uses.first)
        let key = use.header.recordKey(secret: bytes.superblock.secret)
        var commit = use.commits[1]
        let member = try #require(commit.members.first)
        let start = Int(member.location.offset)
        let region = bytes.disk.bytes(of: use.file, start..<start + Int(member.headerBytes))
        let (prefix, _) = try RecordPrefix.open(
            region, at: member.location, unit: 4_096, key: key)
        var record = try PayloadRecord(decoding: region, prefix: prefix, unit: 4_096)
        change(&record)
        let sealed = record.encode(key: key)
        bytes.disk.setBytes(sealed.bytes, of: use.file, at: start)
        commit.members[0].seal = sealed.seal
        write(commit, in: use, bytes)
    }

    /// The commit that a writer would put into a slot behind the newest one.
    private static func following(
        _ last: CommitRecord, in slot: UInt64, _ members: [CommitMember]
    ) -> CommitRecord {
        CommitRecord(
            prefix: RecordPrefix(
                kind: .commit, headerBytes: 4_096, recordBytes: 4_096,
                writeSequence: WriteSequence(1_001),
                location: RecordLocation(segment: last.prefix.location.segment, offset: slot)),
            commit: last.commit + 1, previousCommit: last.commit, syncedCommit: last.commit,
            useSequence: last.useSequence,
            nextCommitOffset: slot == last.nextCommitOffset ? last.laterCommitOffset : 0,
            laterCommitOffset: 0, members: members)
    }

    private static func allBytes(_ disk: SimulatedDisk) -> [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: disk.fileNames.map { ($0, disk.bytes(of: $0)) })
    }

    // MARK: Facts

    @Test(
        "TMB-4 COM-8 a removal that is in the journals alone may hide, and never hides a later put",
        arguments: 1...4 as ClosedRange<UInt64>, [0, 3])
    func tombstoneWithoutCommit(seed: UInt64, furtherCommits: UInt64) throws {
        let cut = try TombstoneCut(seed: seed)
        let bytes = try StoreBytes(cut.machine.disk)
        if furtherCommits > 0 {
            // So many more commits were dropped with it, of which the last removed it once more.
            let fact = bytes.facts.first { if case .tombstone = $0 { true } else { false } }
            guard case .tombstone(var tombstone)? = fact else { throw Missing() }
            tombstone.commit += furtherCommits
            try bytes.append(.tombstone(tombstone), toCopies: [0, 1])
        }
        #expect(!bytes.commits.contains { $0.commit >= cut.commit }, "its commit was dropped")
        let opened = try Self.open(cut.machine, puts: 1, closes: false)
        #expect(opened.report.damages == [])
        #expect(opened.intact == [2])
        // The same key again, in a commit that is above the removal's; found by walking the log.
        let next = cut.machine.afterPowerCut(Survival(.none))
        for _ in 0..<2 {
            let again = try Self.open(next.afterRestart())
            #expect(again.report.damages == [] && again.intact == [1, 2])
        }
    }

    @Test(
        "NSP-6 a drop hides all of its namespace, whatever the commits, and its number stays taken",
        arguments: [[0], [1], [0, 1]], [true, false])
    func earlyDrop(copies: [Int], keepsCheckpoint: Bool) throws {
        let machine = try Self.store(seed: 4, [1..<4, 4..<6], keepsCheckpoint: keepsCheckpoint)
        let bytes = try StoreBytes(machine.disk)
        let dropped = try #require(
            bytes.facts.lazy.compactMap { fact -> NamespaceID? in
                guard case .namespaceOperation(.create(let made)) = fact else { return nil }
                return made.name == "acme" ? made.id : nil
            }.first)
        let first = try #require(bytes.commits.map(\.commit).min())
        // Below every put: a commit's number would hide none of them.
        try bytes.append(.namespaceOperation(.drop(dropped, commit: first)), toCopies: copies)
        let opened = try Self.open(machine)
        #expect(opened.report.damages == [] && opened.intact == [] && opened.damaged == [])
        let next = machine.afterRestart()
        let db = try next.open()
        #expect(db.namespace("acme") == nil)
        try next.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            #expect(space.id > dropped && space.entryCount == 0)
            try await TestChunk(1).put(in: space)
            await db.close()
        }
        let last = try Self.open(next.afterRestart())
        #expect(last.report.damages == [] && last.intact == [1])
    }
}
