// compare: two reports of one verb beside each other. It measures nothing.

import ArgumentParser
import Foundation

struct CompareVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "What changed from one run to another, from their JSON.",
        discussion: """
            Ratios are second by first, with the interval that the extremes of both runs' windows \
            allow, where a report has extremes. Runs of different machines or options say nothing \
            about each other, and are refused unless told otherwise.
            """)

    @Argument(help: "A report that --json printed.", completion: .file(extensions: ["json"]))
    var first: String

    @Argument(help: "Another one of the same verb.", completion: .file(extensions: ["json"]))
    var second: String

    @Flag(help: "Compare runs of different machines.")
    var differentMachines = false

    @Flag(help: "Compare runs with different options.")
    var differentOptions = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func comparison() throws -> Comparison {
        try Comparison(
            Self.read(first), Self.read(second), allowingMachines: differentMachines,
            allowingOptions: differentOptions)
    }

    func run() throws {
        let comparison: Comparison
        do {
            comparison = try self.comparison()
        } catch let refusal as Comparison.Refusal {
            throw ValidationError(refusal.description)
        }
        guard json else { return print(comparison.text) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(comparison), as: UTF8.self))
    }

    static func read(_ path: String) throws -> BenchmarkReport {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ValidationError("\(path): cannot be read")
        }
        do {
            return try JSONDecoder().decode(BenchmarkReport.self, from: data)
        } catch {
            throw ValidationError("\(path): no report of chunkdb-bench")
        }
    }
}
