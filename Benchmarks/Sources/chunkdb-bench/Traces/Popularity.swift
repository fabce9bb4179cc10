// Zipf popularity with a given concentration: Cache-Craft (arXiv 2502.15734) reports that the top
// 5 % of chunks get 60 % of requests. A prompt holds no chunk twice, which takes requests from the
// top; so the exponent is found on prompts as they are drawn, not on single draws.

import ChunkDB
import Foundation

/// Draws ranks, 0 the most popular, with probability proportional to 1/(rank + 1)^s.
struct Popularity: Sendable {
    private let cumulative: [Double]
    var count: Int { cumulative.count }

    init(count: Int, exponent: Double) {
        var sum = 0.0
        cumulative = (0..<count).map { rank in
            sum += pow(Double(rank + 1), -exponent)
            return sum
        }
    }

    /// The exponent at which the top `share` of ranks gets `weight` of the requests of prompts.
    init(
        count: Int, topShare share: Double, weight: Double, promptLengths: ClosedRange<Int>
    ) {
        var low = 0.0
        var high = 3.0
        for _ in 0..<12 {
            let middle = (low + high) / 2
            let candidate = Popularity(count: count, exponent: middle)
            let top = Int((Double(count) * share).rounded())
            var generator = SeededGenerator(seed: 0x5EED)
            var topCount = 0
            var drawnCount = 0
            for _ in 0..<1_500 {
                let prompt = candidate.prompt(lengths: promptLengths, using: &generator)
                topCount += prompt.count { $0 < top }
                drawnCount += prompt.count
            }
            if Double(topCount) < weight * Double(drawnCount) {
                low = middle
            } else {
                high = middle
            }
        }
        self.init(count: count, exponent: (low + high) / 2)
    }

    func rank(using generator: inout SeededGenerator) -> Int {
        let target = generator.unit() * (cumulative.last ?? 0)
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] <= target { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func ranks(_ count: Int, using generator: inout SeededGenerator) -> [Int] {
        (0..<count).map { _ in rank(using: &generator) }
    }

    /// Distinct ranks in the order drawn, which is a shuffled one.
    func prompt(lengths: ClosedRange<Int>, using generator: inout SeededGenerator) -> [Int] {
        let length = min(generator.integer(in: lengths), cumulative.count)
        var ranks: [Int] = []
        while ranks.count < length {
            let rank = rank(using: &generator)
            if !ranks.contains(rank) { ranks.append(rank) }
        }
        return ranks
    }
}

extension SeededGenerator {
    /// 0 ..< 1, the same on every machine.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func integer(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(unit() * Double(range.count))
    }

    /// Uniform in the logarithm.
    mutating func logUniform(_ low: Double, _ high: Double) -> Double {
        low * exp(unit() * log(high / low))
    }

    mutating func shuffle<Element>(_ elements: inout [Element]) {
        for index in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(index, integer(in: 0...index))
        }
    }
}
