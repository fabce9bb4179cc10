// Question: how close do verified reads come to fio, by the size of what is read and by how much is
// asked for at once? A bad answer: below 0.95 of fio from 256 KiB and depth 4 on, or more than 0.12
// CPU-seconds a GiB above it.
//
// One file is read by fio and by the yardstick, so that each says how far the other can be trusted.
// On a tmpfs the unverified reads say what the store costs where the device costs nothing.

import ArgumentParser
import ChunkDB

struct ExtentsWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "extents",
        abstract: "Verified reads by size and depth, against fio and plain random reads.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(parsing: .upToNextOption, help: "Sizes of a layer's keys and values together.")
    var size: [ByteSize] = [64 << 10, 256 << 10, 1 << 20, 4 << 20].map(ByteSize.init)

    @Option(parsing: .upToNextOption, help: "Reads at once.")
    var depth: [Int] = [1, 4, 8, 16, 32]

    @Option(help: "Bytes in the store, and in the file of the others.")
    var fileSize = ByteSize(1 << 30)

    /// A third of a second here. Ours begins and ends inside a window, `fio` does not, so that a
    /// short one measures that.
    @Option(help: "Bytes of one window.")
    var window = ByteSize(1 << 30)

    @Option(help: "Windows of each; they take turns.")
    var rounds = 7

    func validate() throws {
        guard !depth.isEmpty, depth.allSatisfy({ (1...256).contains($0) }), rounds > 0,
            !size.isEmpty
        else { throw ValidationError("depths are 1 to 256, and there is at least one round") }
        guard
            size.allSatisfy({ $0.byteCount.isMultiple(of: 8_192) && $0.byteCount <= 64 << 20 })
        else { throw ValidationError("sizes are multiples of 8192, at most 64MiB") }
    }

    private var sizes: [Int] { common.smoke ? [65_536] : size.map(\.byteCount) }
    private var depths: [Int] { common.smoke ? [2] : depth }
    private var fileBytes: Int { common.smoke ? 2 << 20 : fileSize.byteCount }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "sizes": .text(sizes.map { ByteSize($0).description }.joined(separator: ",")),
            "depths": .text(depths.map(String.init).joined(separator: ",")),
            "fileBytes": .number(fileBytes), "windowBytes": .number(windowBytes),
            "rounds": .number(roundCount),
        ]
    }

    /// Rows of a KiB, sixteen layers.
    private func geometry(_ layerBytes: Int) -> ChunkGeometry {
        ChunkGeometry(
            name: "\(ByteSize(layerBytes))", layerCount: 16, kvHeadCount: 8, headDimension: 64,
            tokenCount: layerBytes / 2_048, elementType: .bfloat16)
    }

    /// What the others have too: memory for all that is asked for at once, and half as much for
    /// what a caller still holds while it asks for more.
    private func poolBytes(_ geometry: ChunkGeometry) -> Int {
        max(geometry.layerBytes * depths.max()! * 3 / 2, DiskOptions().registeredPoolBytes)
    }

    private func chunkCount(_ geometry: ChunkGeometry) -> Int {
        max(fileBytes / geometry.chunkBytes, 1)
    }

    var writtenBytes: Int {
        sizes.reduce(0) { sum, size in
            let geometry = geometry(size)
            return sum + 2 * chunkCount(geometry) * geometry.chunkBytes
        }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let largest = sizes.map { geometry($0).chunkBytes }.max() ?? 0
        try workplace.requireSpace(2 * max(fileBytes, largest))
        let fio = Fio()
        let progress = Progress(
            stepCount: sizes.count * depths.count
                * windowCount(rounds: roundCount, subjects: fio == nil ? 2 : 3))
        defer { progress.finish() }
        for (place, size) in sizes.enumerated() {
            try measure(
                geometry(size), fio, in: workplace, &report, progress,
                share: 1 / Double(sizes.count - place))
        }
        report.notes += [
            "get: `get(key, layers: l..<l+1)`, key and value plane side by side, as many tasks as "
                + "the depth on one caller thread; checked against what was put",
            "read: one file for fio and the device loop", Fio.note,
            "ours ÷: verified gets over fio, and over unverified ones",
        ]
    }

    private func measure(
        _ geometry: ChunkGeometry, _ fio: Fio?, in workplace: Workplace,
        _ report: inout BenchmarkReport, _ progress: Progress, share: Double
    ) throws {
        let chunkCount = chunkCount(geometry)
        let place = workplace.directory("store-\(geometry.name)")
        var options = BenchStore.options(geometry, chunkCount: chunkCount, common)
        options.disk.registeredPoolBytes = poolBytes(geometry)
        let store = try BenchStore(
            at: place, source: ChunkSource(geometry, seed: common.seed), options: options)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: 1)
        report.takeTraits(store.db.disk)
        let folder = workplace.directory("device-\(geometry.name)")
        let loop = try DeviceLoop(
            directory: folder, operationBytes: geometry.layerBytes, depth: depths.max()!,
            fileBytes: chunkCount * geometry.chunkBytes, options: common.disk)
        defer { try? loop.close() }
        try loop.fill()
        for (turn, depth) in depths.enumerated() {
            let name = "\(ByteSize(geometry.layerBytes)) depth \(depth)"
            let reads = LayerReads(
                store: store, depth: depth, fame: Popularity(count: chunkCount, exponent: 0),
                windowBytes: windowBytes, seed: common.seed)
            let count = max(windowBytes / geometry.layerBytes, depth)
            var subjects = [
                reads.subject("get \(name)", stream: 2, reads.get(.verified)),
                reads.subject("get, unverified \(name)", stream: 3, reads.get(.unverified)),
            ]
            if let fio {
                subjects.append(
                    Subject(name: "read \(name)", subject: "fio") { round in
                        try fio.reads(
                            of: folder + "/yardstick", operationBytes: geometry.layerBytes,
                            depth: depth, seed: common.seed &+ UInt64(round + 2))
                    })
            }
            var results = try interleave(
                rounds: workplace.budget.rounds(
                    roundCount, share: share / Double(depths.count - turn)),
                yardstick: Subject(name: "read \(name)", subject: "device") { turn in
                    var generator = SeededGenerator(common.seed, turn, stream: 1)
                    return try loop.run(
                        .read, at: loop.randomOffsets(count, &generator), depth: depth)
                }, subjects: subjects, ours: 0, progress: progress)
            for index in results.indices {
                results[index].metrics["transferBytes"] = Double(geometry.layerBytes)
                results[index].metrics["depth"] = Double(depth)
            }
            report.results += results
        }
        report.addPageCache(
            "page cache after \(geometry.name)", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
    }
}
