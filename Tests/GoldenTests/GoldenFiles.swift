import Foundation

/// Where goldens and format-spec are, and whether to write them anew.
enum GoldenFiles {
    /// This file's own place, symbolic links followed, so that the spec found is that of these
    /// tests.
    static let testsFolder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent()
    static let formatSpec = testsFolder.deletingLastPathComponent()
        .appendingPathComponent("format-spec")
    static let folder = formatSpec.appendingPathComponent("golden/v1")
    static var isRecording: Bool {
        ProcessInfo.processInfo.environment["CHUNKDB_RECORD_GOLDENS"] == "1"
    }

    static func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    static func write(_ bytes: [UInt8], _ name: String) throws {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
    }
}
