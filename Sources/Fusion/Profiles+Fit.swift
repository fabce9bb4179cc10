// Profiles from measurements: the line or plane through a few timed reads or prefills, by least
// squares of the relative error, with no negative cost. Both are small enough to try every subset
// of the costs that may be zero.

/// One timed prefill.
public struct PrefillSample: Hashable, Sendable {
    public var tokenCount: Int
    public var prefixTokenCount: Int
    public var seconds: Double
    public init(tokenCount: Int, prefixTokenCount: Int = 0, seconds: Double) {
        self.tokenCount = tokenCount
        self.prefixTokenCount = prefixTokenCount
        self.seconds = seconds
    }
}

/// One timed read.
public struct ReadSample: Hashable, Sendable {
    public var bytes: UInt64
    public var seconds: Double
    public init(bytes: UInt64, seconds: Double) {
        self.bytes = bytes
        self.seconds = seconds
    }
}

extension ComputeProfile {
    /// The profile that fits the samples best. Prefills of different lengths tell tokens, pairs and
    /// the fixed part apart; what they do not tell apart is put down to tokens.
    /// *Throws:* `profile("samples", …)` when there is none that a positive cost a token explains.
    public init(fitting samples: [PrefillSample], projectionShare: Double) throws(FusionError) {
        let fit = nonNegativeFit(
            samples.filter { $0.tokenCount > 0 }.map { sample in
                let count = Double(sample.tokenCount)
                let pairs = count * Double(sample.prefixTokenCount) + count * (count + 1) / 2
                return ([count, pairs, 1], sample.seconds)
            })
        guard let fit else { throw .profile("samples", Double(samples.count)) }
        try self.init(
            secondsPerToken: fit[0], secondsPerPair: fit[1], fixedSeconds: fit[2],
            projectionShare: projectionShare)
    }
}

extension DeviceProfile {
    /// The profile that fits the samples best.
    /// *Throws:* `profile("samples", …)` when there is none that a positive cost a byte explains.
    public init(fitting samples: [ReadSample]) throws(FusionError) {
        let fit = nonNegativeFit(
            samples.filter { $0.bytes > 0 }.map { ([Double($0.bytes), 1], $0.seconds) })
        guard let fit else { throw .profile("samples", Double(samples.count)) }
        try self.init(bytesPerSecond: 1 / fit[0], fixedSeconds: fit[1])
    }
}

/// Costs ≥ 0 of the features, the first > 0, with the least squared relative error; `nil` when
/// there are none. Of equally good ones that with the fewest costs.
func nonNegativeFit(_ samples: [(features: [Double], seconds: Double)]) -> [Double]? {
    let samples = samples.filter { $0.seconds.isFinite && $0.seconds > 0 }
    guard let count = samples.first?.features.count else { return nil }
    var best: (costs: [Double], error: Double)?
    // Subsets in which the first feature is; fewer costs first.
    let subsets = (0..<1 << count).filter { $0 & 1 == 1 }.sorted {
        $0.nonzeroBitCount != $1.nonzeroBitCount
            ? $0.nonzeroBitCount < $1.nonzeroBitCount : $0 < $1
    }
    for subset in subsets where subset.nonzeroBitCount <= samples.count {
        let kept = (0..<count).filter { subset >> $0 & 1 == 1 }
        guard let solved = leastSquares(samples, kept), solved.allSatisfy({ $0 >= 0 }),
            solved[0] > 0
        else { continue }
        var costs = [Double](repeating: 0, count: count)
        for (index, feature) in kept.enumerated() { costs[feature] = solved[index] }
        let error = samples.reduce(0.0) { sum, sample in
            let found = zip(costs, sample.features).reduce(0) { $0 + $1.0 * $1.1 }
            let relative = found / sample.seconds - 1
            return sum + relative * relative
        }
        // Rounding must not make one more cost look like a better fit.
        if best.map({ error < $0.error * (1 - 1e-9) - 1e-18 }) ?? true { best = (costs, error) }
    }
    return best?.costs
}

/// The normal equations of the kept features, columns scaled to one; `nil` when they are singular.
private func leastSquares(
    _ samples: [(features: [Double], seconds: Double)], _ kept: [Int]
) -> [Double]? {
    let size = kept.count
    let scales = kept.map { feature in
        samples.reduce(0.0) { max($0, ($1.features[feature] / $1.seconds).magnitude) }
    }
    guard scales.allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
    // [A | b], where every sample is weighted by 1 / seconds.
    var rows = [[Double]](repeating: [Double](repeating: 0, count: size + 1), count: size)
    for sample in samples {
        let values = zip(kept, scales).map { sample.features[$0] / sample.seconds / $1 }
        for i in 0..<size {
            for j in 0..<size { rows[i][j] += values[i] * values[j] }
            rows[i][size] += values[i]
        }
    }
    for column in 0..<size {
        let pivot = (column..<size).max { rows[$0][column].magnitude < rows[$1][column].magnitude }
        guard let pivot, rows[pivot][column].magnitude > 1e-13 else { return nil }
        rows.swapAt(column, pivot)
        for row in 0..<size where row != column {
            let factor = rows[row][column] / rows[column][column]
            for index in column...size { rows[row][index] -= factor * rows[column][index] }
        }
    }
    return (0..<size).map { rows[$0][size] / rows[$0][$0] / scales[$0] }
}
