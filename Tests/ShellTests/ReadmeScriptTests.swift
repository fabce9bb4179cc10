// What the README tells a first-time user to type, typed.

import BlockIO
import Foundation
import Primitives
import Testing

@testable import chunkdb

/// Whether temporary files can be read past the page cache, as the shell reads unless told not to.
private enum DirectFolder {
    static let isThere: Bool = {
        let folder = FileManager.default.temporaryDirectory.path
        var options = DiskOptions()
        options.engine = .threads
        guard
            let disk = try? openDisk(
                directory: folder, create: false, readOnly: true, options: options)
        else { return false }
        CallerThread.wait { await disk.shutdown() }
        return true
    }()
}

@Suite(
    "The README's first steps",
    .enabled(if: Place.executable != nil, "the executable does not stand beside the tests"),
    .enabled(if: DirectFolder.isThere, "no direct I/O where temporary files are"))
struct ReadmeScriptTests {
    private func lines() throws -> [String] {
        let page = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("README.md")
        let parts = try String(contentsOf: page, encoding: .utf8)
            .components(separatedBy: "<!-- script:first -->\n```\n")
        try #require(parts.count == 2)
        return parts[1].components(separatedBy: "\n```")[0].components(separatedBy: "\n")
    }

    @Test("work line by line, as they stand there")
    func steps() throws {
        let place = try Place()
        let folder = try #require(Place.executable).deletingLastPathComponent().path
        let lines = try lines()
        #expect(lines.count > 10)
        var output = ""
        for line in lines {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", line]
            process.currentDirectoryURL = URL(fileURLWithPath: place.path)
            var environment = ProcessInfo.processInfo.environment
            environment["PATH"] = "\(folder):\(environment["PATH"] ?? "/usr/bin:/bin")"
            process.environment = environment
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            process.standardInput = FileHandle.nullDevice
            try process.run()
            let text = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            output = String(decoding: text, as: UTF8.self)
            try #require(process.terminationStatus == 0, "\(line)\n\(output)")
            #expect(!output.isEmpty, "\(line)")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
        #expect(names == ["archive", "chunk.safetensors", "kv", "report.html"])
        let archive = try FileManager.default.contentsOfDirectory(atPath: place.path + "/archive")
        #expect(archive.count == 12)
        let info = try place.run(["info", "--json"], at: place.path + "/kv").json
        #expect(info["variantCount"] as? Int == 12)
        #expect(info["capacityBytes"] as? Int == 1 << 30)
    }
}
