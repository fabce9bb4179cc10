// The human form of a report: one line a result, one column for each metric that any of them has.

import Foundation

struct ReportTable {
    private struct Column: Sendable {
        let title: String
        let keys: [String]
        let text: @Sendable ([Double]) -> String
    }

    private static let columns: [Column] = [
        Column(title: "entries", keys: ["entryCount"]) { count($0[0]) },
        Column(title: "MiB/s", keys: ["bytesPerSecond"]) { fixed($0[0] / 1_048_576, 0) },
        Column(title: "ops/s", keys: ["operationsPerSecond"]) { count($0[0]) },
        Column(title: "p50", keys: ["p50Nanoseconds"]) { duration($0[0]) },
        Column(title: "p99", keys: ["p99Nanoseconds"]) { duration($0[0]) },
        Column(title: "p99.9", keys: ["p999Nanoseconds"]) { duration($0[0]) },
        Column(title: "max", keys: ["maxNanoseconds"]) { duration($0[0]) },
        Column(title: "CPU-s/GiB", keys: ["cpuSecondsPerGiB"]) { fixed($0[0], 3) },
        Column(title: "of device", keys: ["ratioToDevice"]) { fixed($0[0], 2) },
        Column(title: "(low–high)", keys: ["ratioLow", "ratioHigh"]) {
            "\(fixed($0[0], 2))–\(fixed($0[1], 2))"
        },
        Column(title: "ours ÷", keys: ["oursRatio"]) { fixed($0[0], 2) },
        Column(title: "(low–high)", keys: ["oursRatioLow", "oursRatioHigh"]) {
            "\(fixed($0[0], 2))–\(fixed($0[1], 2))"
        },
        Column(title: "stored ÷ put", keys: ["storedBytesPerPayloadByte"]) { fixed($0[0], 3) },
        Column(title: "B/entry", keys: ["bytesPerEntry"]) { fixed($0[0], 1) },
        Column(title: "s/M entries", keys: ["secondsPerMillionEntries"]) { fixed($0[0], 3) },
        Column(title: "s/GiB", keys: ["secondsPerGiB"]) { fixed($0[0], 3) },
        Column(title: "hit bytes", keys: ["hitRatioByBytes"]) { percent($0[0]) },
        Column(title: "saved", keys: ["savedTokenShare"]) { percent($0[0]) },
        Column(title: "tokens/GiB", keys: ["savedTokensPerCacheGiB"]) { count($0[0].rounded()) },
        Column(title: "÷ LRU", keys: ["ratioToLRU"]) { fixed($0[0], 3) },
        Column(title: "of bound", keys: ["shareOfBound"]) { fixed($0[0], 3) },
        Column(title: "stored ÷ asked", keys: ["storedBytesPerRequestedByte"]) {
            fixed($0[0], 2)
        },
        Column(title: "written ÷ put", keys: ["writeAmplification"]) { fixed($0[0], 3) },
        Column(title: "living", keys: ["livingShare"]) { percent($0[0]) },
        Column(title: "dead", keys: ["deadShare"]) { percent($0[0]) },
        Column(title: "puts waited", keys: ["waitedPutShare"]) { percent($0[0]) },
        Column(title: "p99 ratio", keys: ["p99Ratio"]) { fixed($0[0], 2) },
        Column(title: "(low–high)", keys: ["p99RatioLow", "p99RatioHigh"]) {
            "\(fixed($0[0], 2))–\(fixed($0[1], 2))"
        },
        Column(title: "last ÷ 2nd tenth", keys: ["lastTenthToSecond"]) { fixed($0[0], 3) },
        Column(title: "right", keys: ["answersRight"]) { percent($0[0]) },
        Column(title: "of the gap", keys: ["recoveredShare"]) { percent($0[0]) },
        Column(title: "divergence", keys: ["divergenceNats"]) { fixed($0[0], 3) },
        Column(title: "held", keys: ["deviationShare"]) { percent($0[0]) },
        Column(title: "computed", keys: ["computedShare"]) { percent($0[0]) },
        Column(title: "÷ prefix", keys: ["ratioToPrefixCaching"]) { fixed($0[0], 3) },
        Column(title: "reused", keys: ["reusedChunkShare"]) { percent($0[0]) },
        Column(title: "exact", keys: ["exactChunkShare"]) { percent($0[0]) },
        Column(title: "mean CFO", keys: ["meanFixCost"]) { fixed($0[0], 3) },
        Column(title: "first token", keys: ["firstTokenSeconds"]) { duration($0[0] * 1e9) },
        Column(title: "load", keys: ["loadSeconds"]) { duration($0[0] * 1e9) },
        Column(title: "compute", keys: ["computeSeconds"]) { duration($0[0] * 1e9) },
        Column(title: "÷ full", keys: ["ratioToFullPrefill"]) { fixed($0[0], 3) },
        Column(title: "CPU ÷ full", keys: ["cpuRatioToFullPrefill"]) { fixed($0[0], 3) },
        Column(title: "÷ bound", keys: ["ratioToBound"]) { fixed($0[0], 3) },
        Column(title: "cached B", keys: ["pageCacheBytes"]) { count($0[0]) },
        Column(title: "÷ transfer", keys: ["transfersPerLatency"]) { fixed($0[0], 2) },
        Column(title: "planes in place", keys: ["directPlaneCount"]) { count($0[0]) },
        Column(title: "copied", keys: ["copiedPlaneCount"]) { count($0[0]) },
        Column(title: "others' CPUs", keys: ["otherCPUSecondsPerSecond"]) { fixed($0[0], 2) },
    ]

