// Chunks side by side: against the reference, and against plain attention where both are the same.

import Foundation
import KVModel
import Primitives
import Testing

@testable import Attention

@Suite("Parallel")
struct ParallelTests {
    let model: Model
    let spans: [PromptSpan]

    init() throws {
        model = try randomModel()
        let tokens = randomTokens(30, .tiny)
        spans = [
            PromptSpan(tokens: Array(tokens[..<4]), source: .fresh, start: 2),
            PromptSpan(tokens: Array(tokens[4..<14]), source: .loaded(basePosition: 0), start: 6),
            PromptSpan(tokens: Array(tokens[14..<19]), source: .fresh, start: 6),
            PromptSpan(tokens: Array(tokens[19..<26]), source: .loaded(basePosition: 9), start: 6),
            PromptSpan(tokens: Array(tokens[26...]), source: .fresh, start: 16),
        ]
    }

    func plan(_ temperature: Float = 1, _ scale: Float = 1, _ spans: Range<Int> = 1..<4)
        -> BlendPlan
    {
        .parallel(ParallelBlock(spans: spans, temperature: temperature, scale: scale))
    }

    @Test("logits, for three temperatures and scales", arguments: Fixture.names)
    func reference(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        #expect(fixture.parallel.isEmpty == (name == "llama3"), "that one has a window")
        for expected in fixture.parallel {
            let result = try blend(
                model, Fixture.promptSpans(expected.spans),
                plan(expected.temperature, expected.scale))
            #expect(relativeError(result.logits, expected.logits) < 1e-5)
        }
    }

    /// The merge of both parts is the softmax over all of them when T = S = 1.
    @Test("one chunk alone, at T = S = 1, is plain attention to a moved chunk")
    func exact() throws {
        let line = [spans[0], spans[1], spans[4]]
        let plain = try blend(model, line, .realign)
        let merged = try blend(model, line, plan(1, 1, 1..<2))
        #expect(relativeError(merged.logits, plain.logits) < 1e-6)
        for layer in 0..<3 {
            let planes = (merged.cache.planes.layers[layer], plain.cache.planes.layers[layer])
            #expect(relativeError(planes.0.keys, planes.1.keys) < 1e-5)
        }
        let other = try blend(model, line, plan(0.9, 0.9, 1..<2))
        #expect(relativeError(other.logits, plain.logits) > 1e-3)
    }

    /// Three chunks, a prefix and a question: segments without a common row, of any weight.
    @Test(
        "merged by log-sum-exp at T = S = 1, disjoint parts are one softmax",
        arguments: Array(UInt64(1)...40))
    func merge(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let prefix = Int.random(in: 0...9, using: &random)
        var starts = [prefix]
        for _ in 0..<3 { starts.append(starts.last! + Int.random(in: 1...20, using: &random)) }
        // Spans in front of the block, the block's, and the rest.
        let rows = [0] + starts
        let row = starts[3] + Int.random(in: 0...9, using: &random)
        let spread = Float.random(in: 0.1...40, using: &random)
        let scores = (0...row).map { _ in Float.random(in: -spread...spread, using: &random) }
        let scale: Float = 0.35
        func weights(_ temperature: Float, _ factor: Float) -> [Double] {
            let block = ParallelBlock(spans: 1..<4, temperature: temperature, scale: factor)
            let padded = (row + 8) / 8 * 8
            var found = scores + [Float](repeating: .nan, count: padded - scores.count)
            let sum = exponentiate(
                &found, row: row, padded: padded, scale: scale,
                ParallelRows(block, spanRows: rows))
            #expect(found[(row + 1)...].allSatisfy { $0 == 0 })
            return found[...row].map { Double($0) / Double(sum) }
        }
        let top = Double(scores.max()!)
        let plain = scores.map { exp((Double($0) - top) * Double(scale)) }
        let whole = plain.reduce(0, +)
        for (found, expected) in zip(weights(1, 1), plain) {
            #expect((found - expected / whole).magnitude < 2e-6)
        }
        // Another temperature moves weight between the parts: what is exact above is no accident.
        let gap = zip(weights(0.5, 1), plain).map { ($0 - $1 / whole).magnitude }.max() ?? 0
        #expect(gap > 2e-6)
    }

