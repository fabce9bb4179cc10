// What a suite ends in: every verb's report, and what became of verbs without one. README.md, "The
// JSON", is its documentation.

import Foundation

struct SuiteReport: Codable, Sendable {
    /// Raised when a field changes its meaning.
    var schema = 1
    var minutes: Double
    var options: [String: OptionValue]
    var verbs: [SuiteEntry] = []

    /// Verbs that have no report.
    var missing: [SuiteEntry] { verbs.filter { $0.report == nil } }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// All reports' lines below one head.
    func csv() -> String {
        let lines = verbs.compactMap { $0.report?.csv().split(separator: "\n") }
        return ((lines.first?.prefix(1) ?? []) + lines.flatMap { $0.dropFirst() })
            .joined(separator: "\n")
    }

    /// One row a verb: what it is, what became of it, how long it took, what it found.
    var rows: [[String]] {
        verbs.map { entry in
            [
                entry.verb, entry.state.rawValue, String(format: "%.1f s", entry.seconds),
                entry.headline,
            ]
        }
    }

    /// What a reader must not overlook.
    var warnings: [String] {
        missing.map { "\($0.state.rawValue.uppercased()): \($0.verb): \($0.reason ?? "")" }
            + verbs.flatMap { entry in
                (entry.report?.notes ?? []).filter { $0.hasPrefix("SKIPPED") }
                    .map { "\(entry.verb): \($0)" }
            }
    }

    var text: String {
        let rows = [["verb", "state", "time", "found"]] + rows
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            row.indices.map { column in
                let pad = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 2 ? pad + row[column] : row[column] + pad
            }.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
        }
        lines += warnings.map { "! \($0)" }
        return lines.joined(separator: "\n")
    }
}

/// What became of one verb.
struct SuiteEntry: Codable, Sendable {
    enum State: String, Codable, Sendable { case done, failed, skipped }

    var verb: String
    /// As on a command line.
    var arguments: [String]
    var state: State
    var seconds: Double
    /// Why there is no report.
    var reason: String?
    var report: BenchmarkReport?

    /// What is told of a verb in one line: the first that its results have, ours if they are named.
    private static let headlines: [(metric: String, unit: String, scale: Double)] = [
        ("ratioToDevice", "of the device", 1), ("oursRatio", "ours ÷ theirs", 1),
        ("ratioToLRU", "÷ LRU", 1), ("ratioToPrefixCaching", "÷ prefix caching", 1),
        ("recoveredShare", "of the gap", 1), ("ratioToFullPrefill", "÷ full prefill", 1),
        ("p99Ratio", "p99 ratio", 1), ("secondsPerGiB", "s/GiB", 1),
        ("timeToAllRows", "of the time for all rows", 1),
        ("bytesPerSecond", "GiB/s", 0x1p-30), ("p50Nanoseconds", "µs, medians", 1e-3),
    ]

    /// The lowest and the highest of all results, not a judgement of any.
    var headline: String {
        guard let results = report?.results else { return reason ?? "" }
        let ours = results.filter { $0.subject.hasPrefix("chunkdb") }
        for (metric, unit, scale) in Self.headlines {
            for group in [ours, results] {
                let values = group.compactMap { $0.metrics[metric] }
                guard let low = values.min(), let high = values.max() else { continue }
                if values.count == 1 { return String(format: "%.2f ", low * scale) + unit }
                return String(format: "%.2f–%.2f ", low * scale, high * scale)
                    + "\(unit), \(values.count) results"
            }
        }
        return "\(results.count) results"
    }
}
