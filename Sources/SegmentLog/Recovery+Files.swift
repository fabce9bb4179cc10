// What stands in the files: the journals (step 2), the segments' headers, the checkpoint (step 3).

import BlockIO
import ChunkFormat
import Primitives

extension Recovery {
    mutating func readJournals() async throws(LogError) {
        let headerKey = JournalHeader.sealKey(secret: superblock.secret)
        var factsOfCopy: [Int: Set<JournalEntry>] = [:]
        for (index, name) in StoreFiles.journals.enumerated() {
            do throws(DiskError) {
                let file = try await disk.open(name, policy == .inspect ? .read : .readWrite)
                if policy != .inspect { try await disk.flush(file) }
                let byteCount = min(
                    try await disk.byteCount(of: file), JournalWriter.byteCountMax)
                let bytes = try await disk.readBytes(file, at: 0, byteCount: Int(byteCount))
                guard
                    let header = try? JournalHeader(
                        decoding: bytes, copyIndex: UInt32(index), storeID: superblock.storeID,
                        key: headerKey)
                else {
                    damage(name, 0, "JRN-2: the journal's header does not open")
                    badJournals.append(index)
                    await disk.close(file)
                    continue
                }
                let key = header.blockKey(secret: superblock.secret)
                var own: Set<JournalEntry> = []
                let next = readBlocks(bytes, of: name, key: key, into: &own)
                facts.formUnion(own)
                factsOfCopy[index] = own
                journals.append(
                    JournalWriter(
                        copyIndex: index, file: file, key: key, nextBlock: next,
                        allocatedBytes: UInt64(bytes.count)))
            } catch {
                damage(name, 0, "\(error)")
                badJournals.append(index)
            }
        }
        guard !journals.isEmpty else {
            throw .format(
                FormatError(
                    .corrupt, structure: "journalHeader", field: "", clause: "JRN-1",
                    expected: "at least one journal that opens", found: "none"),
                file: StoreFiles.journals[0], offset: 0)
        }
        // A copy that lacks a fact, by a torn append or a fault, is written anew (JRN-8).
        let lacking = factsOfCopy.filter { $0.value != facts }.keys.sorted()
        badJournals += lacking
        contents.report.repairedJournalCopies = lacking
        takeFacts()
    }

    /// Reads blocks up to the first that does not open; returns its number. Blocks behind a bad one
    /// are facts too (JRN-6), so all are tried; the writer goes on behind the last.
    private mutating func readBlocks(
        _ bytes: [UInt8], of name: String, key: SealKey, into own: inout Set<JournalEntry>
    ) -> UInt64 {
        var next: UInt64 = 1
        for (index, entries) in JournalWriter.blocks(in: bytes, key: key) {
            own.formUnion(entries)
            for case .namespaceOperation(let operation) in entries {
                describe(operation, in: name, at: UInt64(index * Superblock.blockBytes))
            }
            next = UInt64(index) + 1
        }
        return next
    }

    /// NSP-11: the first description of a namespace counts, and another one is damage.
    mutating func describe(_ operation: NamespaceOperation, in file: String, at offset: UInt64) {
        guard case .create(let description) = operation else { return }
        let first = descriptions[description.id] ?? description
        descriptions[description.id] = first
        if first != description {
            damage(file, offset, "NSP-11: namespace \(description.id) is described in two ways")
        }
    }

    private mutating func takeFacts() {
        var drops: [NamespaceOperation] = []
        var freed: [FreedUse] = []
        for fact in facts {
            switch fact {
            case .tombstone(let tombstone):
                bury(tombstone, commit: tombstone.commit)
                journalCommit = max(journalCommit, tombstone.commit)
            case .namespaceOperation(.create(let description)):
                // A namespace has the number of its commit, and no other may get it (NSP-7).
                journalCommit = max(journalCommit, UInt64(description.id.raw))
            case .namespaceOperation(.drop(let id, let commit)):
                drops.append(.drop(id, commit: commit))
                journalCommit = max(journalCommit, commit)
            case .freed(let use):
                freed.append(use)
                journalCommit = max(journalCommit, use.commit)
            }
        }
        // Of one use there may be two facts, a longer one and what it was condensed from.
        freedUses = FreedUses(
            freed.sorted { ($0.useSequence, $1.firstCommit) < ($1.useSequence, $0.firstCommit) })
        start.nextUse = max(start.nextUse, freedUses.useSequence + 1)
        contents.namespaces =
            descriptions.values.sorted { $0.id < $1.id }.map(NamespaceOperation.create) + drops
    }

