// What the feed needs of the engine.

import BlockIO
import ChunkFormat
import SegmentLog

extension Namespace {
    /// The disk that located extents are read from.
    public var disk: any Disk { core.disk }

    /// How fast the namespace's store has been read of late; see `ChunkDB.readSpeed`.
    public var readSpeed: ReadSpeed? { core.readSpeed }

    /// Counts bytes that a feed hands over (CONTRACT G-2).
    public func countFed(_ byteCount: Int, _ verification: Verification) {
        core.count { counters in
            switch verification {
            case .verified: counters.verifiedBytes += UInt64(byteCount)
            case .unverified: counters.unverifiedBytes += UInt64(byteCount)
            }
        }
    }

    /// Counts a layer that did not verify.
    public func countDamage() { core.count { $0.damageCount += 1 } }

    /// Counts a read of a chunk in the heat table.
    /// - Parameters:
    ///   - entry: what was read.
    ///   - fixCost: the share of its tokens that were computed anew, 0 to 1.
    public func countUse(of entry: ChunkEntry, fixCost: Float = 0) {
        countUse(entry, fixCost: fixCost)
    }

    /// Starts reads in order, unless the store was closed: then `nil`.
    public func startReads(_ reads: [(file: FileID, offset: UInt64, slice: IOSlice)])
        -> [PendingRead]?
    {
        do throws(StoreError) {
            try core.gate.enter()
        } catch {
            return nil
        }
        defer { core.gate.leave() }
        return core.disk.startReads(reads)
    }
}

extension LocatedExtent {
    /// The facts of a read that found the file ending early.
    public func truncated(found: Int) -> DamageFacts {
        facts(ExtentDigests.truncated(row, expected: paddedBytes, found: found))
    }
}
