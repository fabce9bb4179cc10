import ArgumentParser
import ChunkDB
import ChunkFormat
import Primitives

/// `trace`: what a store was asked for, looked at, asked again, and asked of another store.
struct TraceVerb: StoreVerb {
    enum Action: String, CaseIterable, ExpressibleByArgument {
        case record
        case show
        case replay
        case whatIf = "what-if"
    }

    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "What a store was asked for: shown, replayed, and tried at other capacities.",
        usage: """
            chunkdb PATH trace show FILE [--json]
            chunkdb PATH trace replay FILE [--limit N] [--json]
            chunkdb PATH trace what-if FILE [--capacity SIZE …] [--json]
            chunkdb PATH trace record
            """,
        discussion: """
            FILE has a line for each request, as the process that serves the store records them \
            (`trace record` says how). `show` counts them. `replay` asks this store for each in \
            turn, reads and verifies what is there, and changes nothing. `what-if` runs \
            `chunkdb-bench traces --recorded`: what each policy would save at those capacities; \
            --json prints what that prints then.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "record, show, replay or what-if.")
    var action: Action

    @Argument(help: "The recorded requests.", completion: .file())
    var file: String?

    @Option(help: "Replay only the first so many.")
    var limit: Int?

    @Option(parsing: .upToNextOption, help: "Of what-if: capacities; the store's own otherwise.")
    var capacity: [SizeArgument] = []

    func validate() throws {
        guard limit ?? 1 > 0 else { throw ValidationError("--limit counts from 1") }
        guard file != nil || action == .record else {
            throw ValidationError("trace \(action.rawValue): of which file?")
        }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        guard let file, action != .record else {
            throw ShellError(
                .usage,
                """
                a process records what it is asked for itself, and is told to before it opens \
                the store:
                  let recorder = try await RequestRecorder.start(at: "requests.jsonl")
                  options.requestObserver = { recorder.note($0) }
                  …
                  try await recorder.finish()
                """)
        }
        let trace = try TraceFile(file)
        let view = try store.openStore()
        if action == .whatIf { return try whatIf(file, view, on: console) }
        var report = TraceReport(path: view.path, file: file, trace)
        if action == .replay {
            report.replay = try TraceReport.Replay(
                trace.requests.prefix(limit ?? .max), view, on: console)
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return report.replay?.damagedCount ?? 0 > 0 ? .damageFound : .fine
    }

    /// The simulator is the benchmark's: it has the offline bound, and policies beside ours.
    private func whatIf(_ file: String, _ view: StoreView, on console: Console)
        throws(ShellError) -> ShellExit
    {
        let sizes =
            capacity.isEmpty ? [view.superblock.capacityBytes] : capacity.map(\.bytes)
        let words =
            ["traces", "--recorded", file, "--mebibytes"]
            + sizes.map { "\(Double(max($0, 1)) / 0x1p20)" }
        try BenchTool.run(words + (store.json ? ["--json"] : []), on: console)
        return .fine
    }
}

/// The schema of `trace show --json` and `trace replay --json`.
struct TraceReport: Encodable {
    struct Namespace: Encodable {
        var name: String
        var requestCount = 0
        /// Different ones.
        var variantCount = 0
    }
    struct Replay: Encodable {
        var requestCount = 0
        /// Requests of what this store has.
        var hitCount = 0
        /// Those of them that were misses when they were recorded.
        var newHitCount = 0
        var missCount = 0
        /// Uses then that miss now.
        var lostCount = 0
        /// Hits whose bytes did not verify.
        var damagedCount = 0
        var verifiedBytes: UInt64 = 0
        var elapsedSeconds = 0.0
        /// Of hits, reading and verifying; absent when there were none.
        var medianSeconds: Double?
        var p99Seconds: Double?
    }
    var verb = "trace"
    var path: String
    var file: String
    var requestCount: Int
    var useCount: Int
    /// Each followed a miss.
    var putCount: Int
    /// Different ones.
    var variantCount: Int
    /// On disk, of all requests.
    var requestedBytes: UInt64
    /// From the first request to the last, since the store was made.
    var firstSeconds: UInt32
    var lastSeconds: UInt32
    /// In order of their names.
    var namespaces: [Namespace]
    /// Absent for `show`.
    var replay: Replay?

    init(path: String, file: String, _ trace: TraceFile) {
        (self.path, self.file) = (path, file)
        requestCount = trace.requests.count
        putCount = trace.requests.count(where: \.isPut)
        useCount = requestCount - putCount
        requestedBytes = trace.requests.reduce(0) { $0.saturatingAdd($1.diskBytes) }
        firstSeconds = trace.requests.map(\.seconds).min() ?? 0
        lastSeconds = trace.requests.map(\.seconds).max() ?? 0
        var seen: Set<TraceFile.Name> = []
        var spaces: [String: Namespace] = [:]
        for request in trace.requests {
            let name = request.name.namespace
            spaces[name, default: Namespace(name: name)].requestCount += 1
            if seen.insert(request.name).inserted {
                spaces[name]?.variantCount += 1
            }
        }
        variantCount = seen.count
        namespaces = spaces.values.sorted { $0.name < $1.name }
    }

    func print(on console: Console) {
        var facts = Facts()
        facts.add(
            "requests",
            "\(requestCount): \(counted(useCount, "use")), \(counted(putCount, "put")) after a miss"
        )
        facts.add("variants", "\(variantCount) different")
        facts.add("asked for", "\(ByteCount(requestedBytes)) on disk")
        facts.add("time", "second \(firstSeconds) to \(lastSeconds) of the store")
        facts.print(on: console)
        if !namespaces.isEmpty {
            console.print()
            var table = Table([
                ("NAMESPACE", .left), ("REQUESTS", .right), ("VARIANTS", .right),
            ])
            for space in namespaces {
                table.add([space.name, "\(space.requestCount)", "\(space.variantCount)"])
            }
            table.print(on: console)
        }
        guard let replay else { return }
        console.print()
        replay.print(on: console)
    }
}

extension TraceReport.Replay {
    /// Asks for each in turn, one at a time; nothing is kept in memory from one to the next.
    /// *Throws:* `.interrupted`.
    init(_ requests: ArraySlice<TraceFile.Request>, _ view: StoreView, on console: Console)
        throws(ShellError)
    {
        var stored: [TraceFile.Name: CheckpointEntry] = [:]
        for entry in view.listing.entries {
            let name = TraceFile.Name(
                namespace: view.listing.name(of: entry.namespace), key: entry.key,
                variant: entry.variant)
            stored[name] = entry
        }
        let clock = console.clock
        let began = clock.monotonicNanoseconds
        var seconds: [Double] = []
        var progress = Progress("replaying", total: UInt64(requests.count), on: console)
        for (index, request) in requests.enumerated() {
            try Interruption.check()
            requestCount += 1
            progress.update(done: UInt64(index + 1))
            guard let entry = stored[request.name] else {
                missCount += 1
                if !request.isPut { lostCount += 1 }
                continue
            }
            hitCount += 1
            if request.isPut { newHitCount += 1 }
            let start = clock.monotonicNanoseconds
            let variant = CallerThread.wait { await view.verify(entry) }
            seconds.append(Double(clock.monotonicNanoseconds - start) / 1e9)
            if !variant.damages.isEmpty { damagedCount += 1 }
            verifiedBytes = variant.records.reduce(verifiedBytes) {
                $0 &+ $1.header.prefix.recordBytes
            }
        }
        progress.finish()
        elapsedSeconds = Double(clock.monotonicNanoseconds - began) / 1e9
        seconds.sort()
        if !seconds.isEmpty {
            medianSeconds = seconds[seconds.count / 2]
            p99Seconds = seconds[seconds.count * 99 / 100]
        }
    }

    func print(on console: Console) {
        let share = requestCount > 0 ? Double(hitCount) / Double(requestCount) * 100 : 0
        var facts = Facts()
        facts.add("hits", "\(hitCount) of \(requestCount), \((share * 10).rounded() / 10) %")
        facts.add("misses", "\(missCount), \(lostCount) of them uses when they were recorded")
        facts.add("new hits", "\(newHitCount), misses when they were recorded")
        if damagedCount > 0 { facts.add("damaged", "\(damagedCount)", .red) }
        let rate = elapsedSeconds > 0 ? Double(verifiedBytes) / elapsedSeconds : 0
        facts.add(
            "verified",
            "\(ByteCount(verifiedBytes)), \(ByteCount(UInt64(min(rate, 0x1p62))))/s")
        if let medianSeconds, let p99Seconds {
            func text(_ seconds: Double) -> String {
                "\((seconds * 1e5).rounded() / 100) ms"
            }
            facts.add("time of a hit", "median \(text(medianSeconds)), p99 \(text(p99Seconds))")
        }
        facts.print(on: console)
    }
}
