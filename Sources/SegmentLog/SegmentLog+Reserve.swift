import BlockIO
import ChunkFormat
import Primitives

/// What a place is for: payload stops at the capacity; metadata, and what recovery writes anew,
/// may use the slack (L6).
public enum ReservationPurpose: Sendable {
    case payload
    case metadata
}

extension SegmentLog {
    /// Reserves one place for each record of a variant, in order. Nothing is written.
    /// *Throws:* `.capacityExceeded` when a new segment would exceed the budget.
    public func reserve(_ recordSizes: [UInt64], for purpose: ReservationPurpose = .payload)
        async throws(LogError) -> [Reservation]
    {
        await lockSegments()
        defer { segmentLock.release() }
        var reservations: [Reservation] = []
        for recordBytes in recordSizes {
            try requireWritable()
            guard recordBytes <= recordBytesMax else {
                throw .recordTooLarge(recordBytes: recordBytes, maximumBytes: recordBytesMax)
            }
            if !(current?.fits(recordBytes) ?? false) {
                do throws(LogError) {
                    try await openSegment(for: recordBytes, purpose)
                } catch {
                    giveUp(reservations)
                    throw error
                }
            }
            reservations.append(takePlace(recordBytes))
        }
        return reservations
    }

    func lockSegments() async {
        await withCheckedContinuation { segmentLock.acquire($0) }
    }

    /// A place in the current segment, which has room.
    func takePlace(_ recordBytes: UInt64) -> Reservation {
        let handle = current!.handle
        let offset = current!.take(recordBytes)
        defer { nextWriteSequence = nextWriteSequence.next }
        return Reservation(
            handle: handle, location: RecordLocation(segment: handle.id, offset: offset),
            recordBytes: recordBytes, writeSequence: nextWriteSequence)
    }

    /// Ends reservations that nobody will commit. The bytes are dead until their segment is
    /// cleaned, except those still at the tail, which are handed out again once no write is on its
    /// way.
    public func giveUp(_ reservations: [Reservation]) {
        for reservation in reservations.reversed() {
            if current?.handle === reservation.handle,
                current!.tail == reservation.location.offset + reservation.recordBytes
            {
                current!.tail = reservation.location.offset
            } else {
                counters.abandonedBytes += reservation.recordBytes
            }
        }
    }

    /// Closes the current segment and opens the next, large enough for a record (L4, L6).
    /// The caller holds the segment lock.
    func openSegment(for recordBytes: UInt64, _ purpose: ReservationPurpose)
        async throws(LogError)
    {
        // Asked first with the tail that closing would give back: a put that is refused must not
        // end the segment in which smaller ones and removals still fit.
        let tail = current.map { $0.handle.header.segmentBytes - $0.tail } ?? 0
        _ = try sizeOfNextSegment(for: recordBytes, purpose, returning: tail)
        await closeCurrentSegment()
        let size = try sizeOfNextSegment(for: recordBytes, purpose, returning: 0)
        guard nextSegment < .max else { throw .unsupported("more than 2^32 - 1 segments") }
        let header = SegmentHeader(
            storeID: superblock.storeID, segment: SegmentID(nextSegment), useSequence: nextUse,
            salt: environment.entropy.bytes(32), segmentBytes: size,
            alignmentUnit: superblock.alignmentUnit, firstCommitOffset: unit,
            secondCommitOffset: 2 * unit, createdSeconds: environment.clock.wallSeconds)
        nextSegment += 1
        nextUse += 1
        allocatedBytes += size
        do throws(DiskError) {
            let file = try await createSegmentFile(header, byteCount: size)
            let handle = SegmentHandle(
                header: header, file: file,
                recordKey: header.recordKey(secret: superblock.secret))
            segments.insert(handle)
            chains[handle.id] = CheckpointSegment(
                segment: handle.id, useSequence: header.useSequence, nextCommitOffset: unit,
                laterCommitOffset: 2 * unit, usedBytes: 3 * unit)
            current = OpenSegment(handle: handle, tail: 3 * unit, slots: [unit, 2 * unit])
        } catch {
            // What the failed attempt left allocated is removed or counted at the next open.
            if error.code == .noSpace {
                allocatedBytes -= size
                throw .capacityExceeded(neededBytes: size, availableBytes: 0)
            }
            degrade(error)
            throw .disk(error)
        }
    }

    private func sizeOfNextSegment(
        for recordBytes: UInt64, _ purpose: ReservationPurpose, returning returned: UInt64
    ) throws(LogError) -> UInt64 {
        let needed = recordBytes + 4 * unit
        let allocated = allocatedBytes - returned
        let available =
            superblock.capacityBytes > allocated ? superblock.capacityBytes - allocated : 0
        var size = min(superblock.segmentBytes, available & ~(unit - 1))
        if purpose == .metadata { size = max(size, 16 * unit, needed) }
        guard size >= needed else {
            throw .capacityExceeded(neededBytes: needed, availableBytes: available)
        }
        return size
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
