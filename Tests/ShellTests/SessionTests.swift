import ChunkDB
import Foundation
import Primitives
import Testing

@testable import chunkdb

/// Lines from a list, and what was asked of each.
private final class ScriptedLines: LineSource {
    let isInteractive = false
    var remembered: [String] = []
    private var lines: ArraySlice<String>
    /// What Tab would offer at a place, asked before each line.
    private let tabs: [(before: String, text: String)]
    var offered: [[String]] = []

    init(_ lines: [String], tabs: [(before: String, text: String)] = []) {
        self.lines = lines[...]
        self.tabs = tabs
    }

    func next(
        prompt: String, candidates: @escaping @Sendable (String, String) -> [String]
    ) -> String? {
        if offered.isEmpty { offered = tabs.map { candidates($0.before, $0.text) } }
        return lines.popFirst()
    }

    func remember(_ line: String) { remembered.append(line) }
}

@Suite("A session: `chunkdb PATH`")
struct SessionTests {
    private func run(
        _ lines: ScriptedLines, in place: Place, options: [String] = []
    ) -> Outcome {
        let output = MemorySink()
        let errors = MemorySink()
        let shell = Shell(console: Console(output: output, errors: errors), lines: { lines })
        let exit = shell.run([place.store, "--buffered"] + options)
        return Outcome(exit: exit, output: output.text, errors: errors.text)
    }

    @Test("says of each line what one-shot says, and ends with the first failure's code")
    func lines() throws {
        let place = try Place()
        try place.makeStore()
        let lines = ScriptedLines([
            "ls --namespace acme", "", "# nothing", "  ls   --limit 1 ", "help", "quit", "segments",
        ])
        let outcome = run(lines, in: place)
        #expect(outcome.exit == .fine)
        #expect(outcome.errors.isEmpty)
        let alone =
            place.run(["ls", "--namespace", "acme"]).output
            + place.run(["ls", "--limit", "1"]).output
        #expect(outcome.output.hasPrefix(alone))
        #expect(outcome.output.contains("chunkdb PATH VERB"))
        #expect(!outcome.output.contains("SEGMENT"), "nothing runs after quit")
        #expect(
            lines.remembered == ["ls --namespace acme", "ls   --limit 1", "help", "quit"])

        let failing = run(
            ScriptedLines(["show 00", "frobnicate", "ls --limit 0 'x", "ls --limit 1"]), in: place)
        #expect(failing.exit == .notFound)
        #expect(failing.errors.contains("frobnicate: not a verb"))
        #expect(failing.errors.contains("' is not closed"))
        #expect(failing.output.contains("5 more behind --limit"), "it goes on after a failure")
    }

    @Test("takes options for all its lines, and refuses what is none")
    func options() throws {
        let place = try Place()
        try place.makeStore()
        let outcome = run(ScriptedLines(["ls"]), in: place, options: ["--json"])
        #expect(try outcome.json["matchedCount"] as? Int == 6)
        let wrong = run(ScriptedLines(["ls"]), in: place, options: ["--nope"])
        #expect(wrong.exit == .usage && wrong.output.isEmpty)
        let help = run(ScriptedLines(["ls"]), in: place, options: ["--help"])
        #expect(help.exit == .fine && !help.output.isEmpty)
    }

    @Test("Tab offers verbs, options, namespaces and keys")
    func completion() throws {
        let place = try Place()
        try place.makeStore()
        let one = "\(key(1))"
        let lines = ScriptedLines(
            [],
            tabs: [
                ("", "s"), ("help ", "rep"), ("ls ", "--li"), ("ls --namespace ", ""),
                ("show ", String(one.prefix(5)).uppercased()), ("ls --prefix ", ""),
                ("show \(one) ", ""), ("frobnicate ", ""), ("ls 'x", ""), ("ls ", "x"),
                ("show ", "xyz"), ("show --namespace acme ", ""),
            ])
        _ = run(lines, in: place)
        let offered = lines.offered
        try #require(offered.count == 12)
        #expect(offered[0] == ["show", "segments", "space", "set-capacity", "stats"])
        #expect(offered[1] == ["report", "repair"])
        #expect(offered[2] == ["--limit"])
        // Quoted as the session reads it back, and harmless on a terminal.
        #expect(offered[3] == ["\"evil\\u{1b}]0;owned\\u{7}\\u{202e}gnp\"", "acme", "wide"])
        let hostile = try LineWords.split(offered[3][0])
        #expect(hostile == [hostileName])
        #expect(offered[4] == [String(one.prefix(16))])
        #expect(offered[5].count == 5 && offered[5].allSatisfy { one.utf8.count > $0.utf8.count })
        #expect(offered[6...10].joined().isEmpty)
        #expect(offered[11] == offered[5], "the value of an option is not the key")
    }

    @Test("Tab offers digits where there are many keys")
    func manyKeys() throws {
        let place = try Place()
        try place.makeStore { db in
            let acme = try #require(db.namespace("acme"))
            try db.wait { () async throws in
                for owner in 100..<180 as Range<UInt32> { try await put(owner, in: acme) }
            }
        }
        let lines = ScriptedLines([], tabs: [("show ", "")])
        _ = run(lines, in: place)
        let digits = try #require(lines.offered.first)
        #expect(digits.count > 8 && digits.allSatisfy { $0.utf8.count == 1 })
    }

    @Test(
        "words are split and quoted as people expect",
        arguments: [
            ("", []), ("  a  b ", ["a", "b"]), ("'a b' \"c\\\"d\"", ["a b", "c\"d"]),
            ("a\\ b", ["a b"]), ("'' \"\"", ["", ""]), ("x'y'z", ["xyz"]), ("'\\'", ["\\"]),
            ("\"\\u{1b}[0m\"", ["\u{1B}[0m"]), ("東京 é", ["東京", "é"]),
        ] as [(String, [String])])
    func words(line: String, words: [String]) throws {
        #expect(try LineWords.split(line) == words)
    }

    @Test(
        "what is not closed, or is no character, is a usage error",
        arguments: ["'", "\"a", "a\\", "\\u{110000}", "\\u{zz}", "\\u{D800}"])
    func badWords(line: String) {
        #expect(throws: ShellError.self) { try LineWords.split(line) }
    }

    @Test("random words survive quoting, and random lines never trap")
    func quoting() throws {
        var generator = SeededGenerator(seed: 8)
        let pieces: [String] = [
            "a", " ", "'", "\"", "\\", "\u{1B}", "é", "東", "\n", "\t", "{", "u{", "}", "\u{202E}",
            "-", "#", "\\u{41}", "\u{0}", "🙂", "\u{301}",
        ]
        for _ in 0..<3_000 {
            let count = Int.random(in: 0..<8, using: &generator)
            let word = (0..<count).map { _ in pieces.randomElement(using: &generator)! }.joined()
            let quoted = LineWords.quoted(word)
            let again = try LineWords.split(quoted)
            #expect(again.map { Array($0.unicodeScalars) } == [Array(word.unicodeScalars)])
            #expect(!quoted.unicodeScalars.contains { $0.value < 0x20 || $0 == "\u{202E}" })
            _ = try? LineWords.split(word)
        }
    }
}
