// Cache-Craft's measure of how strongly a chunk was shaped by what stood before it (arXiv
// 2502.15734; FUSION, "Cache-Craft").

import KVModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension ContextImpact {
    /// CCI = 1 / (1 + exp(−ā/b̄)), in 0.5…1: a sigmoid of what is not negative cannot be less.
    /// b̄ = 0 gives 1, or 0.5 when ā is 0 too. Means must be finite and not negative.
    public var index: Double {
        if intraMean == 0 { return interMean == 0 ? 0.5 : 1 }
        return 1 / (1 + exp(-Double(interMean) / Double(intraMean)))
    }

    /// ā and b̄ from the sums a prefill recorded.
    ///
    /// - Parameters:
    ///   - inter: `[layer][prefix chunk]`, Σ of the attention weights (mean of heads) that the
    ///     chunk's tokens gave to the tokens of that chunk: at most `tokenCount`.
    ///   - intra: `[layer]`, the same towards the chunk's own tokens.
    ///   - prefixTokenCounts: tokens of each prefix chunk; one of none is left out.
    ///
    /// `nil` when there is no layer, no token, or a list of another length.
    public init?(
        inter: [[Double]], intra: [Double], tokenCount: Int, prefixTokenCounts: [Int]
    ) {
        guard !intra.isEmpty, inter.count == intra.count, tokenCount > 0,
            inter.allSatisfy({ $0.count == prefixTokenCounts.count })
        else { return nil }
        let own = Double(tokenCount)
        var interSum = 0.0
        for layer in inter {
            for (sum, count) in zip(layer, prefixTokenCounts) where count > 0 {
                interSum += sum / (own * Double(count))
            }
        }
        let layerCount = Double(intra.count)
        self.init(
            interMean: Float(interSum / layerCount),
            intraMean: Float(intra.reduce(0, +) / (own * own) / layerCount))
    }
}
