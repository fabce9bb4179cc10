// Planned prompts side by side, layer by layer: a chunk that several of them reuse is read once
// (BatchLLM, arXiv 2412.03594). One prompt is a batch of one. What is lost on the way is computed
// in all prompts that wanted it, and the batch begins again without it.

import Attention
import ChunkDB
import Feed
import Fusion
import KVModel

/// A prompt of a batch.
public struct PlannedPrompt: Sendable {
    /// One a row of the plan.
    public var tokens: [UInt32]
    public var plan: FusionPlan
    /// Rows on which attention is captured; with `focus` the chunks'.
    public let segments: [Range<Int>]
    /// When repair of chunks that the question does not look at may stop.
    public let focus: FocusObserver?

    public init(
        _ tokens: [UInt32], plan: FusionPlan, capturing segments: [Range<Int>] = [],
        focus: FocusObserver? = nil
    ) {
        self.tokens = tokens
        self.plan = plan
        self.segments = focus == nil ? segments : plan.chunks.map(\.rows)
        self.focus = focus
    }

    /// The chunks that come from the store.
    fileprivate var used: [Int] { plan.chunks.indices.filter { plan.chunks[$0].use != nil } }
}

extension Namespace {
    /// Carries out several plans at once, each chunk read once (`BatchPlan.bytesRead`); its leases
    /// end with the batch. Memory: the cache of every prompt.
    /// *Throws:* before anything is computed `.store(.bindingMismatch)` for another model than the
    /// namespace's, and `.store(.shape)` where a prompt has other tokens than the chunk planned
    /// there.
    public func prefill(
        _ prompts: [PlannedPrompt], with model: Model, options: FeedOptions = .init()
    ) async throws(AttentionFeedError) -> [PlannedPrefillResult] {
        try requireModel(model)
        var prompts = prompts
        var bytesRead = 0
        while true {
            var lost: [Set<Int>]
            do throws(AttentionFeedError) {
                let feed = try await start(prompts, options)
                lost = prompts.indices.map { prompt in
                    let used = prompts[prompt].used
                    return Set((feed?.prompts[prompt].misses ?? []).map { used[$0] })
                }
                if lost.allSatisfy(\.isEmpty) {
                    try requireTokens(prompts, feed)
                    let results = try await run(prompts, feed, model, bytesRead: &bytesRead)
                    return zip(results, prompts).map {
                        PlannedPrefillResult(prefill: $0, plan: $1.plan, bytesRead: bytesRead)
                    }
                }
            } catch {
                guard case .store(let cause) = error, cause.isLoss else { throw error }
                let gone = try await gone(cause, prompts)
                lost = prompts.map { $0.chunks(gone) }
                // What no plan uses would be met again.
                if lost.allSatisfy(\.isEmpty) { throw error }
            }
            for prompt in prompts.indices {
                prompts[prompt].plan = prompts[prompt].plan.computing(lost[prompt])
            }
        }
    }

    /// Another model's planes may have the right size.
    func requireModel(_ model: Model) throws(AttentionFeedError) {
        let own = model.binding(elementType: binding.elementType)
        guard own.weightsDigest == binding.weightsDigest, own.layers == binding.layers,
            own.rotary == binding.rotary
        else {
            throw .store(
                .bindingMismatch(
                    namespace: name, expected: binding.name,
                    found: "one of other weights, geometry or rotation"))
        }
    }

    /// Planes of other tokens than the prompt's would answer as if they were its own.
    private func requireTokens(_ prompts: [PlannedPrompt], _ feed: ChunkFeed?)
        throws(AttentionFeedError)
    {
        for prompt in prompts where prompt.tokens.count != prompt.plan.tokenCount {
            throw .store(
                .shape(
                    what: "tokens of a prompt", expected: "\(prompt.plan.tokenCount), as planned",
                    found: "\(prompt.tokens.count)"))
        }
        guard let feed else { return }
        for (prompt, fed) in zip(prompts, feed.prompts) {
            for (index, chunk) in zip(prompt.used, fed.chunks) {
                let rows = prompt.plan.chunks[index].rows
                guard chunk.metadata.tokens.elementsEqual(prompt.tokens[rows]) else {
                    throw .store(
                        .shape(
                            what: "tokens at rows \(rows)", expected: "those of the stored chunk",
                            found: "others"))
                }
            }
        }
    }

