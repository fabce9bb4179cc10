// Question: what do a million entries cost in memory, in time per lookup, and in time to open a
// store? A bad answer: more bytes an entry than the 64 of key and value by half, a second thread
// that adds nothing, or an open that takes longer than reading its checkpoint from the device
// explains.

import ArgumentParser
import BSkiplist
import ChunkDB
import Dispatch
import Foundation
import Synchronization

struct IndexWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "index",
        abstract: "Loads and lookups of random keys; opening a store from its checkpoint.")

    @OptionGroup var common: CommonOptions

    @Option(help: "Entries.")
    var entries = 1_000_000

    @Option(help: "Lookups of one window, all threads together.")
    var lookups = 1_000_000

    @Option(parsing: .upToNextOption, help: "Threads that look up at once.")
    var threads: [Int] = [1, 2]

    @Option(help: "Keys of one batch.")
    var batch = 64

    @Option(help: "Windows of each; they take turns.")
    var rounds = 7

    func validate() throws {
        guard entries > 0, lookups > 0, batch > 0, rounds > 0, !threads.isEmpty,
            threads.allSatisfy({ (1...1_024).contains($0) })
        else { throw ValidationError("counts are at least 1, threads at most 1024") }
    }

    private var entryCount: Int { common.smoke ? 2_000 : entries }
    private var lookupCount: Int { common.smoke ? 2_000 : lookups }
    private var roundCount: Int { common.smoke ? 2 : rounds }
    /// One of so many operations is timed, so that the clock is not what is measured.
    private static let sampling = 16

    var facts: [String: OptionValue] {
        [
            "entries": .number(entryCount), "lookups": .number(lookupCount),
            "threads": .text(threads.map(String.init).joined(separator: ",")),
            "batch": .number(batch), "rounds": .number(roundCount),
        ]
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let progress = Progress(
            stepCount: windowCount(
                rounds: roundCount, subjects: 3 * threads.count, hasYardstick: false)
                + 2 * roundCount + 1)
        defer { progress.finish() }
        let arena = NodeArena()
        let index = try load(arena, &report, progress)
        var subjects: [Subject] = []
        for threadCount in threads {
            subjects.append(hits(index, threadCount))
            subjects.append(misses(index, threadCount))
            subjects.append(batches(index, threadCount))
        }
        report.results += try interleave(
            rounds: roundCount, yardstick: nil, subjects: subjects, progress: progress)
        try measureOpening(in: workplace, &report, progress)
        report.notes += [
            "keys of 40 bytes, values of 24; every \(Self.sampling)th operation is timed, "
                + "computing its key (about 10 ns) included",
            "batch: latencies are those of \(batch) keys together",
        ]
    }

    // MARK: In memory

    private func load(
        _ arena: NodeArena, _ report: inout BenchmarkReport, _ progress: Progress
    ) throws -> BSkiplist {
        var kept: BSkiplist?
        var tally = Tally()
        for _ in 0..<roundCount {
            // The arena takes the old index's nodes back, so only the first round touches memory.
            kept = nil
            let index = BSkiplist(arena: arena, seed: common.seed)
            let start = Clocks()
            var work = Work()
            for entry in 0..<entryCount {
                let began = entry % Self.sampling == 0 ? Clocks.now : 0
                _ = index.insert(key(entry), value(entry))
                if began != 0 { work.latencies.append(Clocks.now - began) }
            }
            work.operations = entryCount
            tally.add(work, from: start, to: Clocks())
            progress.advance("load")
            kept = index
        }
        guard let index = kept, index.count == entryCount else {
            throw BenchmarkError.wrongBytes("\(kept?.count ?? 0) entries instead of \(entryCount)")
        }
        var metrics = tally.metrics
        metrics["entryCount"] = Double(index.count)
        metrics["bytesPerEntry"] = Double(index.allocatedBytes) / Double(index.count)
        report.results.append(
            BenchmarkResult(name: "load, random order", subject: "chunkdb", metrics: metrics))
        return index
    }

    private func hits(_ index: BSkiplist, _ threadCount: Int) -> Subject {
        lookups("lookup", threadCount) { [entryCount] generator, count, work in
            for turn in 0..<count {
                let began = turn % Self.sampling == 0 ? Clocks.now : 0
                let entry = Int(truncatingIfNeeded: generator.next() % UInt64(entryCount))
                if index.lookup(key(entry))?.v0 != UInt64(entry) { return false }
                if began != 0 { work.latencies.append(Clocks.now - began) }
            }
            return true
        }
    }

    private func misses(_ index: BSkiplist, _ threadCount: Int) -> Subject {
        lookups("lookup of absent keys", threadCount) { [entryCount] generator, count, work in
            for turn in 0..<count {
                let began = turn % Self.sampling == 0 ? Clocks.now : 0
                let entry = Int(truncatingIfNeeded: generator.next() % UInt64(entryCount))
                if index.lookup(key(entryCount + entry)) != nil { return false }
                if began != 0 { work.latencies.append(Clocks.now - began) }
            }
            return true
        }
    }

    private func batches(_ index: BSkiplist, _ threadCount: Int) -> Subject {
        lookups("lookup in batches of \(batch)", threadCount) {
            [entryCount, batch] generator, count, work in
            var done = 0
            while done < count {
                let began = Clocks.now
                let entries = (0..<min(batch, count - done)).map { _ in
                    Int(truncatingIfNeeded: generator.next() % UInt64(entryCount))
                }
                let found = index.lookup(batch: entries.map { key($0) })
                for (entry, value) in zip(entries, found) where value?.v0 != UInt64(entry) {
                    return false
                }
                work.latencies.append(Clocks.now - began)
                done += entries.count
            }
            return true
        }
    }

    private typealias Lookups = @Sendable (inout SeededGenerator, _ count: Int, inout Work) -> Bool

    /// A window in which every thread does its share; `body` is false on a wrong answer.
    private func lookups(_ name: String, _ threadCount: Int, _ body: @escaping Lookups) -> Subject {
        let threads = threadCount == 1 ? "1 thread" : "\(threadCount) threads"
        let share = max(lookupCount / threadCount, 1)
        let seed = common.seed
        return Subject(name: "\(name), \(threads)", subject: "chunkdb") { round in
            let sum = Mutex((work: Work(), isRight: true))
            DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
                var generator = SeededGenerator(
                    seed: seed &+ UInt64(thread) << 40 &+ UInt64(bitPattern: Int64(round)))
                var work = Work()
                let isRight = body(&generator, share, &work)
                work.operations = share
                sum.withLock { sum in
                    sum.work = sum.work + work
                    sum.isRight = sum.isRight && isRight
                }
            }
            return try sum.withLock { sum in
                guard sum.isRight else { throw BenchmarkError.wrongBytes("a lookup's value") }
                return sum.work
            }
        }
    }

    // MARK: On disk

    /// Opens a store whose checkpoint names as many entries. The checkpoint is written by the log
    /// itself from generated entries; all point to the one record there is, which opening does not
    /// read.
    private func measureOpening(
        in workplace: Workplace, _ report: inout BenchmarkReport, _ progress: Progress
    ) throws {
        let path = workplace.directory("store")
        let options = StoreOptions(disk: common.disk)
        let writing = try makeCheckpoint(at: path, options)
        progress.advance("checkpoint")
        var opening = Tally()
        var closing = Tally()
        for _ in 0..<roundCount {
            let start = Clocks()
            let db = try ChunkDB.openAndWait(at: path, options: options)
            let opened = Clocks()
            let found = db.namespace("bench")?.entryCount ?? 0
            let ignored = db.recovery.checkpointIgnored
            report.takeTraits(db.disk)
            let closeStart = Clocks()
            try blocking { await db.close() }
            closing.add(work(from: closeStart), from: closeStart, to: Clocks())
            opening.add(work(from: start, to: opened), from: start, to: opened)
            guard found == entryCount, ignored == nil else {
                throw BenchmarkError.wrongBytes(
                    "\(found) entries instead of \(entryCount); checkpoint: \(ignored ?? "used")")
            }
            progress.advance("open")
        }
        let size = try FileManager.default.attributesOfItem(atPath: path + "/checkpoint")[.size]
        let checkpointBytes = Double((size as? Int) ?? 0)
        for (name, tally) in [
            ("open from checkpoint", opening), ("close with checkpoint", closing),
        ] {
            var metrics = tally.metrics
            metrics["entryCount"] = Double(entryCount)
            metrics["checkpointBytes"] = checkpointBytes
            metrics["nanosecondsPerEntry"] =
                (metrics["p50Nanoseconds"] ?? 0) / Double(entryCount)
            report.results.append(
                BenchmarkResult(name: name, subject: "chunkdb", metrics: metrics))
        }
        report.notes.append(
            "the checkpoint was generated and written by the log in "
                + "\(writing / 1_000_000) ms; no payload stands behind its entries")
    }

    private func work(from start: Clocks, to end: Clocks = Clocks()) -> Work {
        Work(operations: 1, bytes: 0, latencies: [end.nanoseconds - start.nanoseconds])
    }

    /// Returns the nanoseconds that writing took.
    private func makeCheckpoint(at path: String, _ options: StoreOptions) throws -> UInt64 {
        let source = ChunkSource(Preset.tiny.geometry, seed: common.seed)
        let store = try BenchStore(at: path, source: source, chunkCount: 1, common: common)
        _ = try store.put(0..<1, writers: 1)
        guard let place = store.namespace.contains(store.key(0))?.extent else {
            throw BenchmarkError.wrongBytes("the only chunk is a miss")
        }
        try store.close()
        let namespace = store.namespace.id
        let diskOptions = options.disk
        let entryCount = entryCount
        var checkpoint = (0..<entryCount).map { entry in
            let key = key(entry)
            return CheckpointEntry(
                namespace: namespace, key: ChunkKey(words: (key.w0, key.w1, key.w2, key.w3)),
                variant: .standalone,
                location: RecordLocation(segment: place.segment, offset: place.offset),
                headerBytes: 4_096, variantDiskBytes: 32 << 20, tokenCount: 256, flags: 0,
                ordinal: UInt32(entry))
        }
        checkpoint.sort { $0.key < $1.key }
        let heat = [HeatRow](
            repeating: HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0),
            count: entryCount)
        let snapshot = IndexSnapshot(entries: checkpoint, heat: heat)
        return try blocking {
            let disk = try openDisk(
                directory: path, create: false, readOnly: false, options: diskOptions)
            let thread = CoreThread(name: "bench-core")
            let (log, _) = try await SegmentLog.open(
                on: disk, policy: .normal, options: LogOptions(capacityBytes: 1 << 30),
                environment: LogEnvironment(
                    executor: thread, clock: SystemClock(), entropy: SystemEntropy()))
            let start = Clocks.now
            try await log.checkpoint { snapshot }
            let elapsed = Clocks.now - start
            await log.close()
            thread.finish()
            return elapsed
        }
    }
}

// Keys that are computed, not stored: a lookup then misses no cache of ours.

@inline(__always)
private func key(_ entry: Int) -> IndexKey {
    IndexKey(
        mix(UInt64(entry) &* 4 &+ 1), mix(UInt64(entry) &* 4 &+ 2), mix(UInt64(entry) &* 4 &+ 3),
        mix(UInt64(entry) &* 4 &+ 4), 0)
}

@inline(__always)
private func value(_ entry: Int) -> IndexValue { IndexValue(UInt64(entry), 0, 0) }

@inline(__always)
private func mix(_ number: UInt64) -> UInt64 {
    var mixed = number &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
}
