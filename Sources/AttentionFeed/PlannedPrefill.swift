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
    /// Payload bytes that were read, padding included; those of attempts that met damage too. Of a
    /// batch: for all its prompts together.
    public let bytesRead: Int
}

extension Namespace {
    /// All stored variants of each key, by their headers alone; one that cannot be read or does not
    /// open, or whose prefix names the chunk itself, is left out. A key of which nothing is stored
    /// has an empty list.
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
                    guard error.isLoss else { throw .store(error) }
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
    /// *Throws:* `.store(.bindingMismatch)` before anything is read when the namespace holds
    /// another model's chunks, `.store(.shape)` before anything is computed when the tokens are not
    /// those of the chunks planned there.
    public func prefill(
        _ tokens: [UInt32], plan: FusionPlan, with model: Model, options: FeedOptions = .init(),
        capturing segments: [Range<Int>] = [], focus: FocusObserver? = nil
    ) async throws(AttentionFeedError) -> PlannedPrefillResult {
        let prompt = PlannedPrompt(tokens, plan: plan, capturing: segments, focus: focus)
        return try await prefill([prompt], with: model, options: options)[0]
    }
}
