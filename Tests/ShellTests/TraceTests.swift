// `trace` on recorded requests, and the benchmark by its short name.

import ChunkDB
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("Recorded requests")
struct TraceTests {
    private static func line(
        _ event: String, _ key: ChunkKey, _ seconds: Int, namespace: String = "acme"
    ) -> String {
        let name = hexadecimal(Array(namespace.utf8))
        return "{\"event\":\"\(event)\",\"namespace\":\"\(name)\",\"key\":\"\(key)\","
            + "\"variant\":\"0000000000000000\",\"tokens\":16,\"bytes\":28672,"
            + "\"seconds\":\(seconds)}"
    }

    /// Two uses and a put of what is there, a use of what was removed, and a stranger's put.
    static var lines: [String] {
        [
            line("put", key(1), 3), line("use", key(1), 4), line("use", key(2), 5),
            line("use", key(4), 6), line("put", key(9), 7, namespace: hostileName),
        ]
    }

    static func write(_ lines: [String], to file: String) throws {
        try Data((lines.joined(separator: "\n") + "\n").utf8)
            .write(to: URL(fileURLWithPath: file))
    }

    @Test("are counted and replayed as their snapshots say, and nothing is changed")
    func snapshots() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/trace"
        try Self.write(Self.lines, to: file)
        let before = try place.contents()
        try Snapshot.compare(place.run(["trace", "show", file]), "trace-show", in: place)
        try Snapshot.compare(
            place.run(["trace", "show", file, "--json"]), "trace-show-json", in: place)
        // Every look at the clock is a millisecond later.
        let clock = SteppingClock(stepNanoseconds: 1_000_000)
        try Snapshot.compare(
            place.run(["trace", "replay", file], clock: clock), "trace-replay", in: place)
        let few = try place.run(["trace", "replay", file, "--limit", "2", "--json"]).json
        let replay = try #require(few["replay"] as? [String: Any])
        #expect(replay["requestCount"] as? Int == 2 && replay["hitCount"] as? Int == 2)
        #expect(replay["newHitCount"] as? Int == 1)
        #expect(try place.contents() == before)
        let record = place.run(["trace", "record"])
        #expect(record.exit == .usage && record.errors.contains("RequestRecorder.start"))
    }

    @Test("damage is met on replay, and lines that are none are refused with their number")
    func refusals() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/trace"
        for (number, bad) in [
            "{}", "x\u{1B}[31m", Self.lines[0].replacing("put", with: "eat"),
            Self.lines[0].replacing("61636d65", with: "6163zz65"),
            Self.lines[0].replacing("28672", with: "-1"), Self.lines[0].dropLast().description,
        ].enumerated() {
            try Self.write([Self.lines[1], bad], to: file)
            let outcome = place.run(["trace", "show", file])
            #expect(outcome.exit == .usage && outcome.errors.contains("line 2"), "\(number)")
            #expect(!outcome.errors.contains("\u{1B}"))
        }
        #expect(place.run(["trace", "show", "/nonexistent"]).exit == .cannotOpen)
        #expect(place.run(["trace", "show"]).exit == .usage)
        #expect(place.run(["trace", "dance", file]).exit == .usage)
        try Self.write(Self.lines, to: file)
        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        try place.overwrite(
            try #require(records.first?["file"] as? String),
            at: try #require(extents[2]["fileOffset"] as? UInt64) + 100, with: [0xAA, 0x55])
        let damaged = place.run(["trace", "replay", file, "--json"])
        #expect(damaged.exit == .damageFound)
        let replay = try #require(damaged.json["replay"] as? [String: Any])
        #expect(replay["damagedCount"] as? Int == 1)
    }

    /// One test for both: they set a variable of the process.
    @Test("the benchmark is run where it is, with what was typed, and asked for where it is not")
    func bench() throws {
        let place = try Place()
        try place.makeStore()
        let trace = place.path + "/trace"
        try Self.write(Self.lines, to: trace)
        let tool = place.path + "/tool"
        let script = "#!/bin/sh\necho \"$@\"\n[ \"$1\" != fail ]\n"
        try Data(script.utf8).write(to: URL(fileURLWithPath: tool))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tool)
        func run(_ words: [String]) -> Outcome {
            let (output, errors) = (MemorySink(), MemorySink())
            let exit = Shell(console: Console(output: output, errors: errors)).run(words)
            return Outcome(exit: exit, output: output.text, errors: errors.text)
        }
        setenv(BenchTool.variable, tool, 1)
        defer { unsetenv(BenchTool.variable) }
        let plain = run(["bench", "read", "--rounds", "3", "--json"])
        #expect(plain.exit == .fine && plain.output == "read --rounds 3 --json\n", "\(plain)")
        let help = run(["bench", "--help"])
        #expect(help.exit == .fine && help.output == "--help\n", "its own help, not ours")
        let behind = run([place.store, "bench", "fill"])
        #expect(behind.exit == .fine && behind.output == "fill\n")
        let failed = run(["bench", "fail"])
        #expect(failed.exit == .toolFailed && failed.errors.contains("exit code 1"))
        let asked = place.run(["trace", "what-if", trace, "--capacity", "1GiB", "4MiB"])
        #expect(asked.exit == .fine, "\(asked.errors)")
        #expect(asked.output == "traces --recorded \(trace) --mebibytes 1024.0 4.0\n")
        let own = place.run(["trace", "what-if", trace, "--json"])
        #expect(own.output == "traces --recorded \(trace) --mebibytes 16.0 --json\n")
        unsetenv(BenchTool.variable)
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let isInstalled = folders.contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(BenchTool.name)")
        }
        if !isInstalled {
            let missing = run(["bench", "read"])
            #expect(missing.exit == .toolFailed)
            #expect(missing.errors.contains("swift build -c release --package-path Benchmarks"))
        }
    }
}