    private func start(_ prompts: [PlannedPrompt], _ options: FeedOptions)
        async throws(AttentionFeedError) -> ChunkFeed?
    {
        let items = prompts.map { prompt in
            prompt.used.compactMap { index in
                prompt.plan.chunks[index].use.map {
                    FeedItem(
                        self, prompt.plan.chunks[index].key, variant: $0.variant,
                        fixCost: Float($0.fixCost.ratio))
                }
            }
        }
        if items.allSatisfy(\.isEmpty) { return nil }
        do throws(StoreError) {
            return try await ChunkFeed.start(prompts: items, options: options)
        } catch {
            throw .store(error)
        }
    }

    private func run(
        _ prompts: [PlannedPrompt], _ feed: ChunkFeed?, _ model: Model, bytesRead: inout Int
    ) async throws(AttentionFeedError) -> [PrefillResult] {
        var running: [RunningPrefill] = []
        for prompt in prompts { running.append(try RunningPrefill(prompt, model, binding)) }
        for layer in 0..<binding.layerCount {
            var fed: FedLayer?
            if let feed {
                fed = try await next(feed)
                bytesRead += fed?.byteCount ?? 0
            }
            for (index, prefill) in running.enumerated() {
                try prefill.compute(layer, from: fed, prompt: index)
            }
        }
        var results: [PrefillResult] = []
        for prefill in running { results.append(try prefill.finish()) }
        return results
    }
}

/// A variant that cannot be had.
private struct GoneVariant: Hashable {
    let key: ChunkKey
    let variant: VariantID
}

extension Namespace {
    /// Which variants of the prompts' `cause` is about: the one that does not verify, or those that
    /// the medium does not give when each is asked for by itself; all when it gives them again.
    private func gone(_ cause: StoreError, _ prompts: [PlannedPrompt])
        async throws(AttentionFeedError) -> Set<GoneVariant>
    {
        if case .damaged(let facts) = cause {
            return [GoneVariant(key: facts.key, variant: facts.variant)]
        }
        var all: Set<GoneVariant> = []
        for prompt in prompts {
            for chunk in prompt.plan.chunks {
                guard let use = chunk.use else { continue }
                all.insert(GoneVariant(key: chunk.key, variant: use.variant))
            }
        }
        var gone: Set<GoneVariant> = []
        for one in all {
            do throws(StoreError) {
                if try await get(one.key, variant: one.variant) == nil { gone.insert(one) }
            } catch {
                guard error.isLoss else { throw .store(error) }
                gone.insert(one)
            }
        }
        return gone.isEmpty ? all : gone
    }
}

extension PlannedPrompt {
    fileprivate func chunks(_ gone: Set<GoneVariant>) -> Set<Int> {
        Set(
            used.filter { index in
                let chunk = plan.chunks[index]
                return chunk.use.map {
                    gone.contains(GoneVariant(key: chunk.key, variant: $0.variant))
                } ?? false
            })
    }
}

extension StoreError {
    /// Whether it says that stored bytes cannot be had, and no more: they do not verify, or the
    /// medium does not give them.
    var isLoss: Bool {
        switch self {
        case .damaged, .log(.disk): true
        default: false
        }
    }
}

/// One prompt's prefill; a class, since several of them stand in an array.
private final class RunningPrefill {
    private var prefill: BlendedPrefill?
    private let plan: FusionPlan
    private let spanOfChunk: [Int]
    private var focus: FocusObserver?

    init(_ prompt: PlannedPrompt, _ model: Model, _ binding: ModelBinding)
        throws(AttentionFeedError)
    {
        let (spans, blend, spanOfChunk) = prompt.plan.prompt(prompt.tokens)
        plan = prompt.plan
        focus = prompt.focus
        self.spanOfChunk = spanOfChunk
        do throws(AttentionError) {
            prefill = try BlendedPrefill(
                model: model, spans: spans, plan: blend, format: PlaneFormat(binding),
                capturing: prompt.segments)
        } catch {
            throw .attention(error)
        }
    }

    /// After an error there is no prefill any more.
    func compute(_ layer: Int, from fed: FedLayer?, prompt: Int) throws(AttentionFeedError) {
        var running = prefill.take()!
        if let fed { try running.load(fed, prompt: prompt) }
        do throws(AttentionError) {
            try running.compute(layer: layer)
            if let unfocused = focus?.unfocused(running.capture) {
                focus = nil
                try running.stopRepair(
                    of: Set(
                        unfocused.filter { plan.chunks[$0].use != nil }.map { spanOfChunk[$0] }))
            }
        } catch {
            throw .attention(error)
        }
        prefill = consume running
    }

    /// Once, after the last layer.
    func finish() throws(AttentionFeedError) -> PrefillResult {
        do throws(AttentionError) {
            return try prefill.take()!.finish()
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
