// The end of a namespace's bytes, not only of its names (CONTRACT D-3). What abandoned puts left of
// it no commit names, so every segment use that there was is ended: what lives in it is copied,
// whoever it belongs to, and its file is given back to the file system.

import ChunkFormat
import Primitives
import SegmentLog

extension ChunkDB {
    /// Drops the namespace, and returns when no file of the store holds a byte of it any more.
    ///
    /// *Durability:* as `drop`, from the begin; the rest is durable when this returns.
    /// *Complexity:* copies all that lives, once. Waits for who reads or leases, and for puts that
    /// have begun: `withDeadline` ends the wait, and the purge goes on. Where there is no room for
    /// a copy, evictable chunks of others are forgotten; puts that find no room wait for its end.
    /// *Throws:* as `drop`; `.log(.unsupported)` when a damaged segment cannot be rewritten. The
    /// namespace is dropped then, and its bytes may be there. What the device keeps of overwritten
    /// blocks is beyond any file system (CONTRACT L-5).
    public func purge(_ namespace: Namespace) async throws(StoreError) {
        try await drop(namespace)
        let core = core
        try await core.carryOut { () async throws(StoreError) in
            do throws(LogError) {
                try await core.cleaner.rewriteAll(core)
                // The last one names the dropped chunks.
                try await core.log.checkpoint(core.checkpointSource)
            } catch {
                throw .log(error)
            }
        }
    }
}

extension Cleaner {
    /// Ends every use that there is now and gives the files back.
    fileprivate func rewriteAll(_ core: StoreCore) async throws(LogError) {
        while !begin() { await core.environment.clock.sleep(nanoseconds: Self.waitNanoseconds) }
        defer { end(hasGained: true) }
        try await core.log.beginPurging()
        do throws(LogError) {
            try await endAll(core)
        } catch {
            await core.log.endPurging()
            throw error
        }
        await core.log.endPurging()
    }

    private func endAll(_ core: StoreCore) async throws(LogError) {
        _ = await core.log.unlinkFreeSegments()
        let last = await core.log.uses.map(\.useSequence).max() ?? 0
        while true {
            let uses = await core.log.uses.filter { $0.useSequence <= last }
            if uses.isEmpty { break }
            var freedCount = 0
            for use in uses where !use.isOpen {
                // Everything is worth a copy.
                let victim = Victim(
                    use: use, ranks: Ranks([:]), keptRank: -1, isWhole: true)
                if try await free(victim, core) { freedCount += 1 }
                _ = await core.log.unlinkFreeSegments()
            }
            if freedCount > 0 { continue }
            guard uses.contains(where: \.isOpen) else {
                let names = uses.map { StoreFiles.segment($0.id) }.joined(separator: ", ")
                throw .unsupported("to rewrite \(names)")
            }
            await core.environment.clock.sleep(nanoseconds: Self.waitNanoseconds)
        }
        while await !core.log.unlinkFreeSegments() {
            core.leases.endOver(at: core.now)
            await core.environment.clock.sleep(nanoseconds: Self.waitNanoseconds)
        }
    }

    private static var waitNanoseconds: UInt64 { 2_000_000 }
}
