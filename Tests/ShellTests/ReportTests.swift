import ChunkDB
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("`report`")
struct ReportTests {
    private func page(_ place: Place, _ name: String = "report.html") throws -> String {
        try String(contentsOfFile: place.path + "/" + name, encoding: .utf8)
    }

    @Test("writes one file that needs nothing else and believes nobody")
    func selfContained() throws {
        let place = try Place()
        try place.makeStore { db in
            let acme = try #require(db.namespace("acme"))
            try db.wait { () async throws in
                for _ in 0..<5 { _ = try await acme.get(key(2)) }
            }
        }
        let before = try place.contents()
        let file = place.path + "/report.html"
        let outcome = place.run(["report", "--output", file, "--json"])
        #expect(outcome.exit == .fine, "\(outcome.errors)")
        #expect(try place.contents() == before)
        let html = try page(place)
        #expect(try outcome.json["fileBytes"] as? Int == html.utf8.count)
        for forbidden in [
            "http:", "https:", "src=", "href=", "@import", "url(", "<script", "\u{1B}",
        ] {
            #expect(!html.contains(forbidden), "\(forbidden)")
        }
        #expect(html.contains("default-src 'none'"))
        #expect(html.contains("evil\\u{1b}]0;owned"))
        for title in [
            "Segments", "Where the bytes are", "Sizes on disk", "Ages", "Forms of a chunk",
        ] {
            #expect(html.contains(title), "\(title)")
        }
        // Five uses are in 5–8, of the one variant that has any.
        #expect(html.contains("≤ 8"))
        #expect(!html.contains("\(key(2))"), "no keys")
        for tag in ["html", "body", "table", "svg", "div", "p", "tr", "h2", "ul"] {
            let opened =
                html.components(separatedBy: "<\(tag)>").count
                + html.components(separatedBy: "<\(tag) ").count - 2
            #expect(opened == html.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
        }
        let again = place.run(["report", "-o", file])
        #expect(again.exit == .cannotWrite && again.errors.contains("exists already"))
        #expect(place.run(["report"]).exit == .usage)
    }

    /// What `watch --json` prints, of so many samples.
    private func watched(_ storeID: String, _ count: Int) throws -> Data {
        let samples = (0..<count).map { index -> [String: Any] in
            var sample: [String: Any] = [
                "writtenSeconds": 1_800_000_000 + 60 * index, "seconds": 60,
                "perSecond": ["putCount": 1],
                "gauges": [
                    "livingBytes": 1_000_000 + index * 9_000, "allocatedBytes": 6_000_000,
                    "capacityBytes": 16 << 20,
                ],
            ]
            if index % 3 > 0 { sample["hitShare"] = Double(index % 7) / 7 }
            return sample
        }
        return try JSONSerialization.data(withJSONObject: [
            "verb": "watch", "path": "/data", "file": "f", "storeID": storeID,
            "samples": Array(samples.shuffled()),
        ])
    }

    @Test("draws space and hits over time, from what `watch` printed of this store")
    func history() throws {
        let place = try Place()
        try place.makeStore()
        let storeID = try #require(place.run(["info", "--json"]).json["storeID"] as? String)
        let file = place.path + "/history.json"
        func write(_ data: Data) throws { try data.write(to: URL(fileURLWithPath: file)) }
        try write(watched(storeID, 1_000))
        let words = ["report", "--history", file, "-o"]
        #expect(place.run(words + [place.path + "/report.html"]).exit == .fine)
        let html = try page(place)
        #expect(html.contains("<h2>Space over time</h2>"))
        #expect(html.contains("<h2>Reads that found their chunk, over time</h2>"))
        #expect(html.contains("2027-01-15T08:00:00Z to 2027-01-16T00:39:00Z"))
        let lines = html.components(separatedBy: "points=\"").dropFirst().map {
            $0.components(separatedBy: "\"")[0].split(separator: " ").map {
                $0.split(separator: ",").compactMap { Double($0) }
            }
        }
        try #require(lines.count == 4, "capacity, allocated, living; hits")
        for line in lines {
            // Shuffled in the file; never more than a screen tells apart; inside the picture.
            #expect(line.count > 100 && line.count <= 502)
            #expect(zip(line, line.dropFirst()).allSatisfy { $0[0] <= $1[0] })
            #expect(line.allSatisfy { (0...400).contains($0[0]) && (0...140).contains($0[1]) })
        }
        #expect(lines[0].allSatisfy { $0[1] == 2 }, "the capacity is the scale")
        #expect(lines[2][0][1] > lines[2][lines[2].count - 1][1], "what lives grows upwards")
        // One sample is no history; another store's, or another file, is refused.
        try write(watched(storeID, 1))
        #expect(place.run(words + [place.path + "/one.html"]).exit == .fine)
        #expect(try page(place, "one.html").contains("Fewer than two samples"))
        for (data, exit) in [
            (try watched(String(repeating: "0", count: 32), 3), ShellExit.usage),
            (Data("{\"verb\":\"info\"}".utf8), .usage), (Data("\u{1B}[31m".utf8), .usage),
            (Data(), .usage),
        ] {
            try write(data)
            let outcome = place.run(words + [place.path + "/no.html"])
            #expect(outcome.exit == exit && !outcome.errors.contains("\u{1B}"))
            #expect(!FileManager.default.fileExists(atPath: place.path + "/no.html"))
        }
        try FileManager.default.removeItem(atPath: file)
        #expect(place.run(words + [place.path + "/no.html"]).exit == .cannotOpen)
    }

