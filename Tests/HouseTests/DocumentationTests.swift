// The documentation catalogue: every link leads somewhere, and what is documented of a function is
// documented whole. DocC says so, as warnings; here they fail.

import Foundation
import Testing

@Suite("The documentation")
struct DocumentationTests {
    /// Beside the tests, as the package manager builds them.
    static let modules = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "Modules")

    static func tool(_ name: String) -> URL? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return folders.map { URL(filePath: "\($0)/\(name)") }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }

    static let canBuild =
        tool("docc") != nil && tool("swift-symbolgraph-extract") != nil
        && FileManager.default.fileExists(atPath: modules.path)

    @Test(
        "builds without a warning",
        .enabled(if: canBuild, "no docc, no symbol graphs, or no modules beside the tests"))
    func catalogue() throws {
        let place = FileManager.default.temporaryDirectory.appending(
            path: "chunkdb-docc-\(UUID().uuidString)")
        let graphs = place.appending(path: "graphs")
        try FileManager.default.createDirectory(at: graphs, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let sources = House.root.appending(path: "Sources")
        let clang = ["CLiburing", "CLZ4", "CXXHash", "CSystemCalls", "CShims/include"]
        let extracted = try Self.run(
            "swift-symbolgraph-extract",
            ["-module-name", "ChunkDB", "-I", Self.modules.path, "-output-dir", graphs.path]
                + clang.flatMap { ["-I", sources.appending(path: $0).path] }
                + ["-target", try Self.target(), "-skip-synthesized-members"])
        #expect(extracted == "", "the symbols")
        let built = try Self.run(
            "docc",
            [
                "convert", sources.appending(path: "ChunkDB/ChunkDB.docc").path,
                "--additional-symbol-graph-dir", graphs.path,
                "--output-dir", place.appending(path: "out").path,
                "--fallback-display-name", "ChunkDB", "--fallback-bundle-identifier", "chunkdb",
            ])
        #expect(!built.contains("warning:") && !built.contains("error:"), "\(built)")
        let pages = place.appending(path: "out/data/documentation/chunkdb")
        for article in ["thelifeofachunk", "durability", "reuseandrecompute", "operating"] {
            let page = pages.appending(path: "\(article).json").path
            #expect(FileManager.default.fileExists(atPath: page), "\(article)")
        }
    }

    /// As the compiler names it.
    private static func target() throws -> String {
        let information = try run("swift", ["-print-target-info"])
        let parsed = try JSONSerialization.jsonObject(with: Data(information.utf8))
        let target = (parsed as? [String: Any])?["target"] as? [String: Any]
        return try #require(target?["unversionedTriple"] as? String)
    }

    /// What it prints, errors included.
    private static func run(_ name: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = tool(name)
        process.arguments = arguments
        let output = Pipe()
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: text, as: UTF8.self)
    }
}
