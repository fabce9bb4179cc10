import ArgumentParser
import ChunkFormat
import Foundation
import KVModel
import Primitives
import SegmentLog
import Testing

@testable import chunkdb

@Suite("The command line")
struct CommandLineTests {
    @Test("takes path and verb in either order")
    func order() throws {
        let verbs = ["info", "ls"]
        func shape(_ words: [String]) throws(ShellError) -> [String] {
            try CommandLineShape.verbFirst(words, verbs: verbs)
        }
        #expect(try shape(["/kv", "ls", "--json"]) == ["ls", "/kv", "--json"])
        #expect(try shape(["ls", "/kv", "--json"]) == ["ls", "/kv", "--json"])
        #expect(try shape(["info", "info"]) == ["info", "info"])
        #expect(try shape(["./info", "info"]) == ["info", "./info"])
        #expect(try shape(["--help"]) == ["--help"])
        #expect(try shape([]) == [])
        #expect(throws: ShellError.self) { try shape(["/kv"]) }
        #expect(throws: ShellError.self) { try shape(["/kv", "rm"]) }
    }

    private func run(_ words: [String]) -> Outcome {
        let output = MemorySink()
        let errors = MemorySink()
        let exit = Shell(console: Console(output: output, errors: errors)).run(words)
        return Outcome(exit: exit, output: output.text, errors: errors.text)
    }

    @Test(
        "that makes no sense gives exit 2 and a hint",
        arguments: [
            ["/kv"], ["/kv", "frobnicate"], ["info"], ["ls", "/kv", "--limit=-1"],
            ["ls", "/kv", "--prefix", "xyz"], ["ls", "/kv", "--older-than", "7"],
            ["ls", "/kv", "--older-than", "99999999999999999999w"], ["ls", "/kv", "--sort", "x"],
            ["ls", "/kv", "--min-size", "1e999"], ["ls", "/kv", "--max-size", "9999999999999TiB"],
            ["ls", "/kv", "--offset=-1"], ["top", "/kv", "--limit", "0"],
            ["variants", "/kv", "--min", "0"], ["show", "/kv"], ["show", "/kv", ""],
            ["show", "/kv", String(repeating: "a", count: 65)],
            ["show", "/kv", "ab", "--variant", "12"], ["export", "/kv", "ab"], ["--nope"],
            ["info", "/kv", "--nope\u{1B}[31m"],
        ])
    func usage(words: [String]) {
        let outcome = run(words)
        #expect(outcome.exit == .usage)
        #expect(outcome.output.isEmpty)
        #expect(!outcome.errors.isEmpty)
        #expect(!outcome.errors.contains("\u{1B}"))
    }

    @Test(
        "explains itself",
        arguments: [["--help"], ["help"], ["help", "ls"], ["/kv", "show", "-h"]])
    func help(words: [String]) {
        let outcome = run(words)
        #expect(outcome.exit == .fine)
        #expect(outcome.output.contains("chunkdb PATH"))
    }

    @Test("has --json and -q for every verb, and --dry-run for those that write")
    func options() throws {
        let help = try JSONSerialization.jsonObject(with: Data(Chunkdb._dumpHelp().utf8))
        let command = try #require((help as? [String: Any])?["command"] as? [String: Any])
        let verbs = try #require(command["subcommands"] as? [[String: Any]])
        var writing: Set<String> = []
        for verb in verbs {
            let name = try #require(verb["commandName"] as? String)
            // Another program, and the parser's own.
            guard !["bench", "help"].contains(name) else { continue }
            let arguments = verb["arguments"] as? [[String: Any]] ?? []
            let names = arguments.flatMap { $0["names"] as? [[String: Any]] ?? [] }
                .compactMap { $0["name"] as? String }
            #expect(names.contains("json") && names.contains("q"), "\(name)")
            if names.contains("dry-run") { writing.insert(name) }
        }
        #expect(
            writing == [
                "import", "load", "rm", "pin", "unpin", "set-capacity", "compact", "repair",
            ])
    }

    @Test("names the word that is wrong, and what sorts is shown")
    func slips() throws {
        let place = try Place()
        try place.makeStore()
        for words in [["lss", place.store], [place.store, "lss"]] {
            let outcome = run(words)
            #expect(outcome.exit == .usage && outcome.errors.contains("chunkdb: lss: not a verb"))
        }
        // Not a session on a store that is not there.
        let output = MemorySink()
        let errors = MemorySink()
        let console = Console(output: output, errors: errors)
        let shell = Shell(console: console, lines: { PlainLines(output: output) })
        #expect(shell.run([place.path + "/inf"]) == .cannotOpen)
        #expect(errors.text.contains("no such directory, and not a verb"))
        #expect(place.run(["ls", "--sort", "uses"]).output.contains("USES"))
        #expect(!place.run(["ls", "--sort", "size"]).output.contains("USES"))
        let missing = place.run(["trace", "show", "/nonexistent"])
        #expect(missing.exit == .cannotOpen && missing.errors.contains("no such file"))
    }

    @Test("asks for names that are there")
    func names() throws {
        let place = try Place()
        try place.makeStore()
        #expect(place.run(["show", String(repeating: "0", count: 64)]).exit == .notFound)
        #expect(place.run(["ls", "--namespace", "nobody"]).exit == .notFound)
        #expect(place.run(["ls", "--namespace", "#77"]).exit == .notFound)
        let numbered = place.run(["ls", "--namespace", "#1"])
        #expect(numbered.exit == .fine && numbered.output.contains("acme"))
        let variant = place.run(["show", "\(key(2))", "--variant", "00000000000000ff"])
        #expect(variant.exit == .notFound)
        #expect(variant.errors.contains("stored: 0000000000000000"))
        // Removed is gone.
        #expect(place.run(["show", "\(key(4))"]).exit == .notFound)
    }

    @Test("paints and draws on terminals only")
    func terminals() throws {
        let place = try Place()
        try place.makeStore()
        let slow = SteppingClock(stepNanoseconds: 1_100_000_000)
        let shown = place.run(["verify"], terminal: true, clock: slow)
        #expect(shown.output.contains("\u{1B}[32mno damage"))
        #expect(shown.errors.contains("verifying [") && shown.errors.hasSuffix("\r\u{1B}[K"))
        let piped = place.run(
            ["verify"], clock: SteppingClock(stepNanoseconds: 700_000_000))
        #expect(!piped.output.contains("\u{1B}"))
        #expect(piped.errors.isEmpty)
        let quick = place.run(
            ["verify"], terminal: true, clock: SteppingClock(stepNanoseconds: 1_000))
        #expect(quick.errors.isEmpty)
    }

    @Test(
        "reaches the process: output, errors and exit code",
        .enabled(if: Place.executable != nil, "the executable does not stand beside the tests"))
    func process() throws {
        let place = try Place()
        try place.makeStore()
        for (words, exit) in [
            ([place.store, "ls", "--buffered", "--json"], 0), (["/nonexistent", "info"], 3),
            ([place.store, "nothing"], 2), ([place.store, "show", "0000", "--buffered"], 4),
        ] as [([String], Int32)] {
            let process = Process()
            process.executableURL = Place.executable
            process.arguments = words
            let output = Pipe()
            let errors = Pipe()
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            let text = try output.fileHandleForReading.readToEnd() ?? Data()
            let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            #expect(process.terminationStatus == exit)
            #expect(text.isEmpty == (exit != 0))
            #expect(complaint.isEmpty == (exit == 0))
        }
    }
}
