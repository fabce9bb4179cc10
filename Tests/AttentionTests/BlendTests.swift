// What must hold of any blend, whatever the numbers.

import KVModel
import Synchronization
import Testing

@testable import Attention

@Suite("Blend")
struct BlendTests {
    let model: Model
    let spans: [PromptSpan]
    let full: PrefillResult

    init() throws {
        model = try randomModel()
        spans = samplePrompt(.tiny)
        full = try model.prefill(spans.flatMap(\.tokens))
    }

    @Test("recomputing everything is the full prefill, bit for bit")
    func repairOfAll() throws {
        let everyRow = Array(0..<26)
        let plans: [BlendPlan] =
            [.recompute, .rows(everyRow)]
            + [0, 1, 2].flatMap { layer in
                DeviationTensor.allCases.map {
                    .blend(ratio: 1, checkLayer: layer, tensor: $0)
                }
            }
            + [
                .filtered(
                    BlendFilter(
                        known: [3], open: [0, 2],
                        steps: [.init(layer: 1, ratio: 1), .init(layer: 2, ratio: 1)])),
                .filtered(BlendFilter(known: everyRow, open: [2])),
                .filtered(BlendFilter(open: [0, 2])),
                .filtered(
                    BlendFilter(
                        known: Array(0..<10), open: [2], steps: [.init(layer: 1, ratio: 0)],
                        budgets: [2: 11])),
            ]
        for plan in plans {
            let result = try blend(model, spans, plan)
            #expect(result.logits == full.logits, "\(plan)")
            #expect(result.cache.planes == full.cache.planes, "\(plan)")
            #expect(result.statistics.tokensComputed == 26, "\(plan)")
        }
    }

    @Test("a first chunk at its own place is exact; what follows is not")
    func reuseInPlace() throws {
        let result = try blend(model, spans, .realign)
        let row = model.configuration.rowElementCount
        for layer in 0..<3 {
            for kind in PlaneKind.allCases {
                let found = result.cache.planes.layers[layer][kind]
                let exact = full.cache.planes.layers[layer][kind]
                #expect(found[..<(10 * row)] == exact[..<(10 * row)])
            }
        }
        // Layer 0 depends on the token alone: exact but for one rotation's rounding of the keys.
        let zero = result.cache.planes.layers[0]
        #expect(zero.values == full.cache.planes.layers[0].values)
        #expect(relativeError(zero.keys, full.cache.planes.layers[0].keys) < 1e-6)
        #expect(result.logits != full.logits)
    }

    @Test("layer 0 of a chunk reused at its own position has the same bits")
    func layerZero() throws {
        let spans = [
            PromptSpan(tokens: spans[0].tokens, source: .fresh, start: 0),
            PromptSpan(
                tokens: spans[2].tokens, source: .loaded(basePosition: 10), start: 10),
            PromptSpan(tokens: [1], source: .fresh, start: 21),
        ]
        let exact = try model.prefill(spans.flatMap(\.tokens))
        let result = try blend(model, spans, .realign)
        #expect(result.cache.planes.layers[0] == exact.cache.planes.layers[0])
        let checked = try blend(
            model, spans, .blend(ratio: 0, checkLayer: 1, tensor: .values))
        #expect(checked.statistics.layerZeroError == 0)
    }

    @Test("the self-test sees a wrong position")
    func selfTest() throws {
        let plan = BlendPlan.blend(ratio: 0.2, checkLayer: 1, tensor: .realignedKeys)
        let right = try blend(model, spans, plan)
        #expect(try #require(right.statistics.layerZeroError) < 1e-6)

        let planes = try model.prefill(spans[2].tokens, basePosition: 50).cache.planes
        // Stored at 50, claimed to be at 49.
        let wrong = PromptSpan(
            tokens: spans[2].tokens, source: .loaded(basePosition: 49), start: 12)
        var prefill = try BlendedPrefill(model: model, spans: [wrong], plan: plan)
        try prefill.load(
            layer: 0, span: 0, keys: planes.encoded(.keys, layer: 0, as: .float32),
            values: planes.encoded(.values, layer: 0, as: .float32))
        try prefill.compute(layer: 0)
        #expect(try #require(prefill.statistics.layerZeroError) > 0.1)

        // Not a number anywhere is no agreement.
        var broken = planes
        broken.layers[0].values[17] = .nan
        var other = try BlendedPrefill(
            model: model,
            spans: [
                PromptSpan(
                    tokens: spans[2].tokens, source: .loaded(basePosition: 50), start: 12)
            ], plan: plan)
        try other.load(
            layer: 0, span: 0, keys: broken.encoded(.keys, layer: 0, as: .float32),
            values: broken.encoded(.values, layer: 0, as: .float32))
        try other.compute(layer: 0)
        #expect(other.statistics.layerZeroError == .infinity)
    }

