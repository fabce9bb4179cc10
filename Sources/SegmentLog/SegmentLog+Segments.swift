// Segment files: which one takes records next, within the budget, and how its use begins and ends.

import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// Closes the current segment and opens the next, large enough for a record (L4, L6).
    /// The caller holds the segment lock.
    func openSegment(for recordBytes: UInt64, _ purpose: ReservationPurpose)
        async throws(LogError)
    {
        await mergeFreeSegments()
        // Asked first with the tail that closing would give back: a put that is refused must not
        // end the segment in which smaller ones and removals still fit.
        _ = try nextSegment(for: recordBytes, purpose, returning: current?.freeBytes ?? 0)
        await closeCurrentSegment()
        let (place, size, takesPayload) = try nextSegment(for: recordBytes, purpose, returning: 0)
        if let place {
            try await beginUse(of: free.remove(at: place), segmentBytes: size, recordBytes, 0)
        } else {
            try await makeSegment(segmentBytes: size, 0)
        }
        current?.takesPayload = takesPayload
    }

    /// Which free segment to use again, or `nil` for a new one, and how long the use will be.
    func nextSegment(
        for recordBytes: UInt64, _ purpose: ReservationPurpose, returning returned: UInt64
    ) throws(LogError) -> (place: Int?, size: UInt64, takesPayload: Bool) {
        let needed = recordBytes + 4 * unit
        let usable = isPurging ? [] : commonFree
        let room = roomBytes + returned
        let place = usable.max { free[$0].byteCount < free[$1].byteCount }
        let allowed = (place.map { free[$0].byteCount } ?? 0) + room
        var size = min(superblock.segmentBytes, allowed & ~(unit - 1))
        // Of those that are left one is for cleaning, which makes room for all others.
        let available = usable.reduce(room) { $0 + free[$1].byteCount }
        var isEnough = !leavesSegmentForCleaning || available >= 2 * superblock.segmentBytes
        switch purpose {
        case .payload:
            guard isEnough else {
                throw .capacityExceeded(neededBytes: needed, availableBytes: 0)
            }
        case .cleaning: isEnough = true
        case .metadata: size = max(size, smallSegmentBytes, needed)
        case .recovery(let bytes):
            size = max(size, min(superblock.segmentBytes, bytes + 4 * unit), needed)
        }
        guard size >= needed else {
            throw .capacityExceeded(neededBytes: needed, availableBytes: size)
        }
        return (place, size, isEnough && size <= allowed)
    }

    /// A segment that metadata gets when there is no room for any.
    private var smallSegmentBytes: UInt64 { 16 * unit }

    /// Whether metadata has more of its slack than one segment's worth, and whoever writes some
    /// had better wait for cleaning.
    public var isBeyondSlack: Bool { excessBytes > smallSegmentBytes }

    /// Whether files have all they may have beyond the capacity, but for what a removal takes that
    /// makes room.
    public var isAtLimit: Bool { excessBytes >= superblock.segmentBytes }

    /// Free segments that nobody holds and no class keeps.
    private var commonFree: [Int] {
        free.indices.filter { !free[$0].isHeld && confining(free[$0].writeClass) == 0 }
    }

    /// Short files, which reopenings leave, are given back until a whole segment fits again.
    private func mergeFreeSegments() async {
        while true {
            let usable =
                commonFree
                .sorted { free[$0].byteCount < free[$1].byteCount }
            guard usable.count > 1, let longest = usable.last,
                free[longest].byteCount + roomBytes < superblock.segmentBytes
            else { return }
            await unlink(free.remove(at: usable[0]))
        }
    }

    /// What files may still grow by. The checkpoint is there twice while it is written.
    var roomBytes: UInt64 { superblock.capacityBytes.saturatingSubtract(spokenForBytes) }

    /// What files have of the metadata slack, until cleaning gives it back.
    public var excessBytes: UInt64 { spokenForBytes.saturatingSubtract(superblock.capacityBytes) }

    private var spokenForBytes: UInt64 { allocatedBytes + 2 * snapshotBytes }

    /// Free segments go back to the file system as long as there is more than the capacity, or than
    /// a class may have: a power cut brings files back that had been given up.
    func unlinkExcess() async {
        for id in options.writeClasses.keys {
            while segments(of: id) > segmentCountMax(of: id),
                let place = free.firstIndex(where: { !$0.isHeld && $0.writeClass == id })
            {
                await unlink(free.remove(at: place))
            }
        }
        while excessBytes > 0,
            let place = commonFree.min(by: { free[$0].byteCount < free[$1].byteCount })
        {
            await unlink(free.remove(at: place))
        }
    }

    /// What a power cut brought back is given back: free segments, and of a class that has more
    /// than it may have the uses in which nothing ever stood. Each was an attempt to begin one.
    func giveBackExcess() async {
        for use in uses where segments(of: use.writeClass) > segmentCountMax(of: use.writeClass) {
            guard use.writeClass != 0, !use.isOpen, !use.isHeld,
                chains[use.id]?.usedBytes == segments[use.id]?.header.firstCommitOffset,
                let contents = try? await contents(of: use.id)
            else { continue }
            _ = try? await free(contents)
        }
        await unlinkExcess()
    }

    /// Whole segments that the capacity has room for, beside what is no segment.
    private var segmentCountMax: UInt64 {
        let overhead = Superblock.fileBytes + journals.reduce(0) { $0 + $1.allocatedBytes }
        return (superblock.capacityBytes - min(superblock.capacityBytes, overhead))
            / superblock.segmentBytes
    }

    /// A store of few segments fills all of them; cleaning then forgets and does not move.
    var leavesSegmentForCleaning: Bool { segmentCountMax >= 4 }

    /// What cleaning keeps available, so that puts need not wait for it.
    public var spaceKeptAhead: UInt64 {
        let count: UInt64 = !leavesSegmentForCleaning ? 0 : segmentCountMax >= 12 ? 3 : 2
        return count * superblock.segmentBytes
    }

    private func header(
        of segment: SegmentID, segmentBytes: UInt64, _ writeClass: UInt16
    ) -> SegmentHeader {
        SegmentHeader(
            storeID: superblock.storeID, segment: segment, useSequence: nextUse,
            salt: environment.entropy.bytes(32), segmentBytes: segmentBytes,
            alignmentUnit: superblock.alignmentUnit, firstCommitOffset: unit,
            secondCommitOffset: 2 * unit, createdSeconds: environment.clock.wallSeconds,
            writeClass: writeClass)
    }

    private func beginUse(_ header: SegmentHeader, _ file: FileID) {
        let handle = SegmentHandle(
            header: header, file: file, recordKey: header.recordKey(secret: superblock.secret))
        segments.insert(handle)
        chains[handle.id] = CheckpointSegment(
            segment: handle.id, useSequence: header.useSequence, nextCommitOffset: unit,
            laterCommitOffset: 2 * unit, usedBytes: 3 * unit)
        open[header.writeClass] = OpenSegment(
            handle: handle, tail: 3 * unit, slots: [unit, 2 * unit])
    }

    func makeSegment(segmentBytes: UInt64, _ writeClass: UInt16) async throws(LogError) {
        guard nextSegment < .max else { throw .unsupported("more than 2^32 - 1 segments") }
        let header = header(
            of: SegmentID(nextSegment), segmentBytes: segmentBytes, writeClass)
        nextSegment += 1
        nextUse += 1
        allocatedBytes += segmentBytes
        do throws(DiskError) {
            beginUse(header, try await createSegmentFile(header, byteCount: segmentBytes))
        } catch {
            // What the failed attempt left allocated is removed or counted at the next open.
            if error.code == .noSpace {
                allocatedBytes -= segmentBytes
                throw .capacityExceeded(neededBytes: segmentBytes, availableBytes: 0)
            }
            degrade(error)
            throw .disk(error)
        }
    }

    /// Writes the header of the next use over that of the last. A crash may leave neither: the
    /// journals say that nothing of the last use is needed (JRN-10).
    func beginUse(
        of segment: FreeSegment, segmentBytes: UInt64, _ recordBytes: UInt64, _ writeClass: UInt16
    ) async throws(LogError) {
        var size = segmentBytes
        if size > segment.byteCount {
            do throws(DiskError) {
                try await disk.allocate(segment.file, byteCount: size)
                allocatedBytes += size - segment.byteCount
            } catch {
                guard error.code == .noSpace else {
                    degrade(error)
                    throw .disk(error)
                }
                // A file system that is full leaves us what we have.
                size = min(segment.byteCount, superblock.segmentBytes) & ~(unit - 1)
                guard size >= recordBytes + 4 * unit else {
                    free.append(segment)
                    throw .capacityExceeded(neededBytes: segmentBytes, availableBytes: size)
                }
            }
        }
        let header = header(of: segment.id, segmentBytes: size, writeClass)
        nextUse += 1
        do throws(DiskError) {
            try await disk.writeBytes(
                segment.file, at: 0,
                header.encode(key: SegmentHeader.sealKey(secret: superblock.secret)))
            try await disk.flush(segment.file)
        } catch {
            degrade(error)
            throw .disk(error)
        }
        beginUse(header, segment.file)
    }

    private func createSegmentFile(_ header: SegmentHeader, byteCount: UInt64)
        async throws(DiskError) -> FileID
    {
        let name = StoreFiles.segment(header.segment)
        let file = try await disk.open(name, .createNew)
        do throws(DiskError) {
            try await disk.allocate(file, byteCount: byteCount)
            try await disk.writeBytes(
                file, at: 0,
                header.encode(key: SegmentHeader.sealKey(secret: superblock.secret)))
            try await disk.flush(file)
            try await disk.flushDirectory(StoreFiles.segments)
            return file
        } catch {
            // After a failed flush the header may be read back and still not be durable (MED-9):
            // the next opener must not take the file for a segment.
            await disk.close(file)
            try? await disk.unlink(name)
            // Or else a power cut brings back one file for each attempt.
            try? await disk.flushDirectory(StoreFiles.segments)
            throw error
        }
    }

    /// Gives the unwritten tail of the current segment back (PRODUCT D5). A failure costs space,
    /// not truth, so it is not an error: the next open tries again.
    func closeCurrentSegment() async {
        guard let segment = current else { return }
        current = nil
        let size = segment.handle.header.segmentBytes
        guard segment.tail < size else { return }
        do throws(DiskError) {
            try await disk.truncate(segment.handle.file, byteCount: segment.tail)
            allocatedBytes -= size - segment.tail
        } catch {}
    }
}
