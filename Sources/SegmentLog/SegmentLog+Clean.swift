// Cleaning: how a segment that holds little of worth becomes free again (L7). Who cleans decides
// what stays; the log moves it, names it again, and ends the use.
//
//  1  `contents(of:)` reads the commits of the use: what they name elsewhere would be lost with
//  them.
//  2  `move` copies what lives here and is to stay, and names it, and what lives elsewhere, in new
//     commits, durably. A removal is never in the same group: what it removed stays removed.
//  3  The index forgets the rest.
//  4  `free` says in the journals that the use has ended. Only then the file may be written over.

import BlockIO
import ChunkFormat
import Primitives

/// A segment use, as cleaning sees it.
public struct SegmentUse: Sendable {
    public let id: SegmentID
    public let useSequence: UInt64
    /// Bytes in use, from the file's begin.
    public let byteCount: UInt64
    /// Whether new records still go there, or were promised a place.
    public let isOpen: Bool
    /// Whether somebody reads there, or may.
    public let isHeld: Bool
    /// The class that it is confined to; 0 for none.
    public let writeClass: UInt16
}

/// What the commits of a use say of other places.
public struct UseContents: Sendable {
    fileprivate let freed: FreedUse
    /// Where the walk ended: a commit that came after it is not in here.
    fileprivate let nextCommitOffset: UInt64
    /// Members that stand elsewhere, each commit's in its order.
    public let membersElsewhere: [CommitMember]
}

/// A variant that is to be named by a new commit, where it stands or at another place.
public struct LogMove: Sendable {
    public enum Way: Sendable {
        /// Its records, record 0 first.
        case copy([PayloadRecord])
        /// As `copy`, of records that say something else now: after a crash those before do not
        /// stand in for them.
        case change([PayloadRecord])
        case name([CommitMember])
    }
    let way: Way
    let isAlive: @Sendable () -> Bool
    let publish: @Sendable (RecordLocation) -> Void

    /// Both closures run on the core. `publish` is told where record 0 stands now.
    public init(
        _ way: Way, isAlive: @escaping @Sendable () -> Bool,
        publish: @escaping @Sendable (RecordLocation) -> Void
    ) {
        (self.way, self.isAlive, self.publish) = (way, isAlive, publish)
    }
}

extension SegmentLog {
    /// All uses, in order of their beginning.
    public var uses: [SegmentUse] {
        segments.all.sorted { $0.header.useSequence < $1.header.useSequence }.map { handle in
            let isOpen = isOpen(handle)
            return SegmentUse(
                id: handle.id, useSequence: handle.header.useSequence,
                byteCount: isOpen
                    ? handle.header.segmentBytes : chains[handle.id]?.usedBytes ?? 0,
                isOpen: isOpen || handle.hasWriters, isHeld: handle.isHeld,
                writeClass: confining(handle.header.writeClass))
        }
    }

    /// What payload may still take without cleaning: free segments and room for new ones.
    public var availableBytes: UInt64 {
        free.reduce(roomBytes) {
            $1.isHeld || confining($1.writeClass) != 0 ? $0 : $0 + $1.byteCount
        }
    }

    /// Whether so much is available, and nothing is owed to the capacity.
    public func hasRoom(for byteCount: UInt64) -> Bool {
        excessBytes == 0 && availableBytes >= byteCount
    }

    /// Whether cleaning has where to copy so much.
    public func hasRoomToMove(_ byteCount: UInt64) -> Bool {
        byteCount == 0 || byteCount + 4 * unit <= max(current?.freeBytes ?? 0, availableBytes)
    }

    /// Whether a segment could be used again but for who reads there.
    public var hasHeldFreeSegment: Bool { hasHeldFreeSegment(in: 0) }

