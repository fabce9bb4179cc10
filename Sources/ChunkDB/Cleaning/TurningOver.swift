// A write class that is full: its oldest segment is forgotten, whatever is in it, and used again.

import Logging
import SegmentLog

extension Cleaner {
    /// Frees the oldest segment of a class; one that somebody reads only if there is no other.
    /// *Returns:* whether one was freed, by us or by who was there first.
    fileprivate func turnOver(_ writeClass: UInt16, _ core: StoreCore) async -> Bool {
        if !begin() { return await whenOver() }
        var hasGained = false
        do throws(LogError) {
            core.leases.endOver(at: core.now)
            let closed = await core.log.uses.filter { $0.writeClass == writeClass && !$0.isOpen }
            if let use = closed.first(where: { !$0.isHeld }) ?? closed.first {
                hasGained = try await free(
                    Victim(use: use, ranks: Ranks([:]), keptRank: 2, isOldest: true), core)
            }
        } catch {
            core.options.logger.warning("write class \(writeClass) is not turned over: \(error)")
        }
        end(hasGained: hasGained)
        return hasGained
    }
}

extension StoreCore {
    /// As `reserve`, in the segments of a class, of which the oldest makes room.
    func reserve(_ recordSizes: [UInt64], in writeClass: UInt16) async throws(LogError)
        -> [Reservation]
    {
        if writeClass == 0 { return try await reserve(recordSizes) }
        var (attempt, pauseCount) = (0, 0)
        while true {
            do throws(LogError) {
                let places = try await log.reserve(recordSizes, in: writeClass)
                await cleanIfLow()
                return places
            } catch {
                guard case .capacityExceeded(let needed, _) = error, options.evicts,
                    attempt < Self.attemptCountMax
                else { throw error }
                if attempt == 0 { count { $0.waitedPutCount += 1 } }
                attempt += 1
                if await log.isFull(writeClass) {
                    if await !log.hasHeldFreeSegment(in: writeClass),
                        await cleaner.turnOver(writeClass, self)
                    {
                        continue
                    }
                } else if await cleaner.makeRoom(for: 2 * needed, in: self) {
                    continue
                }
                // Who reads or writes in all of them has to end first.
                guard pauseCount < Self.pauseCountMax else { throw error }
                await environment.clock.sleep(nanoseconds: Self.pauseNanoseconds)
                (attempt, pauseCount) = (attempt - 1, pauseCount + 1)
            }
        }
    }
}
