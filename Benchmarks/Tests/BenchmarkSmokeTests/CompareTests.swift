import ArgumentParser
import ChunkDB
import Foundation
import Testing

@testable import chunkdb_bench

@Suite("Comparing two runs")
struct CompareTests {
    private func report(_ results: [BenchmarkResult]) throws -> BenchmarkReport {
        var report = BenchmarkReport(
            verb: "read", machine: Machine(directory: "/", traits: nil),
            options: ["seed": .number(1)], results: results)
        try report.seal()
        return report
    }

    private func result(_ name: String, _ rate: Double, spread: Double) -> BenchmarkResult {
        BenchmarkResult(
            name: name, subject: "chunkdb",
            metrics: [
                "bytesPerSecond": rate, "lowestBytesPerSecond": rate * (1 - spread),
                "highestBytesPerSecond": rate * (1 + spread), "p99Nanoseconds": 1_000,
            ])
    }

    @Test("gives ratios, the widest interval, and a verdict only where intervals stand apart")
    func ratios() throws {
        let first = try report([
            result("layer", 1_000, spread: 0.1), result("chunk", 1_000, spread: 0.1),
            result("gone", 1, spread: 0),
        ])
        let second = try report([
            result("layer", 1_500, spread: 0.1), result("chunk", 1_050, spread: 0.1),
        ])
        let comparison = try Comparison(
            first, second, allowingMachines: false, allowingOptions: false)
        let rates = comparison.lines.filter { $0.metric == "bytesPerSecond" }
        try #require(rates.count == 2)
        #expect(rates[0].ratio == 1.5)
        #expect(abs(rates[0].ratioLow! - 1_350 / 1_100) < 1e-9)
        #expect(abs(rates[0].ratioHigh! - 1_650 / 900) < 1e-9)
        #expect(rates[0].isDifferent == true && rates[1].isDifferent == false)
        let tail = comparison.lines.filter { $0.metric == "p99Nanoseconds" }
        #expect(tail.count == 2 && tail.allSatisfy { $0.isDifferent == nil && $0.ratio == 1 })
        #expect(comparison.onlyInFirst == ["gone, chunkdb"] && comparison.onlyInSecond.isEmpty)
        #expect(comparison.text.contains("within noise") && comparison.text.contains("differs"))
        // In the units that tables have.
        #expect(comparison.text.contains("1.00 µs") && !comparison.text.contains("Nanoseconds"))
    }

    @Test("refuses other machines, options and verbs, unless told otherwise")
    func refusals() throws {
        let first = try report([result("layer", 1_000, spread: 0)])
        var other = first
        other.machine.cpuModel = "another"
        #expect(throws: Comparison.Refusal.self) {
            try Comparison(first, other, allowingMachines: false, allowingOptions: true)
        }
        let allowed = try Comparison(first, other, allowingMachines: true, allowingOptions: false)
        #expect(allowed.notes.first?.contains("another") == true)
        // How long rounds may go on is nothing that makes two runs differ.
        other = first
        other.options["durationSeconds"] = .text("7.3")
        #expect(throws: Never.self) {
            try Comparison(first, other, allowingMachines: false, allowingOptions: false)
        }
        other = first
        other.options["seed"] = .number(2)
        #expect(throws: Comparison.Refusal.self) {
            try Comparison(first, other, allowingMachines: true, allowingOptions: false)
        }
        other = first
        other.verb = "fill"
        #expect(throws: Comparison.Refusal.self) {
            try Comparison(first, other, allowingMachines: true, allowingOptions: true)
        }
    }

    @Test("reads what --json wrote, and refuses everything else")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "bench-compare-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "a.json").path
        let report = try report([result("layer, \"x\"", 1_000, spread: 0.1)])
        try Data(report.json().utf8).write(to: URL(filePath: path))
        let verb = try #require(
            try ChunkDBBench.parseAsRoot(["compare", path, path]) as? CompareVerb)
        #expect(try verb.comparison().lines.allSatisfy { $0.ratio == 1 })
        try Data("{}".utf8).write(to: folder.appending(path: "b.json"))
        for bad in ["b.json", "none.json"] {
            let words = ["compare", path, folder.appending(path: bad).path]
            let verb = try #require(try ChunkDBBench.parseAsRoot(words) as? CompareVerb)
            #expect(throws: (any Error).self) { try verb.comparison() }
        }
        // The digest is of the results, and of nothing else.
        var moved = report
        moved.machine.date = "another day"
        try moved.seal()
        #expect(moved.resultDigest == report.resultDigest)
        moved.results[0].metrics["p99Nanoseconds"] = 1_001
        try moved.seal()
        #expect(moved.resultDigest != report.resultDigest)
        let lines = report.csv().split(separator: "\n")
        #expect(lines.count == 5 && lines[0] == "verb,name,subject,metric,value")
        #expect(lines[1] == "read,\"layer, \"\"x\"\"\",chunkdb,bytesPerSecond,1000.0")
    }

    @Test("`plot` draws every result on a page that needs nothing else")
    func plot() throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "bench-plot-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let json = folder.appending(path: "a.json")
        let report = try report([
            result("layer <b>", 1_000, spread: 0.1), result("chunk", 500, spread: 0.2),
        ])
        try Data(report.json().utf8).write(to: json)
        let html = folder.appending(path: "a.html")
        var verb = try ChunkDBBench.parseAsRoot(["plot", json.path, "-o", html.path])
        try verb.run()
        let page = try String(contentsOf: html, encoding: .utf8)
        for forbidden in ["http:", "https:", "src=", "href=", "url(", "<script", "<b>"] {
            #expect(!page.contains(forbidden), "\(forbidden)")
        }
        #expect(page.contains("layer &lt;b&gt;"))
        // Two results with bandwidth, whiskers and a p99 each; the longest whisker is the scale.
        #expect(page.components(separatedBy: "<rect ").count == 5)
        #expect(page.components(separatedBy: "<line ").count == 3)
        #expect(page.contains("x2=\"1000.0\""))
        #expect(page.contains(try #require(report.resultDigest)))
        #expect(!page.contains("<polyline"))
        // Nothing is overwritten.
        #expect(throws: (any Error).self) { try verb.run() }
    }
}

