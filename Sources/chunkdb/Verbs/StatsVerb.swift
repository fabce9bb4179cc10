import ArgumentParser
import ChunkDB
import Primitives

/// `stats`: what a running process counts, once.
struct StatsVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "The counters of the process that has the store open, as it last wrote them.",
        usage: "chunkdb PATH stats [--file FILE] [--json]",
        discussion: """
            The process writes them when it was told to, with `publishStatistics`. Nothing is \
            locked, and the store itself is not read. What a process left that is gone, or has \
            stopped writing, is shown and said to be stale.
            """)

    @OptionGroup var store: StoreArguments

    @Option(help: StatisticsSource.help, completion: .file())
    var file: String?

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let source = StatisticsSource(store, file: file)
        let report = StatsReport(source, try source.read(), now: console.clock.wallSeconds)
        if store.json { console.print(json: report) } else { report.print(on: console) }
        return .fine
    }
}

/// The schema of `stats --json`.
struct StatsReport: Encodable {
    struct Namespace: Encodable {
        var name: String
        var counters: [String: UInt64]
    }
    var verb = "stats"
    var path: String
    var file: String
    var storeID: String
    var processID: Int32
    /// How often it was written.
    var sequence: UInt64
    var writtenSeconds: UInt64
    /// `false` for what a process left behind.
    var isLive: Bool
    /// Absent when it is live.
    var staleReason: String?
    /// Since the store was opened, or as things stand.
    var counters: [String: UInt64]
    /// Those of namespaces; in order of their numbers.
    var namespaces: [Namespace]

    init(_ source: StatisticsSource, _ snapshot: StatisticsSnapshot, now: UInt64) {
        path = source.path
        file = source.file
        storeID = hexadecimal(snapshot.storeID)
        processID = snapshot.processID
        sequence = snapshot.sequence
        writtenSeconds = snapshot.wallSeconds
        staleReason = snapshot.staleness(at: now)
        isLive = staleReason == nil
        counters = Self.named(snapshot.values)
        namespaces = snapshot.tenants.map {
            Namespace(name: $0.name, counters: Self.named($0.values))
        }
    }

    private static func named(_ values: [StatisticsSnapshot.Counter: UInt64]) -> [String: UInt64] {
        Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }

    func print(on console: Console) {
        var facts = Facts()
        facts.add("store", storeID)
        facts.add("process", "\(processID)")
        facts.add("written", "\(timeText(writtenSeconds)), \(sequence) times so far")
        facts.add(
            "state", staleReason.map { "STALE: \($0)" } ?? "live",
            isLive ? .green : .yellow)
        facts.print(on: console)
        console.print()
        var table = Table([("COUNTER", .left), ("VALUE", .right)])
        for counter in StatisticsSnapshot.Counter.allCases {
            guard let value = counters[counter.rawValue] else { continue }
            table.add([counter.rawValue, counter.isBytes ? "\(ByteCount(value))" : "\(value)"])
        }
        table.print(on: console)
        if namespaces.isEmpty { return }
        console.print()
        let columns: [(String, StatisticsSnapshot.Counter)] = [
            ("ENTRIES", .entryCount), ("STORED", .livingBytes), ("PINNED", .pinnedBytes),
            ("PUTS", .putCount), ("HITS", .hitCount), ("MISSES", .missCount),
            ("EVICTED", .evictedCount), ("EXPIRED", .expiredCount),
        ]
        var tenants = Table([("NAMESPACE", .left)] + columns.map { ($0.0, .right) })
        for space in namespaces {
            tenants.add(
                [space.name]
                    + columns.map { _, counter in
                        let value = space.counters[counter.rawValue] ?? 0
                        return counter.isBytes ? "\(ByteCount(value))" : "\(value)"
                    })
        }
        tenants.print(on: console)
    }
}
