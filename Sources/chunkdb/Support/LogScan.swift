// The whole log, commit by commit, whatever became of it since: what `find` searches. Segments
// whose use has ended are not part of it, though their bytes stand until they are used again.

import ChunkFormat
import Primitives
import SegmentLog

/// What a commit of the log names.
struct LoggedRecord {
    let commit: UInt64
    let member: CommitMember
    /// What stands there; `nil` when it does not open.
    let content: Content?

    enum Content {
        case payload(PayloadRecord)
        case tombstones([Tombstone])
    }
}

extension StoreView {
    /// Hands over every payload and tombstone record that a commit names, segment by segment in
    /// the order of their uses. *Complexity:* reads every commit slot and every header.
    /// *Throws:* `.interrupted`.
    func forEachLoggedRecord(
        on console: Console, _ body: (LoggedRecord) -> Void
    ) throws(ShellError) {
        let segments = inspection.segments.sorted {
            $0.handle.header.useSequence < $1.handle.header.useSequence
        }
        let used = segments.reduce(UInt64(0)) { $0 &+ $1.usedBytes }
        var progress = Progress("searching", totalBytes: used, on: console)
        var done: UInt64 = 0
        for (handle, usedBytes) in segments {
            var slots = (
                next: handle.header.firstCommitOffset, later: handle.header.secondCommitOffset
            )
            // The chain ends where neither slot opens. Offsets grow, so it ends.
            while let commit = commit(in: slots, of: handle) {
                try Interruption.check()
                for member in commit.members { body(record(commit.commit, member)) }
                slots = (commit.nextCommitOffset, commit.laterCommitOffset)
                progress.update(doneBytes: done &+ min(slots.next, usedBytes))
            }
            done = done &+ usedBytes
        }
        progress.finish()
    }

    private func commit(
        in slots: (next: UInt64, later: UInt64), of handle: SegmentHandle
    ) -> CommitRecord? {
        for offset in [slots.next, slots.later] where offset != 0 {
            let disk = disk
            let unit = handle.header.alignmentUnit
            let bytes = CallerThread.wait {
                try? await disk.readBytes(handle.file, at: offset, byteCount: Int(unit))
            }
            let place = RecordLocation(segment: handle.id, offset: offset)
            if let bytes,
                let commit = try? CommitRecord(
                    decoding: bytes, at: place, unit: unit,
                    useSequence: handle.header.useSequence,
                    segmentBytes: handle.header.segmentBytes, key: handle.recordKey)
            {
                return commit
            }
        }
        return nil
    }

    private func record(_ commit: UInt64, _ member: CommitMember) -> LoggedRecord {
        let reader = reader
        let unit = superblock.alignmentUnit
        let content = CallerThread.wait { () async -> LoggedRecord.Content? in
            guard
                let (bytes, prefix, seal) = try? await reader.header(
                    at: member.location, headerBytes: member.headerBytes),
                seal == member.seal
            else { return nil }
            switch RecordKind(rawValue: prefix.kind) {
            case .payload:
                let record = try? PayloadRecord(decoding: bytes, prefix: prefix, unit: unit)
                return record.map { .payload($0) }
            case .tombstone:
                let record = try? TombstoneRecord(decoding: bytes, prefix: prefix)
                return record.map { .tombstones($0.tombstones) }
            default: return nil
            }
        }
        return LoggedRecord(commit: commit, member: member, content: content)
    }
}
