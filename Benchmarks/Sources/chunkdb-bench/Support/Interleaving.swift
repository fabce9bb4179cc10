// How numbers are obtained on machines whose device changes its mind within seconds: short windows
// of the yardstick and of the subjects take turns (Y A Y B Y A Y B … Y), each subject's window is
// divided by the mean of the yardstick's windows just before and just after it, and medians are
// reported.

/// What one window did.
struct Work: Sendable {
    var operations = 0
    var bytes = 0
    /// One an operation, or a sample of them.
    var latencies: [UInt64] = []
    /// Parts of an operation, by name.
    var phases: [String: [UInt64]] = [:]
    /// Where the window is more than the work: what the work itself took.
    var span: Span?

    struct Span: Sendable {
        let seconds: Double
        let cpuSeconds: Double

        init(seconds: Double, cpuSeconds: Double) {
            self.seconds = seconds
            self.cpuSeconds = cpuSeconds
        }

        init(from start: Clocks, to end: Clocks) {
            seconds = Double(end.nanoseconds - start.nanoseconds) / 1e9
            cpuSeconds = Double(end.processCPUNanoseconds - start.processCPUNanoseconds) / 1e9
        }
    }

    mutating func add(_ phase: String, _ nanoseconds: UInt64) {
        phases[phase, default: []].append(nanoseconds)
    }

    static func + (left: Work, right: Work) -> Work {
        Work(
            operations: left.operations + right.operations, bytes: left.bytes + right.bytes,
            latencies: left.latencies + right.latencies,
            phases: left.phases.merging(right.phases) { $0 + $1 })
    }
}

/// Somebody who is asked a question, window by window.
struct Subject {
    let name: String
    let subject: String
    /// Does one window of work; rounds count from 0, the warm-up is round -1.
    let window: (_ round: Int) throws -> Work
}

/// All windows of one subject.
struct Tally {
    private(set) var rates: [Double] = []
    private(set) var ratios: [Double] = []
    private var oursRatios: [Double] = []
    private var operationRates: [Double] = []
    private var latencies = Latencies()
    private var phases: [String: [Double]] = [:]
    private var bytes = 0
    private var seconds = 0.0
    private var windowSeconds = 0.0
    private var cpuSeconds = 0.0
    private var otherSeconds = 0.0

    /// Takes one window, and returns its bytes per second.
    @discardableResult
    mutating func add(_ work: Work, from start: Clocks, to end: Clocks) -> Double {
        let window = Work.Span(from: start, to: end)
        let span = work.span ?? window
        let elapsed = span.seconds
        let all = Double(end.machineCPUNanoseconds - start.machineCPUNanoseconds) / 1e9
        seconds += elapsed
        windowSeconds += window.seconds
        cpuSeconds += span.cpuSeconds
        otherSeconds += max(all - max(window.cpuSeconds, span.cpuSeconds), 0)
        bytes += work.bytes
        latencies.add(work.latencies)
        for (phase, times) in work.phases { phases[phase, default: []] += times.map { Double($0) } }
        rates.append(Double(work.bytes) / elapsed)
        operationRates.append(Double(work.operations) / elapsed)
        return rates[rates.count - 1]
    }

    mutating func add(ratio: Double) { ratios.append(ratio) }

    /// What `ours` did of the yardstick for each share of it that this one did in the same round.
    mutating func compare(with ours: Tally) {
        oursRatios = zip(ours.ratios, ratios).map { $0 / $1 }
    }

    func result(name: String, subject: String) -> BenchmarkResult {
        BenchmarkResult(
            name: name, subject: subject, metrics: metrics, latencyCurve: latencies.curve)
    }

    var metrics: [String: Double] {
        var metrics: [String: Double] = [
            "operationsPerSecond": median(operationRates),
            "windowCount": Double(rates.count),
            "cpuSecondsPerSecond": seconds > 0 ? cpuSeconds / seconds : 0,
            "otherCPUSecondsPerSecond": windowSeconds > 0 ? otherSeconds / windowSeconds : 0,
        ]
        if bytes > 0 {
            metrics["bytesPerSecond"] = median(rates)
            metrics["lowestBytesPerSecond"] = rates.min()!
            metrics["highestBytesPerSecond"] = rates.max()!
            metrics["cpuSecondsPerGiB"] = cpuSeconds / (Double(bytes) / 1_073_741_824)
        }
        metrics.merge(latencies.metrics) { $1 }
        for (phase, times) in phases { metrics["\(phase)P50Nanoseconds"] = median(times) }
        if !ratios.isEmpty {
            metrics["ratioToDevice"] = median(ratios)
            metrics["ratioLow"] = ratios.min()!
            metrics["ratioHigh"] = ratios.max()!
        }
        if !oursRatios.isEmpty {
            metrics["oursRatio"] = median(oursRatios)
            metrics["oursRatioLow"] = oursRatios.min()!
            metrics["oursRatioHigh"] = oursRatios.max()!
        }
        return metrics
    }
}

/// Runs subjects against one yardstick. Without one, the subjects just take turns. With the index
/// of ours among them, all others are told how many times theirs ours is, round by round.
func interleave(
    rounds: TimeBudget.Rounds, yardstick: Subject?, subjects: [Subject], ours: Int? = nil,
    progress: Progress
) throws -> [BenchmarkResult] {
    func window(_ subject: Subject, _ round: Int, _ tally: inout Tally) throws -> Double {
        let start = Clocks()
        let work = try subject.window(round)
        let rate = tally.add(work, from: start, to: Clocks())
        progress.advance(
            "\(subject.name), \(subject.subject)", bytesPerSecond: work.bytes > 0 ? rate : nil)
        return rate
    }

    // The first of everything is slower: memory is touched, caches of headers are filled.
    var ignored = Tally()
    for subject in (yardstick.map { [$0] } ?? []) + subjects {
        _ = try window(subject, -1, &ignored)
    }
    var yard = Tally()
    var tallies = subjects.map { _ in Tally() }
    var before = try yardstick.map { try window($0, 0, &yard) }
    var turn = 1
    for round in rounds {
        for (index, subject) in subjects.enumerated() {
            let rate = try window(subject, round, &tallies[index])
            guard let yardstick, let earlier = before else { continue }
            let later = try window(yardstick, turn, &yard)
            turn += 1
            tallies[index].add(ratio: rate / ((earlier + later) / 2))
            before = later
        }
    }
    if let ours {
        for index in tallies.indices where index != ours {
            tallies[index].compare(with: tallies[ours])
        }
    }
    var results = zip(subjects, tallies).map { subject, tally in
        tally.result(name: subject.name, subject: subject.subject)
    }
    if let yardstick {
        results.insert(
            yard.result(name: yardstick.name, subject: yardstick.subject), at: 0)
    }
    return results
}

/// The windows that `interleave` runs.
func windowCount(rounds: Int, subjects: Int, hasYardstick: Bool = true) -> Int {
    subjects * (rounds + 1) + (hasYardstick ? rounds * subjects + 2 : 0)
}

func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2)
        ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
