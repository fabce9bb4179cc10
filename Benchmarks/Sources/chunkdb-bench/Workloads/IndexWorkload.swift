// Question: is the index faster than the ordered maps one could have taken instead? A bad answer:
// ratios below the goals in Benchmarks/Measured.md, or a p99 above the best ordered peer's.
//
// In a round every subject is loaded, then each question is put to all subjects in turn, so that
// neighbours in time are compared; the order of subjects rotates from round to round. A ratio is
// taken within a round, and the median over the rounds is reported. A first round warms up and is
// not counted: from then on every subject loads into memory that it, or its allocator, has had
// before, so that nobody is measured by what a first touch of a page costs on this machine. What
// an entry costs in memory is taken in that first round.

import ArgumentParser
import BSkiplist
import Dispatch
import Synchronization

struct IndexWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "index",
        abstract: "The index in memory, beside absl, RocksDB, oneTBB and std::map in one run.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Entries loaded, at least 1000.") var entries = 1_000_000
    @Option(help: "Operations of one window, all threads together.") var operations = 1_000_000
    @Option(parsing: .upToNextOption, help: "Threads; each count is a run of its own.")
    var threads = [1, 2]
    @Option(help: "Rounds; subjects take turns in each.") var rounds = 5
    @Option(help: "How keys lie: uniform, shared (first 8 bytes), variants (1000 of each chunk).")
    var keys = KeyShape.uniform
    @Flag(help: "Ours alone.") var alone = false

    func validate() throws {
        guard entries >= 1_000, operations >= 1_000, rounds > 0, !threads.isEmpty,
            threads.allSatisfy({ (1...64).contains($0) })
        else { throw ValidationError("entries and operations from 1000, threads 1 to 64") }
    }

    private var entryCount: Int { common.smoke ? 1_000 : entries }
    private var operationCount: Int { common.smoke ? 1_000 : operations }
    private var roundCount: Int { common.smoke ? 1 : rounds }

    var facts: [String: OptionValue] {
        [
            "entries": .number(entryCount), "operations": .number(operationCount),
            "threads": .text(threads.map(String.init).joined(separator: ",")),
            "rounds": .number(roundCount), "keys": .text(keys.rawValue), "alone": .flag(alone),
        ]
    }

    var writtenBytes: Int { 0 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let arena = NodeArena()
        var present: [IndexSubjectKind] = []
        for kind in IndexSubjectKind.allCases {
            if alone && kind != .slim && kind != .full { continue }
            if kind.make(in: arena, seed: common.seed) != nil {
                present.append(kind)
            } else {
                report.notes.append(
                    "SKIPPED: \(kind.rawValue) is not compiled in; Benchmarks/README.md says how")
            }
        }
        let progress = Progress(
            stepCount: threads.count * (roundCount + 1) * present.count * IndexQuestion.all.count)
        defer { progress.finish() }
        var facts: [IndexSubjectKind: [String: Double]] = [:]
        for (place, threadCount) in threads.enumerated() {
            let share = 1 / Double(threads.count - place)
            var record = Record(facts: facts)
            for round in workplace.budget.rounds(roundCount, from: -1, share: share) {
                try measure(round + 1, threadCount, present, arena, &record, progress)
            }
            report.results += record.results(present, threadCount)
            facts = record.facts
        }
        report.notes += [
            "every 16th operation is timed, its key (about 10 ns) included, the counter's own "
                + "\(Int(Double(Ticks.cost) * Ticks.nanosecondsPerTick)) ns taken off",
            "batch: one operation is one key, latencies are those of a whole batch; who has no "
                + "batches is asked one by one",
            "ours ÷: rate of chunkdb 16/24 over this one's, median of rounds; B/entry of peers is "
                + "the process's growth",
            "rocksdb puts blindly and removes by tombstone; tbb has no concurrent removal",
        ]
        if keys != .uniform {
            report.notes.append("absl's 64 trees are ranges of keys: these keys crowd into few")
        }
    }

    // MARK: One round

    private func measure(
        _ round: Int, _ threadCount: Int, _ present: [IndexSubjectKind], _ arena: NodeArena,
        _ record: inout Record, _ progress: Progress
    ) throws {
        let order = present.indices.map { present[($0 + round) % present.count] }
        let subjects = order.compactMap { $0.make(in: arena, seed: common.seed &+ UInt64(round)) }
        for (place, question) in IndexQuestion.all.enumerated() {
            var rates: [IndexSubjectKind: Double] = [:]
            for subject in subjects {
                let resident = Machine.residentBytes
                let start = Clocks()
                let work = try window(subject, question, place, threadCount)
                let end = Clocks()
                progress.advance("\(question.name), \(subject.kind.rawValue)")
                if question == .load && record.facts[subject.kind] == nil {
                    let grown = max(Machine.residentBytes - resident, 0)
                    record.facts[subject.kind] = subject.facts.merging(
                        ["bytesPerEntry": Double(subject.nodeBytes ?? grown) / Double(entryCount)]
                    ) { $1 }
                }
                guard let work, round > 0 else { continue }
                record.add(work, question, subject.kind, from: start, to: end)
                rates[subject.kind] =
                    Double(work.operations) / Double(end.nanoseconds - start.nanoseconds)
            }
            record.addRatios(question, rates)
        }
    }

    /// Nil when the subject does not offer the operation.
    private func window(
        _ subject: any IndexSubject, _ question: IndexQuestion, _ place: Int, _ threadCount: Int
    ) throws -> Work? {
        let total = question.operations(operationCount, entries: entryCount)
        let sum = Mutex((work: Work(), isRight: true, isOffered: true))
        DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
            let turns = (total * thread / threadCount)..<(total * (thread + 1) / threadCount)
            let answer = subject.run(
                IndexShare(
                    question: question, shape: keys, turns: turns, entryCount: entryCount,
                    place: place))
            sum.withLock { sum in
                sum.work.operations += turns.count
                sum.work.latencies += answer.latencies
                sum.isRight = sum.isRight && answer.isRight
                sum.isOffered = sum.isOffered && answer.isOffered
            }
        }
        return try sum.withLock { sum in
            guard sum.isRight else {
                throw BenchmarkError.wrongBytes("\(subject.kind.rawValue): \(question.name)")
            }
            return sum.isOffered ? sum.work : nil
        }
    }

    // MARK: What is kept

    private struct Record {
        private struct Row: Hashable {
            let question: IndexQuestion
            let kind: IndexSubjectKind
        }
        private var tallies: [Row: Tally] = [:]
        private var ratios: [Row: [Double]] = [:]
        /// Of the very first load: later ones reuse memory, and the process does not grow.
        var facts: [IndexSubjectKind: [String: Double]]

        init(facts: [IndexSubjectKind: [String: Double]]) { self.facts = facts }

        mutating func add(
            _ work: Work, _ question: IndexQuestion, _ kind: IndexSubjectKind,
            from start: Clocks, to end: Clocks
        ) {
            tallies[Row(question: question, kind: kind), default: Tally()]
                .add(work, from: start, to: end)
        }

        /// What ours did for each thing a peer did, in the same round.
        mutating func addRatios(_ question: IndexQuestion, _ rates: [IndexSubjectKind: Double]) {
            guard let ours = rates[.slim] else { return }
            for (kind, rate) in rates where kind != .slim {
                ratios[Row(question: question, kind: kind), default: []].append(ours / rate)
            }
        }

        func results(_ kinds: [IndexSubjectKind], _ threadCount: Int) -> [BenchmarkResult] {
            let threads = threadCount == 1 ? "1 thread" : "\(threadCount) threads"
            return IndexQuestion.all.flatMap { question in
                kinds.compactMap { kind in
                    let row = Row(question: question, kind: kind)
                    guard let tally = tallies[row] else { return nil }
                    var result = tally.result(
                        name: "\(question.name), \(threads)", subject: kind.rawValue)
                    if let ratios = ratios[row] {
                        result.metrics["oursRatio"] = median(ratios)
                        result.metrics["oursRatioLow"] = ratios.min()
                        result.metrics["oursRatioHigh"] = ratios.max()
                    }
                    if question == .load { result.metrics.merge(facts[kind] ?? [:]) { $1 } }
                    return result
                }
            }
        }
    }
}

extension KeyShape: ExpressibleByArgument {}
