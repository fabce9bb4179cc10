// Writes that stay together: a class has segments of its own, so many and no more, which are filled
// one after the other and begun again in place, the oldest first. So a bounded range of the device
// takes all of them, in append order: the part of a drive that is fast to rewrite, if the class is
// made no larger than that (HiFC). Commit records and facts about them stand in the log's common
// segments.

import BlockIO
import ChunkFormat
import Primitives

/// A bounded set of segments for writes of one kind, for instance decode state that is swapped out.
public struct WriteClass: Sendable, Equatable {
    /// 1 to 65,535; written into its segments' headers.
    public var id: UInt16
    /// All its segments: whole ones, two at least.
    public var capacity: ByteCount
    /// Told to the kernel for each of its files; `nil`: nothing is.
    public var lifetime: WriteLifetime?

    public init(id: UInt16, capacity: ByteCount, lifetime: WriteLifetime? = nil) {
        self.id = id
        self.capacity = capacity
        self.lifetime = lifetime
    }
}

/// Counts of a class; those of writes since the log was opened.
public struct WriteClassCounters: Sendable, Equatable {
    /// Segments that it has now; at most its capacity's.
    public var segmentCount = 0
    /// Of records that were given a place there.
    public var reservedBytes: UInt64 = 0
    /// Segments that were begun, for the first time or again in place.
    public var begunCount: UInt64 = 0
    public var begunInPlaceCount: UInt64 = 0
    /// Whether the kernel took the lifetime of every file so far.
    public var isLifetimeTaken = false
    public init() {}
}

extension SegmentLog {
    /// Segments that a class may have; 0 when nobody confines it.
    nonisolated func segmentCountMax(of id: UInt16) -> Int {
        guard let writeClass = options.writeClasses[id] else { return 0 }
        return Int(clamping: writeClass.capacity.bytes / superblock.segmentBytes)
    }

    /// The class that a segment is confined to, by what its header says; 0 for the common ones,
    /// also those whose class nobody asks for any more.
    nonisolated func confining(_ id: UInt16) -> UInt16 {
        options.writeClasses[id] == nil ? 0 : id
    }

    /// As `reserve`, in the segments of a class.
    /// *Throws:* `.capacityExceeded` when it has all it may have, or the budget has no room.
    public func reserve(_ recordSizes: [UInt64], in id: UInt16) async throws(LogError)
        -> [Reservation]
    {
        await lockSegments()
        defer { segmentLock.release() }
        var reservations: [Reservation] = []
        do throws(LogError) {
            for recordBytes in recordSizes {
                try requireReservable(recordBytes)
                if !(open[id]?.fits(recordBytes) ?? false) { try await openSegment(in: id) }
                reservations.append(takePlace(recordBytes, in: id))
                classCounters[id, default: .init()].reservedBytes += recordBytes
            }
        } catch {
            giveUp(reservations)
            throw error
        }
        return reservations
    }

    /// Where a copy of a record goes: to its own class, if that has room.
    func reserve(
        _ recordSizes: [UInt64], for purpose: ReservationPurpose, besides record: PayloadRecord
    ) async throws(LogError) -> [Reservation] {
        let source = segments[record.prefix.location.segment]
        let id = source.map { confining($0.header.writeClass) } ?? 0
        return id == 0
            ? try await reserve(recordSizes, for: purpose)
            : try await reserve(recordSizes, in: id)
    }

    /// The caller holds the segment lock.
    private func openSegment(in id: UInt16) async throws(LogError) {
        let size = superblock.segmentBytes
        let own = isPurging ? nil : free.firstIndex { !$0.isHeld && confining($0.writeClass) == id }
        if let own {
            open[id] = nil
            try await beginUse(of: free.remove(at: own), segmentBytes: size, size - 4 * unit, id)
        } else {
            guard segments(of: id) < segmentCountMax(of: id) else {
                throw .capacityExceeded(neededBytes: size, availableBytes: 0)
            }
            // Whole segments only: what they cover is to stay as it is.
            let (place, _, _) = try nextSegment(for: size - 4 * unit, .payload, returning: 0)
            open[id] = nil
            if let place {
                try await beginUse(
                    of: free.remove(at: place), segmentBytes: size, size - 4 * unit, id)
            } else {
                try await makeSegment(segmentBytes: size, id)
            }
        }
        classCounters[id, default: .init()].begunCount += 1
        if own != nil { classCounters[id]!.begunInPlaceCount += 1 }
        guard let lifetime = options.writeClasses[id]?.lifetime else { return }
        let isTaken = await disk.setLifetime(open[id]!.handle.file, lifetime)
        let isFirst = classCounters[id]!.begunCount == 1
        classCounters[id]!.isLifetimeTaken =
            isTaken && (isFirst || classCounters[id]!.isLifetimeTaken)
    }

    /// Whether the class has no segment to come, until one of its own is freed.
    public func isFull(_ id: UInt16) -> Bool { segments(of: id) >= segmentCountMax(of: id) }

    /// Whether one of its segments could be used again but for who reads there.
    public func hasHeldFreeSegment(in id: UInt16) -> Bool {
        free.contains { $0.isHeld && confining($0.writeClass) == id }
    }

    func segments(of id: UInt16) -> Int {
        segments.all.count { $0.header.writeClass == id }
            + free.count { $0.writeClass == id }
    }

    var countersOfClasses: [UInt16: WriteClassCounters] {
        var result = classCounters
        for id in options.writeClasses.keys {
            result[id, default: .init()].segmentCount = segments(of: id)
        }
        return result
    }
}
