// Question: how close do durable puts come to plain writes of the same bytes, each followed by a
// flush? A bad answer: below 0.80 of the device for chunks of 32 MiB, or CPU per GiB of another
// order than the one copy and the one digest that a put pays for.
//
// And what the levels cost: with several, their puts take turns.

import ArgumentParser
import ChunkDB

struct FillWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "fill", abstract: "Durable puts of whole chunks, against write + flush.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(
        parsing: .upToNextOption,
        help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var preset: [Preset] = [.llama3_8b, .llama3_1b]

    @Option(help: "Puts at once; the yardstick has as many writes at once.")
    var writers = 1

    @Option(
        parsing: .upToNextOption,
        help: "What a put waits for: durable, written, accepted; a barrier ends a window.")
    var durability = [Durability.durable]

    @Option(help: "Bytes of one window.")
    var window = ByteSize(512 << 20)

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard (1...64).contains(writers), rounds > 0, !preset.isEmpty, !durability.isEmpty else {
            throw ValidationError("writers are 1 to 64, and there is at least one round and level")
        }
    }

    private var presets: [Preset] { common.smoke ? [.tiny] : preset }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "presets": .text(presets.map(\.rawValue).joined(separator: ",")),
            "writers": .number(writers), "windowBytes": .number(windowBytes),
            "rounds": .number(roundCount),
            "durability": .text(durability.map { "\($0)" }.joined(separator: ",")),
        ]
    }

    var writtenBytes: Int {
        presets.reduce(0) { sum, preset in
            let bytes = preset.geometry.chunkBytes
            let window = max(windowBytes / bytes, writers) * bytes
            return sum + (2 * roundCount * durability.count + durability.count + 2) * window
        }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let progress = Progress(
            stepCount: presets.count * windowCount(rounds: roundCount, subjects: durability.count))
        defer { progress.finish() }
        for preset in presets {
            let left = presets.count - (presets.firstIndex(of: preset) ?? 0)
            try measure(preset, in: workplace, &report, progress, share: 1 / Double(left))
        }
        report.notes.append(
            "put: key, `beginPut`, one `append` of arrays a layer, `commit`; at its level on "
                + "return, and a barrier ends a window below durable; "
                + "all writers on one caller thread")
        report.notes.append(
            "device: preallocated file written for the first time, as the store's segments are")
    }

    private func measure(
        _ preset: Preset, in workplace: Workplace, _ report: inout BenchmarkReport,
        _ progress: Progress, share: Double
    ) throws {
        let geometry = preset.geometry
        let chunksPerWindow = max(windowBytes / geometry.chunkBytes, writers)
        let bytesPerWindow = chunksPerWindow * geometry.chunkBytes
        // One window to warm up each, and one yardstick more than puts.
        let levels = durability
        let yardstickBytes = (roundCount * levels.count + 2) * bytesPerWindow
        let chunkCount = (roundCount + 1) * levels.count * chunksPerWindow
        try workplace.requireSpace(yardstickBytes + chunkCount * geometry.chunkBytes)
        let loop = try DeviceLoop(
            directory: workplace.directory("device-\(preset.rawValue)"),
            operationBytes: geometry.chunkBytes, depth: writers, fileBytes: yardstickBytes,
            options: common.disk)
        defer { try? loop.close() }
        let source = ChunkSource(geometry, seed: common.seed)
        let store = try BenchStore(
            at: workplace.directory("store-\(preset.rawValue)"), source: source,
            chunkCount: chunkCount, common: common)
        defer { try? store.close() }
        report.takeTraits(store.db.disk)

        let yardstick = Subject(name: "put \(geometry.sizeText)", subject: "device") { turn in
            let first = (turn + 1) * chunksPerWindow
            return try loop.run(
                .durableWrite,
                at: (first..<first + chunksPerWindow).map { UInt64($0 * geometry.chunkBytes) })
        }
        var costs = levels.map { _ in PutCost() }
        let puts = levels.enumerated().map { index, level in
            Subject(name: "put \(geometry.sizeText), \(level)", subject: "chunkdb") { round in
                let first = ((round + 1) * levels.count + index) * chunksPerWindow
                let before = PutCost(store.db)
                let work = try store.put(first..<first + chunksPerWindow, writers: writers, level)
                costs[index].add(PutCost(store.db), since: before)
                return work
            }
        }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount, share: share), yardstick: yardstick,
            subjects: puts, progress: progress)
        for (index, cost) in costs.enumerated() {
            let windows = Int(results[index + 1].metrics["windowCount"] ?? 0) + 1
            let putCount = windows * chunksPerWindow
            results[index + 1].metrics.merge(
                cost.metrics(putCount: putCount, payloadBytes: putCount * geometry.chunkBytes)
            ) { $1 }
        }
        report.results += results
        report.addPageCache(
            "page cache after \(geometry.sizeText) puts", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.writtenBytes))
    }
}

/// Exact counts.
private struct PutCost {
    private var writtenBytes: UInt64 = 0
    private var flushCount: UInt64 = 0
    private var copiedBytes: UInt64 = 0

    init() {}

    init(_ db: ChunkDB) {
        writtenBytes = db.diskCounters.writtenBytes
        flushCount = db.diskCounters.flushCount
        copiedBytes = db.counters.copiedBytes
    }

    mutating func add(_ after: PutCost, since before: PutCost) {
        writtenBytes += after.writtenBytes - before.writtenBytes
        flushCount += after.flushCount - before.flushCount
        copiedBytes += after.copiedBytes - before.copiedBytes
    }

    func metrics(putCount: Int, payloadBytes: Int) -> [String: Double] {
        [
            "writtenBytesPerPayloadByte": Double(writtenBytes) / Double(payloadBytes),
            "copiedBytesPerPayloadByte": Double(copiedBytes) / Double(payloadBytes),
            "flushesPerPut": Double(flushCount) / Double(putCount),
        ]
    }
}