    /// Beside a running writer, the checkpoint may name segments that came after the listing.
    mutating func openNewSegments() async throws(LogError) {
        guard policy == .inspect else { return }
        let key = SegmentHeader.sealKey(secret: superblock.secret)
        do throws(DiskError) {
            for name in try await disk.list(StoreFiles.segments) {
                guard let id = StoreFiles.segmentID(fileName: name), segments[id] == nil,
                    !freeSegments.contains(where: { $0.id == id })
                else { continue }
                try await openSegment(id, key: key)
            }
        } catch {
            throw .disk(error)
        }
    }

    mutating func openSegments() async throws(LogError) {
        let key = SegmentHeader.sealKey(secret: superblock.secret)
        do throws(DiskError) {
            contents.report.unknownFiles += try await unknownNames()
            let names = try await disk.list(StoreFiles.segments)
            for (index, name) in names.enumerated() {
                progress?(.init(.segments, completed: UInt64(index), total: UInt64(names.count)))
                guard let id = StoreFiles.segmentID(fileName: name) else {
                    contents.report.unknownFiles.append("\(StoreFiles.segments)/\(name)")
                    continue
                }
                start.nextSegment = max(start.nextSegment, id.raw &+ 1)
                try await openSegment(id, key: key)
            }
        } catch {
            throw .disk(error)
        }
    }

    private func unknownNames() async throws(DiskError) -> [String] {
        let known =
            [
                StoreFiles.superblock, StoreFiles.checkpoint, StoreFiles.checkpointDraft,
                StoreFiles.heat, StoreFiles.heatDraft, StoreFiles.segments,
                StoreFiles.superblockDraft,
            ] + StoreFiles.journals + StoreFiles.journalDrafts
        return try await disk.list("").filter { !known.contains($0) }
    }

    private mutating func openSegment(_ id: SegmentID, key: SealKey) async throws(DiskError) {
        let name = StoreFiles.segment(id)
        let file: FileID
        do throws(DiskError) {
            file = try await disk.open(name, policy == .inspect ? .read : .readWrite)
            if policy != .inspect { try await disk.flush(file) }
        } catch {
            damage(name, 0, "\(error)")
            hiddenSegments.append(id)
            return
        }
        let byteCount: UInt64
        let bytes: [UInt8]
        do throws(DiskError) {
            byteCount = try await disk.byteCount(of: file)
            // No more than the header: a bad block behind it costs what stands there, not the use.
            bytes = try await disk.readBytes(file, at: 0, byteCount: Superblock.blockBytes)
        } catch {
            damage(name, 0, "RCV-6: the segment's header: \(error)")
            hiddenSegments.append(id)
            return
        }
        do throws(FormatError) {
            let header = try SegmentHeader(
                decoding: bytes, segment: id, storeID: superblock.storeID, key: key)
            start.nextUse = max(start.nextUse, header.useSequence + 1)
            start.allocatedBytes += byteCount
            if let freed = freedUses[id], header.useSequence <= freed.useSequence {
                // The last writer did not come to use it again: whether what the journals say is
                // durable, it may not have known (RCV-12).
                unproven.facts.insert(.freed(freed))
                freeSegments.append(
                    FreeSegment(
                        id: id, file: file, byteCount: byteCount,
                        writeClass: header.writeClass, handle: nil))
                return
            }
            let handle = SegmentHandle(
                header: header, file: file,
                recordKey: header.recordKey(secret: superblock.secret))
            segments.insert(handle)
            chains[id] = CheckpointSegment(
                segment: id, useSequence: header.useSequence,
                nextCommitOffset: header.firstCommitOffset,
                laterCommitOffset: header.secondCommitOffset, usedBytes: header.firstCommitOffset)
        } catch {
            start.allocatedBytes += byteCount
            if freedUses[id] != nil {
                // A header that was being written over, if nothing else is missing (RCV-22).
                closedSegments.append(
                    FreeSegment(
                        id: id, file: file, byteCount: byteCount, writeClass: 0, handle: nil))
                return
            }
            // A use writes its first commit slot, behind the header, before it acknowledges
            // anything; if nothing stands there or further on, the header was never flushed (L4,
            // RCV-6).
            let proof = try? await disk.readBytes(
                file, at: UInt64(Superblock.blockBytes),
                byteCount: Self.leftoverProofBytes - Superblock.blockBytes)
            await disk.close(file)
            if let proof, proof.allSatisfy({ $0 == 0 }) {
                leftovers.append((name, byteCount))
            } else {
                damage(name, 0, "\(error)")
            }
        }
    }