    /// Walks the commits of a closed use. *Complexity:* one read a commit.
    /// *Throws:* `.format` when one does not open: the use cannot be ended without losing the
    /// thread.
    public func contents(of id: SegmentID) async throws(LogError) -> UseContents {
        guard let handle = segments[id], let chain = chains[id], !isOpen(handle) else {
            throw .unsupported("the contents of segment \(id), which is open or gone")
        }
        var slots = [handle.header.firstCommitOffset, handle.header.secondCommitOffset]
        var (first, last, previous) = (UInt64(0), UInt64(0), UInt64(0))
        var elsewhere: [CommitMember] = []
        var hole: LogError?
        while slots[0] != 0, slots[0] != chain.nextCommitOffset {
            let record: CommitRecord
            do throws(LogError) {
                record = try await commit(at: slots[0], handle)
            } catch {
                // One that was never flushed (RCV-20), or one that rotted since?
                guard case .format = error, !isDamaged, slots[1] != 0 else { throw error }
                hole = error
                slots = [slots[1], 0]
                continue
            }
            // What counts builds on a commit that counts: this one tells that the hole does not.
            if let hole, record.previousCommit != last { throw hole }
            hole = nil
            if first == 0 { (first, previous) = (record.commit, record.previousCommit) }
            last = record.commit
            elsewhere += record.members.filter { member in
                !member.isAbandoned && member.location.segment != id
                    && record.commit > endedCommits[member.location.segment] ?? 0
            }
            slots = [record.nextCommitOffset, record.laterCommitOffset]
        }
        return UseContents(
            freed: FreedUse(
                segment: id, useSequence: handle.header.useSequence, firstCommit: first,
                lastCommit: last, previousCommit: previous, commit: 0),
            nextCommitOffset: slots[0], membersElsewhere: elsewhere)
    }

