// The journals while the store serves. They are appended to, and written anew when they would grow
// though much of what they say is no longer needed: a removal of what no commit names any more, and
// the ends of uses that later ones ended again.
//
// A fact stays true for ever, so that any mixture of old and new copies is right, and a crash
// between the two costs nothing.

import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// Appends to both copies. *Durability:* that of the next flush.
    /// *Throws:* `.capacityExceeded` when the file system has no room; nothing was written then.
    func appendToJournals(_ entries: [JournalEntry]) async throws(LogError) {
        let blocks = JournalBlock.pack(entries)
        if journals.contains(where: { !$0.hasRoom(for: blocks.count) }) {
            try await condenseJournals()
        }
        do throws(DiskError) {
            for index in journals.indices {
                var journal = journals[index]
                let before = journal.allocatedBytes
                try await journal.makeRoom(for: blocks.count, on: disk)
                allocatedBytes += journal.allocatedBytes - before
                journals[index] = journal
            }
        } catch {
            guard error.code == .noSpace else { throw .disk(error) }
            throw .capacityExceeded(
                neededBytes: UInt64(blocks.count * Superblock.blockBytes), availableBytes: 0)
        }
        do throws(DiskError) {
            for index in journals.indices {
                var journal = journals[index]
                try await journal.append(blocks, on: disk)
                journals[index] = journal
            }
        } catch {
            throw .disk(error)
        }
        unflushedFiles.formUnion(journals.map(\.file))
    }

    /// Whether the journals have to keep more facts than is fair, since old commits stand in uses
    /// that do not end by themselves. Ends of these, the oldest first, and `condense` help.
    public var hasLongJournals: Bool {
        let bytes = condensedBlockCount * UInt64(Superblock.blockBytes)
        return bytes > max(4 * JournalWriter.growthBytes, superblock.capacityBytes / 128)
            && condensedBlockCount > toleratedBlockCount
    }

    /// Nothing helps now: the journals are put up with until they are a quarter longer.
    public func tolerateLongJournals() {
        toleratedBlockCount = tolerableBlockCount
    }

    private var tolerableBlockCount: UInt64 { condensedBlockCount + condensedBlockCount / 4 }

    /// Whether a checkpoint helps already: old commits are needed for its sake alone.
    public var hasOldCheckpoint: Bool { checkpointedCommit < endedPrefix }

    /// Leaves out of the journals what nothing needs any more.
    public func condense() async throws(LogError) {
        _ = try await enqueue(.condense, .written)
    }

    /// Writes both copies anew if that makes them much shorter. Until a copy gets its name, a
    /// failure costs nothing but length.
    func condenseJournals(isForced: Bool = false) async throws(LogError) {
        guard isForced || journals.allSatisfy({ $0.nextBlock > condensedBlockCount * 2 }) else {
            return
        }
        guard let facts = await readJournals() else { return }
        let freed = facts.freedUses
        endedPrefix = freed.endedPrefix
        let needed = facts.needed(freed, checkpointedCommit: checkpointedCommit)
            .sorted(by: JournalEntry.isOrdered)
        condensedBlockCount = UInt64(JournalBlock.pack(needed).count)
        // What is no longer there is no longer put up with.
        toleratedBlockCount = min(toleratedBlockCount, tolerableBlockCount)
        guard journals.allSatisfy({ $0.nextBlock > condensedBlockCount * 2 }) else { return }
        for index in journals.indices {
            guard try await replaceJournal(at: index, with: needed) else { return }
        }
    }

    /// What both copies hold; `nil` when one cannot be read.
    private func readJournals() async -> Set<JournalEntry>? {
        var facts: Set<JournalEntry> = []
        for journal in journals {
            let byteCount = Int(journal.nextBlock) * Superblock.blockBytes
            guard let bytes = try? await disk.readBytes(journal.file, at: 0, byteCount: byteCount),
                bytes.count == byteCount
            else { return nil }
            facts.formUnion(JournalWriter.blocks(in: bytes, key: journal.key).flatMap(\.entries))
        }
        return facts
    }

    /// *Returns:* false when the new file could not be written, and the old one stands.
    /// *Throws:* when it may have got its name and cannot be gone on with.
    private func replaceJournal(at index: Int, with facts: [JournalEntry]) async throws(LogError)
        -> Bool
    {
        let old = journals[index]
        let draft = StoreFiles.journalDrafts[old.copyIndex]
        let bytes = JournalWriter.content(
            old.copyIndex, facts, superblock, salt: environment.entropy.bytes(32))
        guard let file = try? await CheckpointFile.write(bytes, toDraft: draft, disk) else {
            return false
        }
        do throws(DiskError) {
            try await CheckpointFile.publish(
                file, draft: draft, as: StoreFiles.journals[old.copyIndex], disk)
            guard
                let new = try await JournalWriter.reopen(
                    copyIndex: old.copyIndex, facts: facts, superblock: superblock, on: disk)
            else {
                throw DiskError(
                    code: .failed, operation: "reopen", file: StoreFiles.journals[old.copyIndex])
            }
            unflushedFiles.remove(old.file)
            await disk.close(old.file)
            allocatedBytes += new.allocatedBytes
            allocatedBytes -= old.allocatedBytes
            journals[index] = new
            return true
        } catch {
            throw .disk(error)
        }
    }
}

extension Set<JournalEntry> {
    var freedUses: FreedUses {
        FreedUses(compactMap { if case .freed(let use) = $0 { use } else { nil } })
    }

    /// Without what concerns nothing that a commit of the log, or the checkpoint, still names.
    func needed(_ freed: FreedUses, checkpointedCommit: UInt64) -> [JournalEntry] {
        let ended = Swift.min(freed.endedPrefix, checkpointedCommit)
        let dropped = Set<NamespaceID>(
            compactMap { fact in
                guard case .namespaceOperation(.drop(let id, let commit)) = fact, commit <= ended
                else { return nil }
                return id
            })
        let others = filter { fact in
            switch fact {
            case .tombstone(let tombstone): tombstone.commit > ended
            case .namespaceOperation(.create(let description)): !dropped.contains(description.id)
            case .namespaceOperation(.drop(let id, _)): !dropped.contains(id)
            case .freed: false
            }
        }
        return others + freed.condensed.map(JournalEntry.freed)
    }
}
