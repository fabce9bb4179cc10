// How many of what are how large: the report's distributions.

import Foundation
import Primitives

/// Buckets in order, empty ones between full ones included.
struct Histogram {
    struct Bucket {
        let label: String
        var count = 0
    }
    let title: String
    /// What is counted, for example `variants`.
    let unit: String
    private(set) var buckets: [Bucket]

    private init(_ title: String, unit: String, _ buckets: [Bucket]) {
        self.title = title
        self.unit = unit
        // What lies outside the values says nothing.
        let full = buckets.indices.filter { buckets[$0].count > 0 }
        self.buckets = full.isEmpty ? [] : Array(buckets[full[0]...full[full.count - 1]])
    }

    var largestCount: Int { buckets.reduce(0) { max($0, $1.count) } }

    /// Buckets that double: 0, 1, 2, 3–4, 5–8, ….
    static func doubling(
        _ title: String, unit: String, _ values: [UInt64], label: (UInt64) -> String = { "\($0)" }
    ) -> Histogram {
        var buckets = (0...64).map { power -> Bucket in
            if power == 0 { return Bucket(label: label(0)) }
            let high = power == 1 ? 1 : power == 64 ? UInt64.max : 1 << UInt64(power - 1)
            let low = power <= 2 ? high : high / 2 + 1
            return Bucket(label: low == high ? label(high) : "≤ \(label(high))")
        }
        for value in values {
            let power = value <= 1 ? Int(value) : 65 - (value - 1).leadingZeroBitCount
            buckets[min(power, 64)].count += 1
        }
        return Histogram(title, unit: unit, buckets)
    }

    /// Spans that people think in.
    static func ages(_ title: String, unit: String, _ seconds: [UInt64]) -> Histogram {
        let bounds: [(UInt64, String)] = [
            (60, "a minute"), (3_600, "an hour"), (86_400, "a day"), (604_800, "a week"),
            (2_592_000, "30 days"), (31_536_000, "a year"),
        ]
        var buckets = bounds.map { Bucket(label: "≤ \($0.1)") } + [Bucket(label: "older")]
        for value in seconds {
            let place = bounds.firstIndex { value <= $0.0 } ?? bounds.count
            buckets[place].count += 1
        }
        return Histogram(title, unit: unit, buckets)
    }

    /// Ten equal steps from the lowest to the highest.
    static func even(_ title: String, unit: String, _ values: [Double]) -> Histogram {
        guard let low = values.min(), let high = values.max(), (high - low).isFinite else {
            return Histogram(title, unit: unit, [])
        }
        if low == high {
            return Histogram(
                title, unit: unit, [Bucket(label: "\(Float(low))", count: values.count)])
        }
        let step = (high - low) / 10
        var buckets = (0..<10).map { Bucket(label: "≤ \(Float(low + step * Double($0 + 1)))") }
        for value in values { buckets[min(Int((value - low) / step), 9)].count += 1 }
        return Histogram(title, unit: unit, buckets)
    }
}
