// Plans made by Fusion, carried out by the attention module, from a store: what the planner says is
// what is done, and what is lost on the way costs time but no answer.

import Attention
import AttentionFeed
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Fusion
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("Plans carried out")
struct PlannedTests {
    static let chunks = AttentionFeedTests.chunks
    static let tokens = chunks.flatMap { $0 } + AttentionFeedTests.question
    static let segments = [0..<16, 16..<32, 32..<48]

    /// A store that holds what `fill` puts there.
    private func run<Success: Sendable>(
        _ body: @escaping @Sendable (Namespace, Model) async throws -> Success
    ) throws -> Success {
        let machine = SimulatedMachine(seed: 6)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        return try machine.run { () async throws -> Success in
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            return try await body(namespace, model)
        }
    }

    private static func keys(_ namespace: Namespace) -> [ChunkKey] {
        chunks.map { namespace.key(tokens: $0) }
    }

    private static func request(
        _ namespace: Namespace, _ model: Model, _ mode: FusionMode, order: [Int] = [0, 1, 2]
    ) async throws -> PlanRequest {
        let keys = keys(namespace)
        var request = PlanRequest(
            binding: namespace.binding, tokenCount: 51,
            chunks: zip(order, segments).map { ChunkSpan(key: keys[$0], rows: $1) },
            found: try await namespace.find(keys), mode: mode,
            device: try DeviceProfile(bytesPerSecond: 1e9),
            compute: try ComputeProfile(
                secondsPerToken: 1e-3, projectionShare: model.configuration.keyValueShare),
            positionLimit: model.configuration.positionCount)
        request.options.checkLayer = 1
        return request
    }

    /// Each chunk behind those in front of it, from one full prefill, with its metadata.
    private static func putContextual(_ namespace: Namespace, _ model: Model) async throws {
        let keys = keys(namespace)
        let full = try model.prefill(chunks.flatMap { $0 }, capturing: segments)
        for index in 0..<3 {
            try await namespace.put(
                segment: index, of: full, tokens: tokens, behind: Array(keys[..<index]),
                creationMilliseconds: 2, deviceClass: DeviceClass("test"))
        }
    }

    static let modes: [FusionMode] = [
        .concatenate, .realign, .prefix, .parallel(temperature: 0.9, scale: 0.9),
        .cacheBlend(ratio: 0.2), .cacheBlend(ratio: nil), .cacheCraft(alpha: 1), .recompute,
    ]

    @Test("the work that was planned is the work that was done", arguments: modes)
    func workDone(_ mode: FusionMode) throws {
        let (plan, statistics) = try run { namespace, model in
            for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
            let plan = try FusionPlan(try await Self.request(namespace, model, mode))
            let result = try await namespace.prefill(Self.tokens, plan: plan, with: model)
            #expect(result.plan == plan)
            #expect(result.bytesRead == Int(plan.estimate.loadBytes))
            return (plan, result.prefill.statistics)
        }
        // ⌈r · n⌉ rows are whole, the estimate is not: a row of 51 either way.
        #expect((statistics.tokensComputed - plan.estimate.tokensComputed).magnitude < 1)
        if plan.schedule == nil {
            let reused = plan.chunks.filter { $0.use != nil }.flatMap { Array($0.rows) }
            #expect(statistics.chosenRows == plan.knownRows.filter { reused.contains($0) })
        }
    }

    @Test("variants in their own context are reused as they are, and answer bit for bit")
    func exact() throws {
        let (logits, full, plan) = try run { namespace, model in
            for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
            try await Self.putContextual(namespace, model)
            let plan = try FusionPlan(
                try await Self.request(namespace, model, .cacheCraft(alpha: 1)))
            let result = try await namespace.prefill(Self.tokens, plan: plan, with: model)
            return (result.prefill.logits, try model.prefill(Self.tokens).logits, plan)
        }
        #expect(logits == full)
        #expect(plan.knownRows == [48, 49, 50])
        #expect(plan.chunks.allSatisfy { $0.use?.fixCost.overlap.isExact == true })
    }