    static func text(_ report: BenchmarkReport) -> String {
        let machine = report.machine
        let used = columns.filter { column in
            report.results.contains { $0.metrics[column.keys[0]] != nil }
        }
        var rows = [[report.verb, "subject"] + used.map(\.title)]
        for result in report.results {
            rows.append(
                [result.name, result.subject]
                    + used.map { column in
                        let values = column.keys.compactMap { result.metrics[$0] }
                        return values.count == column.keys.count ? column.text(values) : "–"
                    })
        }
        var lines = [
            "\(machine.cpuModel), \(machine.coreCount) cores, \(machine.memoryBytes >> 30) GiB; "
                + "Linux \(machine.kernel); \(machine.fileSystem) at \(machine.directory)",
            "engine \(machine.engine), \(machine.isDirect ? "direct" : "BUFFERED"); "
                + "\(machine.buildConfiguration) build, "
                + "revision \(machine.gitRevision ?? "unknown"); "
                + "\(machine.date); load \(fixed(machine.loadAverageAtStart, 1)) → "
                + fixed(machine.loadAverageAtEnd, 1),
            "",
        ]
        lines += aligned(rows)
        lines += report.notes.map { "· \($0)" }
        if let digest = report.resultDigest { lines.append("results \(digest)") }
        return lines.joined(separator: "\n")
    }

    /// One number as a table of runs has it.
    static func cell(_ metric: String, _ value: Double) -> (title: String, text: String) {
        let column = columns.first { $0.keys == [metric] }
        return (column?.title ?? metric, column?.text([value]) ?? fixed(value, 3))
    }

    /// The first two columns to the left, numbers to the right.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let pad = String(repeating: " ", count: widths[column] - row[column].count)
                return column < 2 ? row[column] + pad : pad + row[column]
            }.joined(separator: "  ")
        }
    }

    private static func count(_ value: Double) -> String {
        switch value {
        case 1e7...: "\(fixed(value / 1e6, 1)) M"
        case 1e6...: "\(fixed(value / 1e6, 2)) M"
        case 1e4...: "\(fixed(value / 1e3, 1)) k"
        default: fixed(value, value == value.rounded() ? 0 : 1)
        }
    }

    private static func percent(_ share: Double) -> String { "\(fixed(share * 100, 1)) %" }

    private static func duration(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case 1e9...: "\(fixed(nanoseconds / 1e9, 2)) s"
        case 1e6...: "\(fixed(nanoseconds / 1e6, 2)) ms"
        case 1e3...: "\(fixed(nanoseconds / 1e3, 2)) µs"
        default: "\(fixed(nanoseconds, 0)) ns"
        }
    }

    private static func fixed(_ value: Double, _ digits: Int) -> String {
        value.formatted(
            .number.precision(.fractionLength(digits)).grouping(.never)
                .locale(Locale(identifier: "en_US_POSIX")))
    }
}
