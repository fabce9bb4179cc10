// What all verbs share: their common options, and the way from a measurement to a printed report. A
// new verb is one file with one type that conforms to `Workload`.

import ArgumentParser
import ChunkDB
import Foundation

struct CommonOptions: ParsableArguments {
    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print one line a number, separated by commas.")
    var csv = false

    @Flag(help: "Tiny inputs, for tests: proves that the verb works, measures nothing.")
    var smoke = false

    @Option(
        help: "Where to work: a directory is made inside and removed afterwards (default: here).")
    var directory: String?

    @Flag(help: "Keep what was written.")
    var keep = false

    @Option(help: "Who moves the bytes: automatic, ring or threads.")
    var engine: DiskEngine = .automatic

    @Flag(help: "Go through the page cache; for file systems without direct I/O.")
    var buffered = false

    @Option(help: "Bytes that the store's ring may have in hand at once (default: the engine's).")
    var queueBytes: ByteSize?

    @Option(help: "What random choices are drawn from.")
    var seed: UInt64 = 1

    var disk: DiskOptions {
        var options = DiskOptions()
        options.engine = engine
        options.buffered = buffered
        if let queueBytes { options.queueBytes = queueBytes.byteCount }
        return options
    }

    /// The same on a command line, for a verb that runs others; who is asked prints.
    var passedOn: [String] {
        var words = ["--engine", engine.rawValue, "--seed", "\(seed)"]
        if smoke { words.append("--smoke") }
        if keep { words.append("--keep") }
        if buffered { words.append("--buffered") }
        if let directory { words += ["--directory", directory] }
        if let queueBytes { words += ["--queue-bytes", "\(queueBytes.byteCount)"] }
        return words
    }

    var facts: [String: OptionValue] {
        [
            "smoke": .flag(smoke), "engine": .text(engine.rawValue), "buffered": .flag(buffered),
            "seed": .number(Int(truncatingIfNeeded: seed)),
            "queueBytes": .number(disk.queueBytes),
        ]
    }
}

extension DiskEngine: @retroactive ExpressibleByArgument {}

extension Durability: @retroactive ExpressibleByArgument {
    public init?(argument: String) {
        guard let level = Self.allCases.first(where: { "\($0)" == argument }) else { return nil }
        self = level
    }
}

/// For verbs that work in rounds.
struct RoundLimit: ParsableArguments {
    @Option(help: "Seconds after which no round begins; one is always run.")
    var duration: Double?

    func validate() throws {
        if let duration, !(duration > 0 && duration <= 1e6) {
            throw ValidationError("a duration is above 0 seconds")
        }
    }
}

/// A verb of the bench.
protocol Workload: ParsableCommand {
    var common: CommonOptions { get }
    /// The verb's own options, as they are in force.
    var facts: [String: OptionValue] { get }
    /// Seconds after which no round begins; `nil` for all rounds, or where there are none.
    var duration: Double? { get }
    /// About what this run writes to the directory, as far as it is known beforehand.
    var writtenBytes: Int { get }
    /// Measures, and adds results and notes to the report.
    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws
}

extension Workload {
    var duration: Double? { nil }

    /// The whole run, in a directory that is gone afterwards.
    func report() throws -> BenchmarkReport {
        let workplace = try Workplace(
            inside: common.directory, keep: common.keep, seconds: duration)
        defer { workplace.remove() }
        var report = BenchmarkReport(
            verb: Self.configuration.commandName ?? "",
            machine: Machine(directory: workplace.path, traits: nil),
            options: common.facts.merging(facts) { $1 }, results: [])
        if let duration { report.options["durationSeconds"] = .text("\(duration)") }
        if common.smoke { report.notes.append("smoke: tiny inputs; these numbers say nothing") }
        if report.machine.buildConfiguration == "debug" {
            report.notes.append("debug build: these numbers say nothing")
        }
        try measure(in: workplace, &report)
        if let note = workplace.budget.note { report.notes.append(note) }
        report.machine.loadAverageAtEnd = Machine.loadAverage
        if report.machine.loadAverageAtStart > Double(report.machine.coreCount) / 2, !common.smoke {
            report.notes.append(
                "the machine was busy with other work; see the load and others' CPUs")
        }
        try report.seal()
        if common.keep {
            FileHandle.standardError.write(Data("kept: \(workplace.path)\n".utf8))
        }
        return report
    }

    func run() throws {
        let report = try report()
        if common.csv { return print(report.csv()) }
        print(common.json ? try report.json() : ReportTable.text(report))
    }
}

extension BenchmarkReport {
    /// Notes which engine moved the bytes, and how.
    mutating func takeTraits(_ traits: DiskTraits) {
        machine.engine = traits.engine
        machine.isDirect = traits.isDirect
        machine.alignmentBytes = traits.alignment
        machine.hasRegisteredBuffers = traits.hasRegisteredBuffers
        machine.engineNotes = traits.notes
    }

    /// The proof that transfers bypassed the page cache: what it holds of the measured files.
    mutating func addPageCache(_ name: String, subject: String, below directory: String, moved: Int)
    {
        let resident = PageCache.residentBytes(below: directory)
        results.append(
            BenchmarkResult(
                name: name, subject: subject,
                metrics: [
                    "pageCacheBytes": Double(resident), "movedBytes": Double(moved),
                ]))
    }
}
