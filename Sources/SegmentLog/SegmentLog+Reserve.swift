import BlockIO
import ChunkFormat
import Primitives

/// What a place is for. Payload leaves one segment to cleaning, and cleaning stops at the capacity;
/// metadata, and what recovery writes anew, may use the slack (L6).
public enum ReservationPurpose: Sendable {
    case payload
    case cleaning
    case metadata
    /// For so many bytes in all: they go to one segment if it takes them.
    case recovery(UInt64)
}

extension SegmentLog {
    /// Reserves one place for each record of a variant, in order. Nothing is written.
    /// *Throws:* `.capacityExceeded` when a new segment would exceed the budget.
    public func reserve(_ recordSizes: [UInt64], for purpose: ReservationPurpose = .payload)
        async throws(LogError) -> [Reservation]
    {
        await lockSegments()
        defer { segmentLock.release() }
        // A variant of several records is not begun if its last one would find no place.
        if case .payload = purpose, recordSizes.count > 1 {
            let needed = spaceNeeded(for: recordSizes)
            guard needed <= availableBytes else {
                throw .capacityExceeded(neededBytes: needed, availableBytes: availableBytes)
            }
        }
        var reservations: [Reservation] = []
        for recordBytes in recordSizes {
            try requireReservable(recordBytes)
            if !hasRoomInCurrent(recordBytes, purpose) {
                do throws(LogError) {
                    try await openSegment(for: recordBytes, purpose)
                } catch {
                    giveUp(reservations)
                    throw error
                }
            }
            reservations.append(takePlace(recordBytes, in: 0))
        }
        return reservations
    }

    private func hasRoomInCurrent(_ recordBytes: UInt64, _ purpose: ReservationPurpose) -> Bool {
        guard let current, current.fits(recordBytes) else { return false }
        if case .payload = purpose { return current.takesPayload }
        return true
    }

    func requireReservable(_ recordBytes: UInt64) throws(LogError) {
        try requireWritable()
        guard recordBytes <= recordBytesMax else {
            throw .recordTooLarge(recordBytes: recordBytes, maximumBytes: recordBytesMax)
        }
    }

    func lockSegments() async {
        await withCheckedContinuation { segmentLock.acquire($0) }
    }

    /// A place in the open segment of a class, which has room.
    func takePlace(_ recordBytes: UInt64, in id: UInt16) -> Reservation {
        let handle = open[id]!.handle
        let offset = open[id]!.take(recordBytes)
        defer { nextWriteSequence = nextWriteSequence.next }
        // The current segment's use has not ended.
        return Reservation(
            hold: handle.hold(.writing)!,
            location: RecordLocation(segment: handle.id, offset: offset),
            recordBytes: recordBytes, writeSequence: nextWriteSequence)
    }

    /// Ends reservations that nobody will commit. The bytes are dead until their segment is
    /// cleaned, except those still at the tail, which are handed out again once no write is on its
    /// way.
    public func giveUp(_ reservations: [Reservation]) {
        for reservation in reservations.reversed() {
            let end = reservation.location.offset + reservation.recordBytes
            if let id = open.first(where: { $1.handle === reservation.handle })?.key,
                open[id]!.tail == end
            {
                open[id]!.tail = reservation.location.offset
            } else {
                counters.abandonedBytes += reservation.recordBytes
            }
        }
    }

    /// Bytes that have to be available before so many records find a place: whole segments, and the
    /// one that is left to cleaning.
    public func spaceNeeded(for recordSizes: [UInt64]) -> UInt64 {
        var count: UInt64 = 0
        var room = current.map { $0.takesPayload ? $0.freeBytes : 0 } ?? 0
        for recordBytes in recordSizes {
            if recordBytes + unit > room {
                count += 1
                room = superblock.segmentBytes - min(superblock.segmentBytes, 4 * unit)
            }
            room -= min(room, recordBytes)
        }
        return (count + (leavesSegmentForCleaning ? 1 : 0)) * superblock.segmentBytes
    }
}
