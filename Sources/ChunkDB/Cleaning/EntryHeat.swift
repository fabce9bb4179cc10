// The heat rows of entries, in the hands of the policy: it writes their scores, and says what they
// are worth (module Retention).

import BSkiplist
import ChunkFormat
import Primitives
import Retention
import SegmentLog

extension CheckpointEntry {
    /// Any 64 bits that stand for the variant.
    fileprivate var keyHash: UInt64 { key.words.0 ^ variant.raw &* 0x9E37_79B9_7F4A_7C15 }

    fileprivate func facts(isSurplus: Bool = false) -> VariantFacts {
        VariantFacts(
            diskBytes: variantDiskBytes, tokenCount: Int(tokenCount), isSurplus: isSurplus)
    }
}

extension StoreCore {
    /// Seconds since the store was made; 0 while a clock says it is to come.
    private var seconds: UInt32 {
        let (now, created) = (environment.clock.wallSeconds, log.superblock.createdSeconds)
        return UInt32(clamping: now > created ? now - created : 0)
    }

    /// The row for a variant that was just stored.
    func newHeat(_ entry: CheckpointEntry) -> UInt32 {
        heat.addRow(policy.row(ofNew: entry.keyHash, facts: entry.facts(), at: seconds))
    }

    /// Counts a use. - Parameter fixCost: the share of its tokens that were computed anew.
    func countUse(_ entry: CheckpointEntry, fixCost: Float = 0) {
        let (policy, seconds) = (policy, seconds)
        heat.update(entry.ordinal) {
            policy.use(&$0, facts: entry.facts(), fixCost: fixCost, at: seconds)
        }
    }

    /// What an entry is worth to keep; the least goes first.
    func worth(of entry: CheckpointEntry, isSurplus: Bool) -> Double {
        heat[entry.ordinal].map { policy.worth(of: $0, facts: entry.facts(isSurplus: isSurplus)) }
            ?? -.infinity
    }

    /// The entry is gone. - Parameter line: below this worth others went too.
    func endHeat(_ entry: CheckpointEntry, _ departure: Departure, line: Double = .infinity) {
        guard let row = heat[entry.ordinal] else { return }
        policy.forget(
            row, keyHash: entry.keyHash, facts: entry.facts(), because: departure, line: line)
        heat.free(entry.ordinal)
    }

    /// Rows that came with a checkpoint: the policy finds its bearings again, and those whose heat
    /// was lost begin anew. *Complexity:* linear in the entries.
    func recoverHeat(_ indexes: [NamespaceID: BSkiplist]) {
        let (policy, now) = (policy, seconds)
        for (id, index) in indexes.sorted(by: { $0.key < $1.key }) {
            index.scan(from: IndexKey(.zero, VariantID(0)), expecting: index.count) { key, value in
                let entry = value.checkpointEntry(id, key)
                heat.update(entry.ordinal) { row in
                    if row == .none {
                        row = policy.row(ofNew: entry.keyHash, facts: entry.facts(), at: now)
                    } else {
                        policy.recover(row)
                    }
                }
                return true
            }
        }
    }
}

extension HeatRow {
    /// Of an entry whose heat is not known.
    static var none: HeatRow {
        HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0)
    }
}
