// The ways of repair that `quality` compares, each as a line of points: more is recomputed from
// point to point. All but two are plans of Fusion; rows at random and rows by true deviation, which
// no planner can know, are given to the same prefill.

import Attention
import AttentionFeed
import ChunkDB
import Fusion

struct QualityMode: Sendable {
    enum Kind: Sendable {
        case noRepair
        case random
        case oracle
        /// One budget for all chunks, spent by token inter scores.
        case tokenScores
        case plan(FusionMode, @Sendable (inout PlanOptions) -> Void)
    }
    let name: String
    let kind: Kind
    /// Recompute ratio, or α.
    let strength: Double

    static let ratios = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]
    static let alphas = [0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5]

    /// All points of a task, line by line.
    static func all(
        _ task: QualityTask, layerCount: Int, ratios: [Double] = ratios,
        alphas: [Double] = alphas
    ) -> [Self] {
        var modes = [QualityMode(name: "no repair", kind: .noRepair, strength: 0)]
        func add(_ name: String, _ kind: (Double) -> Kind) {
            modes += ratios.map { QualityMode(name: name, kind: kind($0), strength: $0) }
        }
        add("random rows") { _ in .random }
        for layer in 1..<max(layerCount, 1) {
            add("CacheBlend, check at layer \(layer)") {
                .plan(.cacheBlend(ratio: $0)) {
                    $0.usesProfiles = false
                    $0.checkLayer = layer
                }
            }
        }
        add("CacheBlend, gradual from layer 1") {
            .plan(.cacheBlend(ratio: $0)) {
                $0.usesProfiles = false
                $0.checkLayer = 1
                $0.gradualSpread = 0.5
            }
        }
        add("stored deviation profile") { .plan(.cacheBlend(ratio: $0)) { _ in } }
        // Chunks computed alone have no scores.
        if task == .order {
            add("token scores, one budget") { _ in .tokenScores }
            for (name, prefersProfiles) in [
                ("Cache-Craft", false), ("Cache-Craft, rows by profile", true),
            ] {
                modes += alphas.map {
                    let kind = Kind.plan(.cacheCraft(alpha: $0)) {
                        $0.prefersProfiles = prefersProfiles
                    }
                    return QualityMode(name: name, kind: kind, strength: $0)
                }
            }
        }
        add("oracle") { _ in .oracle }
        return modes
    }

    /// What the mode makes of a prompt.
    func run(
        _ prompt: QualityPrompt, model: Model, binding: ModelBinding, oracle: [Float],
        generator: inout SeededGenerator
    ) throws -> PrefillResult {
        let reused = prompt.chunks.flatMap { Array($0.rows) }
        let budget = recomputeBudget(ratio: strength, tokenCount: reused.count)
        func largest(_ scores: [Float]) -> [Int] {
            let ordered = reused.indices.sorted {
                scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1
            }
            return ordered.prefix(budget).map { reused[$0] }.sorted()
        }
        switch kind {
        case .noRepair: return try carryOut(.rows([]), prompt, model)
        case .random:
            return try carryOut(.rows(largest(random(reused.count, &generator))), prompt, model)
        case .oracle: return try carryOut(.rows(largest(oracle)), prompt, model)
        case .tokenScores:
            let scores = prompt.chunks.flatMap { chunk in
                chunk.variant.recompute.tokenScores.map { Float($0) }
            }
            return try carryOut(.rows(largest(scores)), prompt, model)
        case .plan(let mode, let change):
            // Costs that weigh nothing: loading is never slower than computing.
            var request = PlanRequest(
                binding: binding, tokenCount: prompt.tokens.count,
                chunks: prompt.chunks.map { ChunkSpan(key: $0.key, rows: $0.rows) },
                found: Dictionary(
                    prompt.chunks.map { ($0.key, [$0.variant]) }, uniquingKeysWith: { $1 }),
                mode: mode, device: try DeviceProfile(bytesPerSecond: 1e15),
                compute: try ComputeProfile(
                    secondsPerToken: 1, projectionShare: model.configuration.keyValueShare),
                positionLimit: model.configuration.positionCount)
            change(&request.options)
            let plan = try FusionPlan(request)
            let (spans, blend, _) = plan.prompt(prompt.tokens)
            return try prefill(spans, blend, prompt, model)
        }
    }

    private func random(_ count: Int, _ generator: inout SeededGenerator) -> [Float] {
        (0..<count).map { _ in Float(generator.next() >> 40) }
    }

    private func carryOut(_ plan: BlendPlan, _ prompt: QualityPrompt, _ model: Model)
        throws -> PrefillResult
    {
        var spans = prompt.chunks.map {
            PromptSpan(
                tokens: Array(prompt.tokens[$0.rows]),
                source: .loaded(basePosition: $0.variant.basePosition),
                start: $0.rows.lowerBound)
        }
        let end = prompt.chunks.last?.rows.upperBound ?? 0
        spans.append(
            PromptSpan(tokens: Array(prompt.tokens[end...]), source: .fresh, start: end))
        return try prefill(spans, plan, prompt, model)
    }

    /// Planes come from memory; a span that is loaded is the chunk at its rows.
    private func prefill(
        _ spans: [PromptSpan], _ plan: BlendPlan, _ prompt: QualityPrompt, _ model: Model
    ) throws -> PrefillResult {
        var prefill = try BlendedPrefill(model: model, spans: spans, plan: plan)
        let planes = Dictionary(
            prompt.chunks.map { ($0.rows.lowerBound, $0.planes) }, uniquingKeysWith: { $1 })
        for layer in 0..<model.configuration.layerCount {
            for span in prefill.loadedSpans {
                guard let stored = planes[spans[span].start] else {
                    throw BenchmarkError.world("span \(span) is no chunk")
                }
                try prefill.load(
                    layer: layer, span: span,
                    keys: stored.encoded(.keys, layer: layer, as: .float32),
                    values: stored.encoded(.values, layer: layer, as: .float32))
            }
            try prefill.compute(layer: layer)
        }
        return try prefill.finish()
    }
}