    @Test("more rows, less error; and the account of the work")
    func ratios() throws {
        var errors: [Float] = []
        for ratio in [0, 0.2, 0.5, 1] {
            let result = try blend(
                model, spans, .blend(ratio: ratio, checkLayer: 1, tensor: .values))
            errors.append(relativeError(result.logits, full.logits))
            let statistics = result.statistics
            let rows = 5 + Int((ratio * 21).rounded(.up))
            #expect(statistics.reusedTokenCount == 21)
            #expect(statistics.chosenRows.count == rows - 5)
            #expect(statistics.chosenRows == statistics.chosenRows.sorted())
            #expect(statistics.computedRowCounts == [26, rows, rows])
            #expect(statistics.projectedRowCounts == [26, 26, rows])
            #expect(statistics.rowLayerCount == 26 + 2 * rows)
            // 256 + 256 of 3 · 16 · 24 + 2 · 16 · (32 + 16) weights make keys and values.
            let share = 512.0 / 2_688
            let expected = (Double(26 + 2 * rows) + share * Double(26 - rows)) / 3
            #expect((statistics.tokensComputed - expected).magnitude < 1e-9)
            #expect(statistics.deviations.count == 21)
        }
        #expect(errors.last == 0)
        #expect(errors[0] > 0)
    }

    @Test("keeping what the check computed is no worse and costs nothing more")
    func keepsComputed() throws {
        func run(_ keeps: Bool) throws -> PrefillResult {
            try blend(
                model, spans,
                .blend(ratio: 0.2, checkLayer: 1, tensor: .values, keepsComputed: keeps))
        }
        let kept = try run(true)
        let dropped = try run(false)
        #expect(kept.cache.planes.layers[1] == full.cache.planes.layers[1])
        #expect(dropped.cache.planes.layers[1] != full.cache.planes.layers[1])
        #expect(kept.statistics.tokensComputed == dropped.statistics.tokensComputed)
    }

    @Test("one step over everything is the one-shot plan; nothing open is the plan by rows")
    func filters() throws {
        for tensor in DeviationTensor.allCases {
            let once = try blend(model, spans, .blend(ratio: 0.2, checkLayer: 1, tensor: tensor))
            let filter = BlendFilter(
                open: [0, 2], steps: [.init(layer: 1, ratio: 0.2)], tensor: tensor)
            let same = try blend(model, spans, .filtered(filter))
            #expect(same.logits == once.logits && same.statistics == once.statistics)
        }
        let rows = try blend(model, spans, .rows([4, 13, 17]))
        let known = try blend(model, spans, .filtered(BlendFilter(known: [4, 13, 17])))
        #expect(known.logits == rows.logits && known.statistics == rows.statistics)
    }

    @Test("filtering drops rows step by step and never takes one back; known rows cost no budget")
    func gradual() throws {
        // 21 reused rows, of which one is known: 20 open ones, 10 and then 4 of them go on.
        let filter = BlendFilter(
            known: [14], open: [0, 2],
            steps: [.init(layer: 1, ratio: 0.5), .init(layer: 2, ratio: 0.2)])
        let result = try blend(model, spans, .filtered(filter))
        let statistics = result.statistics
        #expect(statistics.projectedRowCounts == [26, 26, 16])
        #expect(statistics.computedRowCounts == [26, 16, 10])
        #expect(statistics.chosenRows.contains(14) && statistics.chosenRows.count == 5)
        #expect(statistics.deviations.count == 21)
    }

