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
    var model: [Preset] = [.llama3_8b, .llama3_1b]

    @Option(help: "Tokens of a chunk (default: the model's).")
    var tokens: Int?

    @Option(help: "Puts at once; the yardstick has as many writes at once.")
    var depth = 1

    @Option(help: "Caller threads that the puts are divided among.")
    var threads = 1

    @Option(help: "Of the store: once it is full, each put makes room (default: room for all).")
    var capacity: ByteSize?

    @Option(
        parsing: .upToNextOption,
        help: "What a put waits for: durable, written, accepted; a barrier ends a window.")
    var durability = [Durability.durable]

    @Option(
        parsing: .upToNextOption,
        help: "What the bytes lie in: arrays, copied once, or aligned (planes of whole 4 KiB).")
    var memory = PutMemory.allCases

    @Option(help: "Bytes of one window.")
    var window = ByteSize(256 << 20)

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard (1...64).contains(depth), (1...depth).contains(threads), rounds > 0, !model.isEmpty,
            !durability.isEmpty, !memory.isEmpty, (1...65_536).contains(tokens ?? 1),
            capacity?.byteCount ?? .max >= 64 << 20
        else {
            throw ValidationError(
                "depth is 1 to 64, and at least as much as threads; at least one token, round and "
                    + "level and kind of memory; a capacity from 64MiB")
        }
    }

    private var geometries: [ChunkGeometry] {
        if common.smoke { return [Preset.tiny.geometry] }
        return model.map { model in
            var geometry = model.geometry
            if let tokens { geometry.tokenCount = tokens }
            return geometry
        }
    }
    /// Who takes turns. Planes that fill no whole units are put from arrays alone.
    private func puts(_ geometry: ChunkGeometry) -> [(level: Durability, memory: PutMemory)] {
        let memory = geometry.hasWholeUnits ? memory : [.arrays]
        return durability.flatMap { level in memory.map { (level, $0) } }
    }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "models": .text(geometries.map(\.name).joined(separator: ",")),
            "tokens": .text(geometries.map { "\($0.tokenCount)" }.joined(separator: ",")),
            "depth": .number(depth), "threads": .number(threads),
            "capacityBytes": .text(capacity?.description ?? "room for all"),
            "windowBytes": .number(windowBytes),
            "rounds": .number(roundCount),
            "durability": .text(durability.map { "\($0)" }.joined(separator: ",")),
            "memory": .text(memory.map(\.rawValue).joined(separator: ",")),
        ]
    }

    var writtenBytes: Int {
        geometries.reduce(0) { sum, geometry in
            let bytes = geometry.chunkBytes
            let window = max(windowBytes / bytes, depth) * bytes
            let subjects = puts(geometry).count
            return sum + (2 * roundCount * subjects + subjects + 2) * window
        }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let progress = Progress(
            stepCount: geometries.reduce(0) {
                $0 + windowCount(rounds: roundCount, subjects: puts($1).count)
            })
        defer { progress.finish() }
        for (place, geometry) in geometries.enumerated() {
            try measure(
                geometry, in: workplace, &report, progress,
                share: 1 / Double(geometries.count - place))
        }
        report.notes.append(
            "put: key, `beginPut`, one `append` a layer (arrays) or of all layers (aligned), "
                + "`commit`; at its level on return, and a barrier ends a window below durable; "
                + "\(depth) at once on \(threads) caller thread(s)")
        report.notes.append(
            "device: preallocated file written for the first time, as the store's segments are")
    }

    private func measure(
        _ geometry: ChunkGeometry, in workplace: Workplace, _ report: inout BenchmarkReport,
        _ progress: Progress, share: Double
    ) throws {
        let chunksPerWindow = max(windowBytes / geometry.chunkBytes, depth)
        let bytesPerWindow = chunksPerWindow * DeviceLoop.wholeUnits(geometry.chunkBytes)
        // One window to warm up each, and one yardstick more than puts.
        let kinds = puts(geometry)
        let yardstickBytes = (roundCount * kinds.count + 2) * bytesPerWindow
        let chunkCount = (roundCount + 1) * kinds.count * chunksPerWindow
        try workplace.requireSpace(yardstickBytes + chunkCount * geometry.chunkBytes)
        let loop = try DeviceLoop(
            directory: workplace.directory("device-\(geometry.name)"),
            operationBytes: geometry.chunkBytes, depth: depth, fileBytes: yardstickBytes,
            options: common.disk)
        defer { try? loop.close() }
        let source = ChunkSource(geometry, seed: common.seed, memory: kinds.map(\.memory))
        var options = BenchStore.options(geometry, chunkCount: chunkCount, common)
        if let capacity {
            options.capacity = ByteCount(UInt64(capacity.byteCount))
            options.segmentSize = nil
        }
        let store = try BenchStore(
            at: workplace.directory("store-\(geometry.name)"), source: source, options: options)
        defer { try? store.close() }
        report.takeTraits(store.db.disk)

        let yardstick = Subject(name: "put \(geometry.sizeText)", subject: "device") { turn in
            let first = (turn + 1) * chunksPerWindow
            return try loop.run(
                .durableWrite,
                at: (first..<first + chunksPerWindow).map { UInt64($0 * loop.operationBytes) })
        }
        var costs = kinds.map { _ in PutCost() }
        let subjects = kinds.enumerated().map { index, kind in
            Subject(
                name: "put \(geometry.sizeText), \(kind.level), \(kind.memory)", subject: "chunkdb"
            ) { round in
                let first = ((round + 1) * kinds.count + index) * chunksPerWindow
                let before = PutCost(store.db)
                let work = try store.put(
                    first..<first + chunksPerWindow, writers: depth, threads: threads,
                    kind.level, from: kind.memory)
                costs[index].add(PutCost(store.db), since: before)
                return work
            }
        }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount, share: share), yardstick: yardstick,
            subjects: subjects, progress: progress)
        for (index, cost) in costs.enumerated() {
            let windows = Int(results[index + 1].metrics["windowCount"] ?? 0) + 1
            let putCount = windows * chunksPerWindow
            results[index + 1].metrics.merge(
                cost.metrics(putCount: putCount, payloadBytes: putCount * geometry.chunkBytes)
            ) { $1 }
        }
        if capacity != nil {
            let windows = results.dropFirst().reduce(0) { $0 + ($1.metrics["windowCount"] ?? 0) }
            let putCount = (windows + Double(kinds.count)) * Double(chunksPerWindow)
            for index in kinds.indices {
                results[index + 1].metrics["keptPutShare"] =
                    Double(store.namespace.entryCount) / putCount
            }
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
