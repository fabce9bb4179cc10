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

    /// Memory for `byteCount` bytes, out of the store's pool; undefined bytes.
    public func takeSlab(byteCount: Int) -> Slab { core.slabs.take(byteCount: byteCount) }

    /// Starts reads in order; one submission for all of them.
    /// *Returns:* false when the store was closed: none was started then, none will complete.
    public func submitReads(_ reads: [IORequest]) -> Bool {
        do throws(StoreError) {
            try core.gate.enter()
        } catch {
            return false
        }
        defer { core.gate.leave() }
        core.disk.submit(reads)
        return true
    }

    /// Lends the descriptor of an extent's file to a library that reads by itself; neither the
    /// file nor the store is closed meanwhile. The calling thread may be one that blocks.
    /// *Returns:* `nil` when the store was closed, or stands on no real files.
    package func withDescriptor<Value>(of extent: LocatedExtent, _ body: (Int32) -> Value)
        -> Value?
    {
        do throws(StoreError) {
            try core.gate.enter()
        } catch {
            return nil
        }
        defer { core.gate.leave() }
        return core.disk.withDescriptor(of: extent.file, body)
    }

    /// By the store's clock.
    public var monotonicNanoseconds: UInt64 { core.environment.clock.monotonicNanoseconds }

    /// Calls `body` after so long or somewhat later, on a thread of the store's own; must be short.
    public func after(nanoseconds: UInt64, _ body: @escaping @Sendable () -> Void) {
        // The core keeps the thread.
        Task(executorPreference: core.environment.executor) { [core] in
            await core.environment.clock.sleep(nanoseconds: nanoseconds)
            body()
        }
    }
}

extension LocatedExtent {
    /// The facts of a read that found the file ending early.
    public func truncated(found: Int) -> DamageFacts {
        facts(ExtentDigests.truncated(row, expected: paddedBytes, found: found))
    }
}
