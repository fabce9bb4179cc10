// The heat rows of entries, in the hands of their namespace's policy: it writes their scores, and
// says what they are worth (module Retention).

import BSkiplist
import ChunkFormat
import Primitives
import Retention
import SegmentLog

extension CheckpointEntry {
    fileprivate var keyHash: UInt64 { variantHash(namespace, key, variant) }

    fileprivate func facts(isSurplus: Bool = false) -> VariantFacts {
        VariantFacts(
            diskBytes: variantDiskBytes, tokenCount: Int(tokenCount), isSurplus: isSurplus)
    }
}

/// Any 64 bits that stand for a variant in its namespace.
private func variantHash(_ namespace: NamespaceID, _ key: ChunkKey, _ variant: VariantID)
    -> UInt64
{
    key.words.0 ^ variant.raw &* 0x9E37_79B9_7F4A_7C15
        ^ UInt64(namespace.raw) &* 0xD6E8_FEB8_6659_FD93
}

extension Namespace {
    func keyHash(_ key: ChunkKey, _ variant: VariantID) -> UInt64 { variantHash(id, key, variant) }

    /// The row for a variant that was just stored.
    func newHeat(_ entry: CheckpointEntry) -> UInt32 {
        let ordinal = core.heat.addRow(
            policy.row(ofNew: entry.keyHash, facts: entry.facts(), at: core.seconds))
        if entry.expirySeconds > 0 { core.heat.setExpiry(ordinal, entry.expirySeconds) }
        return ordinal
    }

    /// Counts a use. - Parameter fixCost: the share of its tokens that were computed anew.
    func countUse(_ entry: ChunkEntry, fixCost: Float = 0) {
        let (policy, seconds) = (policy, core.seconds)
        let facts = VariantFacts(diskBytes: entry.diskBytes, tokenCount: entry.tokenCount)
        usage.count { $0.hitCount += 1 }
        note(
            .use, entry.key, entry.variant, tokenCount: entry.tokenCount,
            diskBytes: entry.diskBytes)
        core.heat.update(entry.ordinal) {
            policy.use(&$0, facts: facts, fixCost: fixCost, at: seconds)
        }
    }

    /// What an entry is worth to keep; the least goes first.
    func worth(of entry: CheckpointEntry, isSurplus: Bool) -> Double {
        if core.isOver(entry) { return -.infinity }
        return core.heat[entry.ordinal].map {
            policy.worth(of: $0, facts: entry.facts(isSurplus: isSurplus))
        } ?? -.infinity
    }

    /// The entry is gone. - Parameter line: below this worth others went too.
    func endHeat(_ entry: CheckpointEntry, _ departure: Departure, line: Double = .infinity) {
        guard let row = core.heat[entry.ordinal] else { return }
        policy.forget(
            row, keyHash: entry.keyHash, facts: entry.facts(), because: departure, line: line)
        core.heat.free(entry.ordinal)
    }
}

extension StoreCore {
    /// Seconds since the store was made; 0 while a clock says it is to come.
    var seconds: UInt32 {
        let (now, created) = (environment.clock.wallSeconds, log.superblock.createdSeconds)
        return UInt32(clamping: now > created ? now - created : 0)
    }

    /// Whether the entry's time has come (PAY-13), by the clock as it is now.
    func isOver(_ entry: CheckpointEntry) -> Bool {
        entry.expirySeconds > 0 && entry.expirySeconds <= seconds
    }

    /// Whether no shortage may take it.
    func isKept(_ entry: CheckpointEntry) -> Bool { entry.isPinned && !isOver(entry) }

    /// Rows that came with a checkpoint: the policies find their bearings again, and those whose
    /// heat was lost, or was another policy's, begin anew. *Complexity:* linear in the entries.
    /// *Returns:* what each namespace has.
    func recoverHeat(
        _ indexes: [NamespaceID: BSkiplist], _ operations: [NamespaceOperation],
        from digest: Digest128?
    ) -> [NamespaceID: NamespaceUsage] {
        var names: [NamespaceID: String] = [:]
        for case .create(let description) in operations { names[description.id] = description.name }
        for case .drop(let id, _) in operations { names[id] = nil }
        let (now, isKnown) = (seconds, digest == policies.digest(names))
        var usages: [NamespaceID: NamespaceUsage] = [:]
        for (id, index) in indexes.sorted(by: { $0.key < $1.key }) {
            let policy = policies[names[id] ?? ""]
            var statistics = NamespaceStatistics()
            index.scan(from: IndexKey(.zero, VariantID(0)), expecting: index.count) { key, value in
                let entry = value.checkpointEntry(id, key, expirySeconds: 0)
                statistics.add(entry)
                heat.update(entry.ordinal) { row in
                    if row == .none {
                        row = policy.row(ofNew: entry.keyHash, facts: entry.facts(), at: now)
                    } else if isKnown {
                        policy.recover(row)
                    } else {
                        row = policy.adopted(
                            row, keyHash: entry.keyHash, facts: entry.facts(), at: now)
                    }
                }
                return true
            }
            usages[id] = NamespaceUsage(statistics)
        }
        return usages
    }
}

extension HeatRow {
    /// Of an entry whose heat is not known.
    static var none: HeatRow {
        HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0)
    }
}
