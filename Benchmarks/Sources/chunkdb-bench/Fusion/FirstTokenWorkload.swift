// Question: how long until the first token when a prompt's chunks lie cold on the disk, and does
// loading hide behind computing? A bad answer: a repair of 15 % above 0.30 of a full prefill; more
// than 1.05 × (the longer of loading and computing + one layer).
//
// The model is untrained (`TimingModel`): only times mean anything. Each mode is measured three
// ways in turns: fed from a store that was just opened; computed from memory; loaded and not
// computed. Reads bypass the page cache.

import ArgumentParser
import Attention
import AttentionFeed
import ChunkDB
import Feed
import Fusion

struct FirstTokenWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "ttft",
        abstract: "Time to the first token of a prompt whose chunks lie cold on the disk.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Layers of the model.") var layers = 16
    @Option(help: "Its width, a multiple of 256.") var width = 512
    @Option(help: "Chunks of the prompt.") var chunks = 8
    @Option(help: "Tokens of a chunk.") var chunkTokens = 256
    @Option(help: "Tokens of the question.") var questionTokens = 32
    @Option(help: "How often each mode is measured; medians are told.") var rounds = 3

    func validate() throws {
        guard (2...64).contains(layers), width >= 256, width.isMultiple(of: 256), chunks >= 2,
            chunkTokens >= 8, questionTokens >= 1, rounds >= 1,
            chunks * chunkTokens + questionTokens <= 1 << 14
        else {
            throw ValidationError("layers 2 to 64, width from 256, 2 chunks, 8 tokens, 1 round")
        }
    }

    private var shape: (layers: Int, width: Int, chunks: Int, chunkTokens: Int, rounds: Int) {
        common.smoke ? (3, 64, 3, 8, 1) : (layers, width, chunks, chunkTokens, rounds)
    }

    var facts: [String: OptionValue] {
        [
            "layers": .number(shape.layers), "width": .number(shape.width),
            "chunks": .number(shape.chunks), "chunkTokens": .number(shape.chunkTokens),
            "questionTokens": .number(questionTokens), "rounds": .number(shape.rounds),
        ]
    }

    private struct Mode {
        let name: String
        let mode: FusionMode
        /// Chunks stored behind others, in another order; else stored alone.
        var isContextual = false
        var change: @Sendable (inout PlanRequest) -> Void = { _ in }
    }

    private func modes(alpha: Double) -> [Mode] {
        [
            Mode(name: "full prefill", mode: .recompute),
            Mode(name: "concatenate", mode: .concatenate),
            Mode(name: "realign", mode: .realign),
            Mode(name: "parallel", mode: .parallel()),
            Mode(name: "prefix", mode: .prefix),
            Mode(
                name: "CacheBlend 0.15, check at layer 1", mode: .cacheBlend(ratio: 0.15),
                change: {
                    $0.options.usesProfiles = false
                    $0.options.checkLayer = 1
                }),
            Mode(
                name: "CacheBlend 0.15, gradual from layer 1", mode: .cacheBlend(ratio: 0.15),
                change: {
                    $0.options.usesProfiles = false
                    $0.options.checkLayer = 1
                    $0.options.gradualSpread = 0.5
                }),
            Mode(name: "CacheBlend 0.15, stored profile", mode: .cacheBlend(ratio: 0.15)),
            Mode(
                name: "Cache-Craft, 0.15 of the tokens", mode: .cacheCraft(alpha: alpha),
                isContextual: true),
        ]
    }

    /// Every chunk alone and behind others, float16.
    var writtenBytes: Int {
        let row = max(shape.width / 64 / 4, 1) * 64 * 2
        return 2 * 2 * row * shape.layers * shape.chunks * shape.chunkTokens
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let model = try TimingModel.make(
            layerCount: shape.layers, hiddenSize: shape.width, seed: common.seed)
        let path = workplace.directory("store")
        var bench = try FirstTokenBench(
            model, path: path, options: storeOptions, chunkCount: shape.chunks,
            chunkTokens: shape.chunkTokens, questionTokens: questionTokens, seed: common.seed)
        let compute = try model.calibrate(
            tokenCounts: [shape.chunkTokens, shape.chunks * shape.chunkTokens], repeatCount: 1)
        try bench.store()
        let alpha = try bench.alpha(for: 0.15, compute)
        let modes = modes(alpha: alpha)
        let progress = Progress(stepCount: modes.count * (shape.rounds + 1))
        defer { progress.finish() }
        var samples = [[FirstTokenBench.Sample]](repeating: [], count: modes.count)
        // The first round is not counted: memory is touched for the first time.
        for round in workplace.budget.rounds(shape.rounds, from: -1) {
            for (index, mode) in modes.enumerated() {
                let sample = try bench.run(
                    mode.mode, isContextual: mode.isContextual, compute, mode.change)
                progress.advance(mode.name)
                if round >= 0 || shape.rounds == 1 { samples[index].append(sample) }
            }
        }
        let full = samples[0].map(\.fed).median
        let fullCPU = samples[0].map(\.fedCPU).median
        for (mode, found) in zip(modes, samples) {
            let (fed, load, work) = (
                found.map(\.fed).median, found.map(\.load).median, found.map(\.compute).median
            )
            let longer = max(load, work)
            let bound = longer + longer / Double(shape.layers)
            report.results.append(
                BenchmarkResult(
                    name: mode.name, subject: "chunkdb",
                    metrics: [
                        "firstTokenSeconds": fed, "loadSeconds": load, "computeSeconds": work,
                        "ratioToFullPrefill": fed / full,
                        "cpuSeconds": found.map(\.fedCPU).median,
                        "cpuRatioToFullPrefill": found.map(\.fedCPU).median / fullCPU,
                        "computedShare": found[0].computedShare,
                        "ratioToBound": fed / bound, "loadedBytes": Double(found[0].bytes),
                    ]))
        }
        let (tokens, segments) = bench.prompt
        report.results.append(
            try PrefillCosts.capture(
                model, tokens: tokens, segments: segments, rounds: shape.rounds))
        if let device = bench.device {
            report.results += PrefillCosts.layerInputs(
                model.configuration, device: device, compute: compute, tokenCount: tokens.count)
        }
        report.takeTraits(bench.traits)
        report.addPageCache(
            "page cache", subject: "chunkdb", below: path, moved: samples.last?.first?.bytes ?? 0)
        report.notes += [
            "untrained model of \(model.configuration.layerCount) layers × "
                + "\(model.configuration.hiddenSize): only times mean anything; all cores",
            "first token: lookup, plan, loads and layers, until the logits; the store was opened "
                + "just before; bound: the longer of loading alone and computing alone, and one "
                + "layer of it",
            "captured: who looked at whom, for every chunk, beside a full prefill without",
            "layer inputs: FUSION's split point with what was measured here; nothing stores them",
        ]
    }

    private var storeOptions: StoreOptions {
        StoreOptions(
            capacity: .gibibytes(2), segmentSize: common.smoke ? .mebibytes(8) : .mebibytes(64),
            disk: common.disk)
    }
}

extension [Double] {
    fileprivate var median: Double {
        let ordered = sorted()
        return ordered.isEmpty ? 0 : ordered[ordered.count / 2]
    }
}
