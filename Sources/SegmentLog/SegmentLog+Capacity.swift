// The budget of a store stands in its superblock, and nowhere else. To change it, the superblock is
// written again in the next generation (SUP-6, SUP-9): two copies, flushed, then the other two. At
// every moment two copies agree on one of the two, and a crash leaves the old budget or the new.

import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// The least budget that a store can be given.
    public static func capacityBytesMin(unit: UInt64) -> UInt64 {
        Superblock.fileBytes + 2 * JournalWriter.growthBytes + 64 * unit
    }

    /// Writes another budget for openings to come; this one goes on with the old one.
    ///
    /// - Parameter capacityBytes: a multiple of the alignment unit, at least `capacityBytesMin`.
    /// *Durability:* durable when this returns; a crash before leaves the old one, or the new.
    /// *Throws:* `.unsupported` below the least budget; what a failed write throws, and the log is
    /// degraded then.
    public func setCapacity(_ capacityBytes: UInt64) async throws(LogError) {
        let least = Self.capacityBytesMin(unit: unit)
        guard capacityBytes >= least, capacityBytes.isMultiple(of: unit) else {
            throw .unsupported(
                "a capacity of \(ByteCount(capacityBytes)); at least \(ByteCount(least))")
        }
        // One at a time: two rewrites of one generation would contradict each other.
        await lockCheckpoint()
        defer { checkpointLock.release() }
        try requireWritable()
        let copies = try await SuperblockCopies.read(disk, superblockFile)
        var next = copies.superblock
        guard next.storeID == superblock.storeID, next.generation < 1 << 62 else {
            throw .unsupported("another capacity for a superblock that is not as it was opened")
        }
        next.generation += 1
        next.capacityBytes = capacityBytes
        do throws(DiskError) {
            // Two copies have to be left whole whatever becomes of the first two.
            if !copies.bad.isEmpty {
                try await SuperblockCopies.write(
                    copies.superblock, copies: copies.bad.map(\.copyIndex), disk, superblockFile)
            }
            for pair in [[0, 1], [2, 3]] {
                try await SuperblockCopies.write(next, copies: pair, disk, superblockFile)
            }
        } catch {
            degrade(error)
            throw .disk(error)
        }
    }
}
