// Question: what do reads, puts and removals cost each other when they come together, as in
// service? A bad answer: a p99 of reads that grows far beyond what their share of the disk explains
// once puts come beside them.

import ArgumentParser
import ChunkDB
import Synchronization

struct MixedWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "mixed",
        abstract: "Reads of layers beside durable puts and removals, of chunks of uneven fame.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: Preset = .llama3_1b
    @Option(help: "Chunks in the store at the beginning.") var chunks = 512
    @Option(help: "Tokens of a chunk (default: the model's).") var tokens: Int?
    @Option(help: "Tasks, each with one operation after the other.") var depth = 8
    @Option(help: "Caller threads that the tasks are divided among.") var threads = 1
    @Flag(help: "Read without looking at digests.") var noVerification = false
    @Option(help: "Reads of single layers, of 100 operations.") var reads = 90
    @Option(help: "Puts of whole chunks, of 100; the rest are removals.") var puts = 6
    @Option(help: "Zipf's exponent of who is read; 0 for all alike.") var skew = 0.99
    @Option(help: "Operations of a window.") var operations = 2_000
    @Option(help: "Windows; those of reads alone take turns with them.") var rounds = 9

    func validate() throws {
        guard chunks >= 8, (1...256).contains(depth), (1...depth).contains(threads),
            (1...65_536).contains(tokens ?? 1), reads > 0, puts >= 0, reads + puts <= 100,
            (0...4).contains(skew), operations >= depth, rounds > 0
        else {
            throw ValidationError(
                "8 chunks, a depth of 1 to 256, as many threads at most, a token, a read, "
                    + "shares of 100 at most, a skew of 0 to 4, "
                    + "an operation for each task and a round at least")
        }
    }

    private var geometry: ChunkGeometry {
        if common.smoke { return Preset.tiny.geometry }
        var geometry = model.geometry
        if let tokens { geometry.tokenCount = tokens }
        return geometry
    }
    private var chunkCount: Int { common.smoke ? 32 : chunks }
    private var operationCount: Int { common.smoke ? 200 : operations }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "model": .text(geometry.name), "tokens": .number(geometry.tokenCount),
            "chunks": .number(chunkCount), "depth": .number(depth),
            "threads": .number(threads), "verification": .flag(!noVerification),
            "reads": .number(reads), "puts": .number(puts),
            "skew": .text("\(skew)"), "operations": .number(operationCount),
            "rounds": .number(roundCount),
        ]
    }

    /// Chunks that may be put: twice what the shares make likely.
    private var newCount: Int { (roundCount + 1) * operationCount * puts / 100 * 2 }

    var writtenBytes: Int { (chunkCount + newCount / 2) * geometry.chunkBytes }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        try workplace.requireSpace((chunkCount + newCount) * geometry.chunkBytes * 2)
        let store = try BenchStore(
            at: workplace.directory("store"), source: ChunkSource(geometry, seed: common.seed),
            chunkCount: chunkCount + newCount, common: common)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: min(depth, 4))
        report.takeTraits(store.db.disk)
        let progress = Progress(stepCount: 2 * (roundCount + 1))
        defer { progress.finish() }
        let traffic = MixedTraffic(
            store, present: chunkCount, fame: Popularity(count: chunkCount, exponent: skew),
            noVerification ? .unverified : .verified)
        var tallies: [MixedTraffic.Kind: Tally] = [:]
        var (alone, ratios) = (Tally(), [Double]())
        for round in workplace.budget.rounds(roundCount, from: -1) {
            let start = Clocks()
            let quiet = try traffic.run(
                operationCount, tasks: depth, threads: threads, reads: 100, puts: 0,
                seed: seed(round, 0))
            let middle = Clocks()
            progress.advance("reads alone, chunkdb")
            let mixed = try traffic.run(
                operationCount, tasks: depth, threads: threads, reads: reads, puts: puts,
                seed: seed(round, 1))
            let end = Clocks()
            progress.advance("all together, chunkdb")
            // The first of everything is slower.
            if round < 0 { continue }
            alone.add(quiet[.read] ?? Work(), from: start, to: middle)
            for (kind, work) in mixed {
                tallies[kind, default: Tally()].add(work, from: middle, to: end)
            }
            ratios.append(p99(mixed[.read]) / p99(quiet[.read]))
        }
        report.results.append(
            alone.result(name: "reads alone", subject: "chunkdb"))
        for kind in MixedTraffic.Kind.allCases {
            guard let tally = tallies[kind] else { continue }
            var result = tally.result(name: kind.rawValue, subject: "chunkdb")
            // The process's, of all kinds together.
            result.metrics["cpuSecondsPerGiB"] = nil
            if kind == .read {
                result.metrics["p99Ratio"] = median(ratios)
                result.metrics["p99RatioLow"] = ratios.min()
                result.metrics["p99RatioHigh"] = ratios.max()
            }
            report.results.append(result)
        }
        report.addPageCache(
            "page cache", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
        report.notes.append(
            "\(depth) tasks on \(threads) caller thread(s), one operation after the other each; "
                + "\(reads) of 100 read a layer, "
                + "\(puts) put a chunk durably, the rest remove one; p99 ratio: reads of a window "
                + "beside the others ÷ of the window of reads alone before it")
    }

    private func seed(_ round: Int, _ part: Int) -> UInt64 {
        common.seed &* 1_000 &+ UInt64(2 * (round + 1) + part)
    }

    private func p99(_ work: Work?) -> Double {
        let sorted = (work?.latencies ?? []).sorted()
        return sorted.isEmpty ? 1 : Double(sorted[min(sorted.count * 99 / 100, sorted.count - 1)])
    }
}

