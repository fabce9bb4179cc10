import ArgumentParser
import ChunkDB
import Primitives

/// `watch`: what a running process does, by the second.
struct WatchVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Rates of the process that has the store open, line by line, until Ctrl-C.",
        usage: "chunkdb PATH watch [--interval SECONDS] [--count N] [--file FILE] [--json]",
        discussion: """
            Reads what `stats` reads, again and again; rates are over the time between two \
            snapshots, by the clock of the process that wrote them. It ends with exit code 3 when \
            that process has gone, or has stopped writing. --json prints all lines as one object \
            at the end, and wants --count.
            """)

    @OptionGroup var store: StoreArguments

    @Option(help: StatisticsSource.help, completion: .file())
    var file: String?

    @Option(help: "Seconds from line to line, at least 0.1.")
    var interval = 1.0

    @Option(help: "Lines to print; without it, until Ctrl-C.")
    var count: Int?

    func validate() throws {
        guard (0.1...86_400).contains(interval) else {
            throw ValidationError("--interval \(interval): 0.1 to 86400 seconds")
        }
        guard count ?? 1 > 0 else { throw ValidationError("--count counts from 1") }
        guard !store.json || count != nil else {
            throw ValidationError("--json prints one object, at the end: say how many by --count")
        }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let source = StatisticsSource(store, file: file)
        var report = WatchReport(path: source.path, file: source.file)
        var last = try live(source, console)
        report.storeID = hexadecimal(last.storeID)
        Interruption.watchOnce()
        while count.map({ report.samples.count < $0 }) ?? true {
            let next = try following(last, source, console)
            // Of another process, or of the store opened anew: counting begins again.
            if let sample = WatchReport.Sample(from: last, to: next) {
                if !store.json { sample.print(report.lineCount, on: console) }
                report.lineCount += 1
                // Whoever watches without end wants lines, and no heap of them.
                if count != nil { report.samples.append(sample) }
            }
            last = next
        }
        if store.json { console.print(json: report) }
        return .fine
    }

    private func live(_ source: StatisticsSource, _ console: Console) throws(ShellError)
        -> StatisticsSnapshot
    {
        let snapshot = try source.read()
        if let reason = snapshot.staleness(at: console.clock.wallSeconds) {
            throw ShellError(.cannotOpen, "\(source.file) is stale: \(reason)")
        }
        return snapshot
    }

    /// The first snapshot after the interval that is not the last one.
    private func following(
        _ last: StatisticsSnapshot, _ source: StatisticsSource, _ console: Console
    ) throws(ShellError) -> StatisticsSnapshot {
        try rest(interval, console)
        while true {
            let next = try live(source, console)
            if next.sequence != last.sequence || next.processID != last.processID { return next }
            try rest(Self.stepSeconds, console)
        }
    }

    /// In steps, so that Ctrl-C ends it.
    private func rest(_ seconds: Double, _ console: Console) throws(ShellError) {
        let clock = console.clock
        var left = seconds
        while left > 0 {
            try Interruption.check()
            let step = UInt64(min(left, Self.stepSeconds) * 1e9)
            CallerThread.wait { await clock.sleep(nanoseconds: step) }
            left -= Self.stepSeconds
        }
    }

    private static let stepSeconds = 0.1
}

/// The schema of `watch --json`.
struct WatchReport: Encodable {
    struct Sample: Encodable {
        var writtenSeconds: UInt64
        /// Between the two snapshots.
        var seconds: Double
        /// What counts, a second.
        var perSecond: [String: Double]
        /// What stands, at the end.
        var gauges: [String: UInt64]
        /// Of the reads of that time, those that found their chunk; absent when there were none.
        var hitShare: Double?

        /// `nil` where the two are not of one opening of the store.
        init?(from last: StatisticsSnapshot, to next: StatisticsSnapshot) {
            guard next.processID == last.processID, next.sequence > last.sequence,
                next.monotonicNanoseconds > last.monotonicNanoseconds
            else { return nil }
            seconds = Double(next.monotonicNanoseconds - last.monotonicNanoseconds) / 1e9
            writtenSeconds = next.wallSeconds
            (perSecond, gauges) = ([:], [:])
            for counter in StatisticsSnapshot.Counter.allCases {
                if counter.isGauge {
                    gauges[counter.rawValue] = next[counter]
                } else {
                    guard next[counter] >= last[counter] else { return nil }
                    let rate = Double(next[counter] - last[counter]) / seconds
                    perSecond[counter.rawValue] = (rate * 1_000).rounded() / 1_000
                }
            }
            let hits = next[.hitCount] - last[.hitCount]
            let reads = hits.saturatingAdd(next[.missCount] - last[.missCount])
            hitShare = reads > 0 ? Double(hits) / Double(reads) : nil
        }
    }
    var verb = "watch"
    var path: String
    var file: String
    var storeID = ""
    var samples: [Sample] = []
    var lineCount = 0

    init(path: String, file: String) { (self.path, self.file) = (path, file) }

    enum CodingKeys: CodingKey { case verb, path, file, storeID, samples }
}

extension WatchReport.Sample {
    private typealias Column = (title: String, text: String)
    private static let headerEvery = 20
    private static let width = 10

    func print(_ line: Int, on console: Console) {
        func rate(_ counter: StatisticsSnapshot.Counter) -> String {
            let value = perSecond[counter.rawValue] ?? 0
            guard counter.isBytes else { return "\((value * 10).rounded() / 10)" }
            return "\(ByteCount(UInt64(min(value, 0x1p62))))"
        }
        func gauge(_ counter: StatisticsSnapshot.Counter) -> String {
            "\(ByteCount(gauges[counter.rawValue] ?? 0))"
        }
        let columns: [Column] = [
            ("PUT/s", rate(.putCount)), ("PUT B/s", rate(.putBytes)), ("GET/s", rate(.getCount)),
            ("HITS", hitShare.map { "\(Int(($0 * 100).rounded())) %" } ?? "-"),
            ("READ B/s", rate(.readBytes)), ("WRITE B/s", rate(.writtenBytes)),
            ("EVICT/s", rate(.evictedCount)), ("MOVED B/s", rate(.movedBytes)),
            ("LIVING", gauge(.livingBytes)), ("ALLOCATED", gauge(.allocatedBytes)),
        ]
        func row(_ cells: [String]) -> String {
            cells.map { String(repeating: " ", count: max(Self.width - $0.count, 0)) + $0 }
                .joined(separator: " ")
        }
        if line.isMultiple(of: Self.headerEvery) {
            console.print(console.painted(row(columns.map(\.title)), .bold))
        }
        console.print(row(columns.map(\.text)))
    }
}
