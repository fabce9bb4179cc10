// What stands on a medium, read by the words of format-spec alone: superblock, marks, facts, uses
// and their chains. Recovery is judged by it, so nothing here asks recovery.

import ChunkDB
import ChunkFormat
import Primitives
import SegmentLog
import StoreTestSupport

struct StoreBytes {
    static let unit = 4_096

    /// A use of a segment, and the commits that its chain leads to (RCV-7), in its order.
    struct Use {
        let header: SegmentHeader
        var commits: [CommitRecord] = []
        var file: String { StoreFiles.segment(header.segment) }
    }

    let disk: SimulatedDisk
    let superblock: Superblock
    private(set) var uses: [Use] = []
    private(set) var facts: [JournalEntry] = []
    private(set) var syncedByMark: UInt64 = 0
    private(set) var checkpoint: CheckpointHeader?

    init(_ disk: SimulatedDisk) throws {
        self.disk = disk
        superblock = try Superblock(
            decoding: disk.bytes(of: StoreFiles.superblock, 0..<Self.unit), copyIndex: 0)
        readMarks()
        readJournals()
        readSegments()
        readCheckpoint()
    }

    /// A block, zeros behind the file's end.
    private func block(_ file: String, _ offset: Int) -> [UInt8] {
        disk.bytes(of: file, offset..<offset + Self.unit)
    }

    private mutating func readMarks() {
        let key = MarkBlock.sealKey(secret: superblock.secret)
        var newest = MarkBlock(turn: 0, syncedCommit: 0)
        for index in 0..<2 {
            let bytes = block(StoreFiles.superblock, 262_144 + index * Self.unit)
            let mark = try? MarkBlock(
                decoding: bytes, index: index, storeID: superblock.storeID, key: key)
            if let mark, mark.turn > newest.turn { newest = mark }
        }
        syncedByMark = newest.syncedCommit
    }

    private mutating func readJournals() {
        let key = JournalHeader.sealKey(secret: superblock.secret)
        for (copy, name) in StoreFiles.journals.enumerated()
        where disk.fileNames.contains(name) {
            guard
                let header = try? JournalHeader(
                    decoding: block(name, 0), copyIndex: UInt32(copy),
                    storeID: superblock.storeID, key: key)
            else { continue }
            let blockKey = header.blockKey(secret: superblock.secret)
            for index in 1..<max(disk.fileByteCount(name) / Self.unit, 1) {
                let entries = try? JournalBlock.decode(
                    block(name, index * Self.unit), blockIndex: UInt64(index), key: blockKey)
                facts += entries ?? []
            }
        }
    }

    private mutating func readSegments() {
        let key = SegmentHeader.sealKey(secret: superblock.secret)
        for name in disk.fileNames where name.hasPrefix("segments/") {
            let number = String(name.dropFirst("segments/".count))
            guard let id = StoreFiles.segmentID(fileName: number),
                let header = try? SegmentHeader(
                    decoding: block(name, 0), segment: id, storeID: superblock.storeID, key: key)
            else { continue }
            var use = Use(header: header)
            var slots = [header.firstCommitOffset, header.secondCommitOffset]
            while let next = firstCommit(in: slots, use) {
                use.commits.append(next)
                slots = [next.nextCommitOffset, next.laterCommitOffset]
            }
            uses.append(use)
        }
        uses.sort { $0.header.useSequence < $1.header.useSequence }
    }

    private func firstCommit(in slots: [UInt64], _ use: Use) -> CommitRecord? {
        for slot in slots where slot != 0 {
            if let commit = commit(at: slot, use) { return commit }
        }
        return nil
    }

    func commit(at offset: UInt64, _ use: Use) -> CommitRecord? {
        let header = use.header
        return try? CommitRecord(
            decoding: block(use.file, Int(offset)),
            at: RecordLocation(segment: header.segment, offset: offset),
            unit: header.alignmentUnit, useSequence: header.useSequence,
            segmentBytes: header.segmentBytes,
            key: header.recordKey(secret: superblock.secret))
    }

    private mutating func readCheckpoint() {
        guard disk.fileNames.contains(StoreFiles.checkpoint) else { return }
        checkpoint = try? CheckpointHeader(
            decoding: block(StoreFiles.checkpoint, 0), storeID: superblock.storeID,
            fileBytes: UInt64(disk.fileByteCount(StoreFiles.checkpoint)),
            key: CheckpointHeader.sealKey(secret: superblock.secret))
    }

    // MARK: Answers

    var commits: [CommitRecord] { uses.flatMap(\.commits) }

    func isEnded(_ use: Use) -> Bool {
        facts.contains { fact in
            guard case .freed(let freed) = fact else { return false }
            return freed.segment == use.header.segment
                && freed.useSequence >= use.header.useSequence
        }
    }

    /// COM-8: the largest number in chains, checkpoint, mark and journals.
    var largestCommit: UInt64 {
        let numbers = facts.map { fact -> UInt64 in
            switch fact {
            case .tombstone(let tombstone): tombstone.commit
            case .namespaceOperation(.create(let description)): UInt64(description.id.raw)
            case .namespaceOperation(.drop(_, let commit)): commit
            case .freed(let use): max(use.commit, use.lastCommit)
            }
        }
        let living = uses.filter { !isEnded($0) }.flatMap(\.commits).map(\.commit)
        return (numbers + living + [syncedByMark, checkpoint?.commit ?? 0]).max()!
    }

    var largestUse: UInt64 {
        let freed = facts.map { fact -> UInt64 in
            if case .freed(let use) = fact { use.useSequence } else { 0 }
        }
        return (freed + uses.map(\.header.useSequence)).max() ?? 0
    }

    // MARK: Forgery

    /// Puts a fact behind the last block of one journal, or of both, as a writer would.
    func append(_ fact: JournalEntry, toCopies copies: [Int]) throws {
        let key = JournalHeader.sealKey(secret: superblock.secret)
        for copy in copies {
            let name = StoreFiles.journals[copy]
            let header = try JournalHeader(
                decoding: block(name, 0), copyIndex: UInt32(copy), storeID: superblock.storeID,
                key: key)
            let blockKey = header.blockKey(secret: superblock.secret)
            var index = 1
            while block(name, index * Self.unit).contains(where: { $0 != 0 }) { index += 1 }
            disk.setBytes(
                JournalBlock.encode([fact], blockIndex: UInt64(index), key: blockKey), of: name,
                at: index * Self.unit)
        }
    }

    /// Takes the marks away: then only commits, checkpoint and freed uses prove anything.
    func clearMarks() {
        let zeros = [UInt8](repeating: 0, count: 2 * Self.unit)
        disk.setBytes(zeros, of: StoreFiles.superblock, at: 262_144)
    }
}