    @Test("a chunk's planes do not depend on the chunks beside it; what follows does")
    func blind() throws {
        func planes(_ spans: [PromptSpan], _ block: Range<Int>) throws -> KVPlanes {
            try blend(model, spans, plan(1, 1, block)).cache.planes
        }
        let all = try planes(spans, 1..<4)
        // The fresh chunk alone behind the prefix, up to the order of sums.
        let alone = try planes([spans[0], spans[2], spans[4]], 1..<2)
        for layer in 0..<3 {
            func error(_ left: Range<Int>, _ right: Range<Int>) -> Float {
                relativeError(
                    all.rows(left).layers[layer].values, alone.rows(right).layers[layer].values)
            }
            #expect(error(14..<19, 4..<9) < 1e-5)
            #expect(layer == 0 || error(26..<30, 9..<13) > 1e-3)
        }
        // Not stored is not different from stored: a chunk computed behind no prefix is what a
        // stored one is.
        var bare = Array(spans[1...])
        let stored = try planes(bare, 0..<3)
        bare[0].source = .fresh
        let computed = try planes(bare, 0..<3)
        for layer in 0..<3 {
            #expect(
                relativeError(stored.layers[layer].keys, computed.layers[layer].keys) < 1e-5)
        }
    }

    @Test("decoding goes on with the same two parts")
    func decode() throws {
        let start = try blend(model, spans, plan(0.8, 0.9))
        var cache = start.cache
        #expect(cache.nextPosition == 20)
        let next = start.greedyToken
        let logits = try model.decode(next, into: &cache)
        var longer = spans
        longer[4].tokens.append(next)
        let prefilled = try blend(model, longer, plan(0.8, 0.9))
        #expect(logits == prefilled.logits, "bit for bit")
    }

    @Test("a capture sees the merged weights")
    func capture() throws {
        var prefill = try BlendedPrefill(
            model: model,
            spans: spans.map { PromptSpan(tokens: $0.tokens, source: .fresh, start: $0.start) },
            plan: plan(0.7, 1.1), capturing: [0..<4, 4..<14, 14..<19, 19..<26, 26..<30])
        for layer in 0..<3 { try prefill.compute(layer: layer) }
        let capture = try #require(try prefill.finish().capture)
        for layer in capture.masses {
            #expect(layer[2][1] == 0 && layer[3][1] == 0 && layer[3][2] == 0, "side by side")
            #expect(layer[3][0] > 0 && layer[4][1] > 0)
            for (segment, rows) in capture.segments.enumerated() {
                #expect((layer[segment].reduce(0, +) - Double(rows.count)).magnitude < 1e-5)
            }
        }
    }

    @Test("blocks that make no sense are refused")
    func refused() throws {
        func isRefused(_ plan: BlendPlan, _ model: Model? = nil, _ spans: [PromptSpan]? = nil)
            -> Bool
        {
            do throws(AttentionError) {
                _ = try BlendedPrefill(
                    model: model ?? self.model, spans: spans ?? self.spans, plan: plan)
                return false
            } catch {
                if case .parallelRefused = error { return true }
                if case .spansOverlap = error { return true }
                return false
            }
        }
        #expect(!isRefused(plan()))
        for block in [0..<0, -1..<2, 3..<5, 4..<5, 1..<9] { #expect(isRefused(plan(1, 1, block))) }
        for bad in [Float.nan, 0, -1, .infinity] {
            #expect(isRefused(plan(bad, 1)) && isRefused(plan(1, bad)))
        }
        var shifted = spans
        shifted[2].start = 7
        #expect(isRefused(plan(), nil, shifted))
        var early = spans
        early[4].start = 15
        #expect(isRefused(plan(), nil, early), "the question stands in the longest chunk")
        var windowed = ModelConfiguration.tiny
        windowed.windowTokenCount = 8
        #expect(isRefused(plan(), try randomModel(windowed)))
    }
}
