// Angles of the rotary embedding. Frequencies and angles are computed in double precision and
// rounded once to fp32 cosines and sines, so that position 100,000 is as exact as position 1; the
// rotation itself is fp32.

import KVModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The frequencies of one rotary scheme.
struct RotaryFrequencies: Sendable {
    /// Radians per position, one for each rotated pair.
    let radians: [Double]
    /// What queries and keys are multiplied by where they are first rotated; 1 but for YaRN.
    let attentionFactor: Double

    /// θ^(−2i/d), stretched as `scaling` says. Linear: Chen et al., arXiv 2306.15595. Llama 3: the
    /// reference code of Llama 3.1, `apply_scaling`.
    init(_ rotary: RotaryEmbedding) {
        if case .yarn(let yarn) = rotary.scaling {
            attentionFactor = Double(yarn.attentionFactor)
        } else {
            attentionFactor = 1
        }
        radians = (0..<rotary.dimension / 2).map { pair in
            let plain = pow(Double(rotary.base), -Double(2 * pair) / Double(rotary.dimension))
            switch rotary.scaling {
            case .none: return plain
            case .linear(let factor): return plain / Double(factor)
            case .llama3(let factor, let low, let high, let original):
                let turns = Double(original) * plain / (2 * Double.pi)
                if turns < Double(low) { return plain / Double(factor) }
                if turns > Double(high) { return plain }
                let share = (turns - Double(low)) / Double(high - low)
                return (1 - share) * plain / Double(factor) + share * plain
            case .yarn(let yarn):
                let share = yarn.keptShare(
                    pair: pair, base: Double(rotary.base), dimension: rotary.dimension)
                return (1 - share) * plain / Double(yarn.factor) + share * plain
            }
        }
    }
}

extension YarnScaling {
    /// How much of a pair's plain angle is kept: 1 for pairs that turn often, 0 for those that turn
    /// rarely. As in the reference code (`yarn_find_correction_range`, `yarn_linear_ramp_mask`).
    func keptShare(pair: Int, base: Double, dimension: Int) -> Double {
        func pairTurning(_ turns: Float) -> Double {
            Double(dimension) * log(Double(originalPositionCount) / (Double(turns) * 2 * .pi))
                / (2 * log(base))
        }
        var low = pairTurning(betaFast)
        var high = pairTurning(betaSlow)
        if roundsRamp { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        low = max(low, 0)
        high = min(high, Double(dimension - 1))
        if low == high { high += 0.001 }
        return 1 - min(max((Double(pair) - low) / (high - low), 0), 1)
    }
}

/// Cosine and sine of every pair for a list of positions, times the attention factor, or of shifts
/// between positions, without it: a key that is turned on carries it already.
struct RotaryTable: Sendable {
    let pairCount: Int
    /// `[position][pair]`.
    let cosines: [Float]
    let sines: [Float]

    /// For rows that were never rotated.
    init(_ frequencies: RotaryFrequencies, positions: [Int]) {
        self.init(frequencies, positions: positions, factor: frequencies.attentionFactor)
    }

    /// For rows that were rotated for another position.
    init(_ frequencies: RotaryFrequencies, shifts: [Int]) {
        self.init(frequencies, positions: shifts, factor: 1)
    }

    private init(_ frequencies: RotaryFrequencies, positions: [Int], factor: Double) {
        pairCount = frequencies.radians.count
        var cosines: [Float] = []
        var sines: [Float] = []
        cosines.reserveCapacity(positions.count * pairCount)
        sines.reserveCapacity(positions.count * pairCount)
        for position in positions {
            for radians in frequencies.radians {
                let angle = Double(position) * radians
                cosines.append(Float(factor * cos(angle)))
                sines.append(Float(factor * sin(angle)))
            }
        }
        self.cosines = cosines
        self.sines = sines
    }
}
