// A namespace over its own limit: its least worthy chunks are forgotten, wherever they stand. Their
// space is the store's again when a segment is freed, and such segments lose least by it.
//
// Nothing is written for it but tombstones for chunks of several records: a forgotten chunk may be
// back after a crash, verified (CONTRACT E-1), and the limit makes room anew.

import BSkiplist
import ChunkFormat
import Primitives
import Retention
import SegmentLog

extension Namespace {
    /// Forgets what is least worth until the excess is gone, and somewhat more, so that not every
    /// put has to look at all entries.
    /// *Returns:* whether anything was forgotten, by us or by who was there first.
    func evict(_ excess: Excess) async throws(StoreError) -> Bool {
        guard await core.evictions.take(name) else { return true }
        defer { core.evictions.give(name) }
        // What is kept is no candidate, and must not stand for any.
        var (candidateBytes, candidateCount) = (UInt64(0), 0)
        var sample: [Double] = []
        let step = entryCount / Worths.sampleCountMax + 1
        await core.forEachWorth(of: self) { weighed in
            if core.isKept(weighed.entry) { return }
            if candidateCount.isMultiple(of: step) { sample.append(weighed.worth) }
            candidateBytes &+= weighed.entry.variantDiskBytes
            candidateCount += 1
        }
        let bytes = max(excess.bytes, excess.bytes == 0 ? 0 : candidateBytes / 32)
        let count = max(excess.entryCount, excess.entryCount == 0 ? 0 : candidateCount / 32)
        // The share of them that has to go, were all of one size; a round that falls short is
        // followed by another.
        let share = max(
            Double(bytes) / Double(max(candidateBytes, 1)),
            Double(count) / Double(max(candidateCount, 1)))
        let line = Worths(sample).worth(atRank: min(share, 1))
        var leaving: [CheckpointEntry] = []
        var leavingBytes: UInt64 = 0
        await core.forEachWorth(of: self) { weighed in
            let entry = weighed.entry
            guard weighed.worth <= line, !core.isKept(entry),
                leavingBytes < bytes || leaving.count < count
            else { return }
            leaving.append(entry)
            leavingBytes &+= entry.variantDiskBytes
        }
        do throws(LogError) {
            try await core.forget(leaving.map { ($0, line) })
        } catch {
            throw .log(error)
        }
        return !leaving.isEmpty
    }

    /// Forgets the least worthy forms of a chunk until there are no more than allowed.
    /// - Parameter newest: the one that was just put, which nobody can have used yet.
    func trimVariants(of key: ChunkKey, keeping newest: VariantID) async throws(LogError) {
        guard let countMax = options.variantsPerChunk else { return }
        let others = variants(of: key).filter { $0.variant != newest }
        guard others.count >= countMax else { return }
        let entries = others.compactMap { entry in
            let key = IndexKey(key, entry.variant)
            return index.lookup(key).map { checkpointEntry(key, $0) }
        }
        .filter { !core.isKept($0) && !core.pending.contains($0.location) }
        .map { ($0, worth(of: $0, isSurplus: false)) }.sorted { $0.1 < $1.1 }
        // One that makes way for another form of its chunk says nothing of what space is worth.
        try await core.forget(
            entries.prefix(others.count - countMax + 1).map { ($0.0, -.infinity) })
    }
}
