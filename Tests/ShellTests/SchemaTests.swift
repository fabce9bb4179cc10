// Every verb's `--json` held to Sources/chunkdb/JSON.md, in both directions.
// CHUNKDB_RECORD_SCHEMA=1 adds members that are not in the page; say there what they mean.

import ArgumentParser
import ChunkDB
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("The schema of `--json`")
struct SchemaTests {
    /// By verb, then by path, for example `variants[].usage.score`.
    private typealias Schema = [String: [String: Member]]

    private struct Member: Equatable {
        var type: String
        var meaning: String
    }

    private static let page = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/chunkdb/JSON.md")

    private func readPage() throws -> Schema {
        var schema: Schema = [:]
        var verb = ""
        for line in try String(contentsOf: Self.page, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("## ") { verb = String(line.dropFirst(3)) }
            guard line.hasPrefix("| `") else { continue }
            let cells = line.split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            try #require(cells.count == 3, "\(line)")
            let path = cells[0].trimmingCharacters(in: CharacterSet(charactersIn: "`"))
            schema[verb, default: [:]][path] = Member(type: cells[1], meaning: cells[2])
        }
        return schema
    }

    /// What the verbs really say, on sound, damaged and missing stores.
    private func observe() throws -> [String: [String: Set<String>]] {
        let place = try Place()
        try place.makeStore { db in
            let acme = try #require(db.namespace("acme"))
            try db.wait { () async throws in
                for _ in 0..<2 { _ = try await acme.get(key(2)) }
                try await db.checkpoint()
            }
        }
        let dump = place.path + "/dump"
        let file = place.path + "/file"
        var questions = VerbTests.questions.map(\.words)
        questions += [
            ["space"], ["layout"], ["hexdump", "\(key(2))"], ["dump", "acme", dump],
            ["export", "\(key(2))", file, "--tokens"], ["pin", "\(key(2))", "--yes"],
            ["report", "--output", place.path + "/report.html"],
            ["unpin", "\(key(2))", "--yes"], ["import", file, "--yes"],
            ["load", dump, "--yes"], ["ls", "--long"], ["show", "\(key(2))", "--digests"],
            ["verify", "--resume", place.path + "/state"],
        ]
        var found: [String: [String: Set<String>]] = [:]
        func ask(_ words: [String], under name: String? = nil, at store: String? = nil) throws {
            let outcome = place.run(words + ["--json"], at: store)
            let object = try outcome.json
            let verb = try #require(object["verb"] as? String)
            #expect(verb == words[0], "\(words)")
            flatten(object, at: "", into: &found[name ?? verb, default: [:]])
        }
        for words in questions where words[0] != "layout" { try ask(words) }
        for (_, prompt) in PlanVerbTests.questions {
            let path = place.path + "/prompt.json"
            try Data(prompt.utf8).write(to: URL(fileURLWithPath: path))
            try ask(["plan", path])
        }
        let other = try Place()
        try other.makeStore()
        for words in [["set-capacity", "32MiB", "--yes"], ["compact", "--yes"]] {
            try ask(words, at: other.store)
        }
        let trace = place.path + "/trace"
        try TraceTests.write(TraceTests.lines, to: trace)
        try ask(["trace", "replay", trace])
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        let published = place.store + ".statistics"
        try db.wait { () async throws in
            try await db.publishStatistics(at: published, every: .milliseconds(10))
            _ = try await db.namespace("acme")?.get(key(2))
        }
        try ask(["stats"])
        try ask(["watch", "--count", "1", "--interval", "0.1"])
        db.wait { await db.close() }
        let left = StatisticsSnapshot(
            storeID: db.superblock.storeID, processID: 1, sequence: 1, wallSeconds: 1,
            monotonicNanoseconds: 1, intervalNanoseconds: 1, values: [:], tenants: [])
        let leftFile = place.path + "/left"
        try Data(left.text.utf8).write(to: URL(fileURLWithPath: leftFile))
        try ask(["stats", "--file", leftFile])
        // Of no store.
        for words in [["layout"], ["demo", "--limit", "1"]] {
            let said = MemorySink()
            let console = Console(output: said, errors: MemorySink())
            _ = Shell(console: console).run(words + ["--json"])
            let object = try JSONSerialization.jsonObject(with: Data(said.text.utf8))
            flatten(object, at: "", into: &found[words[0], default: [:]])
        }
        try ask(["show", "00"], under: "errors")
        try ask(["ls", "--namespace", "nobody"], under: "errors")

        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let record = try #require((variant["records"] as? [[String: Any]])?.first)
        try place.overwrite(
            try #require(record["file"] as? String),
            at: try #require(record["offset"] as? UInt64) + 200, with: [1, 2, 3])
        try FileManager.default.removeItem(atPath: place.store + "/checkpoint")
        try Data().write(to: URL(fileURLWithPath: place.store + "/notes"))
        try place.overwrite("superblock", at: 65_536 + 96, with: [9, 9])
        for words in [
            ["info"], ["verify"], ["show", "\(key(2))"], ["dump", "acme", place.path + "/dump2"],
            ["repair", place.path + "/repaired"], ["find", "\(key(3))"], ["top"], ["segments"],
            ["find", "\(key(4))"], ["rm", "\(key(3))", "--yes"],
        ] {
            try ask(words)
        }
        return found
    }

    private func flatten(_ value: Any, at path: String, into found: inout [String: Set<String>]) {
        func add(_ type: String) { found[path, default: []].insert(type) }
        switch value {
        case let object as [String: Any]:
            if !path.isEmpty, !path.hasSuffix("[]") { add("object") }
            for (name, value) in object {
                flatten(value, at: path.isEmpty ? name : "\(path).\(name)", into: &found)
            }
        case let list as [Any]:
            add("list")
            for value in list { flatten(value, at: path + "[]", into: &found) }
        case is String: add("string")
        case let number as NSNumber:
            add(String(cString: number.objCType) == "c" ? "boolean" : "number")
        default: add("null")
        }
    }

    @Test("is what the page says, member by member")
    func conforms() throws {
        let found = try observe()
        var page = try readPage()
        if ProcessInfo.processInfo.environment["CHUNKDB_RECORD_SCHEMA"] == "1" {
            try record(found, over: page)
            page = try readPage()
        }
        for (verb, members) in found {
            for (path, types) in members where !path.hasSuffix("[]") || types != ["object"] {
                let documented = page[verb]?[path]
                #expect(documented != nil, "\(verb): \(path) is not in JSON.md")
                let allowed = Set((documented?.type ?? "").components(separatedBy: " or "))
                #expect(types.isSubset(of: allowed), "\(verb): \(path) is \(types)")
            }
        }
        for (verb, members) in page {
            for (path, member) in members {
                #expect(!member.meaning.isEmpty, "\(verb): \(path) means nothing")
                #expect(
                    found[verb]?[path] != nil || member.meaning.hasPrefix("Rare: "),
                    "\(verb): \(path) was never seen")
            }
        }
        // `bench` is another program.
        let verbs = Set(Chunkdb.verbs.map { $0._commandName }).subtracting(["bench"])
        #expect(Set(page.keys) == verbs.union(["errors"]))
    }

