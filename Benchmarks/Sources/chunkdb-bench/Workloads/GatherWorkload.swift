// Question: what does a sparse reader save by asking for rows instead of layers? A bad answer: as
// long as all rows of the layer take, or many bytes read for each byte of a row.
//
// One gather is of the same share of the tokens of every chunk of a prompt, keys and values of one
// layer. Tokens are scattered, or stand together in runs of 16 as clusters and pages do.

import ArgumentParser
import ChunkDB
import Foundation

struct GatherWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "gather",
        abstract: "Some rows of a layer of a prompt's chunks, against all of them.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: Preset = .llama3_8b

    @Option(help: "Chunks in the store.")
    var chunks = 16

    @Option(help: "Chunks of a prompt.")
    var prompt = 8

    @Option(parsing: .upToNextOption, help: "Rows that are wanted, percent of the tokens.")
    var shares = [1, 3, 10]

    @Option(
        parsing: .upToNextOption,
        help: "Bytes of a digest block, a store each: 4096 to 1048576, powers of two.")
    var blocks = [65_536, 4_096]

    @Option(help: "Gathers of one window.")
    var gathers = 24

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard prompt > 0, chunks >= prompt, chunks <= 4_096, gathers > 0, rounds > 0,
            !shares.isEmpty, shares.allSatisfy({ (1...100).contains($0) }), !blocks.isEmpty,
            blocks.allSatisfy({
                (12...20).contains($0.trailingZeroBitCount) && $0.nonzeroBitCount == 1
            })
        else {
            throw ValidationError(
                "as many chunks as a prompt has, a gather and a round; shares of 1 to 100 percent, "
                    + "blocks of 4096 to 1048576 bytes, powers of two")
        }
    }

    private var geometry: ChunkGeometry { (common.smoke ? .tiny : model).geometry }
    private var chunkCount: Int { common.smoke ? 4 : chunks }
    private var promptSize: Int { common.smoke ? 2 : prompt }
    private var gatherCount: Int { common.smoke ? 3 : gathers }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "model": .text((common.smoke ? Preset.tiny : model).rawValue),
            "tokens": .number(geometry.tokenCount), "chunks": .number(chunkCount),
            "prompt": .number(promptSize),
            "shares": .text(shares.map { "\($0)" }.joined(separator: ",")),
            "blocks": .text(blocks.map { "\($0)" }.joined(separator: ",")),
            "gathers": .number(gatherCount), "rounds": .number(roundCount),
        ]
    }

    var writtenBytes: Int { blocks.count * chunkCount * geometry.chunkBytes }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        try workplace.requireSpace(chunkCount * geometry.chunkBytes)
        let progress = Progress(
            stepCount: blocks.count
                * windowCount(rounds: roundCount, subjects: 2 * shares.count))
        defer { progress.finish() }
        for (place, block) in blocks.enumerated() {
            try measure(
                block, in: workplace, &report, progress, share: 1 / Double(blocks.count - place))
        }
        report.notes += [
            "a gather: the rows of \(promptSize) chunks, keys and values of one layer, verified; "
                + "bytes and rates are of the rows, not of what is read for them",
            "time ÷ all rows: of the medians, of a gather of some rows and of one of all",
        ]
    }

    private func measure(
        _ block: Int, in workplace: Workplace, _ report: inout BenchmarkReport,
        _ progress: Progress, share: Double
    ) throws {
        let place = workplace.directory("blocks-\(block)")
        // One store at a time on the disk.
        defer { if !common.keep { try? FileManager.default.removeItem(atPath: place) } }
        let source = ChunkSource(geometry, seed: common.seed)
        var options = BenchStore.options(geometry, chunkCount: chunkCount, common)
        options.digestBlockShift = UInt8(block.trailingZeroBitCount)
        let store = try BenchStore(at: place, source: source, options: options)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: 1)
        report.takeTraits(store.db.disk)

        let name = "blocks of \(ByteCount(UInt64(block)))"
        let wanted = shares.flatMap { [Wanted(percent: $0, run: 1), Wanted(percent: $0, run: 16)] }
        var gathered = wanted.map { _ in Gathered() }
        let all = Subject(name: "\(name), all rows", subject: "chunkdb") { round in
            try gather(store, Wanted(percent: 100, run: 1), round).work
        }
        let subjects = wanted.enumerated().map { index, wanted in
            Subject(name: "\(name), \(wanted.text)", subject: "chunkdb") { round in
                let (work, found) = try gather(store, wanted, round)
                if round >= 0 { gathered[index].add(found) }
                return work
            }
        }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount, share: share), yardstick: all,
            subjects: subjects, progress: progress)
        for (index, found) in gathered.enumerated() {
            results[index + 1].metrics.merge(found.metrics) { $1 }
            // A rate of rows against a rate of layers is nobody's question.
            for metric in ["ratioToDevice", "ratioLow", "ratioHigh"] {
                results[index + 1].metrics[metric] = nil
            }
            if let some = results[index + 1].metrics["p50Nanoseconds"],
                let all = results[0].metrics["p50Nanoseconds"], all > 0
            {
                results[index + 1].metrics["timeToAllRows"] = some / all
            }
        }
        report.results += results
        report.addPageCache(
            "page cache after \(name)", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
    }

    // MARK: Gathers

    /// Which rows.
    private struct Wanted: Sendable {
        let percent: Int
        /// Tokens that stand together.
        let run: Int

        var text: String {
            "\(percent) % of the rows, \(run == 1 ? "scattered" : "in runs of \(run)")"
        }

        func tokens(of count: Int, _ generator: inout SeededGenerator) -> [Int] {
            if percent == 100 { return Array(0..<count) }
            let runCount = (count + run - 1) / run
            let wanted = max(count * percent / 100 / run, 1)
            return (0..<runCount).shuffled(using: &generator).prefix(wanted).sorted()
                .flatMap { $0 * run..<min(($0 + 1) * run, count) }
        }
    }

    /// What gathers cost beside their time.
    private struct Gathered: Sendable {
        var count = 0
        var rowBytes = 0
        var readBytes = 0
        var requestCount = 0

        mutating func add(_ other: Gathered) {
            count += other.count
            rowBytes += other.rowBytes
            readBytes += other.readBytes
            requestCount += other.requestCount
        }

        var metrics: [String: Double] {
            [
                "readBytesPerRowByte": Double(readBytes) / Double(max(rowBytes, 1)),
                "requestsPerGather": Double(requestCount) / Double(max(count, 1)),
            ]
        }
    }

    private func gather(_ store: BenchStore, _ wanted: Wanted, _ round: Int) throws
        -> (work: Work, Gathered)
    {
        var generator = SeededGenerator(
            seed: common.seed &+ UInt64(wanted.percent * 32 + wanted.run) << 32
                &+ UInt64(bitPattern: Int64(round)) &* 0x9E37_79B9)
        let geometry = store.source.geometry
        let requests = (0..<gatherCount).map { _ in
            let layer = Int.random(in: 0..<geometry.layerCount, using: &generator)
            let chunks = (0..<chunkCount).shuffled(using: &generator).prefix(promptSize)
            return (
                layer: layer,
                rows: chunks.map { chunk in
                    (
                        chunk: chunk,
                        tokens: wanted.tokens(of: geometry.tokenCount, &generator)
                    )
                }
            )
        }
        return try blocking { () async throws -> (work: Work, Gathered) in
            var (work, found) = (Work(), Gathered())
            for (layer, rows) in requests {
                let start = Clocks.now
                let gathered = try await store.namespace.gather(
                    rows.map { chunk, tokens in
                        ChunkRows(
                            store.key(chunk),
                            [
                                RowSelection(layer: layer, .keys, tokens: tokens),
                                RowSelection(layer: layer, .values, tokens: tokens),
                            ])
                    })
                work.latencies.append(Clocks.now - start)
                try check(gathered, layer, rows, store.source)
                work.operations += 1
                work.bytes += gathered.rowBytes
                found.add(
                    Gathered(
                        count: 1, rowBytes: gathered.rowBytes, readBytes: gathered.readBytes,
                        requestCount: gathered.requestCount))
            }
            return (work, found)
        }
    }

    /// Compares the first row of each selection with what was put.
    private func check(
        _ gathered: borrowing GatheredRows, _ layer: Int, _ rows: [(chunk: Int, tokens: [Int])],
        _ source: ChunkSource
    ) throws {
        for (place, (chunk, tokens)) in rows.enumerated() {
            guard gathered.contains(chunk: place) else { throw BenchmarkError.wrongBytes("a miss") }
            for (selection, kind) in [ExtentKind.keys, .values].enumerated() {
                let isRight = unsafe gathered.withRow(chunk: place, selection: selection, row: 0) {
                    row in
                    let first = tokens[0] * row.count
                    let plane = source.plane(chunk, layer: layer, kind)
                    return unsafe row.elementsEqual(plane[first..<first + row.count])
                }
                if !isRight {
                    throw BenchmarkError.wrongBytes("chunk \(chunk), layer \(layer), \(kind)")
                }
            }
        }
    }
}
