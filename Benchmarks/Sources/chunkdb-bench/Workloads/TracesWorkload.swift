// Question: which policy saves the most recomputation for the bytes it is given? A bad answer: the
// default below 1.12 times LRU or 0.85 of the bound on `zipf`, below 1.25 times LRU on `scan` or
// `mixed`, below LRU anywhere; a gain on `documents-14` that decays.
//
// Nothing is timed and nothing is written: the same seed gives the same numbers on every machine.

import ArgumentParser
import Foundation
import Retention

struct TracesWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "traces",
        abstract: "What each retention policy saves on six kinds of traffic, or on a recorded one.")

    @OptionGroup var common: CommonOptions

    @Option(
        parsing: .upToNextOption,
        help: "zipf, drift, scan, tenants, mixed, documents-14 (default: all).")
    var traces: [TraceKind] = []

    @Option(help: "A trace in Mooncake's JSONL format; without --traces, it alone.")
    var mooncake: String?

    @Option(
        help: "What a store was asked for (StoreRequest.jsonLine); without --traces, it alone.")
    var recorded: String?

    @Option(help: "What was stored when that began, as `chunkdb PATH ls --json` prints it.")
    var contents: String?

    @Option(parsing: .upToNextOption, help: "Policies; LRU always runs, for comparison.")
    var policies = RetentionPolicies.names

    @Option(help: "Who decides what is stored: admit-all, seen-twice, cost-aware.")
    var admission = "admit-all"

    @Option(
        parsing: .upToNextOption, help: "Cache sizes, in percent of the bytes traffic returns to.")
    var sizes = [10.0]

    @Option(parsing: .upToNextOption, help: "Cache sizes in MiB, instead of --sizes.")
    var mebibytes: [Double] = []

    @Option(help: "Chunks of the generated traces.") var chunks = 10_000
    @Option(help: "Prompts of the generated traces; documents-14 has 1000 queries.")
    var prompts = 30_000
    @Option(help: "Uses in which the default policy's counts halve, for each entry stored.")
    var usesPerEntry = RetentionOptions.defaultUsesPerEntry
    @Option(help: "Seconds in which the counts of lfu and cache-craft halve.")
    var halfLife = 86_400.0

    @Option(help: "Where to draw the results as SVG.") var plot: String?

    static let boundName = "offline bound"

    func validate() throws {
        guard (100...10_000_000).contains(chunks), (10...10_000_000).contains(prompts),
            !policies.isEmpty, !sizes.isEmpty, sizes.allSatisfy({ $0 > 0 && $0 <= 100 }),
            mebibytes.allSatisfy({ $0 > 0 && $0 < 0x1p40 }),
            usesPerEntry >= 1, halfLife >= 1
        else {
            throw ValidationError(
                "chunks from 100, prompts from 10, sizes above 0 to 100, half-lives from 1")
        }
        guard contents == nil || recorded != nil else {
            throw ValidationError("--contents says what was stored when --recorded began")
        }
        do {
            for name in policies { _ = try RetentionPolicies.named(name) }
            _ = try AdmissionPolicies.named(admission)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private var kinds: [TraceKind] {
        traces.isEmpty && mooncake == nil && recorded == nil ? TraceKind.allCases : traces
    }
    private var scale: TraceScale {
        if common.smoke { return .smoke }
        return TraceScale(chunkCount: chunks, promptCount: prompts, seed: common.seed)
    }

    var facts: [String: OptionValue] {
        let names = kinds.map(\.rawValue) + [mooncake, recorded].compactMap { $0 }
        return [
            "traces": .text(names.joined(separator: ",")),
            "policies": .text(policies.joined(separator: ",")), "admission": .text(admission),
            "sizesPercent": .text(sizes.map { "\($0)" }.joined(separator: ",")),
            "sizesMebibytes": .text(mebibytes.map { "\($0)" }.joined(separator: ",")),
            "chunks": .number(scale.chunkCount), "prompts": .number(scale.promptCount),
            "queries": .number(scale.queryCount), "usesPerEntry": .text("\(usesPerEntry)"),
            "halfLifeSeconds": .text("\(halfLife)"),
        ]
    }

    var writtenBytes: Int { 0 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let traceCount = kinds.count + [mooncake, recorded].count { $0 != nil }
        let sizeCount = mebibytes.isEmpty ? sizes.count : mebibytes.count
        let progress = Progress(stepCount: traceCount * (1 + sizeCount * (policies.count + 2)))
        defer { progress.finish() }
        var points: [TracePlot.Point] = []
        if let mooncake {
            let trace = try MooncakeTrace.read(path: mooncake)
            try measure(trace, &report, &points, progress)
        }
        if let recorded {
            let trace = try RecordedTrace.read(path: recorded, contents: contents)
            try measure(trace, &report, &points, progress)
        }
        for kind in kinds { try measure(kind.generate(scale), &report, &points, progress) }
        report.notes += [
            "saved: recomputation in tokens of an ordinary model, what repair takes left out; "
                + "share of what a cache of everything would save; bound: above what any cache of "
                + "the size can save, even one that knows the future",
            "cache sizes are shares of the bytes that traffic returns to; whole objects, no "
                + "segments: write amplification is the engine's to measure",
        ]
        if let plot {
            do {
                try TracePlot.svg(points, bound: Self.boundName)
                    .write(toFile: plot, atomically: true, encoding: .utf8)
            } catch {
                throw BenchmarkError.world("\(plot): \(error.localizedDescription)")
            }
        }
    }

    private func measure(
        _ trace: Trace, _ report: inout BenchmarkReport, _ points: inout [TracePlot.Point],
        _ progress: Progress
    ) throws {
        progress.advance("\(trace.name), drawn")
        let requested = trace.requestedTokens
        let bound = OfflineBound(trace)
        for (sizeText, capacity) in capacities(of: trace) {
            let name = "\(trace.name), \(sizeText) cache"
            let best = bound.savedTokens(capacityBytes: capacity)
            progress.advance("\(trace.name), bound")
            let yardstick = try run("lru", trace, capacity)
            progress.advance("\(trace.name), lru")
            func add(_ subject: String, saved: Double, _ more: [String: Double]) {
                var metrics: [String: Double] = [
                    "cacheBytes": Double(capacity), "savedTokens": saved,
                    "savedTokenShare": requested > 0 ? saved / requested : 0,
                    "savedTokensPerCacheGiB": saved / max(Double(capacity) / 0x1p30, 1e-9),
                    "ratioToLRU": saved / max(yardstick.savedTokens, 1),
                    "shareOfBound": saved / max(best, 1),
                ]
                metrics.merge(more) { $1 }
                report.results.append(
                    BenchmarkResult(name: name, subject: subject, metrics: metrics))
                points.append(
                    TracePlot.Point(
                        trace: trace.name, size: sizeText, subject: subject,
                        savedShare: metrics["savedTokenShare"] ?? 0))
            }
            for policy in policies {
                let result = policy == "lru" ? yardstick : try run(policy, trace, capacity)
                add(policy, saved: result.savedTokens, result.metrics)
                progress.advance("\(trace.name), \(policy)")
            }
            add(Self.boundName, saved: best, [:])
        }
    }

    private func capacities(of trace: Trace) -> [(text: String, bytes: Int)] {
        func text(_ number: Double) -> String {
            number == number.rounded() ? "\(Int(number))" : "\(number)"
        }
        if !mebibytes.isEmpty {
            return mebibytes.map { ("\(text($0)) MiB", Int($0 * 0x1p20)) }
        }
        return sizes.map {
            ("\(text($0)) %", Int(Double(trace.footprintBytes) * $0 / 100))
        }
    }

    private func run(_ name: String, _ trace: Trace, _ capacity: Int) throws -> SimulationResult {
        var options = RetentionOptions()
        options.usesPerEntry = usesPerEntry
        options.halfLifeSeconds = halfLife
        options.ghostSlots = max(RetentionOptions.defaultGhostSlots, trace.objects.count)
        var asked = AdmissionOptions()
        asked.ghostSlots = options.ghostSlots
        return CacheSimulator.run(
            trace, capacityBytes: capacity,
            policy: try RetentionPolicies.named(name, options: options),
            admission: try AdmissionPolicies.named(admission, options: asked))
    }
}

extension TraceKind: ExpressibleByArgument {}

extension SimulationResult {
    /// As reported. A tenth of the prompts is a hundred queries of `documents-14`.
    fileprivate var metrics: [String: Double] {
        var metrics = [
            "hitRatioByBytes": requestedBytes > 0 ? hitBytes / requestedBytes : 0,
            "hitRatio": requestCount > 0 ? Double(hitCount) / Double(requestCount) : 0,
            "storedBytesPerRequestedByte": requestedBytes > 0 ? storedBytes / requestedBytes : 0,
            "peakBytes": Double(peakBytes),
        ]
        for (index, share) in savedShareByTenth.enumerated() {
            metrics["savedShareTenth\(index < 9 ? "0" : "")\(index + 1)"] = share
        }
        if savedShareByTenth.count == 10, savedShareByTenth[1] > 0 {
            metrics["lastTenthToSecond"] = savedShareByTenth[9] / savedShareByTenth[1]
        }
        return metrics
    }
}
