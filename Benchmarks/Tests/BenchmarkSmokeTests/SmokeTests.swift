// Every verb runs with tiny inputs, so that no workload rots, and says what the README's schema
// says. No number is judged here: a busy machine must not fail a test.

import ArgumentParser
import ChunkDB
import Foundation
import Testing

@testable import chunkdb_bench

@Suite(.serialized)
struct SmokeTests {
    /// What must be there for each verb, and who must have answered.
    static let expected: [String: (metrics: Set<String>, subjects: Set<String>)] = [
        "device": (["bytesPerSecond", "p50Nanoseconds", "p99Nanoseconds"], ["device"]),
        "fill": (
            ["bytesPerSecond", "p50Nanoseconds", "cpuSecondsPerGiB", "ratioToDevice", "ratioLow"],
            ["device", "chunkdb"]
        ),
        "read": (
            ["bytesPerSecond", "p99Nanoseconds", "cpuSecondsPerGiB", "ratioToDevice", "ratioHigh"],
            ["device", "chunkdb"]
        ),
        "extents": (
            [
                "bytesPerSecond", "p99Nanoseconds", "cpuSecondsPerGiB", "ratioToDevice",
                "transferBytes", "depth",
            ],
            Set(["device", "chunkdb"] + (Fio() == nil ? [] : ["fio"]))
        ),
        "layers": (
            [
                "bytesPerSecond", "ratioToDevice", "cpuSecondsPerGiB", "transfersPerLatency",
                "p90Nanoseconds", "p99Nanoseconds", "directPlaneCount", "feedCount",
            ],
            ["device", "chunkdb"]
        ),
        "gather": (
            [
                "bytesPerSecond", "p50Nanoseconds", "p99Nanoseconds", "readBytesPerRowByte",
                "requestsPerGather", "timeToAllRows",
            ], ["chunkdb"]
        ),
        "codec": (
            ["bytesPerSecond", "cpuSecondsPerGiB", "storedBytesPerPayloadByte"],
            ["memory", "chunkdb"]
        ),
        "index": (
            ["operationsPerSecond", "bytesPerEntry", "p50Nanoseconds", "oursRatio", "leafFill"],
            ["chunkdb 16/24", "chunkdb 40/24", "std map + lock"]
        ),
        "recovery": (
            [
                "secondsPerGiB", "secondsPerMillionEntries", "p50Nanoseconds", "checkpointBytes",
                "replayedCommitCount", "logBytes",
            ],
            ["chunkdb"]
        ),
        "traces": (
            [
                "hitRatioByBytes", "savedTokens", "savedTokensPerCacheGiB", "ratioToLRU",
                "shareOfBound", "savedShareTenth01", "savedShareTenth10",
            ],
            [
                "recall", "lru", "lfu", "gdsf", "s3-fifo", "cache-craft",
                TracesWorkload.boundName,
            ]
        ),
        "churn": (
            ["savedTokenShare", "writeAmplification", "livingShare", "p99Nanoseconds", "p99Ratio"],
            [
                "chunkdb", "chunkdb, recall", "chunkdb, lru", "whole objects, recall",
                "whole objects, lru", "chunkdb, full", "chunkdb, roomy",
            ]
        ),
        "quality": (
            ["answersRight", "computedShare", "divergenceNats", "recoveredShare"],
            ["0.0", "0.15", "1.0", "0.7", "oracle", "stored profile", "token scores"]
        ),
        "reuse": (
            ["computedTokens", "computedShare", "ratioToPrefixCaching", "meanFixCost"],
            Set(ReuseWorkload.modes.map(\.name))
        ),
        "ttft": (
            [
                "firstTokenSeconds", "loadSeconds", "computeSeconds", "ratioToFullPrefill",
                "ratioToBound", "computedShare",
            ], ["chunkdb"]
        ),
        "mixed": (
            ["operationsPerSecond", "p99Nanoseconds", "bytesPerSecond", "p99Ratio"], ["chunkdb"]
        ),
        "peers": (
            [
                "bytesPerSecond", "ratioToDevice", "oursRatio", "oursRatioLow",
                "storedBytesPerPayloadByte",
                "operationsPerSecond", "p50Nanoseconds",
            ], PeersWorkload.subjects
        ),
        "lookup": (["p50Nanoseconds", "p99Nanoseconds"], ["chunkdb"]),
    ]
    /// Metrics that may be nothing: what others used, what the page cache holds, what a thousand
    /// entries make the process grow by.
    static let mayBeZero: Set<String> = [
        "otherCPUSecondsPerSecond", "pageCacheBytes", "cpuSecondsPerSecond", "cpuSecondsPerGiB",
        "restartCount", "bytesPerEntry", "answersRight", "divergenceNats", "reusedChunkShare",
        "exactChunkShare", "meanFixCost", "storedVariantCount", "loadSeconds", "loadedBytes",
        "movedBytes",
        "movedShare", "deadShare", "waitedPutShare", "freedCount", "copiedPlaneCount",
        "copiedBytesPerPayloadByte",
    ]
    /// Four questions may be answered worse with a repair than without.
    static let mayBeNegative: Set<String> = ["recoveredShare", "divergenceNats"]

