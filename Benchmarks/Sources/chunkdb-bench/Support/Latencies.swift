// How long operations took, in an HDR histogram of three digits: a few percentiles by name, and
// the whole curve up to the last percentile that has an operation above it.

import Foundation
import Histogram

struct Latencies: Sendable {
    private var histogram = Histogram<UInt32>(numberOfSignificantValueDigits: .three)

    var count: Int { Int(histogram.totalCount) }

    mutating func add(_ nanoseconds: some Sequence<UInt64>) {
        for time in nanoseconds { _ = histogram.record(time) }
    }

    /// 0, then eight steps for each further nine: 25, 44, … 90, … 99, … 99.99.
    static let percentiles = (0...32).map { step in
        (1e6 * (1 - pow(10, -Double(step) / 8))).rounded() / 1e4
    }

    /// Without operations, or with a single one, there is none.
    var curve: [LatencyPoint]? {
        guard count > 1 else { return nil }
        return Self.percentiles.filter { Double(count) * (1 - $0 / 100) >= 1 - 1e-9 }.map {
            LatencyPoint(
                percentile: $0,
                nanoseconds: Double(
                    $0 == 0 ? histogram.min : histogram.valueAtPercentile($0)))
        }
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

/// So many percent of the operations took no longer.
struct LatencyPoint: Codable, Sendable, Hashable {
    var percentile: Double
    var nanoseconds: Double
}
