// Where plans meet the module that executes them: a plan's chunks become spans, its rows and checks
// a filter; and what a prefill captured becomes the metadata that the next plan is made from.

import Attention
import Fusion
import KVModel
import Primitives

extension FusionPlan {
    /// Spans and plan for a `BlendedPrefill` of these tokens, one a row of the prompt, and which
    /// span each of `chunks` is. Spans that are loaded are those of chunks that reuse a variant, in
    /// their order.
    public func prompt(_ tokens: [UInt32])
        -> (spans: [PromptSpan], plan: BlendPlan, spanOfChunk: [Int])
    {
        precondition(tokens.count == tokenCount, "the plan is of another prompt")
        var spans: [PromptSpan] = []
        var spanOfChunk: [Int] = []
        var row = 0
        func addText(to end: Int) {
            // Text is one span as long as its positions run on.
            while row < end {
                let start = freshPositions[row] ?? 0
                var next = row + 1
                while next < end, freshPositions[next] == start + next - row { next += 1 }
                spans.append(
                    PromptSpan(tokens: Array(tokens[row..<next]), source: .fresh, start: start))
                row = next
            }
        }
        for chunk in chunks {
            addText(to: chunk.rows.lowerBound)
            spanOfChunk.append(spans.count)
            spans.append(
                PromptSpan(
                    tokens: Array(tokens[chunk.rows]), source: source(chunk),
                    start: chunk.position))
            row = chunk.rows.upperBound
        }
        addText(to: tokenCount)
        return (spans, blendPlan(spanOfChunk), spanOfChunk)
    }

    private func source(_ chunk: ChunkPlan) -> PromptSpan.Source {
        guard let use = chunk.use else { return .fresh }
        return use.storedPositions.isEmpty
            ? .loaded(basePosition: use.storedPosition)
            : .loadedAt(positions: use.storedPositions.map(Int.init))
    }

    private func blendPlan(_ spanOfChunk: [Int]) -> BlendPlan {
        switch mode {
        case .recompute: return .recompute
        case .concatenate: return .concatenate
        case .realign, .prefix: return .realign
        case .parallel(let temperature, let scale):
            guard let first = spanOfChunk.first, let last = spanOfChunk.last else {
                return .realign
            }
            return .parallel(
                ParallelBlock(
                    spans: first..<last + 1, temperature: Float(temperature), scale: Float(scale)))
        case .cacheBlend, .cacheCraft: break
        }
        var filter = BlendFilter(
            known: knownRows,
            steps: (schedule?.steps ?? []).map { .init(layer: $0.layer, ratio: $0.ratio) },
            tensor: tensor)
        for (chunk, span) in zip(chunks, spanOfChunk) {
            guard case .check(let budget) = chunk.use?.repair else { continue }
            filter.open.append(span)
            if let budget { filter.budgets[span] = budget }
        }
        return .filtered(filter)
    }
}

extension AttentionCapture {
    /// The metadata of a chunk that was computed behind others: `keys` are those of the segments in
    /// front, in order. `nil` unless the prefill computed every row of it, since the sums would be
    /// of a part of the chunk, and unless the segments in front are all that stands there: a prefix
    /// has no word for other text.
    ///
    /// Bytes: 40 a chunk in front and 2 a token, and 2 a layer and chunk for the detail.
    public func metadata(
        of segment: Int, behind keys: [ChunkKey], creationMilliseconds: Float = 0,
        deviceClass: DeviceClass? = nil
    ) -> (recompute: RecomputeMetadata, detail: VariantDetail)? {
        precondition(keys.count == segment, "one key for each segment in front")
        guard !masses.isEmpty, !segments[segment].isEmpty, isComplete(segment),
            startsAtOnce(segment)
        else { return nil }
        let inter = inter(of: segment)
        let intra = intra(of: segment)
        let tokenCount = segments[segment].count
        let counts = segments[..<segment].map(\.count)
        let layerCount = Double(masses.count)
        let prefix = keys.indices.map { index in
            PrefixShare(
                key: keys[index], tokenCount: counts[index],
                interMean: Float(inter.reduce(0) { $0 + $1[index] } / layerCount))
        }
        let own = Double(tokenCount)
        let recompute = RecomputeMetadata(
            prefix: prefix,
            contextImpact: ContextImpact(
                inter: inter, intra: intra, tokenCount: tokenCount, prefixTokenCounts: counts),
            tokenScores: tokenScores[segments[segment]].map { Float16($0) },
            creationMilliseconds: creationMilliseconds, deviceClass: deviceClass)
        let detail = VariantDetail(
            layerIntra: intra.map { Float16($0 / own) },
            layerInter: inter.flatMap { $0.map { Float16($0 / own) } })
        return (recompute, detail)
    }

    /// Whether nothing but segments stands in front of this one.
    func startsAtOnce(_ segment: Int) -> Bool {
        segments[..<segment].reduce(0) { $0 + $1.count } == segments[segment].lowerBound
    }
}
