// S-23: what is stored was written by strangers, and the shell prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import KVModel
import StoreTestSupport
import Testing

@testable import chunkdb

@Suite("S-23: the shell's words")
struct TerminalTests {
    final class Sink: TextSink {
        let isTerminal = false
        var text = ""
        func write(_ text: String) { self.text += text }
    }

    @Test("S-23 random names with escapes in them print no control character, and change nothing")
    func noControls() throws {
        let place = TemporaryDirectory()
        var generator = SeededGenerator(seed: 9)
        let pieces = [
            "\u{1B}]0;owned\u{07}", "\u{1B}[2J", "\r", "\n", "\u{9B}31m", "\u{202E}", "\0",
            "\u{7F}",
            "\u{2028}", "\u{E000}", "name", "東京", "\u{FEFF}", "\u{85}", "\u{1B}P",
        ]
        let names = (0..<40).map { number in
            (0..<3).map { _ in pieces.randomElement(using: &generator)! }.joined() + "\(number)"
        }
        let statistics = place.path + "-statistics"
        let trace = place.path + "-trace"
        let requests = names.map { name in
            let digits = name.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            return "{\"event\":\"use\",\"namespace\":\"\(digits.joined())\",\"key\":\""
                + String(repeating: "0", count: 64) + "\",\"variant\":\"0000000000000000\","
                + "\"tokens\":1,\"bytes\":1,\"seconds\":1}\n"
        }
        try requests.joined().write(toFile: trace, atomically: true, encoding: .utf8)
        defer {
            try? FileManager.default.removeItem(atPath: statistics)
            try? FileManager.default.removeItem(atPath: trace)
        }
        let db = try ChunkDB.openAndWait(at: place.path, options: realOptions)
        try db.wait { () async throws in
            for (number, name) in names.enumerated() {
                let model = pieces[number % pieces.count] + "m"
                let space = try await db.namespace(
                    name, model: smallBinding(layers: 1, name: model))
                if number % 8 == 0 { try await TestChunk(UInt64(number)).put(in: space) }
            }
            let text = await db.statistics().text
            try text.write(toFile: statistics, atomically: true, encoding: .utf8)
            await db.close()
        }
        let report = place.path + "-report.html"
        defer { try? FileManager.default.removeItem(atPath: report) }
        for words in [
            ["info"], ["ls"], ["verify"], ["ls", "--namespace", names[0]], ["ls", "--long"],
            ["variants", "--min", "1"], ["top"], ["policy"], ["segments"], ["space"],
            ["report", "-o", report], ["hexdump", "--file", "journal-0"],
            ["hexdump", "--file", "checkpoint"], ["stats", "--file", statistics],
            ["trace", "replay", trace], ["compact", "--dry-run"],
        ] {
            for more in [[], ["--json"]] {
                let sink = Sink()
                try? FileManager.default.removeItem(atPath: report)
                let console = Console(output: sink, errors: sink)
                let exit = Shell(console: console).run(
                    [place.path] + words + more + ["--buffered", "--engine", "threads"])
                #expect(exit == .fine, "\(words)")
                #expect(!sink.text.isEmpty)
                for scalar in sink.text.unicodeScalars where scalar != "\n" {
                    let category = scalar.properties.generalCategory
                    let isBad = [.control, .format, .privateUse, .lineSeparator].contains(category)
                    #expect(!isBad, "U+\(String(scalar.value, radix: 16)) in \(words)")
                }
            }
        }
    }
}