    /// Direct where the file system allows it, as containers often do not.
    static let disk: [String] = {
        var options = DiskOptions()
        options.registeredPoolBytes = 0
        let probe = try? openDisk(
            directory: FileManager.default.temporaryDirectory.path, create: false,
            readOnly: false, options: options)
        guard let probe else { return ["--buffered"] }
        try? blocking { await probe.shutdown() }
        return []
    }()

    @Test(arguments: expected.keys.sorted())
    func runsAndReports(_ verb: String) throws {
        // Our own: others may run benches in the temporary directory.
        let parent = FileManager.default.temporaryDirectory.appending(
            path: "bench-smoke-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let arguments = [verb, "--smoke", "--json", "--directory", parent.path] + Self.disk
        let workload = try #require(try ChunkDBBench.parseAsRoot(arguments) as? any Workload)
        let report = try workload.report()
        let leftovers = try FileManager.default.contentsOfDirectory(atPath: parent.path)
        #expect(leftovers == [], "the working directory was left behind")

        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(report.json().utf8)) as? [String: Any])
        #expect(json["verb"] as? String == verb)
        #expect(workload.writtenBytes >= 0)
        #expect(json["schema"] as? Int == 1)
        let options = try #require(json["options"] as? [String: Any])
        #expect(options["smoke"] as? Bool == true)
        try checkMachine(json, isDirect: Self.disk.isEmpty)
        let results = try #require(json["results"] as? [[String: Any]])
        try checkResults(results, verb)
        // The same object comes back from its JSON, and the table names every result.
        let decoded = try JSONDecoder().decode(
            BenchmarkReport.self, from: Data(report.json().utf8))
        let table = ReportTable.text(decoded)
        for result in report.results { #expect(table.contains(result.name)) }
    }

