// suite: all verbs in a stated time, one after the other in this process. It says beforehand what
// it will do; a verb that fails, or for which no time is left, is told loudly and by the exit code.

import ArgumentParser
import ChunkDB
import Foundation

struct SuiteVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suite",
        abstract: "Runs every verb in a stated time; one JSON and one page of all reports.",
        discussion: """
            Inputs shrink with the time, and rounds end with each verb's share of it. Each report \
            is written as soon as it is there; --json and --csv print all of them.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "For everything. Below 10, inputs are too small for numbers to quote.")
    var minutes = 30.0

    @Option(
        name: [.short, .long],
        help: "The directory to make for the reports (default: chunkdb-suite-DATE, here).")
    var output: String?

    @Option(parsing: .upToNextOption, help: "Only these.")
    var verbs: [String] = []

    func validate() throws {
        guard minutes > 0, minutes <= 10_000 else {
            throw ValidationError("minutes are above 0")
        }
        let known = SuitePlan.steps(minutes: minutes).map(\.verb)
        for verb in verbs where !known.contains(verb) {
            throw ValidationError("\(verb): none of \(known.joined(separator: ", "))")
        }
    }

    var steps: [SuiteStep] {
        SuitePlan.steps(minutes: minutes).filter { verbs.isEmpty || verbs.contains($0.verb) }
    }

    func run() throws {
        let suite = try run(steps)
        if common.csv {
            print(suite.csv())
        } else {
            print(common.json ? try suite.json() : suite.text)
        }
        if !suite.missing.isEmpty {
            for warning in suite.warnings where common.csv || common.json { tell(warning) }
            throw ExitCode.failure
        }
    }

    /// Runs the steps, and writes what they report.
    func run(_ steps: [SuiteStep]) throws -> SuiteReport {
        let directory = try makeOutput()
        tell(plan(steps, directory))
        var options = common.facts
        options["verbs"] = .text(steps.map(\.verb).joined(separator: ","))
        var suite = SuiteReport(minutes: minutes, options: options)
        let start = Clocks.now
        let end = start + UInt64(minutes * 60e9)
        let shares = steps.reduce(0) { $0 + $1.share }
        var sharesDone = 0.0
        for (place, step) in steps.enumerated() {
            let now = Clocks.now
            let left = Double(end > now ? end - now : 0) / 1e9
            let part = Progress.Part(
                name: "\(place + 1)/\(steps.count) \(step.verb): ", begin: sharesDone / shares,
                share: step.share / shares, start: start)
            let seconds = left * step.share / (shares - sharesDone)
            let entry = Progress.$part.withValue(part) { run(step, seconds: seconds) }
            sharesDone += step.share
            suite.verbs.append(entry)
            if let report = entry.report {
                try write(try report.json(), "\(step.verb).json", in: directory)
                try write(ReportPage(report: report).html, "\(step.verb).html", in: directory)
                tell(
                    "\(part.name)done in \(String(format: "%.1f s", entry.seconds)), "
                        + entry.headline)
            } else {
                tell("\(entry.state.rawValue.uppercased()): \(step.verb): \(entry.reason ?? "")")
            }
        }
        try write(try suite.json(), "suite.json", in: directory)
        try write(SuitePage(suite: suite).html, "suite.html", in: directory)
        return suite
    }

    private func run(_ step: SuiteStep, seconds: Double) -> SuiteEntry {
        let limit = step.hasRounds ? ["--duration", String(format: "%.1f", max(seconds, 0.1))] : []
        let arguments = step.arguments + limit
        var entry = SuiteEntry(
            verb: step.verb, arguments: arguments, state: .skipped, seconds: 0)
        guard seconds > 0 else {
            entry.reason = "the \(minutes) minutes were over"
            return entry
        }
        let start = Clocks.now
        do {
            entry.report = try Self.workload(step.verb, arguments + common.passedOn).report()
            entry.state = .done
        } catch {
            entry.state = .failed
            entry.reason = "\(ChunkDBBench.message(for: error))"
        }
        entry.seconds = Double(Clocks.now - start) / 1e9
        return entry
    }

    private static func workload(_ verb: String, _ arguments: [String]) throws -> any Workload {
        guard let workload = try ChunkDBBench.parseAsRoot([verb] + arguments) as? any Workload
        else { throw ValidationError("\(verb) measures nothing") }
        return workload
    }

    // MARK: What is told and written

    /// What will be run, and what that writes.
    private func plan(_ steps: [SuiteStep], _ directory: URL) -> String {
        let shares = steps.reduce(0) { $0 + $1.share }
        var sum = 0
        let lines = steps.map { step in
            let bytes =
                (try? Self.workload(step.verb, step.arguments + common.passedOn))?.writtenBytes ?? 0
            sum += bytes
            let minutes = String(format: "%.1f min", minutes * step.share / shares)
            return "  \(step.verb) \(step.arguments.joined(separator: " "))".padding(
                toLength: 72, withPad: " ", startingAt: 0)
                + "\(minutes), \(ByteCount(UInt64(bytes))) written"
        }
        return """
            \(steps.count) verbs in about \(String(format: "%g", minutes)) minutes\
            \(common.smoke ? " at most, with tiny inputs" : ""), about \
            \(ByteCount(UInt64(sum))) written, removed after each verb:
            \(lines.joined(separator: "\n"))
            reports: \(directory.path)
            """
    }

    private func tell(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    /// Nothing that is there is overwritten.
    private func makeOutput() throws -> URL {
        let stamp = Date().formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
        let url = URL(filePath: output ?? "chunkdb-suite-\(stamp)")
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        } catch {
            throw ValidationError("\(url.path): \(error.localizedDescription)")
        }
        return url
    }

    private func write(_ text: String, _ name: String, in directory: URL) throws {
        let url = directory.appending(path: name)
        do {
            try Data(text.utf8).write(to: url, options: .withoutOverwriting)
        } catch {
            throw BenchmarkError.world("\(url.path): \(error.localizedDescription)")
        }
    }
}
