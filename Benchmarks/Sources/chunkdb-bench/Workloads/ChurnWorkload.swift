// Question: what does living full cost? A bad answer: more than 1.3 bytes written for a byte put,
// more than a tenth of the capacity dead, far fewer tokens saved than a cache of whole objects of
// the same size would save (`traces`), or reads that are much slower while segments are cleaned.
//
// Two parts. Generated traffic goes through real stores, one for each policy, each beside the
// simulator that `traces` uses, at the same capacity. Then random layers are read beside puts, in
// windows that take turns between a store that is full, so that every put makes it clean, and one
// that has room for all.

import ArgumentParser
import ChunkDB
import Foundation
import Retention
import Synchronization

struct ChurnWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "churn",
        abstract: "A full store: what it saves, what it writes, and how it reads meanwhile.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: Preset = .llama3_1b
    @Option(help: "Of the store that is full.") var capacity = ByteSize(2 << 30)
    @Option(help: "zipf, drift, scan, tenants, mixed, documents-14; at 10 % of its bytes.")
    var trace: TraceKind = .zipf
    @Option(help: "Prompts of 5 to 15 chunks; all is measured after the first half.")
    var prompts = 4_000
    @Option(parsing: .upToNextOption, help: "Retention policies, a store each.")
    var policies = ["recall", "lru"]
    @Option(help: "Layers read in a window, by eight tasks.") var reads = 2_000
    @Option(help: "Windows of each; they take turns.") var rounds = 9

    func validate() throws {
        guard prompts >= 20, reads > 0, rounds > 0, !policies.isEmpty,
            capacity.byteCount >= 64 << 20
        else {
            throw ValidationError("at least 20 prompts, a read, a round, a policy and 64 MiB")
        }
        do {
            for name in policies { _ = try RetentionPolicies.named(name) }
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private var geometry: ChunkGeometry { (common.smoke ? .tiny : model).geometry }
    private var capacityBytes: Int { common.smoke ? 16 << 20 : capacity.byteCount }
    private var promptCount: Int { common.smoke ? 60 : prompts }
    private var readCount: Int { common.smoke ? 64 : reads }
    private var roundCount: Int { common.smoke ? 2 : rounds }
    private static let readerCount = 8

    var facts: [String: OptionValue] {
        [
            "model": .text(geometry.name), "capacityBytes": .number(capacityBytes),
            "trace": .text(trace.rawValue), "prompts": .number(promptCount),
            "policies": .text(policies.joined(separator: ",")), "reads": .number(readCount),
            "rounds": .number(roundCount),
        ]
    }

    /// As if one request of four missed; the reads' puts go as fast as they can, about one for four
    /// reads.
    var writtenBytes: Int {
        let traffic = policies.count * promptCount * 10 / 4
        let beside = 2 * (roundCount + 1) * readCount / 4
        return (traffic + beside) * geometry.chunkBytes + capacityBytes / 2
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        // A tenth of the bytes that traffic returns to fits.
        let chunkCount = capacityBytes / geometry.chunkBytes * 10
        let traffic = trace.generate(
            TraceScale(
                chunkCount: chunkCount, promptCount: promptCount,
                queryCount: min(promptCount, 1_000), seed: common.seed))
        let roomyBytes = (roundCount + 1) * readCount / 4 * geometry.chunkBytes
        try workplace.requireSpace(3 * capacityBytes + roomyBytes)
        let progress = Progress(stepCount: policies.count * 20 + 2 * (roundCount + 1))
        defer { progress.finish() }
        for (place, policy) in policies.enumerated() {
            let store = try ChurnStore(
                at: workplace.directory("full-\(policy)"), geometry, capacityBytes, policy, common)
            report.takeTraits(store.db.disk)
            let result = try serve(traffic, store, progress)
            let simulated = try simulate(traffic, policy)
            report.results += [
                BenchmarkResult(name: traffic.name, subject: "chunkdb, \(policy)", metrics: result),
                BenchmarkResult(
                    name: traffic.name, subject: "whole objects, \(policy)",
                    metrics: ["savedTokenShare": simulated]),
            ]
            if place == 0 {
                report.results += try readsBesideCleaning(store, workplace, progress)
            }
            report.addPageCache(
                "page cache after \(policy)", subject: "chunkdb", below: store.path,
                moved: Int(clamping: store.db.diskCounters.readBytes))
            try store.close()
        }
        report.notes += [
            "saved, written ÷ put and waits: over the second half of the trace; dead: allocated "
                + "bytes that neither live nor are free for use, of the capacity, at its end",
            "whole objects: the simulator of `traces`, at the same capacity and over the same half",
            "reads: layers of present chunks, \(Self.readerCount) tasks, while one task puts new "
                + "chunks as fast as it can; p99 ratio: of neighbouring windows, full ÷ roomy",
        ]
    }

    // MARK: Traffic

    /// A hit reads one layer, which is a use; a miss puts the chunk.
    private func serve(_ traffic: Trace, _ store: ChurnStore, _ progress: Progress) throws
        -> [String: Double]
    {
        let half = traffic.tenthEnds[4]
        var (saved, requested) = (0.0, 0.0)
        var begin = store.facts()
        var end = 0
        for (tenth, next) in traffic.tenthEnds.enumerated() {
            let requests = traffic.requests[end..<next]
            end = next
            let hits = try store.serve(requests.map { Int($0.object) })
            for (request, isHit) in zip(requests, hits) where tenth >= 5 {
                let tokens = traffic.objects[Int(request.object)].savedTokens
                requested += tokens
                if isHit { saved += tokens }
            }
            if next == half { begin = store.facts() }
            progress.advance("\(traffic.name), \(store.policy)")
            progress.advance("\(traffic.name), \(store.policy)")
        }
        let facts = store.facts()
        let put = Double(facts.cost.putBytes - begin.cost.putBytes)
        let dead =
            Double(facts.cost.allocatedBytes) - Double(facts.cost.livingBytes)
            - Double(facts.freeBytes)
        return [
            "savedTokenShare": requested > 0 ? saved / requested : 0,
            "writeAmplification":
                put > 0 ? Double(facts.cost.writtenBytes - begin.cost.writtenBytes) / put : 0,
            "movedShare": put > 0 ? Double(facts.cost.movedBytes - begin.cost.movedBytes) / put : 0,
            "deadShare": max(dead, 0) / Double(capacityBytes),
            "livingShare": Double(facts.cost.livingBytes) / Double(capacityBytes),
            "waitedPutShare":
                Double(facts.waitedPutCount - begin.waitedPutCount)
                / Double(max(facts.putCount - begin.putCount, 1)),
        ]
    }

    /// The share that whole objects save in the second half.
    private func simulate(_ traffic: Trace, _ policy: String) throws -> Double {
        var options = RetentionOptions()
        options.ghostSlots = max(RetentionOptions.defaultGhostSlots, traffic.objects.count)
        // As large on disk as the store's: what a budget holds is compared.
        var scaled = traffic
        let bytes = geometry.chunkBytes + TraceObject.headerBytes
        let factor = Double(bytes) / Double(TraceObject(tokenCount: 256).diskBytes)
        for index in scaled.objects.indices {
            scaled.objects[index].diskBytes = Int(
                Double(scaled.objects[index].diskBytes) * factor)
        }
        let result = CacheSimulator.run(
            scaled, capacityBytes: capacityBytes,
            policy: try RetentionPolicies.named(policy, options: options))
        let shares = result.savedShareByTenth.suffix(5)
        return shares.isEmpty ? 0 : shares.reduce(0, +) / Double(shares.count)
    }

    // MARK: Reads

    private func readsBesideCleaning(
        _ full: ChurnStore, _ workplace: Workplace, _ progress: Progress
    ) throws -> [BenchmarkResult] {
        let room = (roundCount + 1) * readCount / 2 * geometry.chunkBytes + 4 * capacityBytes
        let roomy = try ChurnStore(
            at: workplace.directory("roomy"), geometry, room, full.policy, common)
        defer { try? roomy.close() }
        _ = try roomy.serve(Array(0..<capacityBytes / geometry.chunkBytes / 2))
        let stores = [full, roomy]
        var tallies = stores.map { _ in Tally() }
        var ratios: [Double] = []
        let freed = full.facts().freedCount
        for round in workplace.budget.rounds(roundCount, from: -1) {
            var p99: [Double] = []
            for (index, store) in stores.enumerated() {
                let start = Clocks()
                let work = try store.readBesidePuts(
                    readCount, readers: Self.readerCount,
                    seed: common.seed &+ UInt64(round + 2) &* 977)
                let end = Clocks()
                let sorted = work.latencies.sorted()
                p99.append(Double(sorted[min(sorted.count * 99 / 100, sorted.count - 1)]))
                if round >= 0 { tallies[index].add(work, from: start, to: end) }
                progress.advance("reads, \(index == 0 ? "full" : "roomy")")
            }
            if round >= 0 { ratios.append(p99[0] / p99[1]) }
        }
        let names = ["chunkdb, full", "chunkdb, roomy"]
        var results = zip(names, tallies).map { name, tally in
            tally.result(name: "reads beside puts", subject: name)
        }
        results[0].metrics["p99Ratio"] = median(ratios)
        results[0].metrics["p99RatioLow"] = ratios.min()
        results[0].metrics["p99RatioHigh"] = ratios.max()
        results[0].metrics["freedCount"] = Double(full.facts().freedCount - freed)
        return results
    }
}

/// A store that is used as a cache: chunks by number.
private final class ChurnStore: Sendable {
    let db: ChunkDB
    let path: String
    let policy: String
    private let namespace: Namespace
    private let source: ChunkSource
    /// Chunks that nobody asked for before.
    private let nextNew = Atomic<Int>(1 << 30)
    private let present = Mutex<[Int]>([])
    private let isOver = Atomic(false)

    struct Facts {
        let cost: Amplification
        let freeBytes: UInt64
        let freedCount: UInt64
        let waitedPutCount: UInt64
        let putCount: UInt64
    }

    init(
        at path: String, _ geometry: ChunkGeometry, _ capacity: Int, _ policy: String,
        _ common: CommonOptions
    ) throws {
        var options = StoreOptions(capacity: ByteCount(UInt64(capacity)), disk: common.disk)
        options.retentionPolicy = policy
        let binding = geometry.binding
        (db, namespace) = try blocking { [options] in
            let db = try await ChunkDB.open(at: path, options: options)
            return (db, try await db.namespace("bench", model: binding))
        }
        (self.path, self.policy) = (path, policy)
        source = ChunkSource(geometry, seed: common.seed)
    }

    func facts() -> Facts {
        let (cost, counters) = CallerThread.wait { [db] in
            (await db.amplification(), await db.logCounters())
        }
        return Facts(
            cost: cost, freeBytes: counters.freeBytes, freedCount: counters.freedCount,
            waitedPutCount: db.counters.waitedPutCount, putCount: db.counters.putCount)
    }

    /// One after the other. *Returns:* which were hits.
    func serve(_ chunks: [Int]) throws -> [Bool] {
        try blocking { [self] in
            var hits: [Bool] = []
            for chunk in chunks {
                let isHit = try await read(chunk, layer: 0)
                if !isHit { try await put(chunk) }
                hits.append(isHit)
            }
            return hits
        }
    }

    private func read(_ chunk: Int, layer: Int) async throws -> Bool {
        let key = namespace.key(tokens: source.tokens(chunk))
        guard let data = try await namespace.get(key, layers: layer..<layer + 1) else {
            return false
        }
        let isRight = unsafe data.withPlane(layer: layer, .keys) {
            unsafe begins($0, with: source.plane(chunk, layer: layer, .keys))
        }
        if !isRight { throw BenchmarkError.wrongBytes("chunk \(chunk)") }
        return true
    }

    private func put(_ chunk: Int) async throws {
        let tokens = source.tokens(chunk)
        var writer = try await namespace.beginPut(namespace.key(tokens: tokens), tokens: tokens)
        for layer in 0..<source.geometry.layerCount {
            try await writer.append(
                layer: layer, keys: source.plane(chunk, layer: layer, .keys),
                values: source.plane(chunk, layer: layer, .values))
        }
        _ = try await writer.commit(durability: .written)
        present.withLock { present in
            present.append(chunk)
            // Older ones may be gone by now.
            if present.count > 20_000 { present.removeFirst(10_000) }
        }
    }

    /// Layers of chunks that were put lately, if they are there; the writer goes on meanwhile.
    func readBesidePuts(_ count: Int, readers: Int, seed: UInt64) throws -> Work {
        try blocking { [self] in
            isOver.store(false, ordering: .relaxed)
            let writing = Task { [self] in
                while !isOver.load(ordering: .relaxed) {
                    try await put(nextNew.add(1, ordering: .relaxed).oldValue)
                }
            }
            let work = try await withThrowingTaskGroup(of: Work.self) { group in
                for reader in 0..<readers {
                    group.addTask { [self] in
                        try await read(count / readers, seed &+ UInt64(reader))
                    }
                }
                return try await group.reduce(Work()) { $0 + $1 }
            }
            isOver.store(true, ordering: .relaxed)
            try await writing.value
            return work
        }
    }

    private func read(_ count: Int, _ seed: UInt64) async throws -> Work {
        var generator = SeededGenerator(seed: seed)
        var work = Work()
        while work.operations < count {
            let chunk = present.withLock { $0.suffix(200).randomElement(using: &generator)! }
            let layer = Int.random(in: 0..<source.geometry.layerCount, using: &generator)
            let start = Clocks.now
            guard try await read(chunk, layer: layer) else { continue }
            work.latencies.append(Clocks.now - start)
            work.operations += 1
            work.bytes += source.geometry.layerBytes
        }
        return work
    }

    func close() throws {
        try blocking { [db] in await db.close() }
    }
}