    private func commit(at offset: UInt64, _ handle: SegmentHandle) async throws(LogError)
        -> CommitRecord
    {
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try await disk.readBytes(
                handle.file, at: offset, byteCount: Int(handle.header.alignmentUnit))
        } catch {
            throw .disk(error)
        }
        do throws(FormatError) {
            return try CommitRecord(
                decoding: bytes, at: RecordLocation(segment: handle.id, offset: offset),
                unit: handle.header.alignmentUnit, useSequence: handle.header.useSequence,
                segmentBytes: handle.header.segmentBytes, key: handle.recordKey)
        } catch {
            throw .format(error, file: handle.fileName, offset: offset)
        }
    }

    /// Copies, and names, what is still alive once its turn comes.
    /// *Durability:* durable when this returns.
    /// *Returns:* those that cannot be copied, since they do not verify or there is no place to
    /// copy them to. Nothing was done about these.
    public func move(_ moves: [LogMove]) async throws(LogError) -> [(place: Int, error: LogError)] {
        var failed: [(Int, LogError)] = []
        var puts: [LogPut] = []
        var count = 0
        for (place, move) in moves.enumerated() {
            let put: LogPut
            do throws(LogError) {
                put = try await prepare(move)
            } catch {
                switch error {
                case .format, .capacityExceeded: failed.append((place, error))
                default: throw error
                }
                continue
            }
            if count + put.members.count > recordCountMax, !puts.isEmpty {
                _ = try await enqueue(.moves(puts), .durable)
                (puts, count) = ([], 0)
            }
            puts.append(put)
            count += put.members.count
        }
        if !puts.isEmpty { _ = try await enqueue(.moves(puts), .durable) }
        return failed
    }

    private func prepare(_ move: LogMove) async throws(LogError) -> LogPut {
        switch move.way {
        case .name(let members):
            let location = members[0].location
            return LogPut(
                members.map(\.again), admit: move.isAlive, publish: { move.publish(location) },
                withdraw: {})
        case .copy(let records): return try await copy(records, for: move, isSame: true)
        case .change(let records): return try await copy(records, for: move, isSame: false)
        }
    }

    private func copy(_ records: [PayloadRecord], for move: LogMove, isSame: Bool)
        async throws(LogError) -> LogPut
    {
        let places = try await reserve(
            records.map(\.prefix.recordBytes), for: .cleaning, besides: records[0])
        let mover = RecordMover(disk: disk, reader: reader)
        let members: [CommitMember]
        do throws(LogError) {
            members = try await mover.move(records, to: places)
        } catch {
            // A read that failed leaves a place that nobody needs. What a failed write left in
            // its place is uncertain for ever (L5).
            if case .degraded(let reason) = error {
                degradedReason = degradedReason ?? reason
            } else {
                giveUp(places)
            }
            throw error
        }
        counters.movedBytes += records.reduce(0) { $0 + $1.prefix.recordBytes }
        return LogPut(
            isSame ? members.map(\.again) : members, holds: places.map(\.hold),
            admit: move.isAlive, publish: { move.publish(places[0].location) }, withdraw: {})
    }

    /// Ends a use in which nothing lives any more, and on whose commits nothing that lives depends.
    /// *Durability:* durable when this returns; the file is used again once nobody holds the use.
    /// *Returns:* false when the use has got another commit, or is open: nothing happened then.
    public func free(_ contents: UseContents) async throws(LogError) -> Bool {
        _ = try await enqueue(.free(contents), .durable)
        return segments[contents.freed.segment]?.header.useSequence != contents.freed.useSequence
    }

    /// The group of a `free`: everything so far is flushed, then the journals say it.
    func end(_ contents: UseContents) async throws(LogError) {
        var use = contents.freed
        guard let handle = segments[use.segment], !handle.hasWriters,
            handle.header.useSequence == use.useSequence, !isOpen(handle),
            chains[use.segment]?.nextCommitOffset == contents.nextCommitOffset
        else { return }
        // Numbers that a recovery left out lie below those of the fact, or what they name would
        // seem to be of the segment's next use (JRN-9, JRN-11).
        if lastCommit + 1 < nextCommit {
            nextCommit += 1
            try await write([], as: nextCommit - 1, needsFlush: true)
        }
        try await flush()
        use.commit = lastCommit
        try await appendToJournals([.freed(use)])
        try await flushFiles()
        endedCommits[use.segment] = use.commit
        handle.end()
        segments.remove(use.segment)
        let used = chains.removeValue(forKey: use.segment)?.usedBytes ?? 0
        let byteCount = (try? await disk.byteCount(of: handle.file)) ?? used
        free.append(
            FreeSegment(
                id: use.segment, file: handle.file, byteCount: byteCount,
                writeClass: handle.header.writeClass, handle: handle))
        counters.freedCount += 1
        await unlinkSmallSegments()
        await unlinkExcess()
    }

    /// What is too short to be worth using again makes room for a whole one. A crash may bring the
    /// file back; the journals know it.
    private func unlinkSmallSegments() async {
        while let place = free.firstIndex(where: {
            $0.byteCount < superblock.segmentBytes / 4 && !$0.isHeld
                && confining($0.writeClass) == 0
        }) {
            await unlink(free.remove(at: place))
        }
    }

    /// Ends the open use, so that it can be cleaned once who writes there is done. From now on no
    /// file is used again, until `endPurging`: behind what is written to one stands what was there.
    public func beginPurging() async throws(LogError) {
        try requireWritable()
        await lockSegments()
        defer { segmentLock.release() }
        isPurging = true
        await closeCurrentSegment()
        open = [:]
    }

    public func endPurging() { isPurging = false }

    /// Gives all free segments' bytes back to the file system.
    /// *Durability:* durable when this returns. *Returns:* false while somebody holds one.
    public func unlinkFreeSegments() async -> Bool {
        while let place = free.firstIndex(where: { !$0.isHeld }) {
            await unlink(free.remove(at: place))
        }
        try? await disk.flushDirectory(StoreFiles.segments)
        return free.isEmpty
    }

    /// Gives a free segment's bytes back; nobody else knows the file any more.
    func unlink(_ segment: FreeSegment) async {
        await disk.close(segment.file)
        do throws(DiskError) {
            try await disk.unlink(StoreFiles.segment(segment.id))
            allocatedBytes -= min(segment.byteCount, allocatedBytes)
        } catch {
            // Counted until the next opening finds it again.
        }
    }
}
