// Fixtures from the NumPy reference, and random models small enough for a debug build.

import Foundation
import KVModel
import Primitives

@testable import Attention

/// One variant of `Reference/reference.py`.
struct Fixture: Decodable {
    struct Span: Decodable {
        var tokens: [UInt32]
        var base: Int?
        var start: Int
    }
    struct Full: Decodable {
        var logits: [Float]
        var lastKeys: [Float]
        var lastValues: [Float]
    }
    struct Capture: Decodable {
        var segments: [[Int]]
        var masses: [Float]
        var outside: [Float]
        var scores: [Float]
    }
    struct Parallel: Decodable {
        var spans: [Span]
        var temperature: Float
        var scale: Float
        var logits: [Float]
    }
    struct Case: Decodable {
        var name: String
        var mode: String
        var ratio: Double?
        var check: Int?
        var tensor: String?
        var rows: [Int]?
        var open: [Int]?
        var steps: [[Double]]?
        var budgets: [String: Int]?
        var logits: [Float]
        var chosen: [Int]

        var plan: BlendPlan {
            switch mode {
            case "concatenate": .concatenate
            case "realign": .realign
            case "rows": .rows(rows!)
            case "filter":
                .filtered(
                    BlendFilter(
                        known: rows ?? [], open: open!,
                        steps: steps!.map { .init(layer: Int($0[0]), ratio: $0[1]) },
                        budgets: Dictionary(
                            uniqueKeysWithValues: (budgets ?? [:]).map { (Int($0)!, $1) }),
                        tensor: tensor == "values" ? .values : .realignedKeys))
            default:
                .blend(
                    ratio: ratio!, checkLayer: check!,
                    tensor: tensor == "values" ? .values : .realignedKeys)
            }
        }
    }
    var spans: [Span]
    var full: Full
    var chunkKeys: [Float]
    var capture: Capture
    var parallel: [Parallel]
    var cases: [Case]
    var generated: [UInt32]
    var decodeLogits: [[Float]]

    static let names = [
        "tied", "untied", "interleaved", "partial", "llama3", "yarn", "yarn-smooth",
    ]
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Fixtures")

    static func bytes(_ file: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appending(path: file)))
    }

    static func load(_ name: String) throws -> (Fixture, Model) {
        let json = try bytes("\(name).json")
        let fixture = try JSONDecoder().decode(Fixture.self, from: Data(json))
        // The configuration goes through the module's own reader, as text.
        let object = try JSONSerialization.jsonObject(with: Data(json)) as! [String: Any]
        let text = try JSONSerialization.data(withJSONObject: object["config"]!)
        let model = try Model(
            configuration: ModelConfiguration(json: [UInt8](text)),
            weights: bytes("\(name).safetensors"))
        return (fixture, model)
    }

    var promptSpans: [PromptSpan] { Self.promptSpans(spans) }

    static func promptSpans(_ spans: [Span]) -> [PromptSpan] {
        spans.map { span in
            PromptSpan(
                tokens: span.tokens,
                source: span.base.map { .loaded(basePosition: $0) } ?? .fresh, start: span.start)
        }
    }
    var tokens: [UInt32] { spans.flatMap(\.tokens) }
    var start: Int { spans[0].start }
}

/// Computes every loaded span alone at its stored position and blends the prompt from that.
func blend(
    _ model: Model, _ spans: [PromptSpan], _ plan: BlendPlan, type: ElementType = .float32,
    keyForm: KeyForm = .afterRotation,
    choosing choose: @escaping RowChooser = { rowsOfLargestDeviation($0, budget: $1) }
) throws -> PrefillResult {
    var stored: [Int: KVPlanes] = [:]
    for (index, span) in spans.enumerated() {
        guard case .loaded(let base) = span.source, !span.tokens.isEmpty else { continue }
        var planes = try model.prefill(span.tokens, basePosition: base).cache.planes
        if keyForm == .beforeRotation {
            planes.unrotate(from: base, rotary: model.configuration.rotary)
        }
        stored[index] = planes
    }
    var prefill = try BlendedPrefill(
        model: model, spans: spans, plan: plan,
        format: PlaneFormat(elementType: type, keyForm: keyForm), choosing: choose)
    for layer in 0..<model.configuration.layerCount {
        // Against span order: it must not matter.
        for span in prefill.loadedSpans.reversed() {
            let keys = try stored[span]!.encoded(.keys, layer: layer, as: type)
            let values = try stored[span]!.encoded(.values, layer: layer, as: type)
            try prefill.load(layer: layer, span: span, keys: keys, values: values)
        }
        try prefill.compute(layer: layer)
    }
    return try prefill.finish()
}

