// `config.json` in the Hugging Face naming. What would change the arithmetic and is not known here
// is refused: a model computed almost right is worse than one not computed.

import KVModel

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension ModelConfiguration {
    /// Reads the text of a `config.json`. *Throws:* the first field that is missing or wrong.
    public init(json: [UInt8], file: String = "config.json") throws(CheckpointError) {
        let fields: Fields
        do {
            fields = try JSONDecoder().decode(Fields.self, from: Data(json))
        } catch let error as DecodingError {
            throw CheckpointError(decoding: error, file: file)
        } catch {
            throw CheckpointError(file: file, reason: "\(error)")
        }
        try self.init(fields, file: file)
        try validate(file: file)
    }

    private init(_ fields: Fields, file: String) throws(CheckpointError) {
        func refuse(_ field: String, _ reason: String) -> CheckpointError {
            CheckpointError(file: file, field: field, reason: reason)
        }
        func need<Value>(_ value: Value?, _ field: String) throws(CheckpointError) -> Value {
            guard let value else { throw refuse(field, "missing") }
            return value
        }
        let isLlama =
            fields.architectures.map { $0 == ["LlamaForCausalLM"] }
            ?? (fields.model_type == "llama")
        guard isLlama else {
            throw refuse(
                "architectures",
                "\(fields.architectures ?? []) (\(fields.model_type ?? "no model_type")) "
                    + "is not LlamaForCausalLM")
        }
        if let act = fields.hidden_act, act != "silu" {
            throw refuse("hidden_act", "\(act) is not silu")
        }
        if fields.attention_bias == true { throw refuse("attention_bias", "biases are not read") }
        if fields.mlp_bias == true { throw refuse("mlp_bias", "biases are not read") }
        if fields.quantization_config != nil {
            throw refuse("quantization_config", "quantized weights are not read")
        }
        let hidden = try need(fields.hidden_size?.value, "hidden_size")
        let heads = try need(fields.num_attention_heads?.value, "num_attention_heads")
        guard heads > 0 else { throw refuse("num_attention_heads", "\(heads) is not positive") }
        if fields.head_dim == nil, !hidden.isMultiple(of: heads) {
            throw refuse("hidden_size", "\(hidden) is no multiple of \(heads) heads")
        }
        let dimension = fields.head_dim?.value ?? hidden / heads
        guard (1...1 << 12).contains(dimension) else {
            throw refuse(
                fields.head_dim == nil ? "hidden_size" : "head_dim",
                "a head of \(dimension) components")
        }
        self.init(
            hiddenSize: hidden,
            layerCount: try need(fields.num_hidden_layers?.value, "num_hidden_layers"),
            headCount: heads,
            kvHeadCount: fields.num_key_value_heads?.value ?? heads,
            headDimension: dimension,
            intermediateSize: try need(fields.intermediate_size?.value, "intermediate_size"),
            normEpsilon: Float(try need(fields.rms_norm_eps?.value, "rms_norm_eps")),
            rotary: try Self.rotary(fields, dimension: dimension, refuse),
            vocabularySize: try need(fields.vocab_size?.value, "vocab_size"),
            positionCount: try need(
                fields.max_position_embeddings?.value, "max_position_embeddings"),
            tiesHead: fields.tie_word_embeddings ?? false,
            windowTokenCount: fields.sliding_window?.value)
    }

    private static func rotary(
        _ fields: Fields, dimension: Int, _ refuse: (String, String) -> CheckpointError
    ) throws(CheckpointError) -> RotaryEmbedding {
        // Recent checkpoints gather everything in `rope_parameters`.
        let rope = fields.rope_parameters ?? fields.rope_scaling
        let share =
            (fields.rope_parameters?.partial_rotary_factor ?? fields.partial_rotary_factor)?.value
            ?? 1
        guard share > 0, share <= 1 else {
            throw refuse("partial_rotary_factor", "\(share) of \(dimension) components")
        }
        func need(_ value: Number?, _ field: String) throws(CheckpointError) -> Double {
            guard let value else { throw refuse("rope_scaling.\(field)", "missing") }
            return value.value
        }
        let scaling: RotaryScaling
        switch rope?.rope_type ?? rope?.type ?? (rope?.factor == nil ? "default" : "unnamed") {
        case "default": scaling = .none
        case "linear": scaling = .linear(factor: Float(try need(rope?.factor, "factor")))
        case "yarn": scaling = .yarn(try yarn(fields, rope, refuse))
        case "llama3":
            let original = try positions(rope?.original_max_position_embeddings, refuse)
            scaling = .llama3(
                factor: Float(try need(rope?.factor, "factor")),
                lowFrequencyFactor: Float(try need(rope?.low_freq_factor, "low_freq_factor")),
                highFrequencyFactor: Float(try need(rope?.high_freq_factor, "high_freq_factor")),
                originalPositionCount: original)
        case let kind: throw refuse("rope_scaling", "kind \"\(kind)\" is not known")
        }
        return RotaryEmbedding(
            base: Float((fields.rope_parameters?.rope_theta ?? fields.rope_theta)?.value ?? 10_000),
            dimension: Int(Double(dimension) * share),
            pairing: fields.rope_interleave == true ? .interleaved : .halves,
            scaling: scaling)
    }
}

