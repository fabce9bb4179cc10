// How much of the context a variant was computed in comes back in a new prompt (Cache-Craft, arXiv
// 2502.15734; FUSION, "Cache-Craft"). The paper asks only what share of the old context is there
// again; we also ask what share of the new one the variant has seen, since the paper calls
// old = [A], new = [A, B, C] a perfect hit although B and C were never seen.

import KVModel
import Primitives

/// One stretch of what stands before a chunk in a new prompt.
public struct PrefixEntry: Hashable, Sendable {
    /// `nil` for tokens that belong to no chunk: no variant has seen them.
    public var key: ChunkKey?
    public var tokenCount: Int
    public init(key: ChunkKey?, tokenCount: Int) {
        self.key = key
        self.tokenCount = tokenCount
    }
}

/// A variant's old prefix beside a new one.
///
/// *Complexity:* O(m log m) for m chunks on both sides.
public struct PrefixOverlap: Hashable, Sendable {
    /// β: the share of the attention that the variant gave its old prefix which went to chunks
    /// that are there again, 0…1; κ when it gave none or had no prefix.
    public let attentionShare: Double
    /// κ: the share of the new prefix's tokens that the variant has seen, 0…1; 1 when the new
    /// prefix is empty.
    public let seenShare: Double
    /// γ: discordant pairs over all pairs of the common chunks, 0…1; 0 below two of them.
    public let orderPenalty: Double
    /// Whether both prefixes are the same chunks in the same order, with nothing between.
    public let isExact: Bool

    /// β′ = β·(1 − γ).
    public var ordered: Double { attentionShare * (1 - orderPenalty) }

    /// Token counts must not be negative, `interMean` finite and not negative.
    public init(old: [PrefixShare], new: [PrefixEntry]) {
        var newRanks: [ChunkKey: Int] = [:]
        var newTokens = 0.0
        for entry in new {
            newTokens += Double(entry.tokenCount)
            if let key = entry.key, newRanks[key] == nil { newRanks[key] = newRanks.count }
        }
        var oldKeys: Set<ChunkKey> = []
        var commonRanks: [Int] = []
        var attention = 0.0
        var common = 0.0
        for share in old {
            attention += Double(share.interMean)
            if let rank = newRanks[share.key] {
                common += Double(share.interMean)
                // Of duplicates the first occurrence has a place in the order.
                if !oldKeys.contains(share.key) { commonRanks.append(rank) }
            }
            oldKeys.insert(share.key)
        }
        let seen = new.reduce(0.0) { sum, entry in
            entry.key.map(oldKeys.contains) == true ? sum + Double(entry.tokenCount) : sum
        }
        seenShare = newTokens > 0 ? seen / newTokens : 1
        attentionShare = attention > 0 ? common / attention : seenShare
        let pairCount = commonRanks.count * (commonRanks.count - 1) / 2
        orderPenalty =
            pairCount == 0 ? 0 : Double(inversionCount(&commonRanks)) / Double(pairCount)
        isExact = old.map { Optional($0.key) } == new.filter { $0.tokenCount > 0 }.map(\.key)
    }
}

/// Pairs that stand in the wrong order; sorts the ranks on the way. *Complexity:* O(m log m).
func inversionCount(_ ranks: inout [Int]) -> Int {
    guard ranks.count > 1 else { return 0 }
    var left = Array(ranks[..<(ranks.count / 2)])
    var right = Array(ranks[(ranks.count / 2)...])
    var count = inversionCount(&left) + inversionCount(&right)
    var (i, j) = (0, 0)
    for place in ranks.indices {
        if j == right.count || (i < left.count && left[i] <= right[j]) {
            ranks[place] = left[i]
            i += 1
        } else {
            ranks[place] = right[j]
            j += 1
            count += left.count - i
        }
    }
    return count
}
