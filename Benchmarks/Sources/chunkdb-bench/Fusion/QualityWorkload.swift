// Question: how much of what reuse loses does each way of repair bring back, for how much work? A
// bad answer: the best shipped mode below nine tenths of the gap at a fifth of the rows, or no
// better than rows at random.
//
// Nothing is timed: the same seed gives the same numbers on every machine, but for the last bit of
// sums.

import ArgumentParser
import Attention
import AttentionFeed
import ChunkDB
import Foundation

struct QualityWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "quality",
        abstract: "Answers and divergence against the share of a full prefill that is computed.")

    @OptionGroup var common: CommonOptions

    /// What the shell's demo ships.
    private static let demo =
        #filePath.split(separator: "/").dropLast(5)
        .reduce("") { $0 + "/" + $1 }
        + "/Sources/chunkdb/Demo/"

    @Option(help: "config.json and model.safetensors (default: the demo's).")
    var model = demo + "model"
    @Option(help: "One question a line (default: the demo's).")
    var questions = demo + "questions.jsonl"
    @Option(help: "At most so many of them.") var limit = 400
    @Option(help: "Only lines whose names contain this, beside no repair and full prefill.")
    var only: String?
    @Option(help: "Where to draw the curves as SVG.") var plot: String?

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit from 1") }
    }

    private var count: Int { common.smoke ? min(limit, 2) : limit }

    var facts: [String: OptionValue] {
        [
            "model": .text(model), "questions": .text(questions), "limit": .number(count),
            "only": .text(only ?? ""),
        ]
    }

    var writtenBytes: Int { 0 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        // A debug build takes a second for a prefill of the demo's model.
        let model =
            try common.smoke
            ? TimingModel.make(layerCount: 3, hiddenSize: 64, seed: common.seed)
            : Model(directory: model)
        let binding = model.binding(elementType: .float32)
        let lines = try QualityPrompt.lines(path: questions, limit: count)
        let progress = Progress(stepCount: lines.count * QualityTask.allCases.count)
        defer { progress.finish() }
        var (answers, divergences) = ([CurvePlot.Point](), [CurvePlot.Point]())
        for task in QualityTask.allCases {
            let modes = QualityMode.all(
                task, layerCount: model.configuration.layerCount,
                ratios: common.smoke ? [0.15] : QualityMode.ratios,
                alphas: common.smoke ? [0.7] : QualityMode.alphas
            ).filter { only.map($0.name.contains) ?? true || $0.strength == 0 }
            var sums = [QualityScore](repeating: QualityScore(), count: modes.count)
            var full = QualityScore()
            var spectrum: [String: Double] = [:]
            for (index, line) in lines.enumerated() {
                progress.advance("\(task.rawValue), question \(index + 1)")
                guard
                    let prompt = try QualityPrompt(
                        line, task: task, model: model, binding: binding)
                else { continue }
                full.add(prompt.full, prompt)
                let oracle = prompt.trueDeviations(model)
                for (name, share) in prompt.deviationHeld(oracle) {
                    spectrum[name, default: 0] += share
                }
                var generator = SeededGenerator(seed: common.seed &+ UInt64(index))
                for mode in modes.indices {
                    let result = try modes[mode].run(
                        prompt, model: model, binding: binding, oracle: oracle,
                        generator: &generator)
                    sums[mode].add(result, prompt)
                }
            }
            let floor = sums[0].accuracy
            func note(_ name: String, _ strength: Double, _ score: QualityScore) {
                let gap = full.accuracy - floor
                report.results.append(
                    BenchmarkResult(
                        name: "\(task.rawValue), \(name)", subject: "\(strength)",
                        metrics: [
                            "questionCount": score.count, "answersRight": score.accuracy,
                            "computedShare": score.share, "divergenceNats": score.divergence,
                            "recoveredShare": gap > 0 ? (score.accuracy - floor) / gap : 0,
                        ]))
                answers.append(
                    CurvePlot.Point(
                        panel: "\(task.rawValue): answers right", line: name, x: score.share,
                        y: score.accuracy))
                divergences.append(
                    CurvePlot.Point(
                        panel: "\(task.rawValue): divergence, of that without repair",
                        line: name, x: score.share,
                        y: score.divergence / max(sums[0].divergence, .leastNonzeroMagnitude)))
            }
            note("full prefill", 1, full)
            for (mode, score) in zip(modes, sums) { note(mode.name, mode.strength, score) }
            for (name, sum) in spectrum.sorted(by: { $0.key < $1.key }) {
                report.results.append(
                    BenchmarkResult(
                        name: "\(task.rawValue), deviation held by 15 % of rows", subject: name,
                        metrics: ["deviationShare": sum / max(full.count, 1)]))
            }
        }
        report.notes += [
            "computed: row-layers over those of a full prefill, what a check computes included; "
                + "divergence: mean of Σ p ln(p/q) over the vocabulary, p the full prefill",
            "deviation held: of the true deviation of all reused rows, what stands in the 15 % "
                + "that each score puts first",
            "subject: the share of reused rows that goes on, α for Cache-Craft",
            "reading: chunks stored alone, profiles from the prompt in another order; order: "
                + "chunks stored in the shipped order and reused in another where the answer "
                + "differs, profiles from a third",
        ]
        if let plot {
            try CurvePlot.write(
                answers + divergences, xTitle: "computed, of a full prefill", to: plot)
        }
    }
}

/// Means over questions.
private struct QualityScore {
    private(set) var count = 0.0
    private var right = 0.0
    private var shares = 0.0
    private var divergences = 0.0

    mutating func add(_ result: PrefillResult, _ prompt: QualityPrompt) {
        count += 1
        right += result.greedyToken == prompt.answer ? 1 : 0
        shares += result.statistics.tokensComputed / Double(prompt.tokens.count)
        divergences += Self.divergence(prompt.full.logits, result.logits)
    }

    var accuracy: Double { right / max(count, 1) }
    var share: Double { shares / max(count, 1) }
    var divergence: Double { divergences / max(count, 1) }

    /// Σ p ln(p/q) of two softmaxes.
    private static func divergence(_ p: [Float], _ q: [Float]) -> Double {
        func logs(_ logits: [Float]) -> [Double] {
            let top = logits.reduce(-Double.infinity) { max($0, Double($1)) }
            let sum = logits.reduce(0) { $0 + exp(Double($1) - top) }
            return logits.map { Double($0) - top - log(sum) }
        }
        return zip(logs(p), logs(q)).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    }
}
