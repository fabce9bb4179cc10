// Another budget for a store that is there. It stands in the superblock, which an opening reads
// once: so what is forgotten to fit is forgotten now, under the old budget, which still has room to
// clean in, and the new one holds from the next opening on.

import ChunkFormat
import Primitives
import SegmentLog

extension ChunkDB {
    /// What may be pinned at most in a store of that capacity, under default options: the rest is
    /// room to clean in, and for leases.
    public static func pinnableBytes(capacity: ByteCount, segmentSize: ByteCount) -> ByteCount {
        ByteCount(
            StoreCore.keptBytesMax(
                capacity: capacity.bytes, segment: segmentSize.bytes, leased: capacity.bytes / 4))
    }

    /// Gives the store another capacity. A smaller one makes it forget the least worthy chunks
    /// first, until its files fit; puts that come meanwhile, or later, may take room again, which
    /// cleaning returns after the next opening.
    ///
    /// - Parameter capacity: in bytes on the medium, rounded down to blocks; it counts from the
    ///   next opening on.
    /// *Durability:* durable when this returns; after a crash it is the old one or the new.
    /// *Throws:* `.shape`, and nothing has happened, where what is pinned or guaranteed would not
    /// leave room to clean in; `.log(.unsupported)` below the least capacity of a store;
    /// `.log(.capacityExceeded)` where not enough can be forgotten, with the old one in force.
    public func setCapacity(_ capacity: ByteCount) async throws(StoreError) {
        let core = core
        let superblock = core.log.superblock
        let bytes = capacity.bytes & ~(UInt64(superblock.alignmentUnit) - 1)
        try await core.carryOut { () async throws(StoreError) in
            let pinned = core.allNamespaces.reduce(UInt64(0)) {
                $0.saturatingAdd($1.statistics.pinnedBytes)
            }
            let kept = pinned.saturatingAdd(core.guaranteedBytes)
                .saturatingAdd(core.confinedBytes)
            let allowed = core.keptBytesMax(of: bytes)
            guard kept <= allowed else {
                throw .shape(
                    what: "capacity",
                    expected: "one that holds \(ByteCount(kept)) pinned or guaranteed, beside room "
                        + "to clean",
                    found: "\(ByteCount(bytes)), which holds \(ByteCount(allowed)); unpin some")
            }
            do throws(LogError) {
                let least = SegmentLog.capacityBytesMin(unit: UInt64(superblock.alignmentUnit))
                if bytes >= least, bytes < superblock.capacityBytes {
                    try await core.makeRoom(toGiveUp: superblock.capacityBytes - bytes)
                }
                try await core.log.setCapacity(bytes)
            } catch {
                throw .log(error)
            }
        }
    }
}

extension StoreCore {
    /// Frees so much that files fit a capacity that is smaller by `byteCount`.
    fileprivate func makeRoom(toGiveUp byteCount: UInt64) async throws(LogError) {
        let needed = await byteCount.saturatingAdd(log.spaceKeptAhead)
        while await !log.hasRoom(for: needed) {
            let before = await log.availableBytes
            let hasGained = await cleaner.makeRoom(for: needed, in: self)
            let available = await log.availableBytes
            guard hasGained, available > before else {
                throw .capacityExceeded(neededBytes: needed, availableBytes: available)
            }
        }
        _ = await log.unlinkFreeSegments()
    }
}
