// Linking the library is the first use that the product names: a package of somebody else's, which
// depends on a tagged copy of this repository, must build and run.

import Foundation
import Testing

@Suite("A consumer package")
struct ConsumerTests {
    static let isWanted = ProcessInfo.processInfo.environment["CHUNKDB_SKIP_CONSUMER"] == nil

    private func run(_ words: [String], in directory: URL) throws -> (status: Int32, output: String)
    {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = words
        process.currentDirectoryURL = directory
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    @Test(
        "compiles and runs against a tagged copy",
        .enabled(if: isWanted, "CHUNKDB_SKIP_CONSUMER is set"))
    func buildsAgainstTag() throws {
        let place = FileManager.default.temporaryDirectory
            .appending(path: "chunkdb-consumer-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        let copy = place.appending(path: "chunkdb-copy")
        let consumer = place.appending(path: "consumer")
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        // A copy of what would be committed, tagged as a release would be.
        for name in ["Package.swift", "Sources", "Tests", "README.md"] {
            try FileManager.default.copyItem(
                at: House.root.appending(path: name), to: copy.appending(path: name))
        }
        for words in [
            ["git", "init", "--quiet"], ["git", "add", "--all"],
            [
                "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit",
                "--quiet", "--message", "copy",
            ],
            ["git", "tag", "0.0.1"],
        ] {
            let step = try run(words, in: copy)
            try #require(step.status == 0, "\(words): \(step.output)")
        }
        try FileManager.default.copyItem(
            at: House.root.appending(path: "Tests/Consumer"), to: consumer)
        let manifest = consumer.appending(path: "Package.swift")
        let text = try String(contentsOf: manifest, encoding: .utf8)
            .replacing("REPOSITORY-NAME", with: "chunkdb-copy")
            .replacing("REPOSITORY", with: copy.absoluteString)
        try text.write(to: manifest, atomically: true, encoding: .utf8)
        let build = try run(["swift", "build"], in: consumer)
        try #require(build.status == 0, "\(build.output.suffix(4_000))")
        let store = place.appending(path: "store").path
        let result = try run([".build/debug/consumer", store, "--buffered"], in: consumer)
        #expect(result.status == 0 && result.output == "2 layers fed\n", "\(result.output)")
    }
}
