// Recovery: what is true after a crash (CONTRACT O-1, O-2; format-spec 11).
//
//  1  The superblock: two of four copies agree. The mark: how far the log was flushed for certain.
//  2  The journal: the union of both copies.
//  3  The checkpoint, if it opens: entries up to one commit. A hint; without it everything is
//  walked.
//  4  The chains: in every segment use, from slot to slot, never by searching.
//  5  Which commits count: from the newest back along `previousCommit`. A number that a commit
//  skips
//     was dropped by an earlier recovery. A number that is missing is damage.
//  6  The newest commits may be torn: whatever no later mark proves is verified in full; a torn
//     variant is dropped without a word, since nobody was told it was durable. What is whole is
//     written anew before the log goes on (SegmentLog+Rewrite).
//  7  Replay in commit order. A header that does not open below the mark is damage: loud and local.
//
// All of it reads. Mending (superblock copies, unwritten tails) comes last, in normal mode only,
// and can be interrupted anywhere: the next recovery decides the same.

import BlockIO
import ChunkFormat
import Primitives

struct Recovery {
    let disk: any Disk
    let policy: OpenPolicy
    let superblock: Superblock
    let superblockFile: FileID
    let mark: MarkBlock
    let sink: any CheckpointSink
    let progress: (@Sendable (OpeningProgress) -> Void)?

    var contents = RecoveredContents()
    var start = LogStart()
    var journals: [JournalWriter] = []
    let segments = SegmentTable()
    var chains: [SegmentID: CheckpointSegment] = [:]
    private var commits: [(record: CommitRecord, location: RecordLocation)] = []
    /// By key: the newest journal tombstone of each variant, `nil` for all.
    var graves: [GraveKey: UInt64] = [:]
    /// The newest commit that a journal fact speaks of; it may never have been completed.
    var journalCommit: UInt64 = 0
    /// Segment files whose making was cut short; nothing acknowledged can be in them (L4).
    var leftovers: [(name: String, byteCount: UInt64)] = []
    var facts: Set<JournalEntry> = []
    var freedUses = FreedUses()
    /// Segments whose last use has ended; then those of them whose header does not open.
    var freeSegments: [FreeSegment] = []
    var closedSegments: [FreeSegment] = []
    /// Of the checkpoint's rows.
    var checkpointedUses: [SegmentID: UInt64] = [:]
    /// What was first said of each namespace.
    var descriptions: [NamespaceID: NamespaceDescription] = [:]
    /// Copies of the journal that could not be used, or lack a fact.
    var badJournals: [Int] = []
    /// What step 6 found whole, or could not read.
    var unproven = UnprovenRecords()
    private var unreadable: Set<RecordLocation> = []
    /// Segments of which an I/O error hides the header or a commit slot.
    var hiddenSegments: [SegmentID] = []
    /// The newest segment that the checkpoint knows.
    var checkpointedSegment: SegmentID?

    /// By commit: what it names and must not be shown.
    typealias TornRecords = [UInt64: Set<RecordLocation>]

    struct GraveKey: Hashable {
        let namespace: NamespaceID
        let key: ChunkKey
        let variant: VariantID?
    }

    init(
        disk: any Disk, policy: OpenPolicy, superblock: Superblock, superblockFile: FileID,
        mark: MarkBlock, sink: any CheckpointSink,
        progress: (@Sendable (OpeningProgress) -> Void)? = nil
    ) {
        self.disk = disk
        self.policy = policy
        self.superblock = superblock
        self.superblockFile = superblockFile
        self.mark = mark
        self.sink = sink
        self.progress = progress
    }

    var reader: RecordReader { RecordReader(disk: disk, segments: segments) }

    mutating func run() async throws(LogError) {
        try await readJournals()
        try await openSegments()
        let checkpoint = try await readCheckpoint()
        try await openNewSegments()
        await walkChains()
        let accepted = acceptCommits(after: checkpoint?.commit ?? 0)
        let torn = await findTornRecords(accepted)
        try await replay(accepted, torn: torn)
        finish(accepted, checkpoint: checkpoint)
    }

    mutating func damage(_ file: String, _ offset: UInt64, _ reason: String) {
        contents.report.damages.append(.init(file: file, offset: offset, reason: reason))
    }

