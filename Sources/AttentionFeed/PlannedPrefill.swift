// A planned prompt: what is stored for its chunks is looked up without touching a payload, Fusion
// decides, and the plan is driven through the model layer by layer. What turns out to be gone or
// damaged on the way is computed from its tokens instead: it costs time, never an answer.
//
//     let found = try await namespace.find(keys)
//     let plan = try FusionPlan(PlanRequest(binding: namespace.binding, …, found: found, …))
//     let result = try await namespace.prefill(tokens, plan: plan, with: model)

import Attention
import ChunkDB
import ChunkFormat
import Feed
import Fusion
import KVModel
import Primitives

extension FoundVariant {
    /// A stored variant whose headers were opened under `bindingDigest`. Scores that are no
    /// numbers, or not one a token (MET-4), count as not captured: whoever put them, the chunk's
    /// planes are as good as any.
    public init(_ chunk: LocatedChunk, bindingDigest: [UInt8]) {
        self.init(
            chunk.metadata, id: chunk.entry.variant, bindingDigest: bindingDigest,
            basePosition: chunk.basePosition,
            storedBytes: chunk.extents.reduce(0) { $0 + UInt64($1.paddedBytes) })
    }

    /// The same of metadata that was read in another way, one token id for each token.
    public init(
        _ metadata: ChunkMetadata, id: VariantID, bindingDigest: [UInt8], basePosition: Int,
        storedBytes: UInt64
    ) {
        let tokenCount = metadata.tokens.count
        var recompute = metadata.recompute
        func isMass(_ value: Float) -> Bool { value.isFinite && value >= 0 }
        func isProfile(_ scores: [Float16]) -> Bool {
            scores.count == tokenCount && scores.firstNoScore == nil
        }
        if !isProfile(recompute.tokenScores) { recompute.tokenScores = [] }
        if !isProfile(recompute.deviationProfile) { recompute.deviationProfile = [] }
        if let impact = recompute.contextImpact,
            !isMass(impact.interMean) || !isMass(impact.intraMean)
        {
            recompute.contextImpact = nil
        }
        if !recompute.prefix.allSatisfy({ isMass($0.interMean) }) {
            for index in recompute.prefix.indices { recompute.prefix[index].interMean = 0 }
        }
        self.init(
            id: id, bindingDigest: bindingDigest, tokenCount: tokenCount,
            basePosition: basePosition, storedBytes: storedBytes, recompute: recompute,
            detail: metadata.detail)
    }
}

/// What a planned prefill ends in.
public struct PlannedPrefillResult: Sendable {
    public let prefill: PrefillResult
    /// The plan as it was carried out: with what was lost computed.
    public let plan: FusionPlan
    /// Payload bytes that were read, padding included; those of attempts that met damage too.
    public let bytesRead: Int
}

extension Namespace {
    /// All stored variants of each key, by their headers alone; one that does not open, or whose
    /// prefix names the chunk itself, is left out. A key of which nothing is stored has an empty
    /// list.
    public func find(_ keys: [ChunkKey]) async throws(AttentionFeedError)
        -> [ChunkKey: [FoundVariant]]
    {
        let digest = binding.digest
        var found: [ChunkKey: [FoundVariant]] = [:]
        for key in keys where found[key] == nil {
            var list: [FoundVariant] = []
            for entry in variants(of: key) {
                do throws(StoreError) {
                    if let chunk = try await locate(key, variant: entry.variant),
                        !chunk.metadata.recompute.prefix.contains(where: { $0.key == key })
                    {
                        list.append(FoundVariant(chunk, bindingDigest: digest))
                    }
                } catch {
                    guard case .damaged = error else { throw .store(error) }
                }
            }
            found[key] = list
        }
        return found
    }

