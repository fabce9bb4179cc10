// What a released version's bytes are, they stay: every golden of version 1, and with them place,
// width and name of every field that they hold, since their texts say those.

import Foundation
import Testing

@Suite struct FrozenTests {
    @Test("VER-5 VER-6 no golden of version 1 is changed or gone")
    func versionOne() throws {
        let golden = GoldenFiles.folder.deletingLastPathComponent()
        let list = try String(
            contentsOf: golden.appendingPathComponent("v1.sha256"), encoding: .utf8)
        let names = list.split(separator: "\n").map { String($0.dropFirst(66)) }
        let there = FileManager.default.enumerator(atPath: golden.appendingPathComponent("v1").path)
        let files = (there?.allObjects as? [String] ?? []).filter { name in
            var isFolder: ObjCBool = false
            let path = golden.appendingPathComponent("v1/\(name)").path
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                && !isFolder.boolValue
        }
        #expect(Set(names) == Set(files.map { "v1/\($0)" }))

        let check = Process()
        check.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
        check.arguments = ["--check", "--strict", "--quiet", "v1.sha256"]
        check.currentDirectoryURL = golden
        let output = Pipe()
        check.standardOutput = output
        try check.run()
        let differing = try output.fileHandleForReading.readToEnd() ?? Data()
        check.waitUntilExit()
        #expect(check.terminationStatus == 0, "\(String(decoding: differing, as: UTF8.self))")
    }
}
