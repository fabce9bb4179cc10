// What each mode computes on a stream of prompts, by Fusion's plans alone: no attention, no disk.
// Each mode has a store of its own, which holds what that mode made: chunks that had to be
// computed, and, for Cache-Craft, repaired ones. Every mode sees the same prompts.
//
// What a capture would have measured is drawn from a seed instead: how strongly each chunk looks
// at what stands before it (ā/b̄), and how that is shared out among the chunks in front.

import ChunkDB
import Fusion

struct ReuseTrace {
    struct Chunk {
        let key: ChunkKey
        let tokenCount: Int
        /// ā/b̄, once for each chunk.
        let impact: Double
    }
    let chunks: [Chunk]
    /// Chunks by number, in order, none twice.
    let prompts: [[Int]]
    let questionTokenCount: Int

    /// Popularity as Cache-Craft reports it: the top 5 % of chunks get 60 % of the requests.
    init(
        chunkCount: Int, promptCount: Int, lengths: ClosedRange<Int>,
        tokenCounts: ClosedRange<Int>, questionTokenCount: Int, impacts: ClosedRange<Double>,
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        chunks = (0..<chunkCount).map { number in
            Chunk(
                key: ChunkKey(words: (seed, 0, 0, UInt64(number))),
                tokenCount: generator.integer(in: tokenCounts),
                impact: generator.logUniform(impacts.lowerBound, impacts.upperBound))
        }
        let popularity = Popularity(
            count: chunkCount, topShare: 0.05, weight: 0.6, promptLengths: lengths)
        prompts = (0..<promptCount).map { _ in
            popularity.prompt(lengths: lengths, using: &generator)
        }
        self.questionTokenCount = questionTokenCount
    }

    func spans(_ prompt: [Int]) -> [ChunkSpan] {
        var row = 0
        return prompt.map { number in
            defer { row += chunks[number].tokenCount }
            return ChunkSpan(
                key: chunks[number].key, rows: row..<row + chunks[number].tokenCount)
        }
    }
}

/// One way to put prompts together, and what it may keep.
struct ReuseMode {
    let name: String
    let mode: FusionMode
    /// Stored deviation profiles choose the rows; otherwise a check does.
    var usesProfiles = false
    /// Repaired chunks are stored at a CFO of at least this.
    var keepsRepairs: Double?
    var novelty = 1.0
}

struct ReuseSimulator {
    struct Costs {
        var layerCount = 32
        /// ρ of Llama-3-8B's geometry: K and V projections in the matrix work of a layer.
        var projectionShare = 0.04
        var variantsPerChunk = 5
    }
    struct Outcome {
        var computedTokens = 0.0
        var promptTokens = 0.0
        var reusedChunkCount = 0
        var exactChunkCount = 0
        var chunkCount = 0
        var storedVariantCount = 0
        var fixCosts = 0.0
        /// Computed and prompt tokens of each tenth of the prompts.
        var tenths = [(computed: Double, prompt: Double)](repeating: (0, 0), count: 10)

        func computedShare(tenth: Int) -> Double {
            tenths[tenth].computed / max(tenths[tenth].prompt, 1)
        }
    }

    let trace: ReuseTrace
    let costs: Costs
    let binding: ModelBinding

    init(_ trace: ReuseTrace, costs: Costs) {
        self.trace = trace
        self.costs = costs
        binding = ModelBinding(
            name: "simulated", weightsDigest: [UInt8](repeating: 1, count: 32),
            layers: [LayerGeometry](
                repeating: LayerGeometry(kvHeadCount: 8, headDimension: 128),
                count: costs.layerCount),
            elementType: .float16, rotary: RotaryEmbedding(base: 500_000, dimension: 128))
    }

