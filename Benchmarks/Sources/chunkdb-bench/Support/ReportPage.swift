// A report as one HTML file with plots: a bar for each result, whiskers where a report has the
// extremes of its windows. It needs no scripts, no fonts and no network, which its content policy
// also says to the browser; light and dark follow the reader's system.

import Foundation

struct ReportPage {
    let report: BenchmarkReport

    private struct Chart: Sendable {
        let title: String
        let metric: String
        var low: String?
        var high: String?
        let text: @Sendable (Double) -> String
    }

    private static let charts = [
        Chart(
            title: "Bandwidth, MiB/s", metric: "bytesPerSecond", low: "lowestBytesPerSecond",
            high: "highestBytesPerSecond"
        ) { number($0 / 1_048_576) },
        Chart(
            title: "Share of the device", metric: "ratioToDevice", low: "ratioLow",
            high: "ratioHigh"
        ) { number($0) },
        Chart(title: "Operations a second", metric: "operationsPerSecond") { number($0) },
        Chart(
            title: "Ours by theirs", metric: "oursRatio", low: "oursRatioLow",
            high: "oursRatioHigh"
        ) { number($0) },
        Chart(title: "Latency, median, µs", metric: "p50Nanoseconds") { number($0 / 1_000) },
        Chart(title: "Latency, p99, µs", metric: "p99Nanoseconds") { number($0 / 1_000) },
        Chart(title: "Latency, p99.9, µs", metric: "p999Nanoseconds") { number($0 / 1_000) },
        Chart(title: "Latency, longest, µs", metric: "maxNanoseconds") { number($0 / 1_000) },
        Chart(title: "First layer by its transfer", metric: "transfersPerLatency") { number($0) },
        Chart(title: "CPU-seconds a GiB", metric: "cpuSecondsPerGiB") { number($0) },
        Chart(title: "Bytes an entry", metric: "bytesPerEntry") { number($0) },
        Chart(title: "Seconds a GiB", metric: "secondsPerGiB") { number($0) },
        Chart(title: "Seconds a million entries", metric: "secondsPerMillionEntries") {
            number($0)
        },
        Chart(title: "Recomputation saved", metric: "savedTokenShare") { number($0) },
    ]

    private static func number(_ value: Double) -> String {
        String(format: abs(value) < 10 ? "%.3g" : "%.0f", value)
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    private var title: String { "chunkdb-bench \(report.verb)" }

    var html: String {
        Self.document(title: title, body: "<h1>\(Self.escaped(title))</h1>\n" + section)
    }

    /// What stands below a title.
    var section: String {
        let machine = report.machine
        let options = report.options.sorted { $0.key < $1.key }.map { name, value in
            switch value {
            case .flag(let flag): "\(name) \(flag)"
            case .number(let number): "\(name) \(number)"
            case .text(let text): "\(name) \(text)"
            }
        }
        let facts = [
            "\(machine.cpuModel), \(machine.coreCount) cores, \(machine.memoryBytes >> 30) GiB; "
                + "Linux \(machine.kernel); \(machine.fileSystem)",
            "engine \(machine.engine), \(machine.isDirect ? "direct" : "buffered"); "
                + "\(machine.buildConfiguration) build, revision "
                + "\(machine.gitRevision ?? "unknown"); \(machine.date)",
            options.joined(separator: ", "),
            report.resultDigest.map { "results \($0)" } ?? "",
        ]
        let notes = report.notes.map { "<li>\(Self.escaped($0))</li>" }.joined()
        return facts.map { "<p class=\"quiet\">\(Self.escaped($0))</p>\n" }.joined()
            + "<ul>\(notes)</ul>\n"
            + Self.charts.compactMap(plot).joined(separator: "\n")
            + LatencyPlot(results: report.results).html
    }

    static func document(title: String, body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
        style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(escaped(title))</title>
        <style>
        \(style)
        </style></head>
        <body>\(body)
        </body></html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --quiet: #59636e;
          --bar: #1a7f64; --other: #8a94a0; --rule: #bf6a02; }
        @media (prefers-color-scheme: dark) { :root { --ground: #14171a; --ink: #e6e8ea;
          --quiet: #9aa4ae; --bar: #3fb896; --other: #66717d; --rule: #e39b3f; } }
        body { background: var(--ground); color: var(--ink); margin: 0 auto; padding: 1rem;
          max-width: 60rem; font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
        h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
        .quiet { color: var(--quiet); margin: .2rem 0; } svg { display: block; width: 100%; }
        .label { display: flex; justify-content: space-between; gap: 1rem; font-size: .85rem; }
        .ours { fill: var(--bar); } .other { fill: var(--other); }
        .curves { max-width: 40rem; } .curves text { fill: var(--quiet); font-size: 11px; }
        .grid { stroke: var(--other); stroke-width: .5; opacity: .5; fill: none; }
        .curves polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
        .legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-size: .85rem; }
        .legend svg { display: inline-block; width: 1.6rem; height: .6rem; margin-right: .4rem; }
        .c0 { stroke: var(--bar); } .c1 { stroke: var(--other); } .c2 { stroke: var(--rule); }
        .c3 { stroke: #6f6fd0; } .c4 { stroke: #c0508a; } .c5 { stroke: #3f8fc4; }
        table { border-collapse: collapse; display: block; overflow-x: auto; margin: .6rem 0; }
        td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top; }
        summary { font-size: 1.2rem; margin-top: 1.2rem; cursor: pointer; }
        .loud { color: var(--rule); font-weight: 600; }
        .whisker { stroke: var(--rule); stroke-width: 2; vector-effect: non-scaling-stroke; }
        """

    /// `nil` when no result has that metric.
    private func plot(_ chart: Chart) -> String? {
        let results = report.results.filter { $0.metrics[chart.metric] != nil }
        guard !results.isEmpty else { return nil }
        let largest = results.reduce(0) { largest, result in
            let high = chart.high.flatMap { result.metrics[$0] } ?? 0
            return max(largest, high, result.metrics[chart.metric] ?? 0)
        }
        guard largest > 0 else { return nil }
        let rows = results.map { result -> String in
            let value = result.metrics[chart.metric] ?? 0
            func place(_ value: Double) -> String {
                String(format: "%.1f", value / largest * 1_000)
            }
            var whisker = ""
            if let low = chart.low.flatMap({ result.metrics[$0] }),
                let high = chart.high.flatMap({ result.metrics[$0] })
            {
                whisker =
                    "<line class=\"whisker\" x1=\"\(place(low))\" x2=\"\(place(high))\" "
                    + "y1=\"6\" y2=\"6\"/>"
            }
            let kind = result.subject.hasPrefix("chunkdb") ? "ours" : "other"
            return "<div class=\"label\"><span>"
                + Self.escaped("\(result.name), \(result.subject)")
                + "</span><span>\(chart.text(value))</span></div>\n<svg viewBox=\"0 0 1000 12\" "
                + "height=\"12\" preserveAspectRatio=\"none\"><rect class=\"\(kind)\" x=\"0\" "
                + "y=\"1\" width=\"\(place(value))\" height=\"10\"/>\(whisker)</svg>"
        }
        return "<h2>\(Self.escaped(chart.title))</h2>\n" + rows.joined(separator: "\n")
    }
}
