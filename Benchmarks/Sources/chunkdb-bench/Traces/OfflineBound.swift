// What nobody can beat: an upper bound on the tokens that any cache of whole objects of this
// capacity saves on this trace, even one that knows the future and may refuse to store.
//
// A hit at request j of an object last asked for at i needs its bytes in every gap i, i+1, …, j−1
// between requests; in no gap do stored bytes exceed the capacity. That is a linear program (FOO:
// Berger, Beckmann, Harchol-Balter, SIGMETRICS 2018). Its dual prices the gaps: for any prices
// λ ≥ 0
//
//      saved ≤ capacity · Σ λ(gap) + Σ over reuses of max(0, value − bytes · Σ λ over its gaps)
//
// so every price vector gives a true bound. We take one price first (which is PFOO's bound: bytes ×
// time, cheapest reuses first), then one each for slices of the trace, corrected towards equal use,
// and keep the lowest value seen. For equal sizes and values the optimum is Belady's.

import Foundation

struct OfflineBound {
    private struct Reuse {
        let start: Int32
        let end: Int32
        let bytes: Double
        let value: Double
    }
    private let reuses: [Reuse]
    private let gapCount: Int
    private static let sliceCount = 100
    private static let roundCount = 60

    init(_ trace: Trace) {
        var last = [Int32](repeating: -1, count: trace.objects.count)
        var reuses: [Reuse] = []
        for (place, request) in trace.requests.enumerated() {
            let object = trace.objects[Int(request.object)]
            let before = last[Int(request.object)]
            if before >= 0 {
                reuses.append(
                    Reuse(
                        start: before, end: Int32(place), bytes: Double(object.diskBytes),
                        value: object.savedTokens))
            }
            last[Int(request.object)] = Int32(place)
        }
        self.reuses = reuses
        gapCount = trace.requests.count
    }

    /// Tokens of recomputation. *Complexity:* some hundred passes over the reuses.
    func savedTokens(capacityBytes: Int) -> Double {
        guard !reuses.isEmpty, capacityBytes > 0 else { return 0 }
        let capacity = Double(capacityBytes)
        let reuses = reuses.filter { $0.bytes <= capacity }
        let sliceCount = min(Self.sliceCount, gapCount)
        var low = 0.0
        // Above this price nothing is worth keeping.
        var high = reuses.reduce(0) { max($0, $1.value / ($1.bytes * Double($1.end - $1.start))) }
        var best = reuses.reduce(0) { $0 + $1.value }
        for _ in 0..<40 {
            let price = (low + high) / 2
            let priced = evaluate(reuses, [price], capacity: capacity)
            best = min(best, priced.bound)
            if priced.usage[0] > 1 { low = price } else { high = price }
        }
        var prices = [Double](repeating: (low + high) / 2, count: sliceCount)
        for round in 0..<Self.roundCount {
            let priced = evaluate(reuses, prices, capacity: capacity)
            best = min(best, priced.bound)
            let step = 1 / (2 + Double(round) / 4)
            for slice in prices.indices {
                prices[slice] *= exp(step * min(max(priced.usage[slice] - 1, -1), 1))
            }
        }
        return best
    }

    /// The bound at these prices, and how full each slice is with what is worth its price.
    private func evaluate(
        _ reuses: [Reuse], _ prices: [Double], capacity: Double
    ) -> (bound: Double, usage: [Double]) {
        let sliceCount = prices.count
        let starts = (0...sliceCount).map { gapCount * $0 / sliceCount }
        // Price of all gaps before each slice.
        var before = [0.0]
        for slice in prices.indices {
            before.append(before[slice] + prices[slice] * Double(starts[slice + 1] - starts[slice]))
        }
        var bound = capacity * before[sliceCount]
        // Bytes × gaps in each slice, by differences for the slices that are covered whole.
        var used = [Double](repeating: 0, count: sliceCount)
        var whole = [Double](repeating: 0, count: sliceCount + 1)
        func slice(of gap: Int) -> Int {
            var slice = min(gap * sliceCount / max(gapCount, 1), sliceCount - 1)
            while slice + 1 < sliceCount, starts[slice + 1] <= gap { slice += 1 }
            while slice > 0, starts[slice] > gap { slice -= 1 }
            return slice
        }
        for reuse in reuses {
            let (start, end) = (Int(reuse.start), Int(reuse.end))
            let (first, last) = (slice(of: start), slice(of: end - 1))
            let price =
                before[last] + prices[last] * Double(end - starts[last])
                - before[first] - prices[first] * Double(start - starts[first])
            let surplus = reuse.value - reuse.bytes * price
            guard surplus > 0 else { continue }
            bound += surplus
            if first == last {
                used[first] += reuse.bytes * Double(end - start)
            } else {
                used[first] += reuse.bytes * Double(starts[first + 1] - start)
                used[last] += reuse.bytes * Double(end - starts[last])
                whole[first + 1] += reuse.bytes
                whole[last] -= reuse.bytes
            }
        }
        var running = 0.0
        for slice in prices.indices {
            running += whole[slice]
            let length = Double(starts[slice + 1] - starts[slice])
            used[slice] = (used[slice] + running * length) / max(capacity * length, 1)
        }
        return (bound, used)
    }
}