    private func record(_ found: [String: [String: Set<String>]], over page: Schema) throws {
        let text = try String(contentsOf: Self.page, encoding: .utf8)
        var result = text.components(separatedBy: "\n## ")[0].trimmingCharacters(in: .newlines)
        let order = Chunkdb.verbs.map { $0._commandName } + ["errors"]
        for verb in order {
            guard let members = found[verb] else { continue }
            result += "\n\n## \(verb)\n\n| member | type | what it is |\n|---|---|---|\n"
            let kept = (page[verb] ?? [:]).filter { $0.value.meaning.hasPrefix("Rare: ") }
            for path in Set(members.keys).union(kept.keys).sorted() {
                let type = members[path].map { $0.sorted().joined(separator: " or ") }
                let known = page[verb]?[path]
                result +=
                    "| `\(path)` | \(type ?? known?.type ?? "") | \(known?.meaning ?? "") |\n"
            }
            result = result.trimmingCharacters(in: .newlines)
        }
        try Data((result + "\n").utf8).write(to: Self.page)
    }

    @Test(
        "with -q nothing is printed but errors, and the exit code stays",
        arguments: [
            (["ls"], ShellExit.fine), (["verify"], .fine), (["show", "00"], .notFound),
            (["ls", "--nope"], .usage), (["info", "--json"], .fine), (["top"], .fine),
        ])
    func quiet(words: [String], exit: ShellExit) throws {
        let place = try Place()
        try place.makeStore()
        let outcome = place.run(words + ["-q"])
        #expect(outcome.exit == exit)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.isEmpty == (exit == .fine))
    }

    @Test("any words give a documented exit code, no trap and no control character")
    func fuzz() throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        var generator = SeededGenerator(seed: 23)
        let verbs = Chunkdb.verbs.map { $0._commandName }.filter {
            !["demo", "bench"].contains($0)
        }
        let pieces = [
            "--json", "--namespace", "acme", "--prefix", "--limit", "0", "-1",
            "18446744073709551616",
            "--variant", "0000000000000000", "\(key(1))", "00", "", "-", "\u{1B}[31m",
            "--sort",
            "age", "--file", "superblock", "segments/../..", "--dry-run", "-q", "-ql", "--help",
            "--min", "2", "--older-than", "7d", "e\u{301}", "東", "--rows", "#1", "--tokens", "'",
            String(repeating: "a", count: 5_000),
        ]
        let documented: Set<ShellExit> = [
            .fine, .damageFound, .usage, .cannotOpen, .notFound, .cannotWrite, .toolFailed,
        ]
        for _ in 0..<400 {
            let verb = verbs.randomElement(using: &generator)!
            let count = Int.random(in: 0..<5, using: &generator)
            var words = [verb] + (0..<count).map { _ in pieces.randomElement(using: &generator)! }
            // These make files where a word says: in a place of its own.
            if ["export", "repair", "dump", "report"].contains(verb) {
                words = [verb] + words.dropFirst().filter { $0.hasPrefix("--") || $0 == "acme" }
                words.append(place.path + "/made")
            }
            let outcome = place.run(words)
            #expect(documented.contains(outcome.exit))
            for scalar in (outcome.output + outcome.errors).unicodeScalars {
                if scalar.value < 0x20, scalar != "\n" {
                    Issue.record("U+\(String(scalar.value, radix: 16)) in \(words)")
                    break
                }
            }
        }
        #expect(try place.contents() == before, "nothing is changed without --yes")
    }
}
