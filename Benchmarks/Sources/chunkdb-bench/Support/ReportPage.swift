// A report as one HTML file with plots: a bar for each result, whiskers where a report has the
// extremes of its windows. It needs no scripts, no fonts and no network, which its content policy
// also says to the browser; light and dark follow the reader's system.

import Foundation
import Retention

struct ReportPage {
    let report: BenchmarkReport

    private struct Chart: Sendable {
        let title: String
        let metric: String
        var low: String?
        var high: String?
        /// What few want to see: folded.
        var isDetail = false
        let text: @Sendable (Double) -> String
    }

    private static let charts = [
        Chart(title: "First token", metric: "firstTokenSeconds") { duration($0 * 1e9) },
        Chart(title: "First token, of a full prefill", metric: "ratioToFullPrefill") {
            number($0)
        },
        Chart(title: "First token, of its bound", metric: "ratioToBound") { number($0) },
        Chart(title: "Computed, of full prefills", metric: "computedShare") { percent($0) },
        Chart(title: "Answers right", metric: "answersRight", isDetail: true) { percent($0) },
        Chart(title: "Recomputation saved", metric: "savedTokenShare") { percent($0) },
        Chart(title: "Of the offline bound", metric: "shareOfBound", isDetail: true) {
            percent($0)
        },
        Chart(title: "Time, of that for all rows", metric: "timeToAllRows") { number($0) },
        Chart(title: "Bytes read for a byte of rows", metric: "readBytesPerRowByte") {
            number($0)
        },
        Chart(title: "Bytes written for a byte put", metric: "writeAmplification") { number($0) },
        Chart(title: "Bytes on disk for a byte put", metric: "storedBytesPerPayloadByte") {
            number($0)
        },
        Chart(
            title: "p99 of reads, by that without the others", metric: "p99Ratio",
            low: "p99RatioLow", high: "p99RatioHigh"
        ) { number($0) },
        Chart(
            title: "Bandwidth, MiB/s", metric: "bytesPerSecond", low: "lowestBytesPerSecond",
            high: "highestBytesPerSecond"
        ) { number($0 / 1_048_576) },
        Chart(
            title: "Share of the device", metric: "ratioToDevice", low: "ratioLow",
            high: "ratioHigh"
        ) { number($0) },
        Chart(title: "Operations a second", metric: "operationsPerSecond", isDetail: true) {
            number($0)
        },
        Chart(
            title: "Ours by theirs", metric: "oursRatio", low: "oursRatioLow",
            high: "oursRatioHigh"
        ) { number($0) },
        Chart(title: "Latency, median", metric: "p50Nanoseconds", text: duration),
        Chart(title: "Latency, p99", metric: "p99Nanoseconds", text: duration),
        Chart(title: "Latency, p99.9", metric: "p999Nanoseconds", isDetail: true, text: duration),
        Chart(title: "Latency, longest", metric: "maxNanoseconds", isDetail: true, text: duration),
        Chart(title: "First layer by its transfer", metric: "transfersPerLatency") { number($0) },
        Chart(title: "CPU-seconds a GiB", metric: "cpuSecondsPerGiB") { number($0) },
        Chart(title: "Bytes an entry", metric: "bytesPerEntry") { number($0) },
        Chart(title: "Seconds a GiB", metric: "secondsPerGiB") { number($0) },
        Chart(title: "Seconds a million entries", metric: "secondsPerMillionEntries") {
            number($0)
        },
    ]

    private static func percent(_ share: Double) -> String { number(share * 100) + " %" }

    private static func number(_ value: Double) -> String {
        switch abs(value) {
        case 1e9...: String(format: "%.3g G", value / 1e9)
        case 1e6...: String(format: "%.3g M", value / 1e6)
        case 1e4...: String(format: "%.3g k", value / 1e3)
        case 10...: String(format: "%.0f", value)
        default: String(format: "%.3g", value)
        }
    }

