// All verbs in one run, and what becomes of those that fail or have no time.

import ArgumentParser
import Foundation
import Testing

@testable import chunkdb_bench

extension SmokeTests {
    /// A suite of its own directories, which are gone afterwards.
    private func suite<Result>(
        _ words: [String], _ body: (SuiteVerb, URL) throws -> Result
    ) throws -> Result {
        let parent = FileManager.default.temporaryDirectory.appending(
            path: "bench-suite-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let output = parent.appending(path: "reports")
        let words = ["suite", "--smoke", "--directory", parent.path, "-o", output.path] + words
        let verb = try #require(
            try ChunkDBBench.parseAsRoot(words + Self.disk) as? SuiteVerb)
        let result = try body(verb, output)
        let left = try FileManager.default.contentsOfDirectory(atPath: parent.path)
        #expect(left == ["reports"], "a working directory was left behind")
        return result
    }

    @Test("`suite` runs every verb there is, and keeps every report")
    func suiteRunsAll() throws {
        try suite(["--seed", "7"]) { verb, output in
            let planned = verb.steps.map(\.verb)
            #expect(Set(planned) == Set(Self.expected.keys) && planned.count == Set(planned).count)
            let suite = try verb.run(verb.steps)
            #expect(suite.missing.isEmpty, "\(suite.warnings)")
            #expect(suite.verbs.map(\.verb) == planned)
            let json = try Data(contentsOf: output.appending(path: "suite.json"))
            let decoded = try JSONDecoder().decode(SuiteReport.self, from: json)
            let page = try String(
                contentsOf: output.appending(path: "suite.html"), encoding: .utf8)
            for forbidden in ["http:", "https:", "src=", "href=", "url(", "<script"] {
                #expect(!page.contains(forbidden), "\(forbidden)")
            }
            #expect(page.components(separatedBy: "<details>").count == planned.count + 1)
            // Drawn anew from its JSON, it is the same page.
            let again = output.appending(path: "again.html").path
            var plot = try ChunkDBBench.parseAsRoot(
                ["plot", output.appending(path: "suite.json").path, "-o", again])
            try plot.run()
            #expect(try String(contentsOfFile: again, encoding: .utf8) == page)
            let csv = suite.csv().split(separator: "\n")
            #expect(csv.count { $0 == "verb,name,subject,metric,value" } == 1)
            for entry in decoded.verbs {
                let report = try #require(entry.report)
                #expect(report.verb == entry.verb && report.options["seed"] == .number(7))
                #expect(report.options["smoke"] == .flag(true))
                let alone = output.appending(path: entry.verb)
                let file = try CompareVerb.read(alone.appendingPathExtension("json").path)
                #expect(file.resultDigest == report.resultDigest)
                #expect(
                    FileManager.default.fileExists(
                        atPath: alone.appendingPathExtension("html").path))
                #expect(page.contains("<summary>\(entry.verb)</summary>"))
                #expect(page.contains(try #require(report.resultDigest)))
                #expect(csv.contains { $0.hasPrefix("\(entry.verb),") })
                #expect(suite.text.contains(entry.verb))
            }
        }
    }

    @Test("`suite` goes on after a verb that fails, and says so to the end")
    func suiteTellsFailures() throws {
        try suite([]) { verb, output in
            let steps = [
                SuiteStep(
                    verb: "quality", arguments: ["--questions", "/none"], share: 1,
                    hasRounds: false),
                SuiteStep(verb: "device", arguments: ["--depth", "0"], share: 1),
                SuiteStep(verb: "reuse", arguments: [], share: 1, hasRounds: false),
            ]
            let suite = try verb.run(steps)
            #expect(suite.verbs.map(\.state) == [.failed, .failed, .done])
            #expect(suite.missing.map(\.verb) == ["quality", "device"])
            #expect(suite.warnings.count == 2)
            #expect(suite.warnings[0].hasPrefix("FAILED: quality: ") && suite.text.contains("! F"))
            let page = try String(
                contentsOf: output.appending(path: "suite.html"), encoding: .utf8)
            #expect(page.components(separatedBy: "class=\"loud\"").count == 3)
        }
    }

    @Test("`suite` ends with a failure when the time is over before the last verb")
    func suiteSkips() throws {
        try suite(["--minutes", "0.00001", "--verbs", "lookup", "reuse"]) { verb, output in
            #expect(throws: ExitCode.failure) { try verb.run() }
            let json = try Data(contentsOf: output.appending(path: "suite.json"))
            let suite = try JSONDecoder().decode(SuiteReport.self, from: json)
            #expect(suite.verbs.map(\.state) == [.done, .skipped])
            #expect(suite.verbs[1].reason?.contains("over") == true)
            // Nothing is overwritten.
            #expect(throws: ValidationError.self) { try verb.run() }
        }
    }

    @Test("a time that is over leaves one round, and the report says so")
    func durations() throws {
        let over = TimeBudget(seconds: 0)
        #expect(Array(over.rounds(5)) == [0])
        #expect(Array(over.rounds(5, from: -1)) == [-1, 0])
        #expect(Array(over.rounds(1)) == [0])
        #expect(over.cuts.map(\.done) == [1, 1] && over.note?.contains("1 of 5, 1 of 5") == true)
        let endless = TimeBudget(seconds: nil)
        #expect(Array(endless.rounds(3, from: -1, share: 0.1)) == [-1, 0, 1, 2])
        #expect(endless.note == nil)
        for verb in ["device", "fill", "peers"] {
            let words = [verb, "--smoke", "--duration", "0.001", "--directory"]
            let workload = try #require(
                try ChunkDBBench.parseAsRoot(
                    words + [FileManager.default.temporaryDirectory.path] + Self.disk)
                    as? any Workload)
            let report = try workload.report()
            #expect(report.notes.contains { $0.contains("1 of 2") })
            #expect(report.options["durationSeconds"] == .text("0.001"))
            // A yardstick has a window between any two others.
            let asked = report.results.filter { $0.subject != "device" || verb == "device" }
            #expect(asked.allSatisfy { $0.metrics["windowCount", default: 1] == 1 })
        }
    }
}
