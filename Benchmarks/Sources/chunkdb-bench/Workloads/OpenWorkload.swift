// Question: how long does a store take to open and to close? A bad answer: longer than reading its
// checkpoint explains, or, without one, longer than reading the log's headers does.
//
// Two stores. One has a checkpoint of generated entries: what an entry costs. The other is a log
// of real chunks; it is opened with its checkpoint, and again with the checkpoint deleted: what a
// GiB of log and a lost checkpoint cost.

import ArgumentParser
import ChunkDB
import Foundation

struct OpenWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "open",
        abstract: "Opening a store from its checkpoint and without one, and closing it.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Generated entries.") var entries = 1_000_000
    @Option(help: "Chunks in the log that is recovered.") var chunks = 1_000
    @Option(help: "What they are chunks of.") var preset = Preset.llama3_1b
    @Option(help: "How often each is opened; they take turns.") var rounds = 7

    func validate() throws {
        guard entries > 0, chunks > 0, rounds > 0 else {
            throw ValidationError("counts are at least 1")
        }
    }

    private var geometry: ChunkGeometry { (common.smoke ? .tiny : preset).geometry }
    private var entryCount: Int { common.smoke ? 2_000 : entries }
    private var chunkCount: Int { common.smoke ? 20 : chunks }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "entries": .number(entryCount), "chunks": .number(chunkCount),
            "rounds": .number(roundCount), "preset": .text(preset.rawValue),
        ]
    }

    var writtenBytes: Int { chunkCount * geometry.chunkBytes + entryCount * 128 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let progress = Progress(stepCount: 3 * roundCount + 2)
        defer { progress.finish() }
        let generated = workplace.directory("generated")
        let writing = try makeCheckpoint(at: generated)
        progress.advance("checkpoint")
        let log = workplace.directory("log")
        let logBytes = try makeLog(at: log)
        progress.advance("log")

        var checkpoint = Openings(name: "open, generated checkpoint", entryCount: entryCount)
        var closing = Openings(name: "close, the same", entryCount: entryCount)
        var whole = Openings(name: "open, log with checkpoint", entryCount: chunkCount)
        var bare = Openings(name: "open, log without checkpoint", entryCount: chunkCount)
        for _ in workplace.budget.rounds(roundCount) {
            try open(generated, &checkpoint, &closing, &report)
            progress.advance(checkpoint.name)
            var ignored = Openings(name: "", entryCount: chunkCount)
            try open(log, &whole, &ignored, &report)
            progress.advance(whole.name)
            try FileManager.default.removeItem(atPath: log + "/checkpoint")
            try open(log, &bare, &ignored, &report)
            progress.advance(bare.name)
        }
        let size = try FileManager.default.attributesOfItem(
            atPath: generated + "/checkpoint")[.size]
        checkpoint.extra["checkpointBytes"] = Double((size as? Int) ?? 0)
        for opening in [whole, bare] {
            var opening = opening
            opening.extra["secondsPerGiB"] =
                opening.medianNanoseconds / 1e9 / (Double(logBytes) / 1_073_741_824)
            opening.extra["logBytes"] = Double(logBytes)
            report.results.append(opening.result)
        }
        report.results.insert(contentsOf: [checkpoint.result, closing.result], at: 0)
        report.notes.append(
            "the generated checkpoint was written by the log in \(writing / 1_000_000) ms; "
                + "no payload stands behind its entries")
    }

    /// What opening, or closing, one store took.
    private struct Openings {
        let name: String
        let entryCount: Int
        var tally = Tally()
        var extra: [String: Double] = [:]

        var medianNanoseconds: Double { tally.metrics["p50Nanoseconds"] ?? 0 }
        var result: BenchmarkResult {
            var metrics = tally.metrics.merging(extra) { $1 }
            metrics["entryCount"] = Double(entryCount)
            metrics["nanosecondsPerEntry"] = medianNanoseconds / Double(entryCount)
            return BenchmarkResult(name: name, subject: "chunkdb", metrics: metrics)
        }
        mutating func add(from start: Clocks, to end: Clocks) {
            let time = end.nanoseconds - start.nanoseconds
            tally.add(Work(operations: 1, bytes: 0, latencies: [time]), from: start, to: end)
        }
    }

    private func open(
        _ path: String, _ opening: inout Openings, _ closing: inout Openings,
        _ report: inout BenchmarkReport
    ) throws {
        let hasCheckpoint = FileManager.default.fileExists(atPath: path + "/checkpoint")
        let start = Clocks()
        let db = try ChunkDB.openAndWait(at: path, options: StoreOptions(disk: common.disk))
        opening.add(from: start, to: Clocks())
        let found = db.namespace("bench")?.entryCount ?? 0
        let isUsed = db.recovery.checkpointIgnored == nil
        report.takeTraits(db.disk)
        let closeStart = Clocks()
        try blocking { await db.close() }
        closing.add(from: closeStart, to: Clocks())
        guard found == opening.entryCount, isUsed == hasCheckpoint else {
            throw BenchmarkError.wrongBytes(
                "\(found) entries instead of \(opening.entryCount) in \(path)")
        }
    }

    // MARK: The stores

    /// Puts chunks, and returns the bytes the store takes.
    private func makeLog(at path: String) throws -> Int {
        let source = ChunkSource(geometry, seed: common.seed)
        let store = try BenchStore(at: path, source: source, chunkCount: chunkCount, common: common)
        let work = try store.put(0..<chunkCount, writers: 4, .written)
        try store.close()
        return work.bytes
    }

    /// A checkpoint whose entries all point to the one record there is, which opening does not
    /// read. Returns the nanoseconds that writing took.
    private func makeCheckpoint(at path: String) throws -> UInt64 {
        let source = ChunkSource(Preset.tiny.geometry, seed: common.seed)
        let store = try BenchStore(at: path, source: source, chunkCount: 1, common: common)
        _ = try store.put(0..<1, writers: 1)
        guard let place = store.namespace.contains(store.key(0))?.extent else {
            throw BenchmarkError.wrongBytes("the only chunk is a miss")
        }
        try store.close()
        let namespace = store.namespace.id
        let diskOptions = common.disk
        let entryCount = entryCount
        let step = UInt64.max / UInt64(entryCount)
        let heat = [HeatRow](
            repeating: HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0),
            count: entryCount)
        // Ascending keys: the number itself, in front; a number says which come after it.
        let generated = CheckpointSource(
            entryCount: { entryCount },
            heat: { generation in
                // Of the policy that the opener has (HEA-6).
                HeatFile(
                    generation: generation,
                    policyDigest: Digest128(hashing: Array("default=recall\n".utf8)), rows: heat)
            },
            entries: { last, limit in
                let first = last.map { Int($0.ordinal) + 1 } ?? 0
                return (first..<min(first + limit, entryCount)).map { entry in
                    CheckpointEntry(
                        namespace: namespace, key: ChunkKey(words: (step * UInt64(entry), 1, 2, 3)),
                        variant: .standalone,
                        location: RecordLocation(segment: place.segment, offset: place.offset),
                        headerBytes: 4_096, variantDiskBytes: 32 << 20, tokenCount: 256, flags: 0,
                        ordinal: UInt32(entry))
                }
            })
        return try blocking {
            let disk = try openDisk(
                directory: path, create: false, readOnly: false, options: diskOptions)
            let thread = CoreThread(name: "bench-core")
            let (log, _) = try await SegmentLog.open(
                on: disk, policy: .normal, options: LogOptions(capacityBytes: 1 << 30),
                environment: LogEnvironment(
                    executor: thread, clock: SystemClock(), entropy: SystemEntropy()))
            let start = Clocks.now
            try await log.checkpoint(generated)
            let elapsed = Clocks.now - start
            await log.close()
            thread.finish()
            return elapsed
        }
    }
}