    @Test("names what is damaged")
    func damaged() throws {
        let place = try Place()
        try place.makeStore()
        try place.overwrite("superblock", at: 2 * 65_536 + 70, with: [9, 9, 9])
        let outcome = place.run(["report", "-o", place.path + "/report.html"])
        #expect(outcome.exit == .damageFound)
        #expect(try page(place).contains("1 damaged place"))
        #expect(try page(place).contains("SUP-2"))
    }

    @Test("text cannot leave its place")
    func escaping() {
        #expect(
            ReportPage.escaped("<b a='1' c=\"2\">&")
                == "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;")
        #expect(ReportPage.escaped("\u{1B}\u{202E}x") == "\\u{1b}\\u{202e}x")
    }

    @Test("histograms count each value once, in its bucket")
    func histograms() {
        var generator = SeededGenerator(seed: 3)
        let values = (0..<2_000).map { _ in
            UInt64.random(in: 0...UInt64.max, using: &generator)
                >> UInt64.random(
                    in: 0...63, using: &generator)
        }
        let doubling = Histogram.doubling("", unit: "", values)
        #expect(doubling.buckets.reduce(0) { $0 + $1.count } == values.count)
        let small = Histogram.doubling("", unit: "", [0, 1, 2, 3, 4, 5, 8, 9, 16])
        #expect(small.buckets.map(\.label) == ["0", "1", "2", "≤ 4", "≤ 8", "≤ 16"])
        #expect(small.buckets.map(\.count) == [1, 1, 1, 2, 2, 2])
        _ = Histogram.doubling("", unit: "", [.max])
        let ages = Histogram.ages("", unit: "", [0, 60, 61, 3_600, 86_401, .max])
        #expect(ages.buckets.map(\.count) == [2, 2, 0, 1, 0, 0, 1])
        let even = Histogram.even("", unit: "", [0, 1, 10, 10, 5.5])
        #expect(even.buckets.map(\.count) == [1, 1, 0, 0, 0, 1, 0, 0, 0, 2])
        #expect(Histogram.even("", unit: "", [7, 7]).buckets.map(\.count) == [2])
        #expect(Histogram.even("", unit: "", []).buckets.isEmpty)
        #expect(
            Histogram.even("", unit: "", [-.greatestFiniteMagnitude, .greatestFiniteMagnitude])
                .buckets.isEmpty)
    }

    private static let browser = ["chromium", "chromium-browser", "google-chrome"]
        .map { "/usr/bin/\($0)" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    private func browse(_ words: [String], in place: Place) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.browser))
        process.arguments =
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", "--allow-file-access-from-files",
                "--user-data-dir=\(place.path)/browser", "--virtual-time-budget=2000",
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

    @Test(
        "fits a window of 400 pixels, and is drawn light and dark",
        .enabled(if: browser != nil, "chromium is not installed"), .timeLimit(.minutes(2)))
    func drawn() throws {
        let place = try Place()
        try place.makeStore()
        let storeID = try #require(place.run(["info", "--json"]).json["storeID"] as? String)
        let history = place.path + "/history.json"
        try watched(storeID, 50).write(to: URL(fileURLWithPath: history))
        let words = ["report", "-o", place.path + "/report.html", "--history", history]
        #expect(place.run(words).exit == .fine)
        // A frame of 400 pixels, whose owner asks how wide the page in it became.
        let frame = """
            <iframe id="f" src="report.html" style="width:400px;height:900px;border:0"></iframe>
            <script>f.onload = () => { const d = f.contentDocument.documentElement;
            document.title = "wide " + d.scrollWidth + " high " + d.scrollHeight; }</script>
            """
        try Data(frame.utf8).write(to: URL(fileURLWithPath: place.path + "/frame.html"))
        let dom = try browse(["--dump-dom", "file://\(place.path)/frame.html"], in: place)
        let size = try #require(dom.firstMatch(of: /wide (\d+) high (\d+)/), "\(dom.prefix(500))")
        #expect(Int(size.1) == 400, "the page is \(size.1) pixels wide in a window of 400")
        #expect(Int(size.2) ?? 0 > 900)
        var pictures: [Data] = []
        for scheme in ["light", "dark"] {
            let picture = "\(place.path)/\(scheme).png"
            // Blink's numbers of the schemes.
            let setting = "--blink-settings=preferredColorScheme=\(scheme == "dark" ? 0 : 1)"
            _ = try browse(
                [
                    setting, "--window-size=800,1400", "--screenshot=\(picture)",
                    "file://\(place.path)/report.html",
                ], in: place)
            pictures.append(try #require(FileManager.default.contents(atPath: picture)))
        }
        // A page without marks compresses to a few kilobytes.
        #expect(pictures.allSatisfy { $0.count > 20_000 }, "\(pictures.map(\.count))")
        #expect(pictures[0] != pictures[1])
    }
}
