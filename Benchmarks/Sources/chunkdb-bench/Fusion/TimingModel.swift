// A model that nobody trained, of the shape of a larger one: what it answers means nothing, what it
// costs does. Weights are drawn from a seed.

import Attention
import ChunkDB

enum TimingModel {
    /// 16 layers × 512, 8 query and 2 key/value heads of 64, SwiGLU 1,408: 46 M parameters.
    static func make(layerCount: Int, hiddenSize: Int, seed: UInt64) throws -> Model {
        let headDimension = 64
        let configuration = ModelConfiguration(
            hiddenSize: hiddenSize, layerCount: layerCount, headCount: hiddenSize / headDimension,
            kvHeadCount: max(hiddenSize / headDimension / 4, 1), headDimension: headDimension,
            intermediateSize: hiddenSize * 11 / 4, normEpsilon: 1e-5,
            rotary: RotaryEmbedding(base: 10_000, dimension: headDimension),
            vocabularySize: 1_024, positionCount: 1 << 14, tiesHead: true)
        let row = configuration.rowElementCount
        var shapes: [(name: String, shape: [Int])] = [
            ("model.embed_tokens.weight", [configuration.vocabularySize, hiddenSize]),
            ("model.norm.weight", [hiddenSize]),
        ]
        for layer in 0..<layerCount {
            let prefix = "model.layers.\(layer)."
            shapes += [
                (prefix + "input_layernorm.weight", [hiddenSize]),
                (prefix + "post_attention_layernorm.weight", [hiddenSize]),
                (prefix + "self_attn.q_proj.weight", [hiddenSize, hiddenSize]),
                (prefix + "self_attn.k_proj.weight", [row, hiddenSize]),
                (prefix + "self_attn.v_proj.weight", [row, hiddenSize]),
                (prefix + "self_attn.o_proj.weight", [hiddenSize, hiddenSize]),
                (prefix + "mlp.gate_proj.weight", [configuration.intermediateSize, hiddenSize]),
                (prefix + "mlp.up_proj.weight", [configuration.intermediateSize, hiddenSize]),
                (prefix + "mlp.down_proj.weight", [hiddenSize, configuration.intermediateSize]),
            ]
        }
        var file = Safetensors.header(
            tensors: shapes.map { ($0.name, ElementType.float32, $0.shape) })
        var generator = SeededGenerator(seed: seed)
        let scale = 1 / Float(hiddenSize).squareRoot()
        for (name, shape) in shapes {
            for _ in 0..<shape.reduce(1, *) {
                let weight =
                    name.contains("norm")
                    ? 1 : (Float(generator.next() >> 40) * 0x1p-23 - 1) * scale
                let bits = weight.bitPattern
                file.append(UInt8(truncatingIfNeeded: bits))
                file.append(UInt8(truncatingIfNeeded: bits >> 8))
                file.append(UInt8(truncatingIfNeeded: bits >> 16))
                file.append(UInt8(truncatingIfNeeded: bits >> 24))
            }
        }
        return try Model(
            configuration: configuration, weights: file, parallelism: .allCores)
    }
}
