// What does not fit is refused with a value that says what and where, and leaves the model alone.

import KVModel
import Testing

@testable import Attention

@Suite("Prompt errors")
struct PromptErrorTests {
    let model: Model
    let span = PromptSpan(tokens: [1, 2, 3], source: .loaded(basePosition: 0), start: 0)
    let question = PromptSpan(tokens: [4], source: .fresh, start: 3)

    init() throws { model = try randomModel() }

    private func refuses(
        _ expected: AttentionError, _ spans: [PromptSpan], _ plan: BlendPlan = .realign,
        type: ElementType = .float32, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do throws(AttentionError) {
            _ = try BlendedPrefill(
                model: model, spans: spans, plan: plan, format: PlaneFormat(elementType: type))
            Issue.record("accepted", sourceLocation: sourceLocation)
        } catch {
            #expect(error == expected, sourceLocation: sourceLocation)
        }
    }

    @Test("prompts and plans")
    func prompts() {
        func fresh(_ tokens: [UInt32], at start: Int) -> PromptSpan {
            PromptSpan(tokens: tokens, source: .fresh, start: start)
        }
        refuses(.emptyPrompt, [])
        refuses(.emptyPrompt, [fresh([], at: 0)])
        refuses(
            .tokenOutOfRange(token: 40, row: 4, vocabularySize: 40), [span, fresh([4, 40], at: 3)])
        refuses(.positionOutOfRange(position: -1, limit: 256), [fresh([1], at: -1)])
        refuses(.positionOutOfRange(position: 255, limit: 256), [fresh([1, 2], at: 255)])
        refuses(.positionOutOfRange(position: .max, limit: 256), [fresh([1, 2], at: .max)])
        for base in [Int.min, -1, 254, .max] {
            refuses(
                .positionOutOfRange(position: base, limit: 256),
                [PromptSpan(tokens: [1, 2, 3], source: .loaded(basePosition: base), start: 0)])
        }
        refuses(.spansOverlap(span: 1), [span, fresh([4], at: 2)])
        for ratio in [-0.1, 1.1, .nan, .infinity] {
            do throws(AttentionError) {
                _ = try BlendedPrefill(
                    model: model, spans: [span, question],
                    plan: .blend(ratio: ratio, checkLayer: 1, tensor: .values))
                Issue.record("accepted")
            } catch {
                guard case .ratioOutOfRange = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
        for layer in [-1, 3] {
            refuses(
                .layerOutOfRange(layer: layer, layerCount: 3), [span, question],
                .blend(ratio: 0.1, checkLayer: layer, tensor: .values))
        }
        for row in [-1, 4, .max] {
            refuses(.rowOutOfRange(row: row, rowCount: 4), [span, question], .rows([row]))
        }
        func refusesFilter(_ expected: AttentionError, _ filter: BlendFilter) {
            refuses(expected, [span, question], .filtered(filter))
        }
        refusesFilter(.rowOutOfRange(row: 4, rowCount: 4), BlendFilter(known: [0, 4]))
        for wrong in [-1, 1, 2] {
            refusesFilter(.spanNotLoaded(span: wrong), BlendFilter(open: [wrong]))
            refusesFilter(.spanNotLoaded(span: wrong), BlendFilter(budgets: [wrong: 1]))
        }
        refusesFilter(
            .ratioOutOfRange(2), BlendFilter(open: [0], steps: [.init(layer: 1, ratio: 2)]))
        refusesFilter(
            .layerOutOfRange(layer: 3, layerCount: 3),
            BlendFilter(open: [0], steps: [.init(layer: 3, ratio: 0.5)]))
        refusesFilter(
            .layerOutOfOrder(expected: 2, found: 1),
            BlendFilter(
                open: [0], steps: [.init(layer: 1, ratio: 0.5), .init(layer: 1, ratio: 0.2)]))
        refuses(.elementTypeUnsupported(.int8), [span, question], type: .int8)
    }

    private func expect(
        _ prefill: inout BlendedPrefill, _ expected: AttentionError,
        _ body: (inout BlendedPrefill) throws -> Void,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            try body(&prefill)
            Issue.record("accepted", sourceLocation: sourceLocation)
        } catch {
            #expect(error as? AttentionError == expected, sourceLocation: sourceLocation)
        }
    }

    @Test("planes and turns")
    func planes() throws {
        let bytes = [UInt8](repeating: 0, count: 3 * 16 * 4)
        var prefill = try BlendedPrefill(model: model, spans: [span, question], plan: .realign)
        expect(&prefill, .layerOutOfOrder(expected: 0, found: 1)) {
            try $0.load(layer: 1, span: 0, keys: bytes, values: bytes)
        }
        expect(&prefill, .layerOutOfOrder(expected: 0, found: -1)) { try $0.compute(layer: -1) }
        for span in [-1, 1, 2] {
            expect(&prefill, .spanNotLoaded(span: span)) {
                try $0.load(layer: 0, span: span, keys: bytes, values: bytes)
            }
        }
        expect(
            &prefill,
            .planeSizeMismatch(
                layer: 0, span: 0, plane: .values, expectedBytes: 192, foundBytes: 191)
        ) { try $0.load(layer: 0, span: 0, keys: bytes, values: Array(bytes.dropLast())) }
        expect(&prefill, .planesMissing(layer: 0, span: 0)) { try $0.compute(layer: 0) }
        // Refusals change nothing: the prefill goes on.
        for layer in 0..<3 {
            try prefill.load(layer: layer, span: 0, keys: bytes, values: bytes)
            try prefill.load(layer: layer, span: 0, keys: bytes, values: bytes)
            try prefill.compute(layer: layer)
        }
        expect(&prefill, .layerOutOfOrder(expected: 3, found: 3)) { try $0.compute(layer: 3) }
        let logits = try prefill.finish().logits
        let isFinite = logits.map(\.isFinite)
        #expect(!isFinite.contains(false))
    }

    @Test("a prefill cut short has no answer")
    func unfinished() throws {
        var prefill = try BlendedPrefill(model: model, spans: [question], plan: .realign)
        try prefill.compute(layer: 0)
        do {
            _ = try prefill.finish()
            Issue.record("accepted")
        } catch {
            #expect(error == .unfinished(layersDone: 1, layerCount: 3))
        }
    }

    @Test("planes of any bits give numbers or not-a-numbers, never a trap")
    func garbage() throws {
        for filler: UInt8 in [0xFF, 0x7F, 0x80, 0xA5] {
            for type in [ElementType.float32, .float16, .bfloat16] {
                let bytes = [UInt8](repeating: filler, count: 3 * 16 * type.byteCount)
                var prefill = try BlendedPrefill(
                    model: model, spans: [span, question],
                    plan: .blend(ratio: 0.5, checkLayer: 1, tensor: .realignedKeys),
                    format: PlaneFormat(elementType: type))
                for layer in 0..<3 {
                    try prefill.load(layer: layer, span: 0, keys: bytes, values: bytes)
                    try prefill.compute(layer: layer)
                }
                let result = try prefill.finish()
                #expect(result.greedyToken < 40)
                _ = try model.generate(from: result, tokenCount: 3)
            }
        }
    }

    @Test("decode refuses tokens and positions the model does not have")
    func decode() throws {
        var cache = try model.prefill([1, 2], basePosition: 254).cache
        #expect(throws: AttentionError.positionOutOfRange(position: 256, limit: 256)) {
            try model.decode(1, into: &cache)
        }
        var other = try model.prefill([1, 2]).cache
        #expect(throws: AttentionError.tokenOutOfRange(token: 99, row: 2, vocabularySize: 40)) {
            try model.decode(99, into: &other)
        }
        #expect(other.positions == [0, 1] && other.planes.tokenCount == 2)
    }

    @Test("planes refuse wrong layers, types and sizes")
    func planesRefuse() throws {
        var planes = try model.prefill([1, 2]).cache.planes
        #expect(throws: AttentionError.layerOutOfRange(layer: 3, layerCount: 3)) {
            try planes.encoded(.keys, layer: 3, as: .float32)
        }
        #expect(throws: AttentionError.elementTypeUnsupported(.float8E4M3)) {
            try planes.encoded(.keys, layer: 0, as: .float8E4M3)
        }
        let bytes = try planes.encoded(.values, layer: 1, as: .float16)
        let short = Array(bytes.dropLast())
        #expect(
            throws: AttentionError.planeSizeMismatch(
                layer: 1, span: 0, plane: .values, expectedBytes: 64, foundBytes: 63)
        ) { try planes.decode(short, as: .float16, into: .values, layer: 1) }
    }
}
