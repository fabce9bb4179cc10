// The fraction of a chunk's tokens to recompute when one of its variants is used in a new prompt,
// and which tokens those are (Cache-Craft, arXiv 2502.15734; FUSION, "Cache-Craft").

import KVModel

/// What the fix cost depends on beside the two prefixes. Published systems differ in all of it.
public struct FixCostOptions: Hashable, Sendable {
    /// α ≥ 0: one number a deployment, from validation of answers.
    public var alpha: Double
    /// ν in 0…1: how much the unseen part of a new prefix counts; 0 is the paper.
    public var novelty: Double
    /// r*: the most that is recomputed of a variant that has no token scores because it was
    /// computed alone.
    public var standaloneRatioMax: Double

    public init(alpha: Double = 1, novelty: Double = 1, standaloneRatioMax: Double = 0.15) {
        self.alpha = alpha
        self.novelty = novelty
        self.standaloneRatioMax = standaloneRatioMax
    }
}

/// CFO of one variant in one prompt, with what it was made of.
public struct FixCost: Hashable, Sendable {
    /// The fraction of the chunk's tokens to recompute, 0…1.
    public let ratio: Double
    /// CCI, 0.5…1.
    public let contextImpact: Double
    public let overlap: PrefixOverlap
    /// Whether the ratio was held down because the variant was computed alone.
    public let isCapped: Bool

    /// CFO = clamp(α·CCI·(1 − β′·(1 − ν·(1 − κ))), 0, 1), and 0 for equal prefixes. Of a variant
    /// whose context impact was not captured the worst is assumed, CCI = 1; one computed alone had
    /// no context to be shaped by, so its CCI is 0.5 by definition.
    public init(
        _ recompute: RecomputeMetadata, in prefix: [PrefixEntry],
        options: FixCostOptions = FixCostOptions()
    ) {
        overlap = PrefixOverlap(old: recompute.prefix, new: prefix)
        let isAlone = recompute.prefix.isEmpty
        contextImpact = recompute.contextImpact?.index ?? (isAlone ? 0.5 : 1)
        if overlap.isExact {
            ratio = 0
            isCapped = false
            return
        }
        let kept = overlap.ordered * (1 - options.novelty * (1 - overlap.seenShare))
        let whole = min(max(options.alpha * contextImpact * (1 - kept), 0), 1)
        isCapped = isAlone && whole > options.standaloneRatioMax
        ratio = isCapped ? options.standaloneRatioMax : whole
    }
}

/// The `⌈ratio·n⌉` tokens with the largest scores, ascending; of equals the earlier.
///
/// - Parameter scores: one a token, none of them NaN.
public func repairSet(scores: [Float16], ratio: Double) -> [Int] {
    largest(scores.count, budget: recomputeBudget(ratio: ratio, tokenCount: scores.count)) {
        Float(scores[$0])
    }
}

/// The indices of the largest values among `count`, ascending; of equals the earlier.
func largest(_ count: Int, budget: Int, of value: (Int) -> Float) -> [Int] {
    if budget >= count { return Array(0..<count) }
    let ordered = (0..<count).sorted {
        let (left, right) = (value($0), value($1))
        return left != right ? left > right : $0 < $1
    }
    return ordered.prefix(max(0, budget)).sorted()
}

/// `⌈ratio·n⌉` tokens at even distances, ascending: where nothing is known of any.
public func evenlySpaced(tokenCount: Int, ratio: Double) -> [Int] {
    let budget = recomputeBudget(ratio: ratio, tokenCount: tokenCount)
    return (0..<budget).map { (2 * $0 + 1) * tokenCount / (2 * budget) }
}

/// ⌈ratio·n⌉ within 0…n, without the last-bit noise of the product (0.07 · 100 is 7); 0 for a ratio
/// that is no number.
public func recomputeBudget(ratio: Double, tokenCount: Int) -> Int {
    guard ratio > 0 else { return 0 }
    guard ratio < 1 else { return tokenCount }
    return max(Int((ratio * Double(tokenCount) - 1e-9).rounded(.up)), 0)
}
