// plot: a report's JSON as one HTML file with plots. It measures nothing.

import ArgumentParser
import Foundation

struct PlotVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot",
        abstract: "Draws a report's JSON, or a suite's, as one self-contained HTML file.")

    @Argument(
        help: "A report that --json printed, or suite.json.",
        completion: .file(extensions: ["json"]))
    var report: String

    @Option(name: [.short, .long], help: "The file to make; it must not exist.")
    var output: String

    func run() throws {
        let html: String
        if let data = FileManager.default.contents(atPath: report),
            let suite = try? JSONDecoder().decode(SuiteReport.self, from: data)
        {
            html = SuitePage(suite: suite).html
        } else {
            html = ReportPage(report: try CompareVerb.read(report)).html
        }
        do {
            try Data(html.utf8).write(
                to: URL(filePath: output), options: .withoutOverwriting)
        } catch {
            throw ValidationError("\(output): \(error.localizedDescription)")
        }
    }
}
