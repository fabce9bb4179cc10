// Attention fed: a prompt of stored chunks and a question goes through the model layer by layer,
// each layer as soon as the feed has it. A chunk that is not stored is computed with the prompt: a
// miss costs time, never an answer.

import Attention
import ChunkDB
import ChunkFormat
import Feed
import KVModel

/// What a fed prefill ends in.
public struct FedPrefillResult: Sendable {
    public let prefill: PrefillResult
    /// Chunks of the prompt that were not stored.
    public let missCount: Int
    /// Payload bytes that were read, padding included.
    public let bytesRead: Int
}

extension Namespace {
    /// Prefills `chunks` followed by `question`, reusing every chunk that is stored here.
    ///
    /// Positions run from 0 through the prompt. Layers that the plan does not look at are not read.
    /// *Throws:* `.store(.bindingMismatch)` before anything is read when the namespace holds
    /// another model's chunks; `.store(.damaged)`, where a `FusionPlan` would go on without.
    public func prefill(
        chunks: [[UInt32]], question: [UInt32], plan: BlendPlan, with model: Model,
        options: FeedOptions = .init()
    ) async throws(AttentionFeedError) -> FedPrefillResult {
        try requireModel(model)
        let items = chunks.map { FeedItem(self, key(tokens: $0)) }
        var options = options
        options.skippedLayers = skippedLayers(plan)
        // Whoever checks waits for these two.
        if case .blend(_, let checkLayer, _, _) = plan { options.firstLayers += [checkLayer] }
        let feed = try await start(items, options)
        var prefill = try open(chunks, question, plan, feed, model)
        var bytesRead = 0
        for layer in 0..<binding.layerCount {
            if let feed, !options.skippedLayers.contains(layer), !feed.chunks.isEmpty {
                let fed = try await next(feed)
                bytesRead += fed.byteCount
                try prefill.load(fed)
            }
            do throws(AttentionError) {
                try prefill.compute(layer: layer)
            } catch {
                throw .attention(error)
            }
        }
        do throws(AttentionError) {
            return FedPrefillResult(
                prefill: try prefill.finish(), missCount: feed?.misses.count ?? 0,
                bytesRead: bytesRead)
        } catch {
            throw .attention(error)
        }
    }

    /// Layers whose loaded planes the plan never looks at.
    private func skippedLayers(_ plan: BlendPlan) -> Set<Int> {
        switch plan {
        // A filter may leave some spans out of its check, and those are needed in every layer.
        case .concatenate, .realign, .rows, .filtered, .parallel: []
        case .recompute: Set(0..<binding.layerCount)
        // Layer 0 is read although it is computed: it is the self-test of binding and position.
        case .blend(_, let checkLayer, _, _): Set(1..<Swift.max(checkLayer, 1))
        }
    }

    private func start(_ items: [FeedItem], _ options: FeedOptions)
        async throws(AttentionFeedError) -> ChunkFeed?
    {
        if items.isEmpty || options.skippedLayers.count == binding.layerCount { return nil }
        do throws(StoreError) {
            return try await ChunkFeed.start(items, options: options)
        } catch {
            throw .store(error)
        }
    }

    private func open(
        _ chunks: [[UInt32]], _ question: [UInt32], _ plan: BlendPlan, _ feed: ChunkFeed?,
        _ model: Model
    ) throws(AttentionFeedError) -> BlendedPrefill {
        let misses = Set(feed?.misses ?? Array(chunks.indices))
        let stored = feed?.chunks ?? []
        var spans: [PromptSpan] = []
        var start = 0
        var found = 0
        for (index, tokens) in chunks.enumerated() {
            let source: PromptSpan.Source
            if misses.contains(index) {
                source = .fresh
            } else {
                let positions = stored[found].metadata.detail.positions
                source =
                    positions.isEmpty
                    ? .loaded(basePosition: stored[found].basePosition)
                    : .loadedAt(positions: positions.map(Int.init))
                found += 1
            }
            spans.append(PromptSpan(tokens: tokens, source: source, start: start))
            start += tokens.count
        }
        spans.append(PromptSpan(tokens: question, source: .fresh, start: start))
        do throws(AttentionError) {
            return try BlendedPrefill(
                model: model, spans: spans, plan: plan, format: PlaneFormat(binding))
        } catch {
            throw .attention(error)
        }
    }

    func next(_ feed: ChunkFeed) async throws(AttentionFeedError) -> FedLayer {
        do throws(StoreError) {
            guard let layer = try await feed.nextLayer() else {
                preconditionFailure("a feed gives every layer once")
            }
            return layer
        } catch {
            throw .store(error)
        }
    }
}

extension BlendedPrefill {
    /// Hands over all loaded spans' planes of a layer.
    mutating func load(_ fed: FedLayer, prompt: Int = 0) throws(AttentionFeedError) {
        for (chunk, span) in loadedSpans.enumerated() {
            do throws(AttentionError) {
                try unsafe fed.withPlanes(chunk: chunk, prompt: prompt) {
                    keys, values throws(AttentionError) in
                    // SAFETY: the slab lives through this closure; the planes are whole rows.
                    try load(
                        layer: fed.layer, span: span, keys: unsafe RawSpan(_unsafeBytes: keys),
                        values: unsafe RawSpan(_unsafeBytes: values))
                }
            } catch {
                throw .attention(error)
            }
        }
    }
}
