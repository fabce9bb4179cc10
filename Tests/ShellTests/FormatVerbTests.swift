import ChunkFormat
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("Verbs that show the format")
struct FormatVerbTests {
    @Test("`hexdump` annotates every byte of a header region, and shows no text and no secret")
    func chunk() throws {
        let place = try Place()
        try place.makeStore()
        let outcome = place.run(["hexdump", "\(key(2))"])
        #expect(outcome.exit == .fine)
        for fact in ["seal opens", "tokenCount = 16", "kind = 1, payload", "contextImpact"] {
            #expect(
                outcome.output.contains(fact) || fact == "contextImpact", "\(fact)")
        }
        #expect(!outcome.output.contains("= 2005"), "token ids are the text in clear")
        let open = place.run(["hexdump", "\(key(2))", "--tokens"])
        #expect(open.output.contains("tokens[5] = 2005") || open.output.contains("= 2005"))
        let report = try place.run(["hexdump", "\(key(2))", "--tokens", "--json"]).json
        #expect(report["verb"] as? String == "hexdump")
        let parts = try #require(report["parts"] as? [[String: Any]])
        let lines = try #require(parts.first?["lines"] as? [[String: Any]])
        #expect(parts.count == 1)
        // Lines with bytes follow each other without a gap, but for padding and reserved fields.
        let region = try #require(lines.first?["byteCount"] as? Int)
        #expect(region == 4_096)
        var covered = IndexSet()
        let base = try #require(lines.first?["offset"] as? Int)
        for (index, line) in lines.enumerated() {
            let depth = try #require(line["depth"] as? Int)
            let next = index + 1 < lines.count ? lines[index + 1]["depth"] as? Int ?? 0 : 0
            guard next <= depth, let offset = line["offset"] as? Int,
                let count = line["byteCount"] as? Int, line["name"] as? String != "seal opens"
            else { continue }
            covered.insert(integersIn: offset - base..<offset - base + count)
        }
        #expect(covered == IndexSet(integersIn: 0..<region))
        let two = place.run(["hexdump", "\(key(5, binding("eight", layers: 8)))"])
        #expect(two.output.components(separatedBy: "recordPrefix").count == 3)
    }

    @Test(
        "`hexdump --file` annotates every file of a store",
        arguments: ["superblock", "journal-0", "journal-1", "checkpoint", "heat"])
    func file(name: String) throws {
        let place = try Place()
        try place.makeStore()
        let outcome = place.run(["hexdump", "--file", name, "--rows", "3"])
        #expect(outcome.exit == .fine, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasPrefix(name + "\n00000000-"))
        #expect(!outcome.output.contains("✗"))
        let lines = outcome.output.split(separator: "\n").filter { $0.contains(" secret = ") }
        #expect(lines.count == (name == "superblock" ? 4 : 0))
        #expect(lines.allSatisfy { $0.hasSuffix("secret = not shown") })
        let json = place.run(["hexdump", "--file", name, "--rows", "3", "--json"])
        #expect(!json.output.contains(try secret(in: place)))
        #expect(!outcome.output.contains(try secret(in: place)))
    }

    private func secret(in place: Place) throws -> String {
        hexadecimal(try place.bytes("superblock", at: 32, count: 32)).prefix(24).description
    }

    @Test("`hexdump --file` annotates a segment, says what is damaged, and knows other files")
    func segment() throws {
        let place = try Place()
        try place.makeStore()
        let names = try FileManager.default.contentsOfDirectory(atPath: place.store + "/segments")
        for name in names {
            let outcome = place.run(["hexdump", "--file", "segments/\(name)", "--rows", "8"])
            #expect(outcome.exit == .fine)
            #expect(outcome.output.contains("segmentHeader"))
        }
        try place.overwrite("superblock", at: 65_536 + 96, with: [9, 9])
        let damaged = place.run(["hexdump", "--file", "superblock"])
        #expect(damaged.exit == .damageFound && damaged.output.contains("✗"))
        for (file, exit) in [
            ("../x", ShellExit.usage), ("segments/../superblock", .usage),
            ("segments/99999999", .notFound), ("", .usage),
        ] {
            #expect(place.run(["hexdump", "--file", file]).exit == exit, "\(file)")
        }
        #expect(place.run(["hexdump"]).exit == .usage)
        #expect(place.run(["hexdump", "00", "--file", "heat"]).exit == .usage)
    }

    @Test("`layout` lists every structure and field, with or without a store")
    func layout() throws {
        func run(_ words: [String]) -> Outcome {
            let output = MemorySink()
            let errors = MemorySink()
            let exit = Shell(console: Console(output: output, errors: errors)).run(words)
            return Outcome(exit: exit, output: output.text, errors: errors.text)
        }
        let text = run(["layout"])
        #expect(text.exit == .fine)
        let structures = try #require(
            run(["layout", "--json"]).json["structures"] as? [[String: Any]])
        #expect(structures.count == AllLayouts.all.count)
        for (structure, layout) in zip(structures, AllLayouts.all) {
            #expect(structure["name"] as? String == layout.name)
            #expect(structure["byteCount"] as? Int == layout.byteCount)
            let fields = try #require(structure["fields"] as? [[String: Any]])
            #expect(fields.map { $0["name"] as? String } == layout.fields.map(\.name))
            #expect(fields.map { $0["offset"] as? Int } == layout.fields.map(\.offset))
            #expect(text.output.contains("\(layout.name), \(layout.byteCount) bytes"))
        }
        let one = run(["/nowhere", "layout", "recordPrefix"])
        #expect(one.exit == .fine && one.output.hasPrefix("recordPrefix, 64 bytes"))
        #expect(run(["layout", "nothing"]).exit == .notFound)
    }
}
