// A process that puts chunks and dies before anybody flushed them; `recovery` starts it and opens
// what it leaves. Only a process that really ends leaves what its death leaves.

import ArgumentParser
import ChunkDB
import Foundation
import Glibc

struct UnflushedPuts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put-and-die", abstract: "What `recovery` starts.", shouldDisplay: false)

    @OptionGroup var common: CommonOptions
    @Option var store: String
    @Option var model: Preset
    @Option var first: Int
    @Option var end: Int
    @Option var room: Int

    func run() throws {
        guard first >= 0, first < end else { throw ValidationError("no chunks") }
        let store = try BenchStore(
            at: store, source: ChunkSource(model.geometry, seed: common.seed), chunkCount: room,
            common: common)
        let chunks = first..<end
        try blocking { for chunk in chunks { _ = try await store.putOne(chunk, .written) } }
        kill(getpid(), SIGKILL)
    }

    /// *Throws:* when that process ended in another way.
    static func runAndDie(
        at store: String, _ chunks: Range<Int>, _ model: Preset, room: Int,
        _ common: CommonOptions
    ) throws {
        let process = Process()
        process.executableURL = try executable()
        process.arguments =
            [
                "put-and-die", "--store", store, "--model", model.rawValue,
                "--first", "\(chunks.lowerBound)", "--end", "\(chunks.upperBound)",
                "--room", "\(room)",
            ] + common.passedOn
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationReason == .uncaughtSignal, process.terminationStatus == SIGKILL
        else {
            throw BenchmarkError.world(
                "put-and-die ended by itself: \(String(decoding: text, as: UTF8.self))")
        }
    }

    /// This program, or the one that was built beside the tests.
    private static func executable() throws -> URL {
        let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        let place = own.deletingLastPathComponent().appending(path: "chunkdb-bench")
        if FileManager.default.isExecutableFile(atPath: place.path) { return place }
        throw BenchmarkError.world("no chunkdb-bench beside \(own.path)")
    }
}
