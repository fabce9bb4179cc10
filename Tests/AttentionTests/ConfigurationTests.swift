// `config.json` of every kind of wrong: always a typed error that names the field.

import Foundation
import KVModel
import Testing

@testable import Attention

@Suite("Configuration")
struct ConfigurationTests {
    static var good: [String: Any] {
        [
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 156,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 512,
            "tie_word_embeddings": true, "bos_token_id": NSNull(), "torch_dtype": "float32",
        ]
    }

    private func read(_ changes: [String: Any?]) throws -> ModelConfiguration {
        var object = Self.good
        for (name, value) in changes { object[name] = value }
        let data = try JSONSerialization.data(withJSONObject: object)
        return try ModelConfiguration(json: [UInt8](data), file: "a/config.json")
    }

    private func refuses(
        _ field: String, _ changes: [String: Any?],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            _ = try read(changes)
            Issue.record("accepted \(changes)", sourceLocation: sourceLocation)
        } catch let error as CheckpointError {
            #expect(error.file == "a/config.json", sourceLocation: sourceLocation)
            #expect(error.field == field, "\(error)", sourceLocation: sourceLocation)
            #expect(!error.reason.isEmpty, sourceLocation: sourceLocation)
        } catch {
            Issue.record("\(error)", sourceLocation: sourceLocation)
        }
    }

    @Test("as it should be")
    func accepted() throws {
        let plain = try read([:])
        #expect(plain.headCount == 4 && plain.kvHeadCount == 2 && plain.headDimension == 32)
        #expect(plain.rotary == RotaryEmbedding(base: 10_000, dimension: 32))
        #expect(plain.tiesHead && plain.windowTokenCount == nil)
        let defaults = try read([
            "num_key_value_heads": nil, "head_dim": nil, "rope_theta": nil,
            "tie_word_embeddings": nil, "architectures": nil, "rope_scaling": NSNull(),
        ])
        #expect(defaults.kvHeadCount == 4 && defaults.headDimension == 32)
        #expect(defaults.rotary.base == 10_000 && !defaults.tiesHead)
        let linear = try read(["rope_scaling": ["type": "linear", "factor": 2]])
        #expect(linear.rotary.scaling == .linear(factor: 2))
        let llama3 = try read([
            "rope_parameters": [
                "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0,
                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            ], "rope_theta": nil,
        ])
        #expect(llama3.rotary.base == 500_000)
        #expect(
            llama3.rotary.scaling
                == .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                    originalPositionCount: 8_192))
        let yarn = try read([
            "max_position_embeddings": 4_096,
            "rope_scaling": [
                "rope_type": "yarn", "factor": 10.0, "mscale": 2.0,
                "mscale_all_dim": 0.5,
            ],
        ])
        // (0.1 · 2 · ln 10 + 1) / (0.1 · 0.5 · ln 10 + 1)
        let scaling = YarnScaling(
            factor: 10, attentionFactor: 1.309_728_905_9, originalPositionCount: 4_096)
        #expect(yarn.rotary.scaling == .yarn(scaling))
        let gpt = try read([
            "rope_scaling": [
                "type": "yarn", "factor": 32, "beta_fast": 16, "beta_slow": 2, "truncate": false,
                "attention_factor": 1.5, "original_max_position_embeddings": 512,
            ]
        ])
        #expect(
            gpt.rotary.scaling
                == .yarn(
                    YarnScaling(
                        factor: 32, betaFast: 16, betaSlow: 2, attentionFactor: 1.5,
                        originalPositionCount: 512, roundsRamp: false)))
        let odd = try read([
            "partial_rotary_factor": 0.25, "rope_interleave": true, "sliding_window": 64,
        ])
        #expect(odd.rotary.dimension == 8 && odd.rotary.pairing == .interleaved)
        #expect(odd.windowTokenCount == 64)
        #expect(odd.geometry.windowTokenCount == 64)
    }

    @Test("missing fields")
    func missing() {
        for field in [
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "vocab_size", "rms_norm_eps", "max_position_embeddings",
        ] { refuses(field, [field: nil]) }
        refuses("architectures", ["architectures": nil, "model_type": nil])
    }

    @Test("absurd numbers")
    func absurd() {
        let counts = [
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings",
            "sliding_window",
        ]
        for field in counts {
            for value: Any in [0, -1, 1 << 40, Int.max, Int.min] { refuses(field, [field: value]) }
            for value: Any in [1e300, 1.5, "4", true, [4], ["a": 1]] {
                refuses(field, [field: value])
            }
        }
        for value: Any in [-1e-5, 2, 1e300, "small"] {
            refuses("rms_norm_eps", ["rms_norm_eps": value])
        }
        for value: Any in [0, 1, -5, 1e300, "ten"] { refuses("rope_theta", ["rope_theta": value]) }
        refuses("num_key_value_heads", ["num_key_value_heads": 3])
        refuses("hidden_size", ["hidden_size": 0, "head_dim": nil])
        refuses("hidden_size", ["hidden_size": 130, "head_dim": nil])
        for value in [0, -1, 1.5, 0.01, 0.1] {
            refuses("partial_rotary_factor", ["partial_rotary_factor": value])
        }
    }

    @Test("arithmetic that is not known")
    func unknown() {
        refuses("architectures", ["architectures": ["MixtralForCausalLM"]])
        refuses("architectures", ["architectures": [String]()])
        refuses("hidden_act", ["hidden_act": "gelu"])
        refuses("attention_bias", ["attention_bias": true])
        refuses("mlp_bias", ["mlp_bias": true])
        refuses("quantization_config", ["quantization_config": ["bits": 4]])
        for kind in ["dynamic", "longrope", ""] {
            refuses("rope_scaling", ["rope_scaling": ["rope_type": kind, "factor": 2.0]])
        }
        refuses("rope_scaling", ["rope_scaling": ["factor": 2.0]])
        refuses("rope_scaling", ["rope_scaling": "linear"])
        refuses("rope_scaling.factor", ["rope_scaling": ["type": "linear"]])
        refuses("rope_scaling.factor", ["rope_scaling": ["type": "linear", "factor": 0]])
        refuses("rope_scaling.factor", ["rope_scaling": ["type": "linear", "factor": "x"]])
        func yarn(_ changes: [String: Any]) -> [String: Any] {
            ["rope_scaling": ["rope_type": "yarn", "factor": 4.0].merging(changes) { $1 }]
        }
        refuses("rope_scaling.factor", yarn(["factor": 0.5]))
        refuses("rope_scaling.factor", ["rope_scaling": ["rope_type": "yarn"]])
        refuses("rope_scaling.beta_fast", yarn(["beta_fast": 1.0]))
        refuses("rope_scaling.beta_fast", yarn(["beta_slow": 0.0]))
        refuses("rope_scaling.attention_factor", yarn(["attention_factor": -1.0]))
        refuses(
            "rope_scaling.original_max_position_embeddings",
            yarn(["original_max_position_embeddings": 1.5]))
        func llama3(_ changes: [String: Any]) -> [String: Any] {
            let scaling: [String: Any] = [
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            ]
            return ["rope_scaling": scaling.merging(changes) { $1 }]
        }
        refuses("rope_scaling.high_freq_factor", llama3(["high_freq_factor": 1.0]))
        for value in [0, -1, 1.5, 1e20] {
            refuses(
                "rope_scaling.original_max_position_embeddings",
                llama3(["original_max_position_embeddings": value]))
        }
    }

    @Test("text that is not JSON, at every length, and deep nests")
    func notJSON() throws {
        let text = [UInt8](try JSONSerialization.data(withJSONObject: Self.good))
        for length in 0..<text.count {
            #expect(throws: CheckpointError.self) {
                try ModelConfiguration(json: Array(text[..<length]))
            }
        }
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(throws: CheckpointError.self) { try ModelConfiguration(json: deep) }
        #expect(throws: CheckpointError.self) {
            try ModelConfiguration(json: Array(#"{"hidden_size":"#.utf8) + deep)
        }
        let huge = #"{"architectures":["LlamaForCausalLM"],"hidden_size":1e999}"#
        #expect(throws: CheckpointError.self) { try ModelConfiguration(json: Array(huge.utf8)) }
        #expect(throws: CheckpointError.self) { try ModelConfiguration(json: [0xFF, 0xFE, 0]) }
    }
}
