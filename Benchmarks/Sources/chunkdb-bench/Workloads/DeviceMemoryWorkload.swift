// Question: how close does a feed into a GPU's memory come to the slower of its two halves, reading
// alone and copying to the device alone? A bad answer: below 0.90 of that. Where there is no GPU
// nothing is measured, and the run fails with a line that says so.

import ArgumentParser
import ChunkDB
import DeviceFeed
import Feed
import Foundation

struct DeviceMemoryWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "device-memory",
        abstract: "Feeds into a GPU's memory, against reading and copying alone.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: Preset = .llama3_8b

    @Option(help: "Tokens of a chunk (default: the model's).")
    var tokens: Int?

    @Option(help: "Chunks of a prompt.")
    var prompt = 8

    @Option(help: "Chunks in the store.")
    var chunks = 16

    @Option(help: "Layers that a feed has on their way beside the one in hand.")
    var layersAhead = 3

    @Option(help: "Transfers of the yardstick at once; each is a chunk's layer.")
    var depth = 8

    @Option(help: "Pinned host memory.")
    var pinned = ByteSize(256 << 20)

    @Option(help: "The device's number.")
    var gpu = 0

    @Flag(help: "Feed what was read without looking at its digests.")
    var noVerification = false

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard prompt > 0, chunks >= prompt, layersAhead > 0, (1...256).contains(depth), rounds > 0,
            (1...65_536).contains(tokens ?? 1)
        else {
            throw ValidationError(
                "at least as many chunks as a prompt has, a layer ahead, a token and a round; "
                    + "depth 1 to 256")
        }
    }

    private var geometry: ChunkGeometry {
        var geometry = (common.smoke ? Preset.tiny : model).geometry
        if let tokens, !common.smoke { geometry.tokenCount = tokens }
        return geometry
    }
    private var chunkCount: Int { common.smoke ? 8 : chunks }
    private var promptSize: Int { common.smoke ? min(prompt, 4) : prompt }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "model": .text(common.smoke ? "tiny" : model.rawValue),
            "tokens": .number(geometry.tokenCount), "prompt": .number(promptSize),
            "chunks": .number(chunkCount), "layersAhead": .number(layersAhead),
            "depth": .number(depth), "pinnedBytes": .number(pinned.byteCount),
            "gpu": .number(gpu), "verification": .flag(!noVerification),
            "rounds": .number(roundCount),
        ]
    }

    var writtenBytes: Int { 2 * chunkCount * geometry.chunkBytes }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let (driver, device) = try openDevice()
        let geometry = geometry
        try workplace.requireSpace(writtenBytes)
        let store = try BenchStore(
            at: workplace.directory("store"), source: ChunkSource(geometry, seed: common.seed),
            chunkCount: chunkCount, common: common)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: 1)
        report.takeTraits(store.db.disk)
        let loop = try DeviceLoop(
            directory: workplace.directory("device"), operationBytes: geometry.layerBytes,
            depth: depth, fileBytes: chunkCount * geometry.chunkBytes, options: common.disk)
        defer { try? loop.close() }
        try loop.fill()

        let memory = try BounceMemory(on: device, byteCount: pinned.byteCount)
        let slabs = try DeviceSlabs(
            on: device, for: geometry.binding, rowCount: promptSize * geometry.tokenCount)
        let name = "layers \(geometry.layerText), feed of \(promptSize)"
        let windowBytes = promptSize * geometry.chunkBytes
        let reads = Subject(name: "\(name), reading alone", subject: "device") { turn in
            var generator = generator(turn, 1)
            return try loop.run(
                .read, at: loop.randomOffsets(windowBytes / loop.operationBytes, &generator))
        }
        var ways = [("chunkdb", DevicePath.bounce(memory))]
        do throws(DeviceError) {
            ways.append(
                ("chunkdb, cuFile", .cuFile(try DirectFiles.load(for: device), .unverified)))
        } catch {
            report.notes.append("cuFile was not measured: \(error)")
        }
        var subjects = [
            Subject(name: "\(name), copying alone", subject: "copy") { _ in
                try copies(memory, slabs, windowBytes: windowBytes)
            }
        ]
        var paths: [String] = []
        for (subject, path) in ways {
            subjects.append(
                Subject(name: name, subject: subject) { round in
                    try feed(store, slabs, path, round: round, &paths)
                })
        }
        let progress = Progress(
            stepCount: windowCount(rounds: roundCount, subjects: subjects.count))
        defer { progress.finish() }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount), yardstick: reads, subjects: subjects,
            progress: progress)
        let rates = results.map { $0.metrics["bytesPerSecond"] ?? 0 }
        for index in results.indices.dropFirst(2) {
            results[index].metrics["ratioToBound"] = rates[index] / min(rates[0], rates[1])
        }
        report.results += results
        report.addPageCache(
            "page cache afterwards", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
        report.notes += [
            "device: \(device.name), driver interface \(try driver.version)",
            "reading alone: random reads of a chunk's layer, \(depth) at once",
            "copying alone: pinned host memory to the device, a layer's keys or values at a time",
        ]
        report.notes += paths.map { "chunkdb: " + $0 }
    }

    /// A machine without a device is told apart from a failure by what is said.
    private func openDevice() throws -> (DeviceDriver, Device) {
        do throws(DeviceError) {
            let driver = try DeviceDriver.load()
            return (driver, try driver.open(gpu))
        } catch {
            throw BenchmarkError.world("SKIPPED, nothing was measured: no GPU here: \(error)")
        }
    }

    private func copies(_ memory: BounceMemory, _ slabs: DeviceSlabs, windowBytes: Int) throws
        -> Work
    {
        try blocking {
            var work = Work()
            while work.bytes < windowBytes {
                let plane = slabs.keys[work.operations % slabs.keys.count]
                let start = Clocks.now
                try await memory.copyAnything(to: plane)
                work.latencies.append(Clocks.now - start)
                work.operations += 1
                work.bytes += plane.byteCount
            }
            return work
        }
    }

    /// One prompt of different chunks; a part of every layer is read back and compared outside of
    /// what is timed.
    private func feed(
        _ store: BenchStore, _ slabs: DeviceSlabs, _ path: DevicePath, round: Int,
        _ paths: inout [String]
    ) throws -> Work {
        var generator = generator(round, 2)
        let prompt = Array((0..<chunkCount).shuffled(using: &generator).prefix(promptSize))
        let items = prompt.map { FeedItem(store.namespace, store.key($0)) }
        let options = FeedOptions(
            layersAhead: layersAhead, verification: noVerification ? .unverified : .verified)
        let begin = Clocks()
        let (fed, layers, way) = try blocking { () -> (Work, [DeviceLayer], String) in
            var (work, layers) = (Work(), [DeviceLayer]())
            var start = Clocks.now
            let feed = try await DeviceFeed.start(items, into: slabs, by: path, options: options)
            guard feed.misses.isEmpty else { throw BenchmarkError.wrongBytes("a miss") }
            while let layer = try await feed.nextLayer() {
                let now = Clocks.now
                work.latencies.append(now - start)
                start = now
                layers.append(layer)
                work.operations += 1
                work.bytes += layer.keys.byteCount + layer.values.byteCount
            }
            return (work, layers, feed.path.description)
        }
        var work = fed
        work.span = Work.Span(from: begin, to: Clocks())
        if !paths.contains(way) { paths.append(way) }
        for layer in layers {
            for (index, chunk) in prompt.enumerated() {
                for kind in [ExtentKind.keys, .values] {
                    let bytes = try layer.plane(chunk: index, kind).slice(0..<64).bytes()
                    let plane = store.source.plane(chunk, layer: layer.layer, kind)
                    if bytes != Array(plane.prefix(64)) {
                        throw BenchmarkError.wrongBytes("feed to the device, chunk \(chunk)")
                    }
                }
            }
        }
        return work
    }

    private func generator(_ round: Int, _ stream: UInt64) -> SeededGenerator {
        SeededGenerator(
            seed: common.seed &+ stream << 32 &+ UInt64(bitPattern: Int64(round)) &* 0x9E37_79B9)
    }
}
