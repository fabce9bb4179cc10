// A feed driven into the attention module: what the store gives back answers as what was computed.

import Attention
import AttentionFeed
import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Testing

@Suite("Attention fed from a store")
struct AttentionFeedTests {
    /// Two layers, 16 wide, seeded weights: small enough for a debug build.
    static func tinyModel(seed: UInt64 = 1) throws -> Model {
        let configuration = ModelConfiguration(
            hiddenSize: 16, layerCount: 2, headCount: 2, kvHeadCount: 1, headDimension: 8,
            intermediateSize: 32, normEpsilon: 1e-5,
            rotary: RotaryEmbedding(base: 10_000, dimension: 8), vocabularySize: 32,
            positionCount: 512, tiesHead: true)
        var generator = SeededGenerator(seed: seed)
        var shapes: [(name: String, shape: [Int])] = [
            ("model.embed_tokens.weight", [32, 16]), ("model.norm.weight", [16]),
        ]
        for layer in 0..<2 {
            let prefix = "model.layers.\(layer)."
            shapes += [
                (prefix + "input_layernorm.weight", [16]),
                (prefix + "post_attention_layernorm.weight", [16]),
                (prefix + "self_attn.q_proj.weight", [16, 16]),
                (prefix + "self_attn.k_proj.weight", [8, 16]),
                (prefix + "self_attn.v_proj.weight", [8, 16]),
                (prefix + "self_attn.o_proj.weight", [16, 16]),
                (prefix + "mlp.gate_proj.weight", [32, 16]),
                (prefix + "mlp.up_proj.weight", [32, 16]),
                (prefix + "mlp.down_proj.weight", [16, 32]),
            ]
        }
        var file = Safetensors.header(
            tensors: shapes.map { ($0.name, ElementType.float32, $0.shape) })
        for (_, shape) in shapes {
            for _ in 0..<shape.reduce(1, *) {
                let weight = Float.random(in: -0.5...0.5, using: &generator)
                withUnsafeBytes(of: weight.bitPattern.littleEndian) { file += $0 }
            }
        }
        return try Model(
            configuration: configuration, weights: file, parallelism: .callingThread)
    }

    static let chunks: [[UInt32]] = (0..<3).map { chunk in
        (0..<16).map { UInt32((chunk * 7 + $0 * 5) % 32) }
    }
    static let question: [UInt32] = [1, 2, 3]

    private func run<Success: Sendable>(
        storing stored: Range<Int>, elementType: ElementType = .float32,
        keyForm: KeyForm = .afterRotation,
        _ body: @escaping @Sendable (Namespace, Model) async throws -> Success
    ) throws -> Success {
        let machine = SimulatedMachine(seed: 5)
        let db = try machine.open()
        let model = try Self.tinyModel()
        return try machine.run { () async throws -> Success in
            var binding = model.binding(elementType: elementType, name: "tiny")
            binding.keyForm = keyForm
            let namespace = try await db.namespace("tiny", model: binding)
            for chunk in Self.chunks[stored] { try await namespace.ingest(chunk, with: model) }
            return try await body(namespace, model)
        }
    }

    @Test("gives the full prefill's logits, bit for bit, when every token is repaired")
    func repairOfAll() throws {
        let (fed, full) = try run(storing: 0..<3) { namespace, model in
            let fed = try await namespace.prefill(
                chunks: Self.chunks, question: Self.question,
                plan: .blend(ratio: 1, checkLayer: 0, tensor: .realignedKeys), with: model)
            let full = try model.prefill(Self.chunks.flatMap { $0 } + Self.question)
            return (fed.prefill.logits, full.logits)
        }
        #expect(fed == full)
    }

    @Test("is exact without repair when the one reused chunk comes first")
    func firstChunkIsExact() throws {
        let (fed, full, error) = try run(storing: 0..<1) { namespace, model in
            let fed = try await namespace.prefill(
                chunks: [Self.chunks[0]], question: Self.question, plan: .realign, with: model)
            let full = try model.prefill(Self.chunks[0] + Self.question)
            let check = try await namespace.prefill(
                chunks: [Self.chunks[0]], question: Self.question,
                plan: .blend(ratio: 0.1, checkLayer: 1, tensor: .values), with: model)
            return (
                fed.prefill.logits, full.logits, check.prefill.statistics.layerZeroError
            )
        }
        #expect(fed == full)
        #expect(error == 0)
    }

    /// A row of keys as it was before its rotation, from the formula alone (RoFormer, arXiv
    /// 2104.09864): component i goes with i + d/2, by position × base^(−2i/d).
    static func unrotated(_ row: [Float], position: Int) -> [Float] {
        var row = row
        let half = row.count / 2
        for pair in 0..<half {
            let angle = Double(position) * pow(10_000, -Double(2 * pair) / Double(row.count))
            let (cosine, sine) = (Float(cos(angle)), Float(sin(angle)))
            let (low, high) = (row[pair], row[pair + half])
            row[pair] = low * cosine + high * sine
            row[pair + half] = high * cosine - low * sine
        }
        return row
    }

    static func floats(_ bytes: [UInt8]) -> [Float] {
        bytes.withUnsafeBytes { raw in
            (0..<raw.count / 4).map {
                Float(
                    bitPattern: UInt32(
                        littleEndian: raw.load(fromByteOffset: $0 * 4, as: UInt32.self)))
            }
        }
    }