    private static func duration(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case 1e9...: String(format: "%.3g s", nanoseconds / 1e9)
        case 1e6...: String(format: "%.3g ms", nanoseconds / 1e6)
        case 1e3...: String(format: "%.3g µs", nanoseconds / 1e3)
        default: String(format: "%.3g ns", nanoseconds)
        }
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    private var curves: [LineChart] {
        ReportCurves.charts(report.results).filter { !$0.html.isEmpty }
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
            case .text(let text): text.isEmpty ? "" : "\(name) \(text)"
            }
        }.filter { !$0.isEmpty }
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
            + curves.map(\.html).joined() + bars.plain
            + LatencyPlot(results: report.results).html + bars.details
    }

    /// Bars of everything that has no curve; details below the rest, folded.
    private var bars: (plain: String, details: String) {
        let curves = curves
        let drawn = curves.reduce(into: Set<String>()) { $0.formUnion($1.metrics) }
        let charts = Self.charts.filter { !drawn.contains($0.metric) }
        // Where nothing else says how fast it was, the details do.
        let isFolded =
            !curves.isEmpty || report.results.contains { $0.metrics["bytesPerSecond"] != nil }
        func html(_ isDetail: Bool) -> String {
            charts.filter { ($0.isDetail && isFolded) == isDetail }.compactMap(plot)
                .joined(separator: "\n")
        }
        let details = html(true)
        return (
            html(false),
            details.isEmpty
                ? "" : "<details class=\"more\"><summary>More</summary>\n\(details)</details>\n"
        )
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
        .curves circle { stroke-width: 1.6; fill: var(--ground); }
        .panels { display: grid; gap: 0 1.5rem;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
        h3 { font-size: .95rem; margin: .6rem 0 .2rem; font-weight: 600; }
        .legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-size: .85rem; }
        .legend svg { display: inline-block; width: 1.6rem; height: .6rem; margin-right: .4rem; }
        .c0 { stroke: var(--bar); } .c1 { stroke: var(--quiet); } .c2 { stroke: var(--rule); }
        .c3 { stroke: #6f6fd0; } .c4 { stroke: #c0508a; } .c5 { stroke: #3f8fc4; }
        .c6 { stroke: #9a8a1f; } .c7 { stroke: #b5533c; }
        .dashed polyline { stroke-dasharray: 4 3; }
        table { border-collapse: collapse; display: block; overflow-x: auto; margin: .6rem 0; }
        td:nth-child(-n+3) { white-space: nowrap; }
        td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top;
          overflow-wrap: normal; }
        summary { font-size: 1.2rem; margin-top: 1.2rem; cursor: pointer; }
        .more > summary { font-size: 1rem; color: var(--quiet); }
        .loud { color: var(--rule); font-weight: 600; }
        .whisker { stroke: var(--rule); stroke-width: 2; vector-effect: non-scaling-stroke; }
        """

    private func isOurs(_ subject: String) -> Bool {
        subject.hasPrefix("chunkdb") || subject == RetentionPolicies.defaultName
    }

    /// `nil` when no result has that metric.
    private func plot(_ chart: Chart) -> String? {
        let results = report.results.filter { $0.metrics[chart.metric] != nil }
        guard !results.isEmpty else { return nil }
        let largest = results.reduce(0) { largest, result in
            let high = chart.high.flatMap { result.metrics[$0] } ?? 0
            return max(largest, high, result.metrics[chart.metric] ?? 0)
        }
        guard largest > 0 else { return nil }
        // Whom all bars are of need not be said at each.
        let isOneSubject = Set(results.map(\.subject)).count == 1
        let hasOurs = results.contains { isOurs($0.subject) }
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
            let kind = isOurs(result.subject) || !hasOurs ? "ours" : "other"
            let label = isOneSubject ? result.name : "\(result.name), \(result.subject)"
            return "<div class=\"label\"><span>"
                + Self.escaped(label)
                + "</span><span>\(chart.text(value))</span></div>\n<svg viewBox=\"0 0 1000 12\" "
                + "height=\"12\" preserveAspectRatio=\"none\"><rect class=\"\(kind)\" x=\"0\" "
                + "y=\"1\" width=\"\(place(value))\" height=\"10\"/>\(whisker)</svg>"
        }
        return "<h2>\(Self.escaped(chart.title))</h2>\n" + rows.joined(separator: "\n")
    }
}
