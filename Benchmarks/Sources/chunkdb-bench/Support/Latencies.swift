// How long operations took, in an HDR histogram of three digits.

import Histogram

struct Latencies: Sendable {
    private var histogram = Histogram<UInt32>(numberOfSignificantValueDigits: .three)

    var count: Int { Int(histogram.totalCount) }

    mutating func add(_ nanoseconds: some Sequence<UInt64>) {
        for time in nanoseconds { _ = histogram.record(time) }
    }

    /// None without an operation.
    var metrics: [String: Double] {
        guard count > 0 else { return [:] }
        func value(_ percentile: Double) -> Double {
            Double(histogram.valueAtPercentile(percentile))
        }
        return [
            "p50Nanoseconds": value(50), "p90Nanoseconds": value(90), "p99Nanoseconds": value(99),
            "p999Nanoseconds": value(99.9), "maxNanoseconds": Double(histogram.max),
        ]
    }
}