    private func checkMachine(_ json: [String: Any], isDirect: Bool) throws {
        let machine = try #require(json["machine"] as? [String: Any])
        for name in ["cpuModel", "kernel", "fileSystem", "directory", "engine", "date"] {
            #expect((machine[name] as? String)?.isEmpty == false, "machine.\(name)")
        }
        for name in ["coreCount", "memoryBytes"] {
            #expect(try #require(machine[name] as? Int) > 0, "machine.\(name)")
        }
        // A verb that uses no disk has no alignment.
        let alignment = try #require(machine["alignmentBytes"] as? Int)
        #expect((alignment == 0) == (machine["engine"] as? String == "memory"))
        for name in ["loadAverageAtStart", "loadAverageAtEnd"] {
            #expect(try #require(machine[name] as? Double) >= 0, "machine.\(name)")
        }
        if !isDirect { #expect(machine["isDirect"] as? Bool == false) }
    }

    private func checkResults(_ results: [[String: Any]], _ verb: String) throws {
        #expect(!results.isEmpty)
        var metricNames: Set<String> = []
        var subjects: Set<String> = []
        for result in results {
            let name = try #require(result["name"] as? String)
            let metrics = try #require(result["metrics"] as? [String: Double])
            #expect(!metrics.isEmpty)
            for (metric, value) in metrics {
                #expect(value.isFinite, "\(name): \(metric) = \(value)")
                if Self.mayBeNegative.contains(metric) { continue }
                #expect(value >= 0, "\(name): \(metric) = \(value)")
                if !Self.mayBeZero.contains(metric) {
                    #expect(value > 0, "\(name): \(metric)")
                }
            }
            metricNames.formUnion(metrics.keys)
            subjects.insert(try #require(result["subject"] as? String))
        }
        for result in results { try checkCurve(result) }
        let expected = try #require(Self.expected[verb])
        #expect(expected.metrics.subtracting(metricNames).isEmpty)
        #expect(subjects == expected.subjects)
    }

    /// Who has a median and more than one operation has a curve that its percentiles lie on.
    private func checkCurve(_ result: [String: Any]) throws {
        let metrics = try #require(result["metrics"] as? [String: Double])
        guard let curve = result["latencyCurve"] as? [[String: Double]] else { return }
        #expect(!curve.isEmpty && curve.count <= Latencies.percentiles.count)
        #expect(curve.first?["percentile"] == 0)
        for (one, next) in zip(curve, curve.dropFirst()) {
            #expect(try #require(one["percentile"]) < #require(next["percentile"]))
            #expect(try #require(one["nanoseconds"]) <= #require(next["nanoseconds"]))
        }
        for (name, percentile) in [("p90Nanoseconds", 90.0), ("p99Nanoseconds", 99)] {
            guard let point = curve.first(where: { $0["percentile"] == percentile }) else {
                continue
            }
            #expect(point["nanoseconds"] == metrics[name])
        }
    }

    @Test func curvesEndWhereOperationsDo() throws {
        var latencies = Latencies()
        #expect(latencies.curve == nil && latencies.metrics.isEmpty)
        latencies.add([5])
        #expect(latencies.curve == nil && latencies.metrics["p50Nanoseconds"] == 5)
        latencies = Latencies()
        latencies.add((1...100).map { UInt64($0) })
        let curve = try #require(latencies.curve)
        #expect(curve.first == LatencyPoint(percentile: 0, nanoseconds: 1))
        #expect(curve.last == LatencyPoint(percentile: 99, nanoseconds: 99))
        #expect(curve.count == 17 && curve[8] == LatencyPoint(percentile: 90, nanoseconds: 90))
        latencies.add((1...20_000).map { UInt64($0) })
        #expect(latencies.curve?.last?.percentile == 99.99)
        #expect(latencies.curve?.count == Latencies.percentiles.count)
    }

    @Test(arguments: [
        ["device", "--size", "5"], ["device", "--depth", "0"], ["fill", "--model", "gpt"],
        ["fill", "--rounds", "0"], ["read", "--depth", "-1"], ["index", "--entries", "0"],
        ["device", "--size", "9999999999GiB"], ["nonsense"], ["traces", "--policies", "arc"],
        ["traces", "--sizes", "0"], ["traces", "--sizes", "101"], ["traces", "--traces", "tide"],
        ["traces", "--admission", "thrice"], ["quality", "--limit", "0"],
        ["reuse", "--chunks", "3"], ["reuse", "--least", "0"], ["ttft", "--width", "100"],
        ["ttft", "--rounds", "0"], ["lookup", "--variants", "0"],
        ["fill", "--threads", "2"], ["fill", "--capacity", "1MiB"], ["fill", "--tokens", "0"],
        ["read", "--skew", "9"], ["read", "--threads", "9"], ["mixed", "--threads", "9"],
        ["mixed", "--reads", "0"], ["mixed", "--puts", "11"], ["mixed", "--skew", "9"],
        ["peers", "--rounds", "0"], ["peers", "--prompt", "0"],
        ["recovery", "--unflushed", "0"], ["open"], ["layers", "--prompts", "17"],
        ["layers", "--window", "2"], ["gather", "--shares", "0"], ["gather", "--blocks", "5000"],
        ["codec", "--block", "5000"],
        ["gather", "--prompt", "17"], ["extents", "--size", "12KiB"],
        ["extents", "--depth", "0"],
        ["suite", "--minutes", "0"], ["suite", "--verbs", "tide"], ["fill", "--duration", "0"],
    ])
    func refusesBadArguments(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try ChunkDBBench.parseAsRoot(arguments) }
    }

    @Test("`layers` counts planes that had to be copied")
    func layersCountsCopies() throws {
        let words = [
            "layers", "--model", "tiny", "--prompts", "3", "--chunks", "3", "--rounds", "1",
            "--window", "0.001", "--directory", FileManager.default.temporaryDirectory.path,
        ]
        // Rows of 256 bytes: 16 tokens are a unit, 33 end inside one.
        for (tokens, isCopied) in [("16", false), ("33", true)] {
            let workload = try #require(
                try ChunkDBBench.parseAsRoot(words + ["--tokens", tokens] + Self.disk)
                    as? any Workload)
            let metrics = try #require(
                try workload.report().results.first { $0.name.contains("feed of 3") }?.metrics)
            #expect(try #require(metrics["directPlaneCount"]) > 0)
            #expect((try #require(metrics["copiedPlaneCount"]) > 0) == isCopied)
        }
    }

    @Test("`recovery` refuses a process that did not die as it should")
    func recoveryNeedsADeath() throws {
        let workload = try #require(
            try ChunkDBBench.parseAsRoot(["recovery", "--smoke"] + Self.disk) as? RecoveryWorkload)
        #expect(throws: BenchmarkError.self) {
            try UnflushedPuts.runAndDie(
                at: "/proc/no/such", 0..<1, .tiny, room: 1, workload.common)
        }
    }

    @Test func saysWhenThereIsNoSuchDirectory() throws {
        let arguments = ["read", "--smoke", "--directory", "/proc/no/such"]
        let workload = try #require(try ChunkDBBench.parseAsRoot(arguments) as? any Workload)
        #expect(throws: BenchmarkError.self) { try workload.report() }
    }

    @Test func sizes() {
        #expect(ByteSize(argument: "4096")?.byteCount == 4_096)
        #expect(ByteSize(argument: "64KiB")?.byteCount == 65_536)
        #expect(ByteSize(argument: "1 MiB")?.description == "1MiB")
        #expect(ByteSize(argument: "2g")?.description == "2GiB")
        for wrong in ["", "MiB", "-1", "1.5MiB", "7 furlongs"] {
            #expect(ByteSize(argument: wrong) == nil)
        }
    }

    @Test func medians() {
        #expect(median([]) == 0)
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 2, 3]) == 2.5)
    }

    @Test func geometriesAreWhatTheySay() {
        #expect(Preset.llama3_8b.geometry.chunkBytes == 32 << 20)
        #expect(Preset.llama3_8b.geometry.layerBytes == 1 << 20)
        #expect(Preset.llama3_1b.geometry.chunkBytes == 2 << 20)
        #expect(Preset.llama3_70b.geometry.chunkBytes == 80 << 20)
        #expect(Preset.qwen2_5_7b.geometry.chunkBytes == 14 << 20)
        #expect(Preset.mistral_7b.geometry.chunkBytes == 32 << 20)
        #expect(Preset.deepseekV3.geometry.chunkBytes == 61 * (512 + 64) * 2 * 256)
        for preset in Preset.allCases {
            #expect(throws: Never.self) { try preset.geometry.binding.validate() }
        }
    }
}
