// Against the NumPy reference (`Reference/reference.py`, float64): logits within 1e-4 of the
// largest logit; measured errors are near 1e-6 (see `worst` below).

import KVModel
import Testing

@testable import Attention

@Suite("Reference")
struct ReferenceTests {
    static let tolerance: Float = 1e-4

    @Test("full prefill: logits, keys and values", arguments: Fixture.names)
    func fullPrefill(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        let result = try model.prefill(fixture.tokens, basePosition: fixture.start)
        #expect(relativeError(result.logits, fixture.full.logits) < Self.tolerance)
        let last = try #require(result.cache.planes.layers.last)
        #expect(relativeError(last.keys, fixture.full.lastKeys) < Self.tolerance)
        #expect(relativeError(last.values, fixture.full.lastValues) < Self.tolerance)
    }

    @Test("a chunk computed alone, off zero", arguments: Fixture.names)
    func chunkAlone(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        let span = fixture.spans[2]
        let planes = try model.prefill(span.tokens, basePosition: span.base!).cache.planes
        #expect(relativeError(planes.layers.last!.keys, fixture.chunkKeys) < Self.tolerance)
    }

    @Test("every plan: logits and chosen rows", arguments: Fixture.names)
    func plans(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        for expected in fixture.cases {
            let result = try blend(model, fixture.promptSpans, expected.plan)
            #expect(
                relativeError(result.logits, expected.logits) < Self.tolerance,
                "\(name), \(expected.name)")
            #expect(result.statistics.chosenRows == expected.chosen, "\(name), \(expected.name)")
        }
    }

    @Test("greedy decode after realigned reuse", arguments: Fixture.names)
    func decode(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        let start = try blend(model, fixture.promptSpans, .realign)
        var cache = start.cache
        var logits = start.logits
        for (token, expected) in zip(fixture.generated, fixture.decodeLogits) {
            #expect(greedyToken(logits) == token)
            logits = try model.decode(token, into: &cache)
            #expect(relativeError(logits, expected) < Self.tolerance)
        }
        let generated = try model.generate(from: start, tokenCount: fixture.generated.count)
        #expect(generated == fixture.generated)
    }

    /// The bound that is really met, so that a loss of precision does not hide under 1e-4.
    @Test("worst error over all fixtures")
    func worst() throws {
        var worst: Float = 0
        for name in Fixture.names {
            let (fixture, model) = try Fixture.load(name)
            let full = try model.prefill(fixture.tokens, basePosition: fixture.start)
            worst = max(worst, relativeError(full.logits, fixture.full.logits))
            for expected in fixture.cases {
                let result = try blend(model, fixture.promptSpans, expected.plan)
                worst = max(worst, relativeError(result.logits, expected.logits))
            }
        }
        print("largest relative error of logits: \(worst)")
        #expect(worst < 5e-6)
    }
}