    @Test("in another order, Cache-Craft repairs the tokens that looked most at their prefix")
    func permuted() throws {
        let (plan, errors) = try run { namespace, model in
            try await Self.putContextual(namespace, model)
            let order = [2, 0, 1]
            let tokens = order.flatMap { Self.chunks[$0] } + AttentionFeedTests.question
            let full = try model.prefill(tokens).logits
            func error(_ plan: FusionPlan) async throws -> Float {
                let found = try await namespace.prefill(tokens, plan: plan, with: model)
                return zip(found.prefill.logits, full).map { ($0 - $1).magnitude }.max() ?? 0
            }
            var errors: [Float] = []
            var last: FusionPlan?
            for mode in [FusionMode.realign, .cacheCraft(alpha: 0.5), .cacheCraft(alpha: 99)] {
                var request = try await Self.request(namespace, model, mode, order: order)
                // The chunk that was first when it was computed has no prefix, and a cap.
                if mode == .cacheCraft(alpha: 99) { request.options.ratioFloor = 1 }
                let plan = try FusionPlan(request)
                errors.append(try await error(plan))
                if mode == .cacheCraft(alpha: 0.5) { last = plan }
            }
            return (last!, errors)
        }
        guard case .rows(let rows, .tokenScores)? = plan.chunks[0].use?.repair else {
            Issue.record("the last chunk came first and was not repaired")
            return
        }
        #expect(!rows.isEmpty && rows.count < 16)
        #expect(errors[0] > 1e-2, "realigned, it is wrong")
        #expect(errors[1] < errors[0], "repaired, less so")
        #expect(errors[2] == 0, "computed whole, it is right bit for bit")
    }