    @Test("a span's own budget is spent in that span, at the last step")
    func ownBudgets() throws {
        let filter = BlendFilter(
            open: [0, 2], steps: [.init(layer: 1, ratio: 0.6), .init(layer: 2, ratio: 0.5)],
            budgets: [2: 3])
        var asked: [[Int]] = []
        let seen = Mutex(asked)
        let result = try blend(model, spans, .filtered(filter)) { deviations, budget in
            seen.withLock { $0.append([deviations.count, budget]) }
            return deviations.suffix(budget).map(\.row)
        }
        asked = seen.withLock { $0 }
        // First 13 of all 21, the last ones: 2 of the first span, all 11 of the other. Then half of
        // the first span's ten, and three of the other.
        #expect(asked == [[21, 13], [2, 5], [11, 3]])
        #expect(result.statistics.chosenRows == [8, 9, 20, 21, 22])
    }

    @Test("the planner may choose the rows itself")
    func chooser() throws {
        let plan = BlendPlan.blend(ratio: 0.25, checkLayer: 1, tensor: .values)
        // Rows outside the prompt and rows that are fresh anyway change nothing.
        let result = try blend(model, spans, plan) { deviations, budget in
            #expect(deviations.count == 21 && budget == 6)
            return [-1, 3, 10, 15, 1_000]
        }
        #expect(result.statistics.chosenRows == [3, 15])
        let deviations = [3: 1, 5: Float.nan, 7: 9, 9: 9].map {
            RowDeviation(row: $0.key, squaredDistance: $0.value)
        }
        #expect(rowsOfLargestDeviation(deviations, budget: 2) == [5, 7])
        #expect(rowsOfLargestDeviation(deviations, budget: 0) == [])
        #expect(rowsOfLargestDeviation(deviations, budget: 9) == [3, 5, 7, 9])
        #expect(recomputeBudget(ratio: 0.07, reusedTokenCount: 100) == 7)
        #expect(recomputeBudget(ratio: 0.15, reusedTokenCount: 64) == 10)
        #expect(recomputeBudget(ratio: 0, reusedTokenCount: 64) == 0)
        #expect(recomputeBudget(ratio: 1, reusedTokenCount: 64) == 64)
    }

    @Test("a prompt that ends in a reused chunk still computes its last token")
    func lastToken() throws {
        let spans = [
            PromptSpan(
                tokens: spans.flatMap(\.tokens), source: .loaded(basePosition: 0), start: 0)
        ]
        for plan in [BlendPlan.concatenate, .realign, .rows([])] {
            let result = try blend(model, spans, plan)
            #expect(result.logits == full.logits)
            #expect(result.statistics.computedRowCounts == [1, 1, 1])
        }
    }

    @Test("a deviation profile is the distance over all layers, and saturates")
    func profile() throws {
        let reused = try blend(model, spans, .realign).cache.planes.rows(12..<23)
        let exact = full.cache.planes.rows(12..<23)
        let profile = reused.deviationProfile(to: exact)
        for token in 0..<11 {
            var sum: Float = 0
            for layer in 0..<3 {
                for tensor in DeviationTensor.allCases {
                    sum += reused.squaredDistances(to: exact, layer: layer, tensor: tensor)[token]
                }
            }
            #expect((Float(profile[token]) - sum).magnitude <= sum * 1e-3)
        }
        #expect(exact.deviationProfile(to: exact).allSatisfy { $0 == 0 })
        var broken = exact
        broken.layers[1].keys[0] = .nan
        broken.layers[2].values[16] = 1e6
        let found = broken.deviationProfile(to: exact)
        #expect(found[0] == .greatestFiniteMagnitude && found[1] == .greatestFiniteMagnitude)
        #expect(found[2] == 0)
        // Rows picked by the profile of this very context repair more than as many others.
        let order = profile.indices.sorted { profile[$0] > profile[$1] }
        func error(_ rows: ArraySlice<Int>) throws -> Float {
            let result = try blend(model, spans, .rows(rows.map { 12 + $0 }))
            return result.cache.planes.rows(12..<23).deviationProfile(to: exact)
                .reduce(0) { $0 + Float($1) }
        }
        #expect(try error(order.prefix(4)) < error(order.suffix(4)))
    }

