// Question: how close does a feed of a prompt's chunks, layer by layer, come to plain random reads,
// and how long does the consumer wait for the first layer? A bad answer: below 0.90 of the device
// for layers of a MiB, a first layer that takes a multiple of what its own bytes take, or planes
// that are copied though every chunk ends on a unit.
//
// Windows are short, since devices change their speed within seconds: where a window is too short
// for all layers of a prompt, a feed is of its first layers.

import ArgumentParser
import ChunkDB
import Feed
import Foundation

struct LayersWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "layers",
        abstract: "Feeds of a prompt's chunks, layer by layer, against plain random reads.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(
        parsing: .upToNextOption,
        help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: [Preset] = [.llama3_8b, .llama3_70b, .qwen2_5_7b, .deepseekV3, .tiny]

    @Option(help: "Tokens of a chunk (default: the model's).")
    var tokens: Int?

    @Option(parsing: .upToNextOption, help: "Chunks of a prompt.")
    var prompts = [1, 2, 4, 8, 14]

    @Option(help: "Chunks in the store.")
    var chunks = 16

    @Option(help: "Layers that a feed has on their way beside the one in hand.")
    var layersAhead = 3

    @Option(help: "Transfers of the yardstick at once; each is a chunk's layer.")
    var depth = 8

    @Flag(help: "Feed what was read without looking at its digests.")
    var noVerification = false

    @Option(help: "Seconds of one window, by what the device does in its first; 1 at most.")
    var window = 0.5

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard !model.isEmpty, !prompts.isEmpty, prompts.allSatisfy({ (1...1_024).contains($0) }),
            chunks >= prompts.max() ?? 0, (1...1_024).contains(layersAhead),
            (1...256).contains(depth), window > 0, window <= 1, rounds > 0,
            (1...65_536).contains(tokens ?? 1)
        else {
            throw ValidationError(
                "at least as many chunks as a prompt has, a layer ahead, a token and a round; "
                    + "depth 1 to 256, windows of at most a second")
        }
    }

    private var models: [Preset] { common.smoke ? [.tiny] : model }
    private var promptSizes: [Int] { common.smoke ? prompts.filter { $0 <= 4 } : prompts }
    private var chunkCount: Int { common.smoke ? 8 : chunks }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    private func geometry(_ model: Preset) -> ChunkGeometry {
        var geometry = model.geometry
        if let tokens, !common.smoke { geometry.tokenCount = tokens }
        return geometry
    }

    var facts: [String: OptionValue] {
        [
            "models": .text(models.map(\.rawValue).joined(separator: ",")),
            "tokens": .text(
                models.map { "\(geometry($0).tokenCount)" }.joined(separator: ",")),
            "prompts": .text(promptSizes.map(String.init).joined(separator: ",")),
            "chunks": .number(chunkCount), "layersAhead": .number(layersAhead),
            "depth": .number(depth), "verification": .flag(!noVerification),
            "windowSeconds": .text("\(window)"), "rounds": .number(roundCount),
        ]
    }

    var writtenBytes: Int {
        models.reduce(0) { $0 + 2 * chunkCount * geometry($1).chunkBytes }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let largest = models.map { geometry($0).chunkBytes }.max() ?? 0
        try workplace.requireSpace(2 * chunkCount * largest)
        let progress = Progress(
            stepCount: models.count
                * windowCount(rounds: roundCount, subjects: promptSizes.count))
        defer { progress.finish() }
        for (place, model) in models.enumerated() {
            try measure(
                model, in: workplace, &report, progress,
                share: 1 / Double(models.count - place))
        }
        report.notes += [
            "feed: `ChunkFeed` over a prompt of different chunks, "
                + (noVerification ? "NOT verified" : "verified")
                + ", all layers or as many as a window has time for; latencies are a layer's",
            "device: random reads of a chunk's layer, \(depth) at once",
            "first layer: from `ChunkFeed.start` to its planes in hand; ÷ transfer: of the median, "
                + "by what the device's median rate takes for as many bytes",
            "planes: direct stand where the disk put them, copied were moved once",
        ]
    }

    private func measure(
        _ model: Preset, in workplace: Workplace, _ report: inout BenchmarkReport,
        _ progress: Progress, share: Double
    ) throws {
        let geometry = geometry(model)
        let storeBytes = chunkCount * geometry.chunkBytes
        let place = workplace.directory(model.rawValue)
        // One geometry at a time on the disk.
        defer { if !common.keep { try? FileManager.default.removeItem(atPath: place) } }
        try FileManager.default.createDirectory(
            atPath: place, withIntermediateDirectories: false)
        let store = try BenchStore(
            at: place + "/store", source: ChunkSource(geometry, seed: common.seed),
            chunkCount: chunkCount, common: common)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: 1)
        report.takeTraits(store.db.disk)
        let loop = try DeviceLoop(
            directory: place + "/device",
            operationBytes: geometry.layerBytes, depth: depth,
            fileBytes: storeBytes, options: common.disk)
        defer { try? loop.close() }
        try loop.fill()
        let windowBytes = try windowBytes(loop)
        let name = "\(model.rawValue), layer \(geometry.layerText)"

        let yardstick = Subject(name: name, subject: "device") { turn in
            var generator = SeededGenerator(common.seed, turn, stream: 1)
            let count = max(windowBytes / loop.operationBytes, 1)
            return try loop.run(.read, at: loop.randomOffsets(count, &generator))
        }
        var fed = promptSizes.map { _ in Fed() }
        let subjects = promptSizes.enumerated().map { index, promptSize in
            Subject(name: "\(name), feed of \(promptSize)", subject: "chunkdb") { round in
                let (work, found) = try feed(
                    store, promptSize: promptSize, windowBytes: windowBytes, round: round)
                if round >= 0 { fed[index].add(found) }
                return work
            }
        }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount, share: share), yardstick: yardstick,
            subjects: subjects, progress: progress)
        for (index, promptSize) in promptSizes.enumerated() {
            results[index + 1].metrics.merge(fed[index].metrics) { $1 }
            results.append(firstLayers(model, promptSize, fed[index], results[0]))
        }
        report.results += results
        report.addPageCache(
            "page cache after \(name)", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
    }

    /// What the device moves in a window's time, by a first one.
    private func windowBytes(_ loop: DeviceLoop) throws -> Int {
        if common.smoke { return 1 << 19 }
        var generator = SeededGenerator(common.seed, -2, stream: 1)
        let offsets = loop.randomOffsets(
            max(64 << 20 / loop.operationBytes, 2 * depth), &generator)
        let start = Clocks.now
        let work = try loop.run(.read, at: offsets)
        let seconds = Double(Clocks.now - start) / 1e9
        return max(Int(Double(work.bytes) / seconds * window), loop.operationBytes)
    }

    // MARK: Feeds

    /// What feeds did, beside their work.
    private struct Fed: Sendable {
        var firstLayers: [UInt64] = []
        var directPlaneCount: UInt64 = 0
        var copiedPlaneCount: UInt64 = 0

        mutating func add(_ other: Fed) {
            firstLayers += other.firstLayers
            directPlaneCount += other.directPlaneCount
            copiedPlaneCount += other.copiedPlaneCount
        }

        var metrics: [String: Double] {
            [
                "directPlaneCount": Double(directPlaneCount),
                "copiedPlaneCount": Double(copiedPlaneCount),
            ]
        }
    }

    /// The wait for the first layer, and how much longer that is than the device takes to move it.
    private func firstLayers(
        _ model: Preset, _ promptSize: Int, _ fed: Fed, _ device: BenchmarkResult
    ) -> BenchmarkResult {
        let bytes = promptSize * geometry(model).layerBytes
        var latencies = Latencies()
        latencies.add(fed.firstLayers)
        var metrics = latencies.metrics
        if let middle = metrics["p50Nanoseconds"], let rate = device.metrics["bytesPerSecond"] {
            metrics["transfersPerLatency"] = middle / 1e9 * rate / Double(bytes)
        }
        metrics["feedCount"] = Double(latencies.count)
        return BenchmarkResult(
            name: "\(model.rawValue), first layer of \(promptSize), \(ByteCount(UInt64(bytes)))",
            subject: "chunkdb", metrics: metrics, latencyCurve: latencies.curve)
    }

    private func feed(
        _ store: BenchStore, promptSize: Int, windowBytes: Int, round: Int
    ) throws -> (Work, Fed) {
        let geometry = store.source.geometry
        let fedBytes = promptSize * geometry.layerBytes
        let layerCount = min(max(windowBytes / fedBytes, 1), geometry.layerCount)
        var options = FeedOptions(
            layersAhead: layersAhead, verification: noVerification ? .unverified : .verified)
        options.skippedLayers = Set(layerCount..<geometry.layerCount)
        var generator = SeededGenerator(common.seed, round, stream: 2)
        // Each chunk once: a feed reads one that stands in two places only once.
        let prompts = (0..<max(windowBytes / (layerCount * fedBytes), 1)).map { _ in
            Array((0..<chunkCount).shuffled(using: &generator).prefix(promptSize))
        }
        return try blocking { [options] in
            var (work, fed) = (Work(), Fed())
            for prompt in prompts {
                let items = prompt.map { FeedItem(store.namespace, store.key($0)) }
                var start = Clocks.now
                let feed = try await ChunkFeed.start(items, options: options)
                guard feed.misses.isEmpty else { throw BenchmarkError.wrongBytes("a miss") }
                while let layer = try await feed.nextLayer() {
                    let elapsed = Clocks.now - start
                    if layer.layer == 0 { fed.firstLayers.append(elapsed) }
                    work.latencies.append(elapsed)
                    try check(layer, prompt, store.source)
                    work.operations += 1
                    work.bytes += fedBytes
                    start = Clocks.now
                }
                fed.directPlaneCount += feed.counters.directPlaneCount
                fed.copiedPlaneCount += feed.counters.copiedPlaneCount
            }
            return (work, fed)
        }
    }
}

/// Compares the begin of both planes of every chunk with what was put.
private func check(_ layer: FedLayer, _ prompt: [Int], _ source: ChunkSource) throws {
    for (index, chunk) in prompt.enumerated() {
        for kind in [ExtentKind.keys, .values] {
            let plane = source.plane(chunk, layer: layer.layer, kind)
            let isRight = unsafe layer.withPlane(chunk: index, kind) {
                unsafe begins($0, with: plane)
            }
            if !isRight { throw BenchmarkError.wrongBytes("feed, chunk \(chunk), \(kind)") }
        }
    }
}
