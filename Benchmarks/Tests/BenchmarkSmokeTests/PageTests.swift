// The pages of a run and of a suite in a real browser: nothing is wider than a phone, every chart
// is there, and both schemes are drawn.

import Foundation
import Testing

@testable import chunkdb_bench

@Suite("Pages in a browser")
struct PageTests {
    private static let browser = ["chromium", "chromium-browser", "google-chrome"]
        .map { "/usr/bin/\($0)" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    // MARK: Reports that have every chart

    private func curve(_ scale: Double) -> [LatencyPoint] {
        Latencies.percentiles.prefix(30).enumerated().map {
            LatencyPoint(
                percentile: $0.element, nanoseconds: scale * 1_000 * pow(1.1, Double($0.offset)))
        }
    }

    private func result(_ name: String, _ subject: String, _ metrics: [String: Double])
        -> BenchmarkResult
    {
        BenchmarkResult(name: name, subject: subject, metrics: metrics)
    }

    private var device: [BenchmarkResult] {
        var results: [BenchmarkResult] = []
        for kind in ["random reads", "writes"] {
            for (power, size) in ["64KiB", "1MiB", "16MiB"].enumerated() {
                for depth in [1, 8] {
                    let rate = Double(power + 1) * Double(depth) * 1e8
                    var one = result(
                        "\(kind) \(size) depth \(depth)", "device",
                        [
                            "bytesPerSecond": rate, "lowestBytesPerSecond": rate * 0.9,
                            "highestBytesPerSecond": rate * 1.2, "p99Nanoseconds": 1e6,
                            "maxNanoseconds": 2e6,
                            "transferBytes": Double(65_536 << (4 * power)),
                            "depth": Double(depth),
                        ])
                    one.latencyCurve = curve(Double(depth))
                    results.append(one)
                }
            }
        }
        return results
    }

    private var traces: [BenchmarkResult] {
        var results: [BenchmarkResult] = []
        for trace in ["zipf", "drift"] {
            for size in 1...3 {
                for (place, policy) in ["recall", "lru", "gdsf", "offline bound"].enumerated() {
                    var metrics = [
                        "cacheBytes": Double(size << 30),
                        "savedTokenShare": 0.2 * Double(size) + 0.03 * Double(place),
                    ]
                    if place < 3 {
                        for tenth in 1...10 {
                            metrics["savedShareTenth\(tenth < 10 ? "0" : "")\(tenth)"] =
                                0.05 * Double(tenth)
                        }
                    }
                    results.append(result("\(trace), \(size * 5) % cache", policy, metrics))
                }
            }
        }
        return results
    }

    private var repairs: [BenchmarkResult] {
        ["reading", "order"].flatMap { task in
            (0..<9).flatMap { mode in
                (1...4).map { strength in
                    result(
                        "\(task), mode \(mode) with a rather long name", "\(strength)",
                        [
                            "computedShare": 0.1 * Double(strength), "answersRight": 0.9,
                            "recoveredShare": min(0.12 * Double(mode + strength), 1),
                        ])
                }
            }
        }
    }

    private var others: [BenchmarkResult] {
        var tenths: [String: Double] = ["computedShare": 0.3]
        for tenth in 1...10 {
            tenths["computedShareTenth\(tenth < 10 ? "0" : "")\(tenth)"] = 1 / Double(tenth)
        }
        return [
            result("store empty at first", "cache-craft", tenths),
            result(
                "CacheBlend 0.15, check at layer 1", "chunkdb",
                [
                    "firstTokenSeconds": 0.27, "ratioToFullPrefill": 0.26, "ratioToBound": 0.96,
                    "computedShare": 0.218,
                ]),
            result(
                "3 % of the rows, runs of 16", "chunkdb",
                ["readBytesPerRowByte": 3.4, "timeToAllRows": 0.2]),
            result(
                "open, from its checkpoint", "chunkdb",
                ["secondsPerGiB": 0.02, "secondsPerMillionEntries": 0.39, "p50Nanoseconds": 1e7]),
            result(
                "a_name_without_a_place_to_break_it_at_and_longer_than_a_line_of_a_phone", "lru",
                [
                    "writeAmplification": 1.1, "p99Ratio": 0.7, "p99RatioLow": 0.6,
                    "p99RatioHigh": 1.0,
                ]),
        ]
    }

    private func report(_ verb: String, _ results: [BenchmarkResult]) throws -> BenchmarkReport {
        BenchmarkReport(
            verb: verb, machine: Machine(directory: "/", traits: nil),
            options: ["seed": .number(1), "sizes": .text("64KiB,1MiB,16MiB")], results: results,
            notes: ["a note that a reader must know before using a number"])
    }

    private func everything() throws -> [BenchmarkReport] {
        [
            try report("device", device), try report("traces", traces),
            try report("quality", repairs), try report("ttft", others),
        ]
    }

    @Test("a report has the curves and bars of all it measured")
    func charts() throws {
        let html = try everything().map { ReportPage(report: $0).html }.joined()
        for title in [
            "Bandwidth by size of a transfer", "Bandwidth by transfers at once",
            "Recomputation saved by size of the cache", "What repair brings back",
            "Tokens computed, by tenths", "First token",
            "Bytes read for a byte of rows", "Seconds a GiB", "Bytes written for a byte put",
            "Latency, share of operations",
        ] {
            #expect(html.contains("<h2>\(title)"), "\(title)")
        }
        // Two panels of two depths, and of three sizes.
        let page = ReportPage(report: try report("device", device)).html
        let curves = page.components(separatedBy: "<h2>Bandwidth")
        #expect(curves[1].components(separatedBy: "<polyline").count - 1 == 2 * 2 * 2)
        #expect(curves[2].components(separatedBy: "<polyline").count - 1 == 2 * 3 * 2)
        // A name has one colour in all panels, also where one begins with another line.
        let chart = LineChart(
            title: "x", scale: .share,
            panels: [["a", "b"], ["b", "c"]].map { names in
                LineChart.Panel(
                    title: names[0],
                    lines: names.map { .init(title: $0, points: [(0, 0), (1, 1)]) })
            }, text: { "\($0)" })
        for (name, style) in [("a", "c0"), ("b", "c1"), ("c", "c2")] {
            let legend = "<g class=\"\(style)\"><polyline points=\"0,3 16,3\"/></g></svg>\(name)<"
            #expect(chart.html.contains(legend), "\(name)")
        }
        #expect(chart.html.components(separatedBy: "</svg>b<").count == 3)
        #expect(chart.html.components(separatedBy: "class=\"c1\"").count == 5)
        // What has a curve needs no bars; tenths are of caches of one size.
        #expect(!ReportPage(report: try report("traces", traces)).html.contains("saved</h2>"))
        let small = traces.filter { $0.name.hasSuffix(" 5 % cache") }
        let tenths = ReportPage(report: try report("traces", small)).html
        #expect(tenths.contains("Recomputation saved, by tenths") && tenths.contains("saved</h2>"))
        #expect(LineChart.roundedUp(3_870) == 4_000 && LineChart.roundedUp(1) == 1)
        #expect(LineChart.roundedUp(0) == 0 && LineChart.roundedUp(.infinity) == 0)
        #expect(!ReportPage(report: try report("ttft", others)).html.contains("nan"))
        // Details are folded; of whom bars are is said where there are several.
        let folded = try #require(page.components(separatedBy: "<details").last)
        #expect(folded.contains("Latency, longest") == page.contains("<details"))
        #expect(!page.contains(", device</span><span>"))
        let bars = ReportPage(report: try report("ttft", others)).html
        #expect(bars.contains("store empty at first, cache-craft</span><span>"))
    }

    // MARK: The browser

    private func browse(_ words: [String], in folder: URL) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try #require(Self.browser))
        process.arguments =
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", "--allow-file-access-from-files",
                "--user-data-dir=\(folder.path)/browser", "--virtual-time-budget=2000",
            ] + words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self)
    }

    /// Pages by name, in a folder that is gone afterwards.
    private func withPages(_ body: (URL, [String]) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "bench-pages-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let reports = try everything()
        var suite = SuiteReport(minutes: 1, options: [:])
        suite.verbs = reports.map {
            SuiteEntry(
                verb: $0.verb, arguments: ["--rounds", "5"], state: .done, seconds: 1, report: $0)
        }
        var pages = reports.map { ($0.verb, ReportPage(report: $0).html) }
        // As if every part of it were opened.
        pages.append(
            ("suite", SuitePage(suite: suite).html.replacing("<details", with: "<details open")))
        for (name, html) in pages {
            try Data(html.utf8).write(to: folder.appending(path: "\(name).html"))
        }
        try body(folder, pages.map(\.0))
    }

    @Test(
        "fit a window of 400 pixels, whole and without a word cut off",
        .enabled(if: browser != nil, "chromium is not installed"), .timeLimit(.minutes(2)))
    func narrow() throws {
        try withPages { folder, names in
            // Who owns the frames asks how wide the pages became, and whether words leave charts.
            let frames = names.map {
                "<iframe src=\"\($0).html\" style=\"width:400px;height:900px;border:0\"></iframe>"
            }
            let script = """
                <script>onload = () => { document.title = [...document.querySelectorAll("iframe")]
                .map(f => { const d = f.contentDocument; let out = 0;
                for (const t of d.querySelectorAll("svg text")) {
                  const b = t.getBBox(), v = t.ownerSVGElement.viewBox.baseVal;
                  if (b.x < 0 || b.x + b.width > v.width || b.y + b.height > v.height + 2) out++; }
                return d.documentElement.scrollWidth + " " + out + " " +
                  d.querySelectorAll("svg").length; }).join(";"); }</script>
                """
            try Data((frames.joined() + script).utf8).write(to: folder.appending(path: "all.html"))
            let dom = try browse(["--dump-dom", "file://\(folder.path)/all.html"], in: folder)
            let title = try #require(
                dom.firstMatch(of: /<title>([0-9 ;]+)<\/title>/), "\(dom.prefix(300))")
            let found = title.output.1.split(separator: ";").map {
                $0.split(separator: " ").compactMap { Int($0) }
            }
            #expect(found.count == names.count)
            for (name, numbers) in zip(names, found) {
                #expect(numbers.first == 400, "\(name) is \(numbers) wide in a window of 400")
                #expect(numbers[1] == 0, "\(name): words leave their chart")
                #expect(numbers[2] > 5, "\(name)")
            }
        }
    }

    @Test(
        "are drawn light and dark",
        .enabled(if: browser != nil, "chromium is not installed"), .timeLimit(.minutes(2)))
    func schemes() throws {
        try withPages { folder, names in
            for name in [names[0], "suite"] {
                var pictures: [Data] = []
                for scheme in ["light", "dark"] {
                    let picture = "\(folder.path)/\(name)-\(scheme).png"
                    // Blink's numbers of the schemes.
                    let setting =
                        "--blink-settings=preferredColorScheme=\(scheme == "dark" ? 0 : 1)"
                    _ = try browse(
                        [
                            setting, "--window-size=1200,1400", "--screenshot=\(picture)",
                            "file://\(folder.path)/\(name).html",
                        ], in: folder)
                    pictures.append(try #require(FileManager.default.contents(atPath: picture)))
                }
                // A page without marks compresses to a few kilobytes.
                #expect(pictures.allSatisfy { $0.count > 20_000 }, "\(pictures.map(\.count))")
                #expect(pictures[0] != pictures[1])
            }
        }
    }
}