    static func bytes(_ floats: [Float]) -> [UInt8] {
        floats.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
    }

    static func isClose(_ left: [Float], _ right: [Float], within bound: Float = 1e-4) -> Bool {
        let scale = right.map { abs($0) }.max() ?? 1
        return zip(left, right).allSatisfy { abs($0 - $1) <= bound * scale }
    }

    @Test(
        "PAY-10 keys of form 2 are rotated from basePosition on, keys of form 1 are not",
        arguments: [KeyForm.afterRotation, .beforeRotation], [0, 40])
    func keyForms(keyForm: KeyForm, basePosition: Int) throws {
        let (logits, wrong, full) = try run(storing: 0..<0, keyForm: keyForm) { namespace, model in
            let tokens = Self.chunks[0]
            let planes = try model.prefill(tokens, basePosition: basePosition).cache.planes
            var layers: [(keys: [UInt8], values: [UInt8])] = []
            for layer in 0..<2 {
                var keys = Self.floats(try planes.encoded(.keys, layer: layer, as: .float32))
                if keyForm == .beforeRotation {
                    keys = (0..<tokens.count).flatMap { row in
                        Self.unrotated(
                            Array(keys[row * 8..<(row + 1) * 8]), position: basePosition + row)
                    }
                }
                let values = try planes.encoded(.values, layer: layer, as: .float32)
                layers.append((Self.bytes(keys), values))
            }
            let context = PrefixContext(prefix: [], basePosition: basePosition)
            let key = namespace.key(tokens: tokens)
            try await namespace.put(key, tokens: tokens, layers: layers, context: context)
            let stored = try await namespace.mustGet(key, variant: context.variantID)
            #expect(stored.basePosition == basePosition)
            func prefill(from base: Int) throws -> [Float] {
                var prefill = try BlendedPrefill(
                    model: model,
                    spans: [
                        PromptSpan(tokens: tokens, source: .loaded(basePosition: base), start: 0),
                        PromptSpan(tokens: Self.question, source: .fresh, start: tokens.count),
                    ], plan: .realign, format: PlaneFormat(namespace.binding))
                for layer in 0..<2 {
                    try prefill.load(
                        layer: layer, span: 0, keys: stored.plane(layer: layer, .keys),
                        values: stored.plane(layer: layer, .values))
                    try prefill.compute(layer: layer)
                }
                return try prefill.finish().logits
            }
            let logits = try prefill(from: stored.basePosition)
            let wrong = try prefill(from: stored.basePosition + 3)
            return (logits, wrong, try model.prefill(tokens + Self.question).logits)
        }
        #expect(Self.isClose(logits, full))
        // Where keys are rotated the position matters; where they are not it says nothing.
        #expect(Self.isClose(wrong, full) == (keyForm == .beforeRotation))
    }

    @Test(
        "PAY-10 what is ingested has the binding's key form",
        arguments: [KeyForm.afterRotation, .beforeRotation])
    func ingestedKeyForm(keyForm: KeyForm) throws {
        let (fed, full) = try run(storing: 0..<1, keyForm: keyForm) { namespace, model in
            let fed = try await namespace.prefill(
                chunks: [Self.chunks[0]], question: Self.question, plan: .realign, with: model)
            return (fed, try model.prefill(Self.chunks[0] + Self.question).logits)
        }
        #expect(fed.missCount == 0)
        #expect(Self.isClose(fed.prefill.logits, full))
    }

    @Test("computes a chunk that is not stored, and says so")
    func missesAreComputed() throws {
        let (fed, full) = try run(storing: 0..<0) { namespace, model in
            let fed = try await namespace.prefill(
                chunks: Self.chunks, question: Self.question, plan: .realign, with: model)
            return (fed, try model.prefill(Self.chunks.flatMap { $0 } + Self.question).logits)
        }
        #expect(fed.missCount == 3)
        #expect(fed.bytesRead == 0)
        #expect(fed.prefill.logits == full)
    }

    @Test("does not read the layers that a check computes anyway")
    func unneededLayersAreNotRead() throws {
        let bytes = try run(storing: 0..<3) { namespace, model in
            var bytes: [Int] = []
            for plan in [
                BlendPlan.realign, .recompute,
                .blend(ratio: 0.2, checkLayer: 1, tensor: .realignedKeys),
            ] {
                bytes.append(
                    try await namespace.prefill(
                        chunks: Self.chunks, question: Self.question, plan: plan, with: model
                    ).bytesRead)
            }
            return bytes
        }
        // Two layers × three chunks × two planes of one unit.
        #expect(bytes == [12 * 4_096, 0, 12 * 4_096])
    }

    @Test(
        "keeps 16-bit planes close to full precision", arguments: [ElementType.float16, .bfloat16])
    func halfPrecision(elementType: ElementType) throws {
        let (fed, full) = try run(storing: 0..<1, elementType: elementType) { namespace, model in
            let fed = try await namespace.prefill(
                chunks: [Self.chunks[0]], question: Self.question, plan: .realign, with: model)
            return (fed.prefill.logits, try model.prefill(Self.chunks[0] + Self.question).logits)
        }
        let scale = full.map { abs($0) }.max() ?? 1
        let error = zip(fed, full).map { abs($0 - $1) }.max() ?? 0
        #expect(error / scale < (elementType == .float16 ? 2e-3 : 2e-2))
    }
}
