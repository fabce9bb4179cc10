// Two runs of one verb beside each other. Each report holds the median and the extremes of its
// windows, so a ratio comes with the widest interval that these allow: lowest by highest to
// highest by lowest. Only what lies wholly on one side of 1 is called a difference.

import Foundation

struct Comparison: Codable, Sendable {
    struct Line: Codable, Sendable {
        var name: String
        var subject: String
        var metric: String
        var first: Double
        var second: Double
        /// Second by first.
        var ratio: Double
        /// Absent for metrics of which a report has no extremes.
        var ratioLow: Double?
        var ratioHigh: Double?

        /// Whether the intervals of both runs stand apart; `nil` without intervals.
        var isDifferent: Bool? {
            guard let ratioLow, let ratioHigh else { return nil }
            return ratioLow > 1 || ratioHigh < 1
        }
    }

    /// Why two reports say nothing about each other.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    var verb: String
    var lines: [Line]
    /// Results that only one of the runs has.
    var onlyInFirst: [String]
    var onlyInSecond: [String]
    /// What differs though it was allowed to.
    var notes: [String]

    /// What is compared where both have it. The first name is the median, the others the extremes.
    private static let metrics: [(name: String, low: String?, high: String?)] = [
        ("bytesPerSecond", "lowestBytesPerSecond", "highestBytesPerSecond"),
        ("operationsPerSecond", nil, nil),
        ("ratioToDevice", "ratioLow", "ratioHigh"),
        ("oursRatio", "oursRatioLow", "oursRatioHigh"),
        ("p50Nanoseconds", nil, nil), ("p99Nanoseconds", nil, nil),
        ("p999Nanoseconds", nil, nil), ("maxNanoseconds", nil, nil),
        ("cpuSecondsPerGiB", nil, nil), ("bytesPerEntry", nil, nil),
        ("secondsPerMillionEntries", nil, nil), ("secondsPerGiB", nil, nil),
        ("savedTokenShare", nil, nil),
    ]

    /// *Throws:* `Refusal` for different verbs, and for machines or options that differ unless
    /// that is allowed.
    init(
        _ first: BenchmarkReport, _ second: BenchmarkReport, allowingMachines: Bool,
        allowingOptions: Bool
    ) throws(Refusal) {
        guard first.verb == second.verb, first.schema == second.schema else {
            throw Refusal(
                description: "\(first.verb) (schema \(first.schema)) and \(second.verb) "
                    + "(schema \(second.schema)) ask different questions")
        }
        verb = first.verb
        notes = []
        let machines = Self.differences(first.machine, second.machine)
        if !machines.isEmpty {
            let text = "the machines differ: " + machines.joined(separator: "; ")
            guard allowingMachines else {
                throw Refusal(description: text + "; --different-machines compares them anyway")
            }
            notes.append(text)
        }
        let names = Set(first.options.keys).union(second.options.keys).sorted()
        // How long rounds may go on decides how many there are, and nothing about each.
        let options = names.filter {
            $0 != "durationSeconds" && first.options[$0] != second.options[$0]
        }
        if !options.isEmpty {
            let text = "the options differ: " + options.joined(separator: ", ")
            guard allowingOptions else {
                throw Refusal(description: text + "; --different-options compares them anyway")
            }
            notes.append(text)
        }
        func title(_ result: BenchmarkResult) -> String { "\(result.name), \(result.subject)" }
        let others = Dictionary(
            second.results.map { (title($0), $0) }, uniquingKeysWith: { first, _ in first })
        lines = first.results.flatMap { result in
            others[title(result)].map { Self.lines(result, $0) } ?? []
        }
        let (firsts, seconds) = (first.results.map(title), second.results.map(title))
        onlyInFirst = firsts.filter { !seconds.contains($0) }
        onlyInSecond = seconds.filter { !firsts.contains($0) }
    }

    private static func differences(_ first: Machine, _ second: Machine) -> [String] {
        func text(_ machine: Machine) -> [(String, String)] {
            [
                ("processor", machine.cpuModel), ("cores", "\(machine.coreCount)"),
                ("memory", "\(machine.memoryBytes >> 30) GiB"), ("kernel", machine.kernel),
                ("file system", machine.fileSystem), ("engine", machine.engine),
                ("I/O", machine.isDirect ? "direct" : "buffered"),
                ("build", machine.buildConfiguration),
            ]
        }
        return zip(text(first), text(second)).filter { $0.1 != $1.1 }
            .map { "\($0.0) \($0.1) and \($1.1)" }
    }

    private static func lines(_ first: BenchmarkResult, _ second: BenchmarkResult) -> [Line] {
        metrics.compactMap { metric -> Line? in
            guard let one = first.metrics[metric.name], let two = second.metrics[metric.name],
                one > 0, two > 0
            else { return nil }
            var line = Line(
                name: first.name, subject: first.subject, metric: metric.name, first: one,
                second: two, ratio: two / one)
            if let low = metric.low, let high = metric.high,
                let oneLow = first.metrics[low], let oneHigh = first.metrics[high],
                let twoLow = second.metrics[low], let twoHigh = second.metrics[high],
                oneLow > 0, oneHigh > 0
            {
                line.ratioLow = twoLow / oneHigh
                line.ratioHigh = twoHigh / oneLow
            }
            return line
        }
    }

    // MARK: For people

    var text: String {
        var rows = [
            ["question", "subject", "metric", "first", "second", "ratio", "(low–high)", ""]
        ]
        rows += lines.map { line in
            let interval = line.ratioLow.map { low in
                String(format: "%.2f–%.2f", low, line.ratioHigh ?? low)
            }
            let verdict = line.isDifferent.map { $0 ? "differs" : "within noise" }
            return [
                line.name, line.subject, ReportTable.cell(line.metric, 0).title,
                ReportTable.cell(line.metric, line.first).text,
                ReportTable.cell(line.metric, line.second).text,
                String(format: "%.3f", line.ratio), interval ?? "–", verdict ?? "",
            ]
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var text = rows.map { row in
            row.indices.map { column in
                let pad = String(repeating: " ", count: widths[column] - row[column].count)
                return (3...6).contains(column) ? pad + row[column] : row[column] + pad
            }.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
        }
        text += onlyInFirst.map { "· only in the first: \($0)" }
        text += onlyInSecond.map { "· only in the second: \($0)" }
        text += notes.map { "· \($0)" }
        return text.joined(separator: "\n")
    }
}