    /// - Parameter isIngested: every chunk is stored alone before the first prompt, which costs one
    ///   prefill of the corpus that is not counted.
    func run(_ mode: ReuseMode, isIngested: Bool, seed: UInt64) throws -> Outcome {
        var store = Store(binding.digest, variantsMax: costs.variantsPerChunk)
        var generator = SeededGenerator(seed: seed)
        if isIngested { for chunk in trace.chunks { store.add(chunk, behind: [], at: 0, nil) } }
        var outcome = Outcome()
        for (time, prompt) in trace.prompts.enumerated() {
            let before = outcome.computedTokens
            let tenth = time * 10 / max(trace.prompts.count, 1)
            defer { outcome.tenths[tenth].computed += outcome.computedTokens - before }
            let spans = trace.spans(prompt)
            let tokenCount = (spans.last?.rows.upperBound ?? 0) + trace.questionTokenCount
            var request = PlanRequest(
                binding: binding, tokenCount: tokenCount, chunks: spans,
                found: Dictionary(
                    prompt.map { (trace.chunks[$0].key, store.variants(of: trace.chunks[$0])) },
                    uniquingKeysWith: { $1 }),
                mode: mode.mode, device: try DeviceProfile(bytesPerSecond: 1e15),
                compute: try ComputeProfile(
                    secondsPerToken: 1, projectionShare: costs.projectionShare),
                positionLimit: 1 << 30)
            request.options.usesProfiles = mode.usesProfiles
            request.options.novelty = mode.novelty
            let plan = try FusionPlan(request)
            outcome.computedTokens += plan.estimate.tokensComputed
            outcome.promptTokens += Double(tokenCount)
            outcome.tenths[tenth].prompt += Double(tokenCount)
            outcome.chunkCount += spans.count
            var isWhole = true
            for (place, chunk) in plan.chunks.enumerated() {
                let stored = trace.chunks[prompt[place]]
                let front = prompt[..<place].map { trace.chunks[$0] }
                guard let use = chunk.use else {
                    if isWhole || place == 0 {
                        store.add(stored, behind: front, at: chunk.rows.lowerBound, &generator)
                    } else if store.variants(of: stored).isEmpty {
                        // Computed behind repaired chunks it has no true name: stored alone, at
                        // the cost of another prefill of it, which is counted.
                        store.add(stored, behind: [], at: 0, nil)
                        outcome.computedTokens += Double(stored.tokenCount)
                    }
                    continue
                }
                outcome.reusedChunkCount += 1
                outcome.fixCosts += use.fixCost.ratio
                if use.fixCost.overlap.isExact { outcome.exactChunkCount += 1 }
                let isRepaired = store.use(
                    stored, use.variant, fixCost: use.fixCost.ratio, at: Double(time))
                isWhole = isWhole && use.fixCost.overlap.isExact && !isRepaired
                if let least = mode.keepsRepairs, use.repair != .none, place > 0,
                    use.fixCost.ratio >= least
                {
                    store.add(
                        stored, behind: front, at: chunk.rows.lowerBound, &generator,
                        parent: use.variant)
                }
            }
        }
        outcome.storedVariantCount = store.variantCount
        return outcome
    }

    /// Variants by chunk; of one chunk at most `variantsMax`, the least used leaves.
    private struct Store {
        struct Entry {
            var variant: FoundVariant
            var score: UseScore
        }
        private var entries: [ChunkKey: [Entry]] = [:]
        private let digest: [UInt8]
        private let variantsMax: Int

        init(_ digest: [UInt8], variantsMax: Int) {
            self.digest = digest
            self.variantsMax = variantsMax
        }

        var variantCount: Int { entries.values.reduce(0) { $0 + $1.count } }

        func variants(of chunk: ReuseTrace.Chunk) -> [FoundVariant] {
            (entries[chunk.key] ?? []).map(\.variant)
        }

        /// Marks a use. *Returns:* whether the variant was repaired once.
        mutating func use(
            _ chunk: ReuseTrace.Chunk, _ id: VariantID, fixCost: Double, at time: Double
        ) -> Bool {
            guard let index = entries[chunk.key]?.firstIndex(where: { $0.variant.id == id })
            else { return false }
            entries[chunk.key]?[index].score.use(fixCost: fixCost, at: time)
            return entries[chunk.key]?[index].variant.recompute.parent != nil
        }

        mutating func add(
            _ chunk: ReuseTrace.Chunk, behind front: [ReuseTrace.Chunk], at base: Int,
            _ generator: inout SeededGenerator, parent: VariantID? = nil
        ) {
            // The nearer a chunk stands, the more of the attention it gets.
            var weights = front.indices.map { generator.unit() * Double($0 + 1) }
            let sum = weights.reduce(0, +)
            weights = weights.map { sum > 0 ? $0 / sum : 0 }
            add(
                chunk,
                behind: zip(front, weights).map {
                    PrefixShare(
                        key: $0.key, tokenCount: $0.tokenCount, interMean: Float($1))
                }, at: base, ContextImpact(interMean: Float(chunk.impact), intraMean: 1),
                parent: parent)
        }

        mutating func add(
            _ chunk: ReuseTrace.Chunk, behind prefix: [PrefixShare], at base: Int,
            _ impact: ContextImpact?, parent: VariantID? = nil
        ) {
            let id = PrefixContext(prefix: prefix.map(\.key), basePosition: base).variantID
            var list = entries[chunk.key] ?? []
            if list.contains(where: { $0.variant.id == id }) { return }
            let scores = [Float16](repeating: prefix.isEmpty ? 0 : 1, count: chunk.tokenCount)
            let variant = FoundVariant(
                id: id, bindingDigest: digest, tokenCount: chunk.tokenCount, basePosition: base,
                storedBytes: UInt64(chunk.tokenCount),
                recompute: RecomputeMetadata(
                    prefix: prefix, contextImpact: impact, tokenScores: scores,
                    deviationProfile: [Float16](repeating: 1, count: chunk.tokenCount),
                    parent: parent))
            // Surplus goes, never the form that was computed alone.
            if list.count >= variantsMax {
                let least = list.indices.filter { list[$0].variant.id != .standalone }.min {
                    list[$0].score.value < list[$1].score.value
                }
                if let least { list.remove(at: least) }
            }
            list.append(
                Entry(variant: variant, score: UseScore(halfLifeSeconds: 1_000)))
            entries[chunk.key] = list
        }
    }
}
