// The inspection shell: looks into a store through the log's own reading code, without opening the
// engine. It takes no lock and changes no byte of the store, so it works on one that is open
// elsewhere, that is a copy, or that is damaged. `repair` writes, to another directory; the few
// verbs that change a store (Support/Writing.swift) ask first, and open the engine.
//
// The shape is `chunkdb PATH VERB …`; `CommandLineShape` turns it into what the argument parser
// reads. A verb is one file in Verbs/: a `ShellVerb` listed below, and nothing else knows it.

import ArgumentParser
import Glibc

@main
struct Chunkdb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chunkdb",
        abstract: "Looks into a ChunkDB store: read-only, lock-free, also on damaged ones.",
        usage: """
            chunkdb PATH VERB [options]
            chunkdb VERB PATH [options]
            chunkdb PATH [options]
            """,
        discussion: """
            PATH is the store's directory (write ./info for a store that is named like a verb). \
            Without a verb, lines of verbs are read, with editing, history and completion where \
            standard input is a terminal; options given then hold for every line. \
            Every verb takes --json and then prints one object, errors included \
            (Sources/chunkdb/JSON.md), and -q, which prints nothing but errors.

            Exit codes: 0 fine, 1 damage found, 2 usage, 3 cannot open the store, \
            4 no such key, variant or namespace, 5 cannot write the file, \
            6 chunkdb-bench is missing or failed, 130 interrupted. Verbs that list something \
            warn of damage they meet, and end with 0. \
            A session fed from a pipe ends with the first code that is not 0, at a terminal with 0.
            """,
        version: "chunkdb 0",
        subcommands: verbs)

    /// In the order of the help.
    static let verbs: [any ParsableCommand.Type] = [
        InfoVerb.self, LsVerb.self, ShowVerb.self, FindVerb.self, VariantsVerb.self,
        TopVerb.self, SegmentsVerb.self, SpaceVerb.self, PolicyVerb.self, ReportVerb.self,
        HexdumpVerb.self, LayoutVerb.self, VerifyVerb.self, ExportVerb.self, DumpVerb.self,
        ImportVerb.self, LoadVerb.self, RemoveVerb.self, PinVerb.self, UnpinVerb.self,
        SetCapacityVerb.self, CompactVerb.self, RepairVerb.self, PlanVerb.self, StatsVerb.self,
        WatchVerb.self, TraceVerb.self, BenchVerb.self, DemoVerb.self,
    ]

    /// Those that take no PATH, and ignore one.
    static let storelessVerbs: Set = ["layout", "bench"]

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        let console = Console.standard()
        let lines: () -> any LineSource = {
            if let editor = LineEditor() { return editor }
            return PlainLines(output: console.output)
        }
        Glibc.exit(Shell(console: console, lines: lines).run(words).rawValue)
    }
}

/// A verb that prints on a console and ends with an exit code.
protocol ShellVerb: ParsableCommand {
    /// Whether the answer, or the reason there is none, is to be JSON.
    var wantsJSON: Bool { get }
    /// Whether the exit code, and errors, are all that is wanted.
    var isQuiet: Bool { get }
    func run(on console: Console) throws(ShellError) -> ShellExit
}

extension ShellVerb {
    var isQuiet: Bool { false }
}

/// One about a store.
protocol StoreVerb: ShellVerb {
    var store: StoreArguments { get }
}

extension StoreVerb {
    var wantsJSON: Bool { store.json }
    var isQuiet: Bool { store.quiet }
}
