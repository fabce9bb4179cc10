// Which curves a report has: bandwidth over size and depth, policies over cache size, repair over
// what it computes, and computing over the course of a trace. A chart without lines draws nothing.

import ChunkDB
import Foundation

enum ReportCurves {
    static func charts(_ results: [BenchmarkResult]) -> [LineChart] {
        [
            LineChart(
                title: "Bandwidth by size of a transfer, MiB/s", scale: .steps(text: bytes),
                panels: transfers(results, over: "transferBytes") {
                    "depth \(Int($0["depth"] ?? 0))"
                },
                text: number),
            LineChart(
                title: "Bandwidth by transfers at once, MiB/s", scale: .steps { "\(Int($0))" },
                panels: transfers(results, over: "depth") { bytes($0["transferBytes"] ?? 0) },
                text: number),
            LineChart(
                title: "Recomputation saved by size of the cache", metrics: ["savedTokenShare"],
                scale: .steps(text: capacity),
                panels: panels(results) { result in
                    // The cache's size is the name's last part.
                    guard let x = result.metrics["cacheBytes"],
                        let y = result.metrics["savedTokenShare"],
                        let end = result.name.range(of: ", ", options: .backwards)
                    else { return [] }
                    return [(String(result.name[..<end.lowerBound]), result.subject, x, y)]
                }, text: percent),
            LineChart(
                title: "What repair brings back by what it computes",
                metrics: ["recoveredShare", "computedShare"],
                scale: .share,
                panels: panels(results) { result in
                    guard let x = result.metrics["computedShare"],
                        let y = result.metrics["recoveredShare"]
                    else { return [] }
                    let parts = result.name.split(separator: ", ", maxSplits: 1)
                    return [(String(parts[0]), String(parts.last ?? ""), x, y)]
                }, text: percent),
            LineChart(
                title: "Tokens computed, by tenths of the prompts", scale: .steps { "\(Int($0))" },
                panels: panels(results) { result in
                    tenths(result, "computedShareTenth").map {
                        (result.name, result.subject, $0.0, $0.1)
                    }
                }, text: percent),
            LineChart(
                title: "Recomputation saved, by tenths of the prompts",
                scale: .steps { "\(Int($0))" },
                panels: hasSizes(results)
                    ? []
                    : panels(results) { result in
                        tenths(result, "savedShareTenth").map {
                            (result.name, result.subject, $0.0, $0.1)
                        }
                    }, text: percent),
        ]
    }

    /// Whether one trace went through caches of several sizes.
    private static func hasSizes(_ results: [BenchmarkResult]) -> Bool {
        let names = Set(results.filter { $0.metrics["cacheBytes"] != nil }.map(\.name))
        let traces = Set(names.map { $0.prefix { $0 != "," } })
        return names.count > traces.count
    }

    private static func tenths(_ result: BenchmarkResult, _ metric: String) -> [(Double, Double)] {
        (1...10).compactMap { tenth in
            result.metrics["\(metric)\(tenth < 10 ? "0" : "")\(tenth)"].map { (Double(tenth), $0) }
        }
    }

    /// Of transfers: a panel for each kind, and for each who was asked.
    private static func transfers(
        _ results: [BenchmarkResult], over metric: String, line: ([String: Double]) -> String
    ) -> [LineChart.Panel] {
        panels(results) { result in
            guard let x = result.metrics[metric], let rate = result.metrics["bytesPerSecond"],
                let size = result.metrics["transferBytes"], result.metrics["depth"] != nil,
                let end = result.name.range(of: " \(ByteSize(Int(size)))")
            else { return [] }
            let who = result.subject == "device" ? "" : ", \(result.subject)"
            let kind = String(result.name[..<end.lowerBound]) + who
            return [(kind, line(result.metrics), x, rate / 1_048_576)]
        }
    }

    /// Panels and lines in the order in which they first occur.
    private static func panels(
        _ results: [BenchmarkResult],
        _ points: (BenchmarkResult) -> [(panel: String, line: String, x: Double, y: Double)]
    ) -> [LineChart.Panel] {
        var panels: [LineChart.Panel] = []
        for point in results.flatMap(points) {
            let panel: Int
            if let known = panels.firstIndex(where: { $0.title == point.panel }) {
                panel = known
            } else {
                panel = panels.count
                panels.append(LineChart.Panel(title: point.panel, lines: []))
            }
            if let line = panels[panel].lines.firstIndex(where: { $0.title == point.line }) {
                panels[panel].lines[line].points.append((point.x, point.y))
            } else {
                panels[panel].lines.append(
                    LineChart.Line(title: point.line, points: [(point.x, point.y)]))
            }
        }
        return panels
    }

    private static func number(_ value: Double) -> String { String(format: "%g", value) }
    private static func percent(_ share: Double) -> String { String(format: "%g %%", share * 100) }
    private static func capacity(_ value: Double) -> String { "\(ByteCount(UInt64(value)))" }
    private static func bytes(_ value: Double) -> String { ByteSize(Int(value)).description }
}