@Suite("Curves of latencies")
struct LatencyPlotTests {
    private func results(_ count: Int) -> [BenchmarkResult] {
        (0..<count).map { index in
            var latencies = Latencies()
            latencies.add((1...1_000).map { UInt64($0 * (index + 1)) * 100 })
            return BenchmarkResult(
                name: "layer <\(index)>", subject: "chunkdb", metrics: latencies.metrics,
                latencyCurve: latencies.curve)
        }
    }

    @Test("stay inside their chart, six to one, with a line of the legend each")
    func charts() throws {
        let html = LatencyPlot(results: results(7)).html
        #expect(html.components(separatedBy: "class=\"curves\"").count == 3)
        // One in the chart and one in the legend.
        #expect(html.components(separatedBy: "<polyline ").count == 15)
        #expect(html.contains("layer &lt;6&gt;, chunkdb") && !html.contains("layer <"))
        // 100 ns to 700 µs: decades from 100 ns to 1 ms.
        #expect(html.contains(">100 ns<") && html.contains(">1 ms<") && !html.contains(">10 ms<"))
        let lines = html.components(separatedBy: "points=\"").dropFirst()
            .compactMap { $0.components(separatedBy: "\"").first }
        for line in lines {
            let pairs = line.split(separator: " ").map { $0.split(separator: ",") }
            let places = pairs.map { $0.compactMap { Double($0) } }
            #expect(places.allSatisfy { $0.count == 2 && (0...400).contains($0[0]) })
            #expect(places.allSatisfy { (0...240).contains($0[1]) })
            // Later percentiles lie higher, and no further left.
            for (one, next) in zip(places, places.dropFirst()) where places.count > 2 {
                #expect(next[0] >= one[0] && next[1] < one[1])
            }
        }
    }

    @Test("are not drawn where nothing was timed")
    func none() {
        #expect(LatencyPlot(results: []).html.isEmpty)
        let bare = BenchmarkResult(name: "x", subject: "y", metrics: ["p50Nanoseconds": 1])
        #expect(LatencyPlot(results: [bare]).html.isEmpty)
        // Two operations are no curve.
        var latencies = Latencies()
        latencies.add([1_000, 2_000])
        let few = BenchmarkResult(
            name: "x", subject: "y", metrics: latencies.metrics, latencyCurve: latencies.curve)
        #expect((few.latencyCurve?.count ?? 0) > 1 && LatencyPlot(results: [few]).html.isEmpty)
    }

    @Test("change no line of --csv")
    func csv() throws {
        var report = BenchmarkReport(
            verb: "read", machine: Machine(directory: "/", traits: nil), options: [:],
            results: results(1))
        let with = report.csv()
        report.results[0].latencyCurve = nil
        #expect(report.csv() == with)
    }
}
