// Rotations: a key moved from p to q is the key made at q.

import KVModel
import Primitives
import Testing

@testable import Attention

@Suite("Rotation")
struct RotationTests {
    static let schemes: [RotaryEmbedding] = [
        RotaryEmbedding(base: 10_000, dimension: 8),
        RotaryEmbedding(base: 10_000, dimension: 8, pairing: .interleaved),
        RotaryEmbedding(base: 500_000, dimension: 4),
        RotaryEmbedding(base: 10_000, dimension: 6, pairing: .interleaved),
        RotaryEmbedding(base: 10_000, dimension: 8, scaling: .linear(factor: 4)),
        RotaryEmbedding(
            base: 500_000, dimension: 8,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                originalPositionCount: 64)),
        RotaryEmbedding(
            base: 10_000, dimension: 6, pairing: .interleaved,
            scaling: .yarn(
                YarnScaling(factor: 8, attentionFactor: 1.2, originalPositionCount: 64))),
    ]

    @Test("realign(p → q) of fresh keys at p are fresh keys at q", arguments: schemes)
    func realignment(rotary: RotaryEmbedding) throws {
        var shape = ModelConfiguration.tiny
        shape.rotary = rotary
        shape.positionCount = 1 << 20
        let model = try randomModel(shape)
        let tokens = randomTokens(7, shape)
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<12 {
            let old = Int.random(in: 0..<100_000, using: &generator)
            let new = Int.random(in: 0..<100_000, using: &generator)
            var moved = try model.prefill(tokens, basePosition: old).cache.planes
            let fresh = try model.prefill(tokens, basePosition: new).cache.planes
            moved.realign(from: old, to: new, rotary: rotary)
            for layer in 0..<3 {
                // All layers: attention inside the chunk depends on distances only.
                #expect(
                    relativeError(moved.layers[layer].keys, fresh.layers[layer].keys) < 1e-4,
                    "\(old) to \(new), layer \(layer)")
            }
            #expect(moved.layers[0].values == fresh.layers[0].values)
        }
    }

    /// fp16 rounds a number to 2⁻¹¹ of it and bf16 to 2⁻⁸; a rotation mixes two of them.
    @Test(
        "stored, loaded and realigned: fresh at the new position, but for the type's rounding",
        arguments: [ElementType.float32, .float16, .bfloat16],
        [KeyForm.afterRotation, .beforeRotation])
    func stored(type: ElementType, keyForm: KeyForm) throws {
        let bound: Float =
            switch type {
            case .float16: 1e-3
            case .bfloat16: 8e-3
            default: 1e-4
            }
        for rotary in Self.schemes {
            var shape = ModelConfiguration.tiny
            shape.rotary = rotary
            shape.positionCount = 1 << 17
            let model = try randomModel(shape)
            let tokens = randomTokens(19, shape)
            for (old, new) in [(0, 40), (70_000, 3), (1_234, 98_765)] {
                let spans = [
                    PromptSpan(
                        tokens: tokens, source: .loaded(basePosition: old), start: new),
                    PromptSpan(tokens: [1], source: .fresh, start: new + 19),
                ]
                let found = try blend(model, spans, .realign, type: type, keyForm: keyForm)
                    .cache.planes.rows(0..<19)
                let fresh = try model.prefill(tokens, basePosition: new).cache.planes
                for layer in 0..<3 {
                    for kind in PlaneKind.allCases {
                        let error = relativeError(
                            found.layers[layer][kind], fresh.layers[layer][kind])
                        #expect(error < bound, "\(rotary), \(old) to \(new), \(layer), \(kind)")
                    }
                }
            }
        }
    }

    @Test("there and back; nowhere")
    func inverse() throws {
        let planes = try randomModel().prefill(randomTokens(5, .tiny)).cache.planes
        var moved = planes
        moved.realign(from: 3, to: 3, rotary: ModelConfiguration.tiny.rotary)
        #expect(moved == planes)
        moved.realign(from: 0, to: 200, rotary: ModelConfiguration.tiny.rotary)
        #expect(moved.layers[1].keys != planes.layers[1].keys)
        moved.realign(from: 200, to: 0, rotary: ModelConfiguration.tiny.rotary)
        #expect(relativeError(moved.layers[1].keys, planes.layers[1].keys) < 1e-6)
        #expect(moved.layers[1].values == planes.layers[1].values)
    }

    @Test("components beyond the rotary dimension stay as they are")
    func partial() {
        let geometry = LayerGeometry(kvHeadCount: 2, headDimension: 6)
        let rotary = RotaryEmbedding(base: 100, dimension: 4)
        let before = (0..<12).map(Float.init)
        var keys = before
        realign(&keys, geometry: geometry, rotary: rotary, from: 0, to: 1)
        #expect(keys[4..<6] == before[4..<6] && keys[10...] == before[10...])
        #expect(zip(keys[0..<4], before[0..<4]).allSatisfy { $0 != $1 })
    }

    /// Base 100 over 8 components and 2π · 1,000 positions: pair i turns 1,000 / 100^(i/4) times. A
    /// hundred turns are pair 2, ten are pair 4.
    @Test("YaRN's ramp, by hand")
    func yarn() {
        func kept(_ betaFast: Float, _ betaSlow: Float, rounds: Bool) -> [Double] {
            let yarn = YarnScaling(
                factor: 4, betaFast: betaFast, betaSlow: betaSlow, attentionFactor: 1,
                originalPositionCount: 6_283, roundsRamp: rounds)
            return (0..<4).map { yarn.keptShare(pair: $0, base: 100, dimension: 8) }
        }
        func near(_ found: [Double], _ expected: [Double]) -> Bool {
            zip(found, expected).allSatisfy { ($0 - $1).magnitude < 1e-3 }
        }
        #expect(near(kept(100, 10, rounds: false), [1, 1, 1, 0.5]))
        // The ramp from 1.398 to 3.398; whole pairs: from 1 to 4.
        #expect(near(kept(200, 20, rounds: false), [1, 1, 1 - 0.602 / 2, 1 - 1.602 / 2]))
        #expect(near(kept(200, 20, rounds: true), [1, 1, 2.0 / 3, 1.0 / 3]))
        let radians = RotaryFrequencies(
            RotaryEmbedding(
                base: 100, dimension: 8,
                scaling: .yarn(
                    YarnScaling(
                        factor: 4, betaFast: 100, betaSlow: 10, attentionFactor: 2,
                        originalPositionCount: 6_283, roundsRamp: false)))
        ).radians
        let plain = RotaryFrequencies(RotaryEmbedding(base: 100, dimension: 8)).radians
        #expect(near(radians, [plain[0], plain[1], plain[2], plain[3] * (0.5 + 0.5 / 4)]))
    }

    @Test("NSP-12 a key under YaRN is turned on without being multiplied again")
    func yarnRealign() {
        let rotary = RotaryEmbedding(
            base: 100, dimension: 4,
            scaling: .yarn(
                YarnScaling(factor: 4, attentionFactor: 3, originalPositionCount: 100)))
        var keys: [Float] = [3, 1, 4, 1]
        realign(
            &keys, geometry: LayerGeometry(kvHeadCount: 1, headDimension: 4), rotary: rotary,
            from: 5, to: 90)
        #expect(keys != [3, 1, 4, 1])
        #expect((keys.reduce(0) { $0 + $1 * $1 } - 27).magnitude < 1e-4)
    }

    @Test("frequencies, by hand")
    func frequencies() {
        let plain = RotaryFrequencies(RotaryEmbedding(base: 100, dimension: 4)).radians
        #expect(plain == [1, 0.1])
        let linear = RotaryFrequencies(
            RotaryEmbedding(base: 100, dimension: 4, scaling: .linear(factor: 2)))
        #expect(linear.radians == [0.5, 0.05])
        // 640 positions are 101.9 turns of the first pair, 10.2 of the second, 1.02 of the third.
        let llama = RotaryFrequencies(
            RotaryEmbedding(
                base: 1_000, dimension: 6,
                scaling: .llama3(
                    factor: 8, lowFrequencyFactor: 2, highFrequencyFactor: 50,
                    originalPositionCount: 640))
        ).radians
        #expect(llama[0] == 1)
        #expect(llama[1] < 0.1 && llama[1] > 0.0125)
        #expect((llama[2] - 0.01 / 8).magnitude < 1e-12)
    }
}