    /// Carries out a plan for `tokens`, one a row. Attention on the rows of `segments` is captured.
    /// With `focus`, which captures the chunks' rows, repair of chunks that the question does not
    /// look at stops when those it looks at have settled (Cache-Craft).
    ///
    /// Each loss costs a new start, so there are at most as many as the plan reuses chunks.
    public func prefill(
        _ tokens: [UInt32], plan: FusionPlan, with model: Model, options: FeedOptions = .init(),
        capturing segments: [Range<Int>] = [], focus: FocusObserver? = nil
    ) async throws(AttentionFeedError) -> PlannedPrefillResult {
        var plan = plan
        let segments = focus == nil ? segments : plan.chunks.map(\.rows)
        var bytesRead = 0
        while true {
            var lost: Set<Int> = []
            do throws(AttentionFeedError) {
                let used = plan.chunks.indices.filter { plan.chunks[$0].use != nil }
                let feed = try await start(plan, used, options)
                lost = Set((feed?.misses ?? []).map { used[$0] })
                if lost.isEmpty {
                    let prefill = try await run(
                        tokens, plan, feed, model, segments, focus, bytesRead: &bytesRead)
                    return PlannedPrefillResult(
                        prefill: prefill, plan: plan, bytesRead: bytesRead)
                }
            } catch {
                guard case .store(.damaged(let facts)) = error else { throw error }
                lost = Set(
                    plan.chunks.indices.filter {
                        plan.chunks[$0].key == facts.key
                            && plan.chunks[$0].use?.variant == facts.variant
                    })
                // Damage of what the plan does not use would be met again.
                if lost.isEmpty { throw error }
            }
            plan = plan.computing(lost)
        }
    }

    private func start(_ plan: FusionPlan, _ used: [Int], _ options: FeedOptions)
        async throws(AttentionFeedError) -> ChunkFeed?
    {
        let items = used.compactMap { index in
            plan.chunks[index].use.map {
                FeedItem(
                    self, plan.chunks[index].key, variant: $0.variant,
                    fixCost: Float($0.fixCost.ratio))
            }
        }
        if items.isEmpty { return nil }
        do throws(StoreError) {
            return try await ChunkFeed.start(items, options: options)
        } catch {
            throw .store(error)
        }
    }

    private func run(
        _ tokens: [UInt32], _ plan: FusionPlan, _ feed: ChunkFeed?, _ model: Model,
        _ segments: [Range<Int>], _ focus: FocusObserver?, bytesRead: inout Int
    ) async throws(AttentionFeedError) -> PrefillResult {
        let (spans, blend, spanOfChunk) = plan.prompt(tokens)
        var focus = focus
        var prefill: BlendedPrefill
        do throws(AttentionError) {
            prefill = try BlendedPrefill(
                model: model, spans: spans, plan: blend, format: PlaneFormat(binding),
                capturing: segments)
        } catch {
            throw .attention(error)
        }
        for layer in 0..<binding.layerCount {
            if let feed {
                let fed = try await next(feed)
                bytesRead += fed.byteCount
                try load(fed, into: &prefill)
            }
            do throws(AttentionError) {
                try prefill.compute(layer: layer)
                if let unfocused = focus?.unfocused(prefill.capture) {
                    focus = nil
                    try prefill.stopRepair(
                        of: Set(
                            unfocused.filter { plan.chunks[$0].use != nil }
                                .map { spanOfChunk[$0] }))
                }
            } catch {
                throw .attention(error)
            }
        }
        do throws(AttentionError) {
            return try prefill.finish()
        } catch {
            throw .attention(error)
        }
    }
}

extension FocusObserver {
    /// Takes the layer captured last. The chunks that are not focused when that has settled, `nil`
    /// as long as it has not.
    fileprivate mutating func unfocused(_ capture: AttentionCapture?) -> [Int]? {
        // Masses that are no numbers come from planes that are none: nothing is settled by them.
        guard let capture, let masses = capture.outsideMasses.last,
            (try? observe(masses)) == true
        else { return nil }
        return capture.segments.indices.filter { !focused.contains($0) }
    }
}
