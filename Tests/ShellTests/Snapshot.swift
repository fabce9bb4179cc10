// Answers of the shell compared with files in Snapshots/. CHUNKDB_RECORD_SNAPSHOTS=1 writes them
// anew; read the difference before you believe it.

import Foundation
import Testing

enum Snapshot {
    private static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("Snapshots")

    static func compare(
        _ outcome: Outcome, _ name: String, in place: Place,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var text = stable(outcome.output, in: place)
        if !outcome.errors.isEmpty { text += "--- errors\n" + stable(outcome.errors, in: place) }
        text += "--- exit \(outcome.exit.rawValue)\n"
        let url = directory.appendingPathComponent(name + ".txt")
        if ProcessInfo.processInfo.environment["CHUNKDB_RECORD_SNAPSHOTS"] != nil {
            try FileManager.default.createDirectory(
                at: directory, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
            return
        }
        let expected = try String(contentsOf: url, encoding: .utf8)
        #expect(text == expected, "snapshot \(name)", sourceLocation: sourceLocation)
    }

    /// What differs from run to run (places, times, random identities, seals under random salts)
    /// gives way to a word.
    static func stable(_ text: String, in place: Place) -> String {
        text.replacingOccurrences(of: place.path, with: "<place>")
            .replacing(/\b[0-9a-f]{32}\b/, with: "<digest>")
            .replacing(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/, with: "<time>")
            .replacing(
                /"(createdSeconds|allocatedBytes|elapsedSeconds|lastUseSeconds)" : [0-9.e-]+/
            ) {
                "\"\($0.1)\" : 0"
            }
            .replacing(/"(allocatedBytes[A-Z][a-z]+)" : [0-9]+/) { "\"\($0.1)\" : 0" }
            .replacing(/verified in [0-9.]+ s/, with: "verified in <seconds> s")
            .replacing(/[0-9.]+ [KM]iB allocated/, with: "<bytes> allocated")
            .replacing(/(files take|take|took) [0-9.]+ [KM]iB/) { "\($0.1) <bytes>" }
    }
}