extension ModelConfiguration {
    private static func positions(
        _ value: Number?, _ refuse: (String, String) -> CheckpointError
    ) throws(CheckpointError) -> UInt32 {
        let field = "rope_scaling.original_max_position_embeddings"
        guard let value else { throw refuse(field, "missing") }
        guard let count = UInt32(exactly: value.value) else {
            throw refuse(field, "\(value.value) is no count")
        }
        return count
    }

    /// Defaults are those of `_compute_yarn_parameters` in Hugging Face's transformers.
    private static func yarn(
        _ fields: Fields, _ rope: Fields.Rope?, _ refuse: (String, String) -> CheckpointError
    ) throws(CheckpointError) -> YarnScaling {
        guard let factor = rope?.factor?.value else {
            throw refuse("rope_scaling.factor", "missing")
        }
        func stretch(_ scale: Double) -> Double {
            factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1
        }
        var attention = stretch(1)
        if let scale = rope?.mscale?.value, let all = rope?.mscale_all_dim?.value, scale != 0,
            all != 0
        {
            attention = stretch(scale) / stretch(all)
        }
        let original: UInt32
        if rope?.original_max_position_embeddings == nil {
            guard let count = UInt32(exactly: fields.max_position_embeddings?.value ?? 0) else {
                throw refuse("max_position_embeddings", "is no count")
            }
            original = count
        } else {
            original = try positions(rope?.original_max_position_embeddings, refuse)
        }
        return YarnScaling(
            factor: Float(factor), betaFast: Float(rope?.beta_fast?.value ?? 32),
            betaSlow: Float(rope?.beta_slow?.value ?? 1),
            attentionFactor: Float(rope?.attention_factor?.value ?? attention),
            originalPositionCount: original, roundsRamp: rope?.truncate ?? true)
    }
}

/// The fields as they stand in the file; names are Hugging Face's.
private struct Fields: Decodable {
    struct Rope: Decodable {
        var rope_type: String?
        var type: String?
        var rope_theta: Number?
        var partial_rotary_factor: Number?
        var factor: Number?
        var low_freq_factor: Number?
        var high_freq_factor: Number?
        var original_max_position_embeddings: Number?
        var beta_fast: Number?
        var beta_slow: Number?
        var attention_factor: Number?
        var mscale: Number?
        var mscale_all_dim: Number?
        var truncate: Bool?
    }
    struct Anything: Decodable {}

    var architectures: [String]?
    var model_type: String?
    var hidden_size: WholeNumber?
    var num_hidden_layers: WholeNumber?
    var num_attention_heads: WholeNumber?
    var num_key_value_heads: WholeNumber?
    var head_dim: WholeNumber?
    var intermediate_size: WholeNumber?
    var rms_norm_eps: Number?
    var rope_theta: Number?
    var rope_scaling: Rope?
    var rope_parameters: Rope?
    var partial_rotary_factor: Number?
    /// Whether neighbouring components form the rotated pairs.
    var rope_interleave: Bool?
    var vocab_size: WholeNumber?
    var max_position_embeddings: WholeNumber?
    var tie_word_embeddings: Bool?
    var sliding_window: WholeNumber?
    var hidden_act: String?
    var attention_bias: Bool?
    var mlp_bias: Bool?
    var quantization_config: Anything?
}

/// A number, or an error that names the field even where the decoder's own does not.
private struct Number: Decodable {
    let value: Double
    init(from decoder: any Decoder) throws {
        guard let value = try? decoder.singleValueContainer().decode(Double.self) else {
            throw decoder.refusal("not a number that can be represented")
        }
        self.value = value
    }
}

private struct WholeNumber: Decodable {
    let value: Int
    init(from decoder: any Decoder) throws {
        guard let value = Int(exactly: try Number(from: decoder).value) else {
            throw decoder.refusal("not a whole number that can be represented")
        }
        self.value = value
    }
}

extension Decoder {
    fileprivate func refusal(_ reason: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: codingPath, debugDescription: reason))
    }
}

extension CheckpointError {
    fileprivate init(decoding error: DecodingError, file: String) {
        let context =
            switch error {
            case .typeMismatch(_, let context), .valueNotFound(_, let context),
                .keyNotFound(_, let context), .dataCorrupted(let context):
                context
            @unknown default: DecodingError.Context(codingPath: [], debugDescription: "\(error)")
            }
        self.init(
            file: file, field: context.codingPath.map(\.stringValue).joined(separator: "."),
            reason: context.debugDescription)
    }
}
