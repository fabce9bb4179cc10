// Question: what does this device give to plain direct transfers of a given size and depth, through
// this engine's disk seam? A bad answer: one that fio, asked the same, beats by more than the
// device's own drift; then the seam, not the device, is what the other verbs are divided by.

import ArgumentParser
import ChunkDB

struct DeviceWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Raw direct transfers: random reads, writes, and writes with a flush each.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(parsing: .upToNextOption, help: "Sizes of a transfer.")
    var size: [ByteSize] = [ByteSize(1 << 20), ByteSize(2 << 20), ByteSize(32 << 20)]

    @Option(parsing: .upToNextOption, help: "Transfers at once.")
    var depth: [Int] = [1, 8]

    @Option(help: "Where the first transfer's place begins in the file; a multiple of 4096.")
    var origin = 0

    @Option(help: "Size of the file, which is written in full before anything is measured.")
    var fileSize = ByteSize(2 << 30)

    @Option(help: "Bytes of one window.")
    var window = ByteSize(256 << 20)

    @Option(help: "Windows of each kind; they take turns.")
    var rounds = 7

    func validate() throws {
        guard origin >= 0, origin.isMultiple(of: 4_096) else {
            throw ValidationError("the origin is a multiple of 4096")
        }
        guard depth.allSatisfy({ (1...256).contains($0) }), rounds > 0, !size.isEmpty,
            !depth.isEmpty
        else { throw ValidationError("depths are 1 to 256, and there is at least one round") }
        guard size.allSatisfy({ $0.byteCount.isMultiple(of: 4_096) && $0.byteCount <= 1 << 30 })
        else { throw ValidationError("sizes are multiples of 4096, at most 1GiB") }
    }

    private var sizes: [Int] { common.smoke ? [65_536] : size.map(\.byteCount) }
    private var fileBytes: Int { common.smoke ? 1 << 20 : fileSize.byteCount }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "sizes": .text(sizes.map { ByteSize($0).description }.joined(separator: ",")),
            "depths": .text(depth.map(String.init).joined(separator: ",")),
            "origin": .number(origin), "fileBytes": .number(fileBytes),
            "windowBytes": .number(windowBytes),
            "rounds": .number(roundCount),
        ]
    }

    var writtenBytes: Int {
        let windows = (roundCount + 1) * depth.count * 2
        return sizes.reduce(0) { $0 + max(fileBytes, $1) + windows * max(windowBytes, $1) }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        try workplace.requireSpace(sizes.count * fileBytes)
        let progress = Progress(
            stepCount: windowCount(
                rounds: roundCount,
                subjects: sizes.count * depth.count * DeviceLoop.Kind.allCases.count,
                hasYardstick: false))
        defer { progress.finish() }
        let loops = try sizes.map { bytes in
            let loop = try DeviceLoop(
                directory: workplace.directory("device-\(bytes)"), operationBytes: bytes,
                depth: depth.max()!, fileBytes: max(fileBytes, bytes), origin: origin,
                options: common.disk)
            try loop.fill()
            return loop
        }
        defer { for loop in loops { try? loop.close() } }
        var subjects: [Subject] = []
        var places: [[String: Double]] = []
        for kind in DeviceLoop.Kind.allCases {
            for loop in loops {
                for depth in depth {
                    subjects.append(subject(kind, loop, depth))
                    places.append([
                        "transferBytes": Double(loop.operationBytes), "depth": Double(depth),
                    ])
                }
            }
        }
        report.takeTraits(loops[0].disk.traits)
        report.results = try interleave(
            rounds: workplace.budget.rounds(roundCount), yardstick: nil, subjects: subjects,
            progress: progress)
        for (index, place) in places.enumerated() {
            report.results[index].metrics.merge(place) { $1 }
        }
        report.addPageCache(
            "page cache", subject: "device", below: workplace.path,
            moved: Int(clamping: loops.reduce(0) { $0 + $1.disk.counters.readBytes }))
    }

    private func subject(_ kind: DeviceLoop.Kind, _ loop: DeviceLoop, _ depth: Int) -> Subject {
        let count = max(windowBytes / loop.operationBytes, depth)
        let size = ByteSize(loop.operationBytes)
        return Subject(name: "\(kind.rawValue) \(size) depth \(depth)", subject: "device") {
            round in
            var generator = SeededGenerator(seed: common.seed &+ UInt64(bitPattern: Int64(round)))
            return try loop.run(kind, at: loop.randomOffsets(count, &generator), depth: depth)
        }
    }
}
