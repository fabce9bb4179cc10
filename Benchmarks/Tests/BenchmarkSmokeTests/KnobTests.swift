// Options that change what is asked: each is seen in what the report says, not only in its options.

import ArgumentParser
import Foundation
import Testing

@testable import chunkdb_bench

extension SmokeTests {
    private func report(_ words: [String]) throws -> BenchmarkReport {
        let parent = FileManager.default.temporaryDirectory.appending(
            path: "bench-knobs-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let common = ["--directory", parent.path] + Self.disk
        let workload = try #require(try ChunkDBBench.parseAsRoot(words + common) as? any Workload)
        return try workload.report()
    }

    /// 33 tokens fill no unit: yardstick and buffers are rounded up, the store pads.
    @Test("`fill` and `read` take chunks of any length, several threads and uneven fame")
    func oddChunks() throws {
        let small = ["--model", "tiny", "--tokens", "33", "--window", "512KiB", "--rounds", "1"]
        let fill = try report(["fill", "--depth", "4", "--threads", "2"] + small)
        #expect(fill.options["threads"] == .number(2) && fill.options["tokens"] == .text("33"))
        // 4 layers of 2 planes of 2 heads × 64 × bf16.
        let payload = 4 * 2 * 2 * 64 * 2 * 33
        let chunk = try #require(fill.results.first { $0.subject == "chunkdb" })
        #expect(chunk.name.contains("66 KiB") && payload == 66 << 10)
        #expect(fill.results.count { $0.metrics["copiedBytesPerPayloadByte"] == 1 } == 1)
        #expect(try #require(chunk.metrics["bytesPerSecond"]) > 0)
        let read = try report(
            ["read", "--chunks", "8", "--depth", "4", "--threads", "2", "--skew", "1.5"] + small)
        #expect(read.options["skew"] == .text("1.5"))
        #expect(read.results.count { $0.metrics["ratioToDevice"] != nil } == 5)
    }

    @Test("`fill --capacity` keeps a share of what it puts; without it, all")
    func capacities() throws {
        let words = [
            "fill", "--model", "llama-3.2-1b", "--window", "32MiB", "--rounds", "2", "--memory",
            "arrays",
        ]
        let full = try report(words + ["--capacity", "64MiB"])
        let kept = full.results.compactMap { $0.metrics["keptPutShare"] }
        // 96 MiB of payload.
        #expect(kept.count == 1 && kept[0] > 0 && kept[0] < 0.67)
        let roomy = try report(words + ["--capacity", "512MiB"])
        #expect(roomy.results.compactMap { $0.metrics["keptPutShare"] } == [1])
    }

    @Test("`fill` copies what lies in arrays once, and nothing of what is aligned")
    func memory() throws {
        let words = ["fill", "--model", "tiny", "--window", "512KiB", "--rounds", "1"]
        let both = try report(words).results.compactMap { $0.metrics["copiedBytesPerPayloadByte"] }
        #expect(both == [1, 0])
    }

    @Test("`mixed` divides its tasks among threads, and may leave digests alone")
    func mixedThreads() throws {
        let mixed = try report([
            "mixed", "--model", "tiny", "--tokens", "33", "--chunks", "16", "--operations", "200",
            "--rounds", "1", "--depth", "4", "--threads", "2", "--no-verification",
        ])
        #expect(mixed.options["verification"] == .flag(false))
        // Every operation was done, by whichever thread.
        let counts = mixed.results.compactMap { $0.metrics["operationsPerSecond"] }
        #expect(counts.count >= 3 && counts.allSatisfy { $0 > 0 })
        #expect(mixed.notes.contains { $0.contains("4 tasks on 2 caller thread(s)") })
    }
}

extension SmokeTests {
    /// Where there is none, it must say so and report nothing.
    @Test("`device-memory` measures a GPU, or says that there is none")
    func deviceMemory() throws {
        do {
            let report = try report(["device-memory", "--smoke"])
            #expect(report.results.contains { $0.metrics["ratioToBound"] != nil })
        } catch let error as BenchmarkError {
            #expect("\(error)".hasPrefix("SKIPPED, nothing was measured: no GPU here: "))
        }
    }
}
