// A removal has to be remembered as long as any commit before it may be read by an opener. What is
// pinned, or worth keeping, can hold an old segment for ever, and with it every removal since: so
// old segments are copied, whatever lives in them, when the journals grow long for their sake.

import ChunkFormat
import SegmentLog
import Synchronization

extension Cleaner {
    /// Ends the oldest uses until the journals are short, or a few.
    /// *Returns:* those that were tried.
    func endOldest(_ core: StoreCore, isAhead: Bool) async throws(LogError) -> Set<UInt64> {
        var tried: Set<UInt64> = []
        var hasHelped = false
        while await core.log.hasLongJournals, tried.count < Self.victimCountMax,
            !core.isClosed.load(ordering: .relaxed)
        {
            if await core.log.hasOldCheckpoint {
                // What a damaged store could not read, its next checkpoint would not name.
                if core.isDamaged.load(ordering: .relaxed) { break }
                await core.checkpointOrReport()
                try await core.log.condense()
                if await core.log.hasOldCheckpoint { break }
                hasHelped = true
                continue
            }
            let oldest = await candidates(core).first {
                !$0.isHeld && !tried.contains($0.useSequence)
            }
            guard let oldest else { break }
            tried.insert(oldest.useSequence)
            let victim = Victim(
                use: oldest, ranks: Ranks([:]), keptRank: -1, isWhole: true,
                forgets: core.options.evicts)
            if try await free(victim, core, isAhead: isAhead) { hasHelped = true }
            try await core.log.condense()
        }
        // Nobody is to copy the same segments again for the next removal.
        if !hasHelped, await core.log.hasLongJournals { await core.log.tolerateLongJournals() }
        return tried
    }
}
