// What swift-argument-parser's generators made is committed, so that packagers need not build to
// have it, and is compared here with what they would make now. CHUNKDB_RECORD_SCRIPTS=1 writes the
// completion scripts anew. The manual takes a tool of the parser's package:
//
//   mkdir /tmp/manual; swift package plugin generate-manual --output-directory /tmp/manual
//   cp /tmp/manual/chunkdb.1 Sources/chunkdb/Manual/

import ArgumentParser
import Foundation
import Testing

@testable import chunkdb

@Suite("Generated text")
struct GeneratedTextTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/chunkdb")

    @Test(
        "completion scripts are fresh",
        arguments: [("bash", "chunkdb.bash"), ("zsh", "_chunkdb"), ("fish", "chunkdb.fish")])
    func scripts(shell: String, name: String) throws {
        let output = MemorySink()
        let errors = MemorySink()
        let exit = Shell(console: Console(output: output, errors: errors)).run(
            ["--generate-completion-script", shell])
        #expect(exit == .fine && errors.text.isEmpty)
        let file = Self.folder.appendingPathComponent("Completions/\(name)")
        if ProcessInfo.processInfo.environment["CHUNKDB_RECORD_SCRIPTS"] == "1" {
            try Data(output.text.utf8).write(to: file)
        }
        let committed = try String(contentsOf: file, encoding: .utf8)
        #expect(committed == output.text, "CHUNKDB_RECORD_SCRIPTS=1 writes \(name) anew")
    }

    @Test("the scripts are sound in their shells, where those are installed")
    func syntax() throws {
        for (shell, name) in [
            ("bash", "chunkdb.bash"), ("zsh", "_chunkdb"), ("fish", "chunkdb.fish"),
        ] {
            let program = ["/bin", "/usr/bin", "/usr/local/bin"].map { "\($0)/\(shell)" }
                .first { FileManager.default.isExecutableFile(atPath: $0) }
            guard let program else { continue }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = [
                "-n", Self.folder.appendingPathComponent("Completions/\(name)").path,
            ]
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(shell) -n \(name)")
        }
    }

    @Test("the manual page knows every verb, option and summary")
    func manual() throws {
        let page = try String(
            contentsOf: Self.folder.appendingPathComponent("Manual/chunkdb.1"), encoding: .utf8)
        // The generator writes dashes and back quotes its own way.
        func plain(_ text: String) -> String {
            text.replacingOccurrences(of: "\\-", with: "-")
                .replacingOccurrences(of: "\n", with: " ")
                .filter { $0.isLetter || $0.isNumber || $0 == "-" || $0 == " " }
                .split(separator: " ").joined(separator: " ")
        }
        let text = plain(page)
        let description = try JSONSerialization.jsonObject(with: Data(Chunkdb._dumpHelp().utf8))
        let command = try #require((description as? [String: Any])?["command"] as? [String: Any])
        let verbs = try #require(command["subcommands"] as? [[String: Any]])
        #expect(verbs.count > 20)
        for verb in verbs where verb["commandName"] as? String != "help" {
            let name = try #require(verb["commandName"] as? String)
            #expect(page.contains("\(name)\n"), "\(name)")
            let summary = plain(try #require(verb["abstract"] as? String))
            #expect(text.contains(summary), "\(name): \(summary)")
            for argument in verb["arguments"] as? [[String: Any]] ?? []
            where argument["shouldDisplay"] as? Bool == true {
                if let said = argument["abstract"] as? String {
                    #expect(text.contains(plain(said)), "\(name): \(said)")
                }
                for option in argument["names"] as? [[String: Any]] ?? [] {
                    let option = try #require(option["name"] as? String)
                    #expect(text.contains("-\(option)"), "\(name): --\(option)")
                }
            }
        }
    }
}