    @Test("timed prefills make a profile")
    func timings() throws {
        let model = try AttentionFeedTests.tinyModel()
        let samples = try model.timings(tokenCounts: [8, 0, 64, 513, 128], repeatCount: 2)
        #expect(samples.map(\.tokenCount) == [8, 64, 128], "those that the model has room for")
        #expect(samples.allSatisfy { $0.seconds > 0 })
        let profile = try ComputeProfile(
            fitting: samples, projectionShare: model.configuration.keyValueShare)
        #expect(profile.secondsPerToken > 0)
        #expect(
            profile.prefillSeconds(tokenCount: 128) > profile.prefillSeconds(tokenCount: 8))
        let calibrated = try model.calibrate(tokenCounts: [8, 64, 128], repeatCount: 2)
        #expect(calibrated.secondsPerToken > 0)
        #expect(calibrated.projectionShare == model.configuration.keyValueShare)
        #expect(throws: CalibrationError.self) { try model.calibrate(tokenCounts: [0, 513]) }
    }

    @Test("metadata of a capture: within its ranges, and nothing of a part")
    func metadata() throws {
        let model = try AttentionFeedTests.tinyModel()
        let full = try model.prefill(Self.tokens, capturing: Self.segments)
        let keys = (0..<3).map { ChunkKey(words: (0, 0, 0, UInt64($0))) }
        let capture = try #require(full.capture)
        for index in 0..<3 {
            let (recompute, detail) = try #require(
                capture.metadata(of: index, behind: Array(keys[..<index])))
            let impact = try #require(recompute.contextImpact)
            #expect((0.5...1).contains(impact.index) && impact.intraMean > 0)
            #expect((impact.interMean > 0) == (index > 0))
            #expect(recompute.prefix.map(\.key) == Array(keys[..<index]))
            // A token gives all of its weight to its own chunk and those in front.
            let given = recompute.prefix.reduce(0) { $0 + $1.interMean }
            let scores = recompute.tokenScores.reduce(0) { $0 + Float($1) }
            #expect((given - scores).magnitude < 0.02)
            #expect(detail.layerIntra.count == 2 && detail.layerInter.count == 2 * index)
            for layer in 0..<2 {
                let sum = detail.layerInter[(layer * index)..<((layer + 1) * index)]
                    .reduce(Float(detail.layerIntra[layer])) { $0 + Float($1) }
                #expect((sum - 1).magnitude < 0.01)
            }
        }
        var part = try BlendedPrefill(
            model: model,
            spans: [
                PromptSpan(tokens: Self.chunks[0], source: .loaded(basePosition: 0), start: 0),
                PromptSpan(tokens: [1, 2], source: .fresh, start: 16),
            ], plan: .realign, capturing: [0..<16])
        let planes = try model.prefill(Self.chunks[0]).cache.planes
        for layer in 0..<2 {
            try part.load(
                layer: layer, span: 0, keys: planes.encoded(.keys, layer: layer, as: .float32),
                values: planes.encoded(.values, layer: layer, as: .float32))
            try part.compute(layer: layer)
        }
        let partial = try #require(try part.finish().capture)
        #expect(partial.metadata(of: 0, behind: []) == nil)
    }

    @Test("scores that are no numbers are as if not captured, and no reason to refuse a prompt")
    func badScores() throws {
        let plan = try run { namespace, model in
            let keys = Self.keys(namespace)
            for (index, chunk) in Self.chunks.enumerated() {
                let planes = try model.prefill(chunk).cache.planes
                let layers = try (0..<2).map { layer in
                    (
                        keys: try planes.encoded(.keys, layer: layer, as: .float32),
                        values: try planes.encoded(.values, layer: layer, as: .float32)
                    )
                }
                // The last one claims to have stood behind itself.
                let prefix = index == 2 ? [keys[2]] : index == 1 ? [keys[0]] : []
                _ = try await namespace.put(
                    keys[index], tokens: chunk, layers: layers,
                    context: PrefixContext(prefix: prefix, basePosition: 0),
                    recompute: RecomputeMetadata(
                        prefix: prefix.map {
                            PrefixShare(key: $0, tokenCount: 16, interMean: .nan)
                        },
                        contextImpact: ContextImpact(interMean: .infinity, intraMean: -1),
                        tokenScores: [Float16](repeating: .nan, count: 16),
                        deviationProfile: [Float16](repeating: -1, count: 16)))
            }
            let order = [1, 0, 2]
            let request = try await Self.request(
                namespace, model, .cacheCraft(alpha: 1), order: order)
            let plan = try FusionPlan(request)
            let tokens = order.flatMap { Self.chunks[$0] } + AttentionFeedTests.question
            _ = try await namespace.prefill(tokens, plan: plan, with: model)
            return plan
        }
        #expect(plan.chunks[0].use != nil && plan.chunks[1].use != nil)
        #expect(plan.chunks[2].action == .compute(.missing))
    }

    @Test("repair of chunks that the question does not look at stops when that has settled")
    func focus() throws {
        func rows(_ mass: Double, _ window: Int) throws -> [Int] {
            try run { namespace, model in
                for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
                let plan = try FusionPlan(
                    try await Self.request(namespace, model, .cacheBlend(ratio: 0.25)))
                let result = try await namespace.prefill(
                    Self.tokens, plan: plan, with: model,
                    focus: try FocusObserver(focusMass: mass, focusWindow: window))
                #expect(result.prefill.capture?.segments == Self.segments)
                return result.prefill.statistics.computedRowCounts
            }
        }
        // The check stands at layer 1: all 51 rows before it, then 12 of 48 and the question.
        #expect(try rows(1, 1) == [51, 15], "all hold the mass together")
        #expect(try rows(0, 1) == [51, 3], "no chunk is looked at from layer 0 on")
        #expect(try rows(0, 2) == [51, 15], "settled when the last layer is done")
        let some = try rows(0.5, 1)
        #expect(some[1] > 3 && some[1] <= 15)
    }

    @Test("a payload that rotted is computed, and the others are still reused")
    func damaged() throws {
        let machine = SimulatedMachine(seed: 6)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        let (result, logits) = try machine.run {
            () async throws -> (PlannedPrefillResult, [Float]) in
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
            let plan = try FusionPlan(try await Self.request(namespace, model, .realign))
            let key = Self.keys(namespace)[1]
            let extent = try #require(try await namespace.locate(key)?.extent(layer: 1, .values))
            machine.disk.flip("segments/00000000", byte: Int(extent.fileOffset) + 5, bit: 2)
            let result = try await namespace.prefill(Self.tokens, plan: plan, with: model)
            var spans = plan.computing([1]).prompt(Self.tokens).spans
            #expect(spans.map(\.isLoaded) == [true, false, true, false])
            // The same without a store.
            var prefill = try BlendedPrefill(model: model, spans: spans, plan: .realign)
            spans = prefill.spans
            for layer in 0..<2 {
                for span in prefill.loadedSpans {
                    let planes = try model.prefill(spans[span].tokens).cache.planes
                    try prefill.load(
                        layer: layer, span: span,
                        keys: planes.encoded(.keys, layer: layer, as: .float32),
                        values: planes.encoded(.values, layer: layer, as: .float32))
                }
                try prefill.compute(layer: layer)
            }
            return (result, try prefill.finish().logits)
        }
        #expect(result.plan.chunks[1].action == .compute(.lost))
        #expect(result.plan.chunks[0].use != nil && result.plan.chunks[2].use != nil)
        #expect(result.prefill.logits == logits)
    }

    @Test("a variant that is gone by now is computed", arguments: modes)
    func gone(_ mode: FusionMode) throws {
        let (before, after, logits, expected) = try run { namespace, model in
            for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
            let plan = try FusionPlan(try await Self.request(namespace, model, mode))
            let keys = Self.keys(namespace)
            _ = try await namespace.remove(keys[1])
            let result = try await namespace.prefill(Self.tokens, plan: plan, with: model)
            // The same as a plan made now.
            let late = try FusionPlan(try await Self.request(namespace, model, mode))
            let direct = try await namespace.prefill(Self.tokens, plan: late, with: model)
            return (plan, result.plan, result.prefill.logits, direct.prefill.logits)
        }
        guard before.chunks[1].use != nil else {
            #expect(before == after)
            return
        }
        #expect(after.chunks[1].action == .compute(.lost))
        #expect(after.chunks[0] == before.chunks[0])
        // Rows shared out among fewer chunks may differ; where there are none, nothing does.
        if before.schedule == nil { #expect(logits == expected) }
    }
}