    // MARK: 4. The chains

    private mutating func walkChains() async {
        let handles = segments.all.sorted { $0.header.useSequence < $1.header.useSequence }
        for (index, handle) in handles.enumerated() {
            progress?(.init(.chains, completed: UInt64(index), total: UInt64(handles.count)))
            var chain = chains[handle.id]!
            while let (record, location) = await nextCommit(of: chain, handle) {
                commits.append((record, location))
                start.nextWriteSequence = max(
                    start.nextWriteSequence, record.prefix.writeSequence.next)
                chain.nextCommitOffset = record.nextCommitOffset
                chain.laterCommitOffset = record.laterCommitOffset
                chain.usedBytes = max(
                    chain.usedBytes, location.offset + UInt64(superblock.alignmentUnit))
            }
            chains[handle.id] = chain
        }
        // Whatever a commit names is in use, also below a checkpoint that claims to be newer:
        // `mend` cuts behind it.
        for (record, _) in commits {
            for member in record.members
            where !freedUses.hasEnded(member.location.segment, commit: record.commit) {
                let end = member.location.offset + member.recordBytes
                let used = chains[member.location.segment]?.usedBytes ?? 0
                chains[member.location.segment]?.usedBytes = max(used, end)
            }
        }
    }

    /// The commit in the next slot of a chain, or, when that one does not open, in the slot after
    /// it: a bad block hides one commit, and from the numbers step 5 sees that it is missing.
    private mutating func nextCommit(of chain: CheckpointSegment, _ handle: SegmentHandle) async
        -> (record: CommitRecord, location: RecordLocation)?
    {
        for offset in [chain.nextCommitOffset, chain.laterCommitOffset] where offset != 0 {
            let location = RecordLocation(segment: handle.id, offset: offset)
            if let record = await readCommit(at: location, handle) { return (record, location) }
        }
        return nil
    }

