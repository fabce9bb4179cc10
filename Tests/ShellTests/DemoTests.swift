import Foundation
import Testing

@testable import chunkdb

@Suite("chunkdb demo")
struct DemoTests {
    /// The whole job on a few of the shipped questions, as the executable runs it.
    @Test("answers from a reopened store and prints the documented JSON")
    func json() throws {
        let output = MemorySink()
        let errors = MemorySink()
        let shell = Shell(console: Console(output: output, errors: errors))
        let exit = shell.run(["demo", "--limit", "1", "--json"])
        try #require(exit == .fine, "\(errors.text)")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(output.text.utf8)) as? [String: Any])
        let modes = try #require(object["modes"] as? [[String: Any]])
        #expect(modes.map { $0["name"] as? String } == ["full", "reuse", "blend"])
        for mode in modes {
            #expect((0...1).contains(try #require(mode["accuracy"] as? Double)))
            #expect(try #require(mode["tokensComputed"] as? Double) > 0)
            #expect(mode["bytesRead"] is Int)
            #expect(try #require(mode["timeToFirstTokenMs"] as? Double) > 0)
        }
        #expect(modes[0]["accuracy"] as? Double == 1, "the shipped model answers its questions")
        #expect(modes[0]["tokensComputed"] as? Double == 195)
        #expect(modes[0]["bytesRead"] as? Int == 0)
        #expect(try #require(modes[1]["bytesRead"] as? Int) == 6 * 6 * 16_384)
        for rate in ["readBytesPerSecond", "deviceBytesPerSecond"] {
            #expect(try #require(object[rate] as? Double) > 0)
        }
        #expect(object["chunkCount"] as? Int == 6)
    }

    @Test(
        "says what is wrong with its input",
        arguments: [
            (["demo", "--ratio", "1.5"], ShellExit.usage, "--ratio"),
            (["demo", "--check-layer", "6"], .usage, "layers 0 to 5"),
            (["demo", "--corpus", "/nonexistent.jsonl"], .cannotOpen, "/nonexistent.jsonl"),
            (["demo", "--model", "/nonexistent"], .cannotOpen, "config.json"),
        ])
    func badInput(words: [String], exit: ShellExit, message: String) {
        let output = MemorySink()
        let errors = MemorySink()
        let found = Shell(console: Console(output: output, errors: errors)).run(words)
        #expect(found == exit)
        #expect(errors.text.contains(message), "\(errors.text)")
    }

    @Test("names the line of a corpus that cannot be read")
    func badCorpus() throws {
        let path = NSTemporaryDirectory() + "corpus-\(UUID().uuidString).jsonl"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let good = #"{"document": [1, 2, 3, 4, 5], "question": [1]}"#
        try Data("\(good)\n{\"question\": []}\n".utf8).write(to: URL(filePath: path))
        let one = try DemoCorpus(path: path, chunkTokens: 2, limit: 1)
        #expect(one.prompts[0].chunks == [[1, 2], [3, 4], [5]])
        #expect(throws: ShellError.self) {
            try DemoCorpus(path: path, chunkTokens: 2, limit: nil)
        }
    }
}