/// A model with seeded random weights, through the Safetensors writer and reader.
func randomModel(
    _ shape: ModelConfiguration = .tiny, seed: UInt64 = 1,
    parallelism: Parallelism = .callingThread
) throws -> Model {
    try Model(
        configuration: shape, weights: randomWeights(shape, seed: seed), parallelism: parallelism)
}

func weightShapes(_ shape: ModelConfiguration) -> [(name: String, shape: [Int])] {
    let hidden = shape.hiddenSize
    let query = shape.queryElementCount
    let row = shape.rowElementCount
    let wide = shape.intermediateSize
    var list = [("model.embed_tokens.weight", [shape.vocabularySize, hidden])]
    for layer in 0..<shape.layerCount {
        let name = "model.layers.\(layer)"
        list += [
            ("\(name).input_layernorm.weight", [hidden]),
            ("\(name).self_attn.q_proj.weight", [query, hidden]),
            ("\(name).self_attn.k_proj.weight", [row, hidden]),
            ("\(name).self_attn.v_proj.weight", [row, hidden]),
            ("\(name).self_attn.o_proj.weight", [hidden, query]),
            ("\(name).post_attention_layernorm.weight", [hidden]),
            ("\(name).mlp.gate_proj.weight", [wide, hidden]),
            ("\(name).mlp.up_proj.weight", [wide, hidden]),
            ("\(name).mlp.down_proj.weight", [hidden, wide]),
        ]
    }
    list.append(("model.norm.weight", [hidden]))
    if !shape.tiesHead { list.append(("lm_head.weight", [shape.vocabularySize, hidden])) }
    return list
}

func randomWeights(_ shape: ModelConfiguration, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    let list = weightShapes(shape)
    var bytes = Safetensors.header(tensors: list.map { ($0.name, .float32, $0.shape) })
    for (_, extents) in list {
        let spread = 2.5 / Float(extents.last!).squareRoot()
        let numbers = (0..<extents.reduce(1, *)).map { _ in
            let number = Float.random(in: -1...1, using: &generator)
            return extents.count == 1 ? 1 + 0.2 * number : number * spread
        }
        bytes += ElementType.float32.encode(numbers.span)
    }
    return bytes
}

func randomTokens(_ count: Int, _ shape: ModelConfiguration, seed: UInt64 = 9) -> [UInt32] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
        UInt32.random(in: 0..<UInt32(shape.vocabularySize), using: &generator)
    }
}

extension ModelConfiguration {
    static let tiny = ModelConfiguration(
        hiddenSize: 16, layerCount: 3, headCount: 4, kvHeadCount: 2, headDimension: 8,
        intermediateSize: 24, rotary: RotaryEmbedding(base: 10_000, dimension: 8),
        vocabularySize: 40, positionCount: 256)
}

/// Two stored chunks around an uncached piece, and a question.
func samplePrompt(_ shape: ModelConfiguration) -> [PromptSpan] {
    let tokens = randomTokens(26, shape)
    return [
        PromptSpan(tokens: Array(tokens[..<10]), source: .loaded(basePosition: 0), start: 0),
        PromptSpan(tokens: Array(tokens[10..<12]), source: .fresh, start: 10),
        PromptSpan(tokens: Array(tokens[12..<23]), source: .loaded(basePosition: 50), start: 12),
        PromptSpan(tokens: Array(tokens[23...]), source: .fresh, start: 23),
    ]
}

/// The largest difference, relative to the largest expected number.
func relativeError(_ found: [Float], _ expected: [Float]) -> Float {
    guard found.count == expected.count else { return .infinity }
    let scale = expected.map(\.magnitude).max() ?? 1
    let errors = zip(found, expected).map { ($0 - $1).magnitude }
    return errors.contains(where: \.isNaN) ? .infinity : (errors.max() ?? 0) / scale
}
