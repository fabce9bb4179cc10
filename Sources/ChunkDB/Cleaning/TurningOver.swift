// A write class that is full: its oldest segment is forgotten, whatever is in it, and used again.

import Logging
import SegmentLog

extension Cleaner {
    /// Frees the oldest segment of a class; one that somebody reads only if there is no other.
    /// *Returns:* whether one was freed, by us or by who was there first.
    func turnOver(_ writeClass: UInt16, _ core: StoreCore) async -> Bool {
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