    @Test("keys stored before rotation give the same as keys stored after")
    func keyForms() throws {
        for plan in [BlendPlan.realign, .concatenate] {
            let after = try blend(model, spans, plan)
            let before = try blend(model, spans, plan, keyForm: .beforeRotation)
            #expect(relativeError(before.logits, after.logits) < 1e-4)
        }
    }

    /// A chunk of every second token of a longer prefill: its keys stand two apart.
    @Test("keys at positions that are not consecutive are each turned from their own")
    func scattered() throws {
        let shape = ModelConfiguration.tiny
        let row = shape.rowElementCount
        let tokens = spans[2].tokens
        let close = try model.prefill(tokens, basePosition: 3).cache.planes
        let positions = tokens.indices.map { 3 + $0 * ($0 + 1) / 2 }
        var far = close
        for index in tokens.indices {
            for layer in 0..<3 {
                var keys = Array(close.layers[layer].keys[index * row..<(index + 1) * row])
                realign(
                    &keys, geometry: shape.geometry, rotary: shape.rotary, from: 3 + index,
                    to: positions[index])
                far.layers[layer].keys.replaceSubrange(index * row..<(index + 1) * row, with: keys)
            }
        }
        func run(_ source: PromptSpan.Source, _ planes: KVPlanes, _ plan: BlendPlan) throws
            -> PrefillResult
        {
            let prompt = [
                PromptSpan(tokens: tokens, source: source, start: 20),
                PromptSpan(tokens: [1, 2], source: .fresh, start: 31),
            ]
            var prefill = try BlendedPrefill(model: model, spans: prompt, plan: plan)
            for layer in 0..<3 {
                try prefill.load(
                    layer: layer, span: 0,
                    keys: planes.encoded(.keys, layer: layer, as: .float32),
                    values: planes.encoded(.values, layer: layer, as: .float32))
                try prefill.compute(layer: layer)
            }
            return try prefill.finish()
        }
        let expected = try run(.loaded(basePosition: 3), close, .realign)
        let found = try run(.loadedAt(positions: positions), far, .realign)
        #expect(relativeError(found.logits, expected.logits) < 1e-5)
        let wrong = try run(.loaded(basePosition: 3), far, .realign)
        #expect(relativeError(wrong.logits, expected.logits) > 1e-3)
        let stored = try run(.loadedAt(positions: positions), far, .concatenate)
        #expect(stored.cache.planes.rows(0..<11) == far)
        for bad in [[3], Array(repeating: 3, count: 11), Array((0..<11).reversed())] {
            let span = PromptSpan(
                tokens: tokens, source: .loadedAt(positions: bad), start: 0)
            #expect(throws: AttentionError.self) {
                _ = try BlendedPrefill(model: model, spans: [span], plan: .realign).nextLayer
            }
        }
    }

    @Test("repair that is stopped leaves what was loaded, from the next layer on")
    func stopped() throws {
        func run(
            _ stops: Set<Int>, _ plan: BlendPlan = .rows([3, 4, 13, 14, 15])
        ) throws -> PrefillResult {
            var prefill = try BlendedPrefill(model: model, spans: spans, plan: plan)
            let stored = try [
                0: model.prefill(spans[0].tokens).cache.planes,
                2: model.prefill(spans[2].tokens, basePosition: 50).cache.planes,
            ]
            for layer in 0..<3 {
                for span in prefill.loadedSpans {
                    try prefill.load(
                        layer: layer, span: span,
                        keys: stored[span]!.encoded(.keys, layer: layer, as: .float32),
                        values: stored[span]!.encoded(.values, layer: layer, as: .float32))
                }
                try prefill.compute(layer: layer)
                if layer == 0 { try prefill.stopRepair(of: stops) }
            }
            return try prefill.finish()
        }
        let all = try run([])
        let some = try run([2])
        #expect(all.statistics.computedRowCounts == [10, 10, 10])
        #expect(some.statistics.computedRowCounts == [10, 7, 7])
        #expect(some.statistics.chosenRows == [3, 4])
        let realigned = try blend(model, spans, .realign).cache.planes
        #expect(some.cache.planes.rows(12..<23).layers[2] == realigned.rows(12..<23).layers[2])
        #expect(all.cache.planes.rows(12..<23).layers[2] != realigned.rows(12..<23).layers[2])
        // Stopped in front of a check, whose plan needed nothing loaded so far.
        for plan in [BlendPlan.blend(ratio: 0.3, checkLayer: 2, tensor: .values), .recompute] {
            let early = try run([0, 2], plan)
            #expect(early.statistics.computedRowCounts == [26, 5, 5])
            for layer in 1..<3 {
                let found = early.cache.planes.rows(12..<23).layers[layer]
                #expect(found == realigned.rows(12..<23).layers[layer])
            }
        }
        var prefill = try BlendedPrefill(model: model, spans: spans, plan: .realign)
        do throws(AttentionError) {
            try prefill.stopRepair(of: [1])
            Issue.record("a fresh span was stopped")
        } catch {
            #expect(error == .spanNotLoaded(span: 1))
        }
    }

    @Test("concatenation and realignment differ, unless nothing moves")
    func concatenation() throws {
        let moved = try blend(model, spans, .concatenate)
        let realigned = try blend(model, spans, .realign)
        #expect(moved.logits != realigned.logits)
        var still = spans
        still[2].source = .loaded(basePosition: 12)
        let concatenated = try blend(model, still, .concatenate)
        #expect(try concatenated.logits == blend(model, still, .realign).logits)
    }

    @Test("half-precision planes cost little", arguments: [ElementType.float16, .bfloat16])
    func smallTypes(type: ElementType) throws {
        let exact = try blend(model, spans, .realign)
        let rounded = try blend(model, spans, .realign, type: type)
        let error = relativeError(rounded.logits, exact.logits)
        #expect(error > 0 && error < (type == .float16 ? 0.01 : 0.1))
    }

    @Test("planes that nobody wants may stay away")
    func demand() throws {
        let plan = BlendPlan.blend(ratio: 0.2, checkLayer: 2, tensor: .values)
        let whole = try blend(model, spans, plan)
        let lazy = try BlendedPrefill(model: model, spans: spans, plan: plan)
        #expect((0..<3).map { lazy.demand(layer: $0) } == [.selfTest, .unused, .required])
        let first = try model.prefill(spans[0].tokens).cache.planes
        let second = try model.prefill(spans[2].tokens, basePosition: 50).cache.planes
        var prefill = try BlendedPrefill(model: model, spans: spans, plan: plan)
        try prefill.compute(layer: 0)
        try prefill.compute(layer: 1)
        for (span, planes) in [(0, first), (2, second)] {
            try prefill.load(
                layer: 2, span: span, keys: planes.encoded(.keys, layer: 2, as: .float32),
                values: planes.encoded(.values, layer: 2, as: .float32))
        }
        try prefill.compute(layer: 2)
        let result = try prefill.finish()
        #expect(result.logits == whole.logits)
        #expect(result.statistics.layerZeroError == nil)
        let none = try BlendedPrefill(model: model, spans: spans, plan: .recompute)
        #expect((0..<3).map { none.demand(layer: $0) } == [.selfTest, .unused, .unused])
    }

    @Test("positions may have gaps, and a window is counted in positions")
    func gapsAndWindow() throws {
        var shape = ModelConfiguration.tiny
        shape.windowTokenCount = 6
        let model = try randomModel(shape)
        let tokens = randomTokens(20, shape)
        let spans = [
            PromptSpan(tokens: Array(tokens[..<12]), source: .fresh, start: 0),
            PromptSpan(tokens: Array(tokens[12...]), source: .fresh, start: 100),
        ]
        // The second span is too far away to see the first.
        let gap = try blend(model, spans, .recompute)
        let alone = try model.prefill(Array(tokens[12...]), basePosition: 100)
        #expect(relativeError(gap.logits, alone.logits) < 1e-5)
        #expect(gap.cache.nextPosition == 108)
        let context = PassContext(model, positions: Array(0..<12) + Array(100..<108))
        #expect(context.visibleRows(of: 11) == 6..<12)
        #expect(context.visibleRows(of: 14) == 12..<15)
    }
}