    /// The commit record in a slot, or `nil`: at the end of a chain stand zeros, a torn record, or
    /// what an earlier use left. Which of these it was, step 5 decides from the numbers.
    private mutating func readCommit(at location: RecordLocation, _ handle: SegmentHandle) async
        -> CommitRecord?
    {
        let unit = handle.header.alignmentUnit
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try await disk.readBytes(
                handle.file, at: location.offset, byteCount: Int(unit))
        } catch {
            damage(handle.fileName, location.offset, "RCV-7: the commit slot: \(error)")
            hiddenSegments.append(handle.id)
            return nil
        }
        return try? CommitRecord(
            decoding: bytes, at: location, unit: unit, useSequence: handle.header.useSequence,
            segmentBytes: handle.header.segmentBytes, key: handle.recordKey)
    }

    // MARK: 5. Which commits count

    /// The commits to replay, in order. One that was flushed and is missing is damage. One that was
    /// not is a loss nobody was promised against, and takes the later ones with it: a chain that
    /// goes on has no holes, or the next recovery would call this one damage.
    private mutating func acceptCommits(after checkpointed: UInt64) -> [CommitRecord] {
        start.syncedCommit = max(
            mark.syncedCommit, checkpointed, freedUses.commit,
            commits.map(\.record.syncedCommit).max() ?? 0)
        var byNumber: [UInt64: (record: CommitRecord, location: RecordLocation)] = [:]
        for commit in commits { byNumber[commit.record.commit] = commit }
        let numbers = byNumber.keys.sorted(by: >)
        let newest = max(numbers.first ?? 0, checkpointed, freedUses.lastCommit)
        let flushed = max(mark.syncedCommit, freedUses.commit)
        if newest < flushed {
            damage(
                StoreFiles.segments, 0,
                "REC-9: commits \(newest + 1) to \(flushed) were flushed and are gone")
        }
        var accepted: [CommitRecord] = []
        // The newest commits may have stood in a use that has ended.
        var expected = freedUses.living(max(numbers.first ?? 0, freedUses.lastCommit))
        for number in numbers where number > checkpointed {
            if number > expected { continue }  // Dropped by an earlier recovery.
            let commit = byNumber[number]!
            if number < expected && expected > start.syncedCommit {
                contents.report.unprovenCommitCount += accepted.count
                accepted = []
            } else if number < expected {
                let after = accepted.last?.prefix.location
                damage(
                    StoreFiles.segment(after?.segment ?? commit.location.segment), 0,
                    "REC-9: commit \(expected) is missing; \(number) is the next one before it")
            }
            if number < expected {
                expected = freedUses.living(number)
                if number > expected { continue }
            }
            accepted.append(commit.record)
            expected = freedUses.living(commit.record.previousCommit)
        }
        if expected > start.syncedCommit {
            contents.report.unprovenCommitCount += accepted.count
            accepted = []
        } else if expected > checkpointed {
            damage(
                StoreFiles.segments, 0, "REC-9: commit \(expected) is missing")
        }
        return accepted.reversed()
    }

    // MARK: 6. The torn tail

    /// Members of unproven commits that must not be shown: records whose header does not open, all
    /// records of a variant if a block of one is torn, all of a batch if one of its variants is.
    private mutating func findTornRecords(_ accepted: [CommitRecord]) async -> TornRecords {
        let synced = start.syncedCommit
        var torn: TornRecords = [:]
        var tornCount = 0
        for commit in accepted where commit.commit > synced {
            var families: [UnprovenRecords.Family] = []
            var tornHere: Set<RecordLocation> = []
            let members = commit.members.filter { !$0.isAbandoned && !$0.isAgain }
            let payloads = members.filter { $0.kind == RecordKind.payload.rawValue }
            for member in members where member.kind != RecordKind.payload.rawValue {
                if await isTorn(member) {
                    tornHere.insert(member.location)
                } else if member.isTombstoneOrNamespace {
                    unproven.metadata.append(member)
                } else {
                    unproven.inPlace.append(member)
                }
            }
            var isBatchWhole = true
            // A variant's records follow each other, the first one first.
            var index = 0
            while index < payloads.count {
                let root = await verified(payloads[index])
                let count = root?.recordIndex == 0 ? Int(root!.recordCount) : 1
                let family = payloads[index..<min(index + count, payloads.count)]
                var isWhole = root?.recordIndex == 0 && family.count == count
                var records = root.map { [$0] } ?? []
                for (index, member) in family.dropFirst().enumerated() where isWhole {
                    guard let root, let record = await verified(member),
                        root.siblings[index].location == member.location,
                        (try? root.requireSibling(record, seal: member.seal, index: index + 1))
                            != nil
                    else {
                        isWhole = false
                        break
                    }
                    records.append(record)
                }
                if isWhole {
                    families.append(
                        .init(
                            commit: commit.commit, isBatched: family.contains(where: \.isBatched),
                            records: records))
                } else {
                    tornHere.formUnion(family.map(\.location))
                    if family.contains(where: \.isBatched) { isBatchWhole = false }
                }
                index += family.count
            }
            if !isBatchWhole {
                tornHere.formUnion(payloads.filter(\.isBatched).map(\.location))
                families.removeAll(where: \.isBatched)
            }
            unproven.families += families
            tornCount += tornHere.subtracting(unreadable).count
            // What was named before, and was copied or not, is named by that commit still (RCV-23).
            tornHere.formUnion(commit.members.filter(\.isAgain).map(\.location))
            torn[commit.commit] = tornHere
        }
        contents.report.droppedRecordCount = tornCount
        return torn
    }

    private mutating func isTorn(_ member: CommitMember) async -> Bool {
        do throws(LogError) {
            let (bytes, prefix, seal) = try await reader.header(
                at: member.location, headerBytes: member.headerBytes)
            return !Self.isNamed(prefix, seal, by: member) || !Self.isRead(bytes, prefix)
        } catch {
            judge(error, member)
            return true
        }
    }

    /// COM-5: whether the record at a member's place is the one that the commit names.
    static func isNamed(
        _ prefix: RecordPrefix, _ seal: Digest128, by member: CommitMember
    ) -> Bool {
        seal == member.seal && prefix.kind == member.kind
            && prefix.recordBytes == member.recordBytes
    }

    /// Whether what a tombstone or namespace record says is understood.
    private static func isRead(_ bytes: [UInt8], _ prefix: RecordPrefix) -> Bool {
        switch RecordKind(rawValue: prefix.kind) {
        case .tombstone: (try? TombstoneRecord(decoding: bytes, prefix: prefix)) != nil
        case .namespaceOperation: (try? NamespaceRecord(decoding: bytes, prefix: prefix)) != nil
        default: true
        }
    }

    private mutating func verified(_ member: CommitMember) async -> PayloadRecord? {
        do throws(LogError) {
            let (record, seal) = try await reader.payload(
                at: member.location, headerBytes: member.headerBytes)
            guard Self.isNamed(record.prefix, seal, by: member) else { return nil }
            try await reader.verifyPayload(record)
            return record
        } catch {
            judge(error, member)
            return nil
        }
    }

    /// What does not open may be torn. What cannot be read may have been acknowledged: damage.
    private mutating func judge(_ error: LogError, _ member: CommitMember) {
        let isRead = if case .disk = error { false } else { true }
        if isRead, !hiddenSegments.contains(member.location.segment) { return }
        unreadable.insert(member.location)
        unproven.obstacle = "\(error)"
        damage(
            StoreFiles.segment(member.location.segment), member.location.offset,
            "RCV-10: \(error)")
    }

    // MARK: What the log goes on with

    private mutating func finish(_ accepted: [CommitRecord], checkpoint: CheckpointHeader?) {
        let seen = commits.map(\.record.commit).max() ?? 0
        // The log goes on from the last commit that is proven (RCV-12). If nobody finds that one,
        // the next names it all the same: it is missing at every opening, not at this one alone.
        start.lastCommit = start.syncedCommit
        start.nextCommit = max(
            max(seen, start.lastCommit, journalCommit) + 1, checkpoint?.nextCommit ?? 0)
        unproven.facts.formUnion(facts.filter { $0.commit > start.syncedCommit })
        // One segment takes commits at a time: one that is older than a proven commit's, or than
        // the newest that a checkpoint knows, hides nothing that is not proven.
        let known = commits.filter { $0.record.commit <= start.syncedCommit }
            .map(\.location.segment)
        let newestKnown = (known + [checkpointedSegment].compactMap { $0 }).max()
        // Of one whose header was read the use tells; one that is in use again may be newer than
        // its number says.
        let uses =
            commits.filter { $0.record.commit <= start.syncedCommit }.map(\.record.useSequence)
            + checkpointedUses.values
        let newestUse = uses.max() ?? 0
        if let hidden = hiddenSegments.first(where: { hidden in
            if let use = segments[hidden]?.header.useSequence { return use >= newestUse }
            return hidden >= newestKnown ?? hidden || freedUses[hidden] != nil
        }) {
            unproven.obstacle = "\(StoreFiles.segment(hidden)) could not be read"
        }
        for segment in closedSegments where !contents.report.damages.isEmpty {
            damage(StoreFiles.segment(segment.id), 0, "RCV-22: the header does not open")
        }
        if contents.report.damages.isEmpty { freeSegments += closedSegments }
        start.free = freeSegments.sorted { $0.id < $1.id }
        start.endedCommits = freedUses.commits
        start.isDamaged = !contents.report.damages.isEmpty
        unproven.families = unproven.families.filter { !isGone($0.records[0], commit: $0.commit) }
        start.markTurn = mark.turn
        start.checkpointGeneration = checkpoint?.generation ?? 0
        start.checkpointedCommit = checkpoint?.commit ?? 0
        if let sequence = checkpoint?.writeSequence {
            start.nextWriteSequence = max(start.nextWriteSequence, sequence)
        }
        start.segments = segments.all.map { ($0, chains[$0.id]!) }
        // What would be numbered beyond the limit, no reader opens (FMT-12): it would be lost. No
        // writer comes half as far; a forged number does (RCV-17).
        let numbers = [
            start.nextUse, start.nextCommit, start.nextWriteSequence.raw, start.markTurn,
            start.checkpointGeneration,
        ]
        if numbers.contains(where: { $0 > FieldReader.counterMax / 2 }) {
            unproven.obstacle = "RCV-17: the numbers are used up: \(numbers)"
        }
    }
}