/// Operations on one store, whose chunks come and go.
private final class MixedTraffic: Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case read = "reads beside"
        case put = "puts"
        case remove = "removals"
    }

    private let store: BenchStore
    private let fame: Popularity
    private let verification: Verification
    private let nextNew: Atomic<Int>
    /// The most famous first; who is put takes the place of somebody who was removed.
    private let present: Mutex<[Int]>

    init(
        _ store: BenchStore, present count: Int, fame: Popularity, _ verification: Verification
    ) {
        self.store = store
        self.verification = verification
        self.fame = fame
        nextNew = Atomic(count)
        present = Mutex(Array(0..<count))
    }

    /// *Returns:* what was done of each kind.
    func run(_ count: Int, tasks: Int, threads: Int, reads: Int, puts: Int, seed: UInt64) throws
        -> [Kind: Work]
    {
        let done = try onThreads(threads) { [self] thread in
            try await withThrowingTaskGroup(of: [Kind: Work].self) { group in
                for task in stride(from: thread, to: tasks, by: threads) {
                    group.addTask { [self] in
                        var generator = SeededGenerator(seed: seed &* 257 &+ UInt64(task))
                        var done: [Kind: Work] = [:]
                        for _ in stride(from: task, to: count, by: tasks) {
                            let draw = Int.random(in: 0..<100, using: &generator)
                            let kind: Kind =
                                draw < reads ? .read : draw < reads + puts ? .put : .remove
                            try await perform(kind, &generator, &done[kind, default: Work()])
                        }
                        return done
                    }
                }
                return try await group.reduce(into: [:]) { sum, done in
                    sum.merge(done) { $0 + $1 }
                }
            }
        }
        return done.reduce(into: [:]) { sum, done in sum.merge(done) { $0 + $1 } }
    }

    private func perform(_ kind: Kind, _ generator: inout SeededGenerator, _ work: inout Work)
        async throws
    {
        let rank = fame.rank(using: &generator)
        let layer = Int.random(in: 0..<store.source.geometry.layerCount, using: &generator)
        let start = Clocks.now
        switch kind {
        case .read:
            let chunk = present.withLock { $0[rank % $0.count] }
            let data = try await store.namespace.get(
                store.key(chunk), layers: layer..<layer + 1, verification: verification)
            if let data {
                try store.check(data, chunk: chunk)
                work.bytes += store.source.geometry.layerBytes
            } else if present.withLock({ $0.contains(chunk) }) {
                throw BenchmarkError.wrongBytes("chunk \(chunk): a miss")
            }
        case .put:
            let chunk = nextNew.add(1, ordering: .relaxed).oldValue
            work.bytes += try await store.putOne(chunk)
            present.withLock { $0.append(chunk) }
        case .remove:
            // Somebody has to be left to be read.
            let chunk = present.withLock { present in
                present.count > 8 ? present.remove(at: rank % present.count) : nil
            }
            guard let chunk else { return }
            try await store.namespace.remove(store.key(chunk))
        }
        work.latencies.append(Clocks.now - start)
        work.operations += 1
    }
}
