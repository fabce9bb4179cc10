import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("`plan`")
struct PlanVerbTests {
    /// Chunks of the bench: 2 with scores, 1 in two variants (alone and behind 2), 3 alone; 9 was
    /// never stored.
    private static func prompt(_ more: String, chunks: [UInt32] = [2, 1, 3, 9]) -> String {
        let lists = chunks.map { "\(tokens($0))" }.joined(separator: ", ")
        return "{\"namespace\": \"acme\", \"chunks\": [\(lists)], \"question\": [7, 8], \(more)}"
    }

    private static let costs = """
        "device": {"bytesPerSecond": 1e9, "fixedSeconds": 0.0001},
        "compute": {"secondsPerToken": 0.001, "projectionShare": 0.25}
        """

    static let questions: [(name: String, file: String)] = [
        ("realign", prompt("\"mode\": \"realign\"")),
        ("craft", prompt("\"mode\": \"cacheCraft\"")),
        ("craft-costs", prompt("\"mode\": \"cacheCraft\", \"alpha\": 0.8, \(costs)")),
        ("blend", prompt("\"mode\": \"cacheBlend\", \"ratio\": 0.2, \"checkLayer\": 1")),
        (
            "blend-auto",
            prompt("\"mode\": \"cacheBlend\", \"deadlineSeconds\": 0.03, \(costs)")
        ),
        ("prefix", prompt("\"mode\": \"prefix\", \(costs)")),
        ("parallel", prompt("\"mode\": \"parallel\", \"temperature\": 0.9")),
        ("recompute", prompt("\"mode\": \"recompute\"")),
        (
            "slow",
            prompt(
                "\"mode\": \"realign\", \"device\": {\"bytesPerSecond\": 1000},"
                    + "\"compute\": {\"secondsPerToken\": 0.001, \"projectionShare\": 0.25}")
        ),
    ]

    private func ask(_ place: Place, _ file: String, _ more: [String] = []) throws -> Outcome {
        let path = place.path + "/prompt.json"
        try Data(file.utf8).write(to: URL(fileURLWithPath: path))
        return place.run(["plan", path] + more)
    }

    @Test("answers as its snapshots say, in text and in JSON, and changes no byte")
    func snapshots() throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        for (name, file) in Self.questions {
            try Snapshot.compare(try ask(place, file), "plan-" + name, in: place)
            let json = try ask(place, file, ["--json"])
            try Snapshot.compare(json, "plan-\(name)-json", in: place)
            #expect(try json.json["verb"] as? String == "plan")
        }
        #expect(try place.contents() == before)
    }

    @Test("a chunk may be named by its key")
    func keys() throws {
        let place = try Place()
        try place.makeStore()
        let byTokens = try ask(place, Self.prompt("\"mode\": \"cacheCraft\"", chunks: [2, 1]))
        let byKeys = try ask(
            place,
            """
            {"namespace": "acme", "chunks": ["\(key(2))", "\("\(key(1))".prefix(9))"],
            "question": [7, 8], "mode": "cacheCraft"}
            """)
        #expect(byKeys.output == byTokens.output && byKeys.exit == .fine)
        #expect(byTokens.output.contains("its prefix is this one"), "1 stood behind 2")
    }

    @Test(
        "says what is wrong with a prompt",
        arguments: [
            ("{", "no JSON object", ShellExit.usage),
            ("[]", "has a value of another kind", .usage),
            ("{\"question\": [1], \"mode\": \"realign\"}", "chunks is missing", .usage),
            (prompt("\"mode\": 3"), "mode has a value of another kind", .usage),
            (prompt("\"mode\": \"magic\""), "no mode \"magic\"", .usage),
            (
                "{\"chunks\": [[1, -1]], \"question\": [1], \"mode\": \"realign\"}",
                "chunks[0]", .usage
            ),
            ("{\"chunks\": [[]], \"question\": [1], \"mode\": \"realign\"}", "is empty", .usage),
            (
                "{\"chunks\": [], \"question\": [], \"mode\": \"realign\"}", "question is empty",
                .usage
            ),
            (
                "{\"chunks\": [], \"question\": [1], \"mode\": \"realign\"}",
                "which \"namespace\"?", .usage
            ),
            (
                "{\"namespace\": \"nobody\", \"chunks\": [], \"question\": [1], "
                    + "\"mode\": \"realign\"}", "no namespace \"nobody\"", .notFound
            ),
            (
                "{\"namespace\": \"acme\", \"chunks\": [\"00ff00ff\"], \"question\": [1], "
                    + "\"mode\": \"realign\"}", "no key begins with 00ff00ff", .notFound
            ),
            (
                "{\"namespace\": \"acme\", \"chunks\": [\"not a key\"], \"question\": [1], "
                    + "\"mode\": \"realign\"}", "neither a list of token ids nor a key", .usage
            ),
            (prompt("\"mode\": \"cacheBlend\", \"ratio\": 1.5"), "ratio 1.5 is not in", .usage),
            (prompt("\"mode\": \"cacheBlend\""), "needs the costs", .usage),
            (prompt("\"mode\": \"cacheCraft\", \"alpha\": -1"), "alpha -1.0", .usage),
            (prompt("\"mode\": \"realign\", \"checkLayer\": 3"), "not a layer", .usage),
            (prompt("\"mode\": \"realign\", \"positionLimit\": 60"), "beyond the model", .usage),
            (
                prompt("\"mode\": \"realign\", \"device\": {\"bytesPerSecond\": 0}"),
                "cannot have been measured", .usage
            ),
        ])
    func refusals(file: String, words: String, exit: ShellExit) throws {
        let place = try Place()
        try place.makeStore()
        let outcome = try ask(place, file)
        #expect(outcome.exit == exit)
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(outcome.output.isEmpty)
    }

    @Test("a file that is not there, and a variant that is damaged")
    func damage() throws {
        let place = try Place()
        try place.makeStore()
        let nothing = place.run(["plan", place.path + "/none.json", "--json"])
        #expect(nothing.exit == .cannotOpen)
        #expect(try nothing.json["error"] != nil)
        let shown = try place.run(["show", "\(key(3))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let record = try #require((variant["records"] as? [[String: Any]])?.first)
        try place.overwrite(
            try #require(record["file"] as? String),
            at: try #require(record["offset"] as? UInt64) + 300, with: [0xAA, 0x55])
        let outcome = try ask(place, Self.prompt("\"mode\": \"realign\"", chunks: [2, 3]))
        #expect(outcome.exit == .damageFound)
        #expect(outcome.output.contains("computed: no stored variant can be used"))
        #expect(outcome.output.contains("left out:"))
    }
}
