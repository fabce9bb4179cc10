// DIFF: a reader in Python, written from format-spec alone (Tests/IndependentReader), beside
// the engine's own, on the goldens and on stores that the engine wrote.

import Foundation
import Testing

@testable import chunkdb

@Suite(
    "The independent reader",
    .enabled(if: IndependentReader.isPossible, "no python3 on this machine"))
struct IndependentReaderTests {
    @Test("reads every golden as its text says")
    func goldens() throws {
        let outcome = try IndependentReader.run(["goldens", House.path("format-spec/golden")])
        #expect(outcome.exit == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.contains(" 0 failed"))
    }

    @Test("finds the variants that the engine finds", arguments: [true, false])
    func variants(keepsCheckpoint: Bool) throws {
        let place = try Place()
        try place.makeStore()
        if !keepsCheckpoint {
            try FileManager.default.removeItem(atPath: place.store + "/checkpoint")
        }
        let ours = try place.run(["ls", "--json"]).json
        let listed = try #require(ours["variants"] as? [[String: Any]])
        let outcome = try IndependentReader.run(["store", place.store, "--json"])
        #expect(outcome.exit == 0, "\(outcome.errors)")
        let theirs = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
        let found = try #require((theirs as? [String: Any])?["variants"] as? [[String: Any]])
        let names = found.map { variant in
            let number = (variant["variantID"] as? NSNumber)?.uint64Value ?? 0
            let digits = String(number, radix: 16)
            return [
                "\(variant["namespace"] ?? "")", "\(variant["chunkKey"] ?? "")",
                String(repeating: "0", count: 16 - digits.count) + digits,
                "\(variant["tokenCount"] ?? "")",
            ]
        }
        let expected = listed.map { variant in
            ["namespaceID", "key", "variant", "tokenCount"].map { "\(variant[$0] ?? "")" }
        }
        #expect(Set(names) == Set(expected))
        #expect(names.count == expected.count && !names.isEmpty)
    }

    @Test("finds the damage that the engine finds")
    func damage() throws {
        let place = try Place()
        try place.makeStore()
        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extent = try #require((variant["extents"] as? [[String: Any]])?.last)
        let record = try #require((variant["records"] as? [[String: Any]])?.last)
        let file = try #require(record["file"] as? String)
        let offset = try #require(extent["fileOffset"] as? UInt64)
        try place.overwrite(file, at: offset + 9, with: [0xAA])
        #expect(place.run(["verify"]).exit == .damageFound)
        let outcome = try IndependentReader.run(["store", place.store])
        #expect(outcome.exit == 1)
        #expect(outcome.errors.contains("DIG-2") && outcome.errors.contains(file))
    }
}

enum House {
    static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(name).path
    }
}

enum IndependentReader {
    static let isPossible = (try? launch(["-c", ""]).exit) == 0

    static func run(_ words: [String]) throws -> (exit: Int32, output: String, errors: String) {
        try launch(["-B", House.path("Tests/IndependentReader/reader.py")] + words)
    }

    private static func launch(_ words: [String]) throws
        -> (exit: Int32, output: String, errors: String)
    {
        // Through files: a pipe that fills up would stop the reader.
        let place = FileManager.default.temporaryDirectory.path + "/reader-\(UUID().uuidString)"
        let files = ["\(place).out", "\(place).err"]
        defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
        let handles = try files.map { file in
            try Data().write(to: URL(fileURLWithPath: file))
            return try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3"] + words
        process.standardOutput = handles[0]
        process.standardError = handles[1]
        try process.run()
        process.waitUntilExit()
        let texts = try files.map { try String(contentsOfFile: $0, encoding: .utf8) }
        return (process.terminationStatus, texts[0], texts[1])
    }
}
