// What cleaning would return, returned: segments that are dead for a good part are copied together,
// and what is left over goes back to the file system. Nothing that lives is forgotten for it.

import ChunkFormat
import Primitives
import SegmentLog
import Synchronization

/// What a compaction came to.
public struct Compaction: Sendable, Equatable {
    /// Of all files, as `LogCounters.allocatedBytes`.
    public var allocatedBytesBefore: UInt64
    public var allocatedBytesAfter: UInt64
    /// Records that were copied.
    public var movedBytes: UInt64
    /// Segments whose use was ended.
    public var freedSegmentCount: UInt64
}

extension ChunkDB {
    /// A segment of which at least this share is dead is copied: with less the gain is small, and
    /// headers and commits, which every segment has, count as dead too.
    public static let deadShareMin = 0.25

    /// Copies what lives in segments that are dead for a quarter or more, the deadest first, and
    /// gives their files, and free ones, back to the file system. Nothing is forgotten but what
    /// is over its time; what has no room to be copied stays where it is.
    ///
    /// *Durability:* every copy is durable before what it replaces goes.
    /// *Complexity:* reads and writes what lives in those segments, once. `withDeadline` ends the
    /// wait; the compaction goes on.
    /// *Throws:* `.log` when the store is closed or degraded.
    public func compact() async throws(StoreError) -> Compaction {
        let core = core
        return try await core.carryOut { () async throws(StoreError) in
            let before = await core.log.statistics
            do throws(LogError) {
                try await core.cleaner.compact(core)
            } catch {
                throw .log(error)
            }
            let after = await core.log.statistics
            return Compaction(
                allocatedBytesBefore: before.allocatedBytes,
                allocatedBytesAfter: after.allocatedBytes,
                movedBytes: after.movedBytes - before.movedBytes,
                freedSegmentCount: after.freedCount - before.freedCount)
        }
    }
}

extension Cleaner {
    fileprivate func compact(_ core: StoreCore) async throws(LogError) {
        while !begin() { await core.environment.clock.sleep(nanoseconds: Self.turnNanoseconds) }
        defer { end(hasGained: true) }
        try await freeDead(core)
        _ = await core.log.unlinkFreeSegments()
    }

    /// Copies what lives in segments that are dead for a good part, the deadest first.
    /// - Parameter byteCount: ends as soon as there is room for so many.
    func freeDead(_ core: StoreCore, until byteCount: UInt64 = .max) async throws(LogError) {
        let living = try await livingBytes(core)
        let dead = await candidates(core).map { use in
            (use, share: 1 - Double(living[use.id] ?? 0) / Double(max(use.byteCount, 1)))
        }
        for (use, share) in dead.sorted(by: { $0.share > $1.share }) {
            guard share >= ChunkDB.deadShareMin, !core.isClosed.load(ordering: .relaxed) else {
                break
            }
            if await core.log.hasRoom(for: byteCount) { break }
            // What is copied in part is copied for nothing.
            guard await core.log.hasRoomToMove(living[use.id] ?? 0) else { continue }
            let victim = Victim(
                use: use, ranks: Ranks([:]), keptRank: -1, isWhole: true, forgets: false)
            _ = try await free(victim, core)
        }
    }

    /// Of each segment, the bytes of living records. *Complexity:* O(entries), and a read for each
    /// variant of several records.
    private func livingBytes(_ core: StoreCore) async throws(LogError) -> [SegmentID: UInt64] {
        var bytes: [SegmentID: UInt64] = [:]
        var families: [CheckpointEntry] = []
        await core.forEachWorth { weighed in
            let entry = weighed.entry
            if core.isOver(entry) { return }
            if entry.hasSiblings {
                families.append(entry)
            } else {
                bytes[entry.location.segment, default: 0] &+= entry.variantDiskBytes
            }
        }
        for entry in families {
            guard let record = try await core.readableRecord(of: entry) else { continue }
            bytes[entry.location.segment, default: 0] &+= record.prefix.recordBytes
            for sibling in record.siblings {
                bytes[sibling.location.segment, default: 0] &+= sibling.recordBytes
            }
        }
        return bytes
    }

    private static var turnNanoseconds: UInt64 { 2_000_000 }
}
