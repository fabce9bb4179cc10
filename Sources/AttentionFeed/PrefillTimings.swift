// How long this machine takes for a prefill: what a planner weighs loading against.

import Attention
import Fusion

extension Model {
    /// Times full prefills of these lengths, each the fastest of `repeatCount`; lengths beyond the
    /// model's positions are left out. `ComputeProfile(fitting:)` makes a profile of them.
    ///
    /// *Complexity:* that many prefills; a length of a few hundred tokens and one of a few thousand
    /// tell tokens and pairs apart.
    public func timings(tokenCounts: [Int], repeatCount: Int = 3) throws(AttentionError)
        -> [PrefillSample]
    {
        let clock = ContinuousClock()
        var samples: [PrefillSample] = []
        for count in tokenCounts where (1...configuration.positionCount).contains(count) {
            let tokens = (0..<count).map { UInt32($0 % configuration.vocabularySize) }
            var best: Duration?
            for _ in 0..<max(1, repeatCount) {
                let start = clock.now
                _ = try prefill(tokens)
                let spent = start.duration(to: clock.now)
                best = best.map { min($0, spent) } ?? spent
            }
            guard let best else { continue }
            let (seconds, attoseconds) = best.components
            samples.append(
                PrefillSample(
                    tokenCount: count, seconds: Double(seconds) + Double(attoseconds) * 1e-18))
        }
        return samples
    }
}