    /// How far a segment is looked at before it is taken for a leftover.
    private static let leftoverProofBytes = 65_536

    /// CKP-12.
    private func hasEnded(_ entry: CheckpointEntry) -> Bool {
        let segment = entry.location.segment
        return freedUses.hasEnded(segment, checkpointedUse: checkpointedUses[segment])
    }

    /// CKP-9.
    private func isBuried(_ entry: CheckpointEntry, after commit: UInt64) -> Bool {
        if graves.isEmpty { return false }
        let one = GraveKey(namespace: entry.namespace, key: entry.key, variant: entry.variant)
        let all = GraveKey(namespace: entry.namespace, key: entry.key, variant: nil)
        return max(graves[one] ?? 0, graves[all] ?? 0) > commit
    }

    mutating func readCheckpoint() async throws(LogError) -> CheckpointHeader? {
        do throws(LogError) {
            var sanity = CheckpointSanity(
                segments: segments,
                namespaces: Set(
                    contents.namespaces.compactMap { operation in
                        if case .create(let description) = operation { description.id } else { nil }
                    }), unit: UInt64(superblock.alignmentUnit))
            var rows: [CheckpointSegment] = []
            var (commit, taken, total) = (UInt64(0), UInt64(0), UInt64(0))
            let header = try await CheckpointFile.read(disk, superblock: superblock) {
                header async throws(LogError) in
                let heat = await CheckpointFile.readHeat(
                    disk, superblock: superblock, generation: header.generation)
                (commit, total) = (header.commit, header.entryCount)
                sink.begin(superblock, heat: heat, namespaces: contents.namespaces)
            } use: { segments, entries throws(LogError) in
                try sanity.check(segments)
                try sanity.check(entries)
                rows += segments
                taken += UInt64(entries.count)
                for row in segments { checkpointedUses[row.segment] = row.useSequence }
                sink.take(entries.filter { !isBuried($0, after: commit) && !hasEnded($0) })
                progress?(.init(.checkpoint, completed: taken, total: total))
            }
            guard let header else {
                contents.report.checkpointIgnored = "there is none"
                return nil
            }
            checkpointedSegment = rows.map(\.segment).max()
            for segment in rows {
                // A row of a segment that was lost must not pass for one of the next (RCV-17).
                start.nextSegment = max(start.nextSegment, segment.segment.raw &+ 1)
                start.nextUse = max(start.nextUse, segment.useSequence + 1)
                if freedUses.hasEnded(segment.segment, checkpointedUse: segment.useSequence) {
                    continue
                }
                // A use that holds nothing but its header and first slot has nothing to lose.
                let isEmpty = segment.usedBytes <= 2 * UInt64(superblock.alignmentUnit)
                if !isEmpty,
                    let index = leftovers.firstIndex(where: {
                        $0.name == StoreFiles.segment(segment.segment)
                    })
                {
                    leftovers.remove(at: index)
                    damage(StoreFiles.segment(segment.segment), 0, "RCV-6: the header is gone")
                }
                guard let handle = segments[segment.segment] else {
                    let name = StoreFiles.segment(segment.segment)
                    // An inspector lists before it reads the checkpoint: see `openNewSegments`.
                    if policy != .inspect, !isEmpty,
                        !contents.report.damages.contains(where: { $0.file == name })
                    {
                        damage(
                            name, 0,
                            "CKP-8: a segment of \(ByteCount(segment.usedBytes)) is missing")
                    }
                    continue
                }
                guard handle.header.useSequence == segment.useSequence else {
                    // Entries may still name what stands there: `mend` must not cut it off.
                    let walked = chains[segment.segment]?.usedBytes ?? 0
                    chains[segment.segment]?.usedBytes = max(walked, segment.usedBytes)
                    continue
                }
                chains[segment.segment] = segment
            }
            start.snapshotBytes = header.fileBytes
            return header
        } catch {
            sink.discard()
            contents.report.checkpointIgnored = "\(error)"
            return nil
        }
    }
}
