// Question: how long does a store take to open, also after its process died, and to close? A bad
// answer: longer than reading its checkpoint explains, or, without one, longer than reading the
// log's headers does.
//
// Three stores. One has a checkpoint of generated entries: what an entry costs. One is a log of
// real chunks; it is opened with its checkpoint, and again with the checkpoint deleted: what a GiB
// of log and a lost checkpoint cost. Into the last, another process puts chunks that nobody
// flushes, and is killed: the opening has to find them all.

import ArgumentParser
import ChunkDB
import Foundation

struct RecoveryWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "recovery",
        abstract: "Opening a store: from its checkpoint, without one, after its process died.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Generated entries.") var entries = 1_000_000
    @Option(help: "Chunks in the log that is recovered.") var chunks = 1_000
    @Option(help: "Chunks put and not flushed by a process that then dies.") var unflushed = 100
    @Option(help: "What they are chunks of.") var model = Preset.llama3_1b
    @Option(help: "How often each is opened; they take turns.") var rounds = 7

    func validate() throws {
        guard entries > 0, chunks > 0, unflushed > 0, rounds > 0 else {
            throw ValidationError("counts are at least 1")
        }
    }

    private var geometry: ChunkGeometry { (common.smoke ? .tiny : model).geometry }
    private var entryCount: Int { common.smoke ? 2_000 : entries }
    private var chunkCount: Int { common.smoke ? 20 : chunks }
    private var unflushedCount: Int { common.smoke ? 5 : unflushed }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "entries": .number(entryCount), "chunks": .number(chunkCount),
            "unflushed": .number(unflushedCount),
            "rounds": .number(roundCount), "model": .text(model.rawValue),
        ]
    }

    /// Each round's process puts more.
    private var mortalCount: Int { roundCount * unflushedCount }

    var writtenBytes: Int {
        (chunkCount + mortalCount) * geometry.chunkBytes + entryCount * 128
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        try workplace.requireSpace(writtenBytes)
        let progress = Progress(stepCount: 4 * roundCount + 2)
        defer { progress.finish() }
        let generated = workplace.directory("generated")
        let writing = try makeCheckpoint(at: generated)
        progress.advance("checkpoint")
        let (log, mortal) = (workplace.directory("log"), workplace.directory("mortal"))
        try makeLog(at: log, 0..<chunkCount, room: chunkCount)
        try makeLog(at: mortal, 0..<0, room: mortalCount)
        progress.advance("log")

        let bytes = geometry.chunkBytes
        var checkpoint = Openings(name: "open, generated checkpoint", entryCount: entryCount)
        var closing = Openings(name: "close, the same", entryCount: entryCount)
        var whole = Openings(
            name: "open, log with checkpoint", entryCount: chunkCount, logBytes: chunkCount * bytes)
        var bare = Openings(
            name: "open, log without checkpoint", entryCount: chunkCount,
            logBytes: chunkCount * bytes)
        var died = Openings(
            name: "open after a death, \(unflushedCount) unflushed puts",
            entryCount: unflushedCount, logBytes: unflushedCount * bytes)
        var ignored = Openings(name: "", entryCount: 1)
        for round in workplace.budget.rounds(roundCount) {
            try open(generated, &checkpoint, &closing, &report)
            progress.advance(checkpoint.name)
            try open(log, &whole, &ignored, &report)
            progress.advance(whole.name)
            try FileManager.default.removeItem(atPath: log + "/checkpoint")
            try open(log, &bare, &ignored, &report)
            progress.advance(bare.name)
            let known = round * unflushedCount
            try UnflushedPuts.runAndDie(
                at: mortal, known..<known + unflushedCount, common.smoke ? .tiny : model,
                room: mortalCount, common)
            try open(mortal, &died, &ignored, &report, known: known)
            progress.advance(died.name)
        }
        let size = try FileManager.default.attributesOfItem(
            atPath: generated + "/checkpoint")[.size]
        checkpoint.extra["checkpointBytes"] = Double((size as? Int) ?? 0)
        report.results += [checkpoint, closing, whole, bare, died].map(\.result)
        report.notes += [
            "the generated checkpoint was written by the log in \(writing / 1_000_000) ms; "
                + "no payload stands behind its entries",
            "after a death: another process put these chunks, each at `written` on return, and was "
                + "killed; entries and bytes are theirs, what was there before is not counted",
        ]
    }

    /// What opening, or closing, one store took.
    private struct Openings {
        let name: String
        let entryCount: Int
        /// Of real chunks.
        var logBytes: Int?
        var tally = Tally()
        var extra: [String: Double] = [:]

        var medianNanoseconds: Double { tally.metrics["p50Nanoseconds"] ?? 0 }
        var result: BenchmarkResult {
            var result = tally.result(name: name, subject: "chunkdb")
            result.metrics.merge(extra) { $1 }
            result.metrics["entryCount"] = Double(entryCount)
            let seconds = medianNanoseconds / 1e9
            result.metrics["secondsPerMillionEntries"] = seconds / Double(entryCount) * 1e6
            if let logBytes {
                result.metrics["logBytes"] = Double(logBytes)
                result.metrics["secondsPerGiB"] = seconds / (Double(logBytes) / 1_073_741_824)
            }
            return result
        }
        mutating func add(from start: Clocks, to end: Clocks) {
            let time = end.nanoseconds - start.nanoseconds
            tally.add(Work(operations: 1, bytes: 0, latencies: [time]), from: start, to: end)
        }
    }

    /// `known`: entries that are not counted, of a store whose process died.
    private func open(
        _ path: String, _ opening: inout Openings, _ closing: inout Openings,
        _ report: inout BenchmarkReport, known: Int? = nil
    ) throws {
        let hasCheckpoint = FileManager.default.fileExists(atPath: path + "/checkpoint")
        let start = Clocks()
        let db = try ChunkDB.openAndWait(at: path, options: StoreOptions(disk: common.disk))
        opening.add(from: start, to: Clocks())
        let found = db.namespace("bench")?.entryCount ?? 0
        let isUsed = db.recovery.checkpointIgnored == nil
        if known != nil {
            opening.extra["replayedCommitCount"] = Double(db.recovery.replayedCommitCount)
        }
        report.takeTraits(db.disk)
        let closeStart = Clocks()
        try blocking { await db.close() }
        closing.add(from: closeStart, to: Clocks())
        let expected = opening.entryCount + (known ?? 0)
        guard found == expected, isUsed == hasCheckpoint else {
            throw BenchmarkError.wrongBytes(
                "\(found) entries instead of \(expected) in \(path)")
        }
    }

    // MARK: The stores

    private func makeLog(at path: String, _ chunks: Range<Int>, room: Int) throws {
        let source = ChunkSource(geometry, seed: common.seed)
        let store = try BenchStore(at: path, source: source, chunkCount: room, common: common)
        _ = try store.put(chunks, writers: 4, .written)
        try store.close()
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
