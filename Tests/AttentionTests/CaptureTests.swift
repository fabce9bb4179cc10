// Who looked at whom: against the reference, and what must hold of any prompt.

import KVModel
import Testing

@testable import Attention

@Suite("Capture")
struct CaptureTests {
    @Test("inter, intra and token scores of a full prefill", arguments: Fixture.names)
    func reference(name: String) throws {
        let (fixture, model) = try Fixture.load(name)
        let expected = fixture.capture
        let segments = expected.segments.map { $0[0]..<$0[1] }
        let result = try model.prefill(
            fixture.tokens, basePosition: fixture.start, capturing: segments)
        let capture = try #require(result.capture)
        #expect(capture.isComplete)
        let masses = capture.masses.flatMap { $0.flatMap { $0.map { Float($0) } } }
        #expect(relativeError(masses, expected.masses) < 1e-5)
        let outside = capture.outsideMasses.flatMap { $0.map { Float($0) } }
        #expect(relativeError(outside, expected.outside) < 1e-5)
        #expect(relativeError(capture.tokenScores, expected.scores) < 1e-5)
    }

    @Test("a capture changes no bit, and every row's weights are one")
    func whole() throws {
        let model = try randomModel()
        let tokens = randomTokens(37, .tiny)
        let plain = try model.prefill(tokens)
        let found = try model.prefill(tokens, capturing: [0..<8, 8..<9, 9..<9, 9..<37])
        #expect(found.logits == plain.logits && found.cache.planes == plain.cache.planes)
        #expect(plain.capture == nil)
        let capture = try #require(found.capture)
        for layer in capture.masses {
            for (segment, rows) in capture.segments.enumerated() {
                let sum = layer[segment].reduce(0, +)
                #expect((sum - Double(rows.count)).magnitude < 1e-5)
                #expect(layer[segment][(segment + 1)...].allSatisfy { $0 == 0 }, "not ahead")
            }
        }
        #expect(capture.outsideMasses.allSatisfy { $0.allSatisfy { $0 == 0 } })
        #expect(capture.intra(of: 0).allSatisfy { ($0 - 8).magnitude < 1e-5 })
        #expect(capture.inter(of: 3).allSatisfy { $0.count == 3 && $0[2] == 0 })
        #expect(capture.tokenScores[..<8].allSatisfy { $0 == 0 })
        // s(t) summed over a chunk is its inter sums, averaged over layers.
        let scores = capture.tokenScores[9...].reduce(0) { $0 + Double($1) }
        let inter = capture.inter(of: 3).reduce(0) { $0 + $1.reduce(0, +) } / 3
        #expect((scores - inter).magnitude < 1e-4)
    }

    @Test("all cores capture what one does")
    func workers() throws {
        var shape = ModelConfiguration.tiny
        shape.intermediateSize = 256
        let tokens = randomTokens(200, shape)
        let segments = [0..<70, 70..<100, 130..<200]
        let one = try randomModel(shape).prefill(tokens, capturing: segments)
        let many = try randomModel(shape, parallelism: .allCores)
            .prefill(tokens, capturing: segments)
        #expect(one.capture == many.capture)
    }

    @Test("a blend captures the rows it computes")
    func partial() throws {
        let shape = ModelConfiguration.tiny
        let spans = samplePrompt(shape)
        let tokens = spans.flatMap(\.tokens)
        let full = try randomModel().prefill(tokens, capturing: [0..<10, 12..<23])
        let model = try randomModel()
        var prefill = try BlendedPrefill(
            model: model, spans: spans, plan: .blend(ratio: 1, checkLayer: 0, tensor: .values),
            capturing: [0..<10, 12..<23])
        try load(&prefill, model, spans)
        #expect(try prefill.finish().capture == full.capture, "all of it recomputed")
        var some = try BlendedPrefill(
            model: model, spans: spans, plan: .realign, capturing: [0..<10, 12..<23])
        try load(&some, model, spans)
        let capture = try #require(try some.finish().capture)
        #expect(!capture.isComplete)
        #expect(capture.masses.allSatisfy { $0.allSatisfy { $0.allSatisfy { $0 == 0 } } })
        #expect(capture.outsideMasses.allSatisfy { $0.reduce(0, +) > 1 })
    }

    private func load(
        _ prefill: inout BlendedPrefill, _ model: Model, _ spans: [PromptSpan]
    ) throws {
        for layer in 0..<3 {
            for span in prefill.loadedSpans {
                guard case .loaded(let base) = spans[span].source else { continue }
                let planes = try model.prefill(spans[span].tokens, basePosition: base).cache.planes
                try prefill.load(
                    layer: layer, span: span,
                    keys: planes.encoded(.keys, layer: layer, as: .float32),
                    values: planes.encoded(.values, layer: layer, as: .float32))
            }
            try prefill.compute(layer: layer)
        }
    }

    @Test("segments that leave the prompt or overlap are refused")
    func refused() throws {
        let model = try randomModel()
        func error(_ segments: [Range<Int>]) -> AttentionError? {
            do throws(AttentionError) {
                _ = try model.prefill([1, 2, 3], capturing: segments)
                return nil
            } catch {
                return error
            }
        }
        #expect(error([0..<3]) == nil)
        #expect(error([0..<4]) == .rowOutOfRange(row: 4, rowCount: 3))
        #expect(error([-1..<2]) == .rowOutOfRange(row: -1, rowCount: 3))
        #expect(error([0..<2, 1..<3]) == .segmentsOverlap(segment: 1))
        #expect(error([2..<3, 0..<1]) == .segmentsOverlap(segment: 1))
    }
}
