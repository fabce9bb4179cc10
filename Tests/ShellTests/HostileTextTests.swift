// Random names full of what terminals, browsers and JSON readers obey, in every place where a store
// keeps text; every verb, in text and in JSON, prints them as what they are.

import ChunkDB
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Text that strangers stored")
struct HostileTextTests {
    /// Control sequences of terminals, direction marks and other invisible signs, and what HTML,
    /// JSON and shells take for their own.
    private static let pieces: [String] = [
        "\u{1B}[31m", "\u{1B}[2J", "\u{1B}]0;title\u{07}", "\u{1B}]8;;http://x\u{1B}\\",
        "\u{1B}P1;2|\u{1B}\\", "\u{1B}_Gi=1;\u{1B}\\", "\u{1B}c", "\u{9B}5A", "\u{90}q\u{9C}",
        "\u{07}",
        "\u{08}", "\r", "\n", "\t", "\u{0}", "\u{7F}", "\u{85}", "\u{200B}", "\u{200E}",
        "\u{202E}", "\u{2066}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{AD}", "\u{E000}",
        "\u{E0041}", "\u{FFFE}", "\u{301}", "<script>", "</td>", "&amp;", "\"", "'", "\\",
        "\\u001b", "`id`",
        "$(id)", "%s", "東", "🙂", "a", " ", "..", "/", "-", "--yes", "#1",
    ]

    private static func text(_ generator: inout SeededGenerator, _ bytesMax: Int) -> String {
        let count = Int.random(in: 1...6, using: &generator)
        let text = (0..<count).map { _ in pieces.randomElement(using: &generator)! }.joined()
        return text.utf8.count <= bytesMax ? text : "long\u{1B}"
    }

    private func expectPlain(
        _ text: String, _ what: @autoclosure () -> String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let bad = text.unicodeScalars.first { scalar in
            if scalar == "\n" { return false }
            switch scalar.properties.generalCategory {
            case .control, .format, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
                return true
            default: return false
            }
        }
        guard let bad else { return }
        Issue.record(
            "U+\(String(bad.value, radix: 16)) in \(what())", sourceLocation: sourceLocation)
    }

    @Test("is shown, and obeyed by nobody", arguments: 1...6 as ClosedRange<UInt64>)
    func random(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var names: Set<String> = []
        while names.count < 6 { names.insert(Self.text(&generator, 200)) }
        let models = names.map { _ in Self.text(&generator, 100) }
        let devices = names.map { _ in Self.text(&generator, 32) }
        let place = try Place()
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        let sorted = names.sorted()
        try db.wait { () async throws in
            for (index, name) in sorted.enumerated() {
                let space = try await db.namespace(
                    name, model: binding(models[index], layers: 1))
                try await put(
                    UInt32(index), in: space,
                    recompute: RecomputeMetadata(
                        creationMilliseconds: 1, deviceClass: DeviceClass(devices[index])))
            }
            await db.close()
        }
        let listed = try #require(
            try place.run(["ls", "--json"]).json["variants"] as? [[String: Any]])
        #expect(Set(listed.compactMap { $0["namespace"] as? String }) == names, "seed \(seed)")
        let model = try #require(listed.first?["key"] as? String)
        var questions = [
            ["info"], ["ls", "--long"], ["top"], ["variants", "--min", "1"], ["policy"],
            ["segments"],
            ["find", model], ["show", model], ["hexdump", model], ["verify"], ["space"],
            ["ls", "--namespace", "nobody"], ["rm", model, "--dry-run"], ["dump", "nobody", "x"],
            ["repair", place.path + "/repaired"],
        ]
        for name in sorted { questions.append(["ls", "--namespace", name]) }
        for words in questions {
            for isJSON in [false, true] where words[0] != "repair" || !isJSON {
                let outcome = place.run(words + (isJSON ? ["--json"] : []))
                expectPlain(outcome.output + outcome.errors, "\(words), seed \(seed)")
                if isJSON { #expect(throws: Never.self) { _ = try outcome.json } }
            }
        }
        let shown = try #require(
            try place.run(["info", "--json"]).json["namespaces"] as? [[String: Any]])
        let found = shown.compactMap { ($0["model"] as? [String: Any])?["name"] as? String }
        #expect(found.sorted() == models.sorted())
        let file = place.path + "/report.html"
        #expect(place.run(["report", "-o", file]).exit == .fine)
        let page = try String(contentsOfFile: file, encoding: .utf8)
        expectPlain(page, "the report, seed \(seed)")
        #expect(!page.contains("<script") && !page.contains("href="))
        let cells = page.components(separatedBy: "</td>").count
        #expect(cells == page.components(separatedBy: "<td").count, "no name ends its cell")
    }
}
