// Weights in the Hugging Face naming: `config.json` and `model.safetensors` of one directory.

import KVModel
import Primitives

extension Model {
    private static let configurationBytesMax = 1 << 20
    private static let weightsBytesMax = 1 << 36

    /// Loads a checkpoint. *Throws:* `CheckpointError` naming file, field or tensor, and reason.
    public convenience init(
        directory: String, parallelism: Parallelism = .allCores
    ) throws(CheckpointError) {
        let json = try readCheckpointFile(
            directory: directory, name: "config.json", byteCountMax: Self.configurationBytesMax)
        let weights = try readCheckpointFile(
            directory: directory, name: "model.safetensors", byteCountMax: Self.weightsBytesMax)
        try self.init(
            configuration: ModelConfiguration(json: json, file: "\(directory)/config.json"),
            weights: weights, file: "\(directory)/model.safetensors", parallelism: parallelism)
    }

    /// The same from bytes at hand; `file` is for messages.
    public convenience init(
        configuration: ModelConfiguration, weights: [UInt8], file: String = "model.safetensors",
        parallelism: Parallelism = .allCores
    ) throws(CheckpointError) {
        try configuration.validate()
        let reader = try TensorReader(weights, file: file)
        let hidden = configuration.hiddenSize
        let embedding = try reader.numbers(
            "model.embed_tokens.weight", [configuration.vocabularySize, hidden])
        var layers: [DecoderLayer] = []
        for index in 0..<configuration.layerCount {
            layers.append(try DecoderLayer(reader, layer: index, configuration))
        }
        let head =
            configuration.tiesHead
            ? embedding
            : try reader.numbers("lm_head.weight", [configuration.vocabularySize, hidden])
        self.init(
            configuration: configuration, weightsDigest: sha256(weights),
            parallelism: parallelism, layers: layers, embedding: embedding,
            finalNorm: try reader.numbers("model.norm.weight", [hidden]),
            head: PackedMatrix(
                head, outputCount: configuration.vocabularySize, inputCount: hidden))
    }
}

/// Tensors of one file by name, as fp32.
private struct TensorReader {
    let bytes: [UInt8]
    let file: String
    let contents: Safetensors

    init(_ bytes: [UInt8], file: String) throws(CheckpointError) {
        self.bytes = bytes
        self.file = file
        do throws(SafetensorsError) {
            contents = try Safetensors(parsing: bytes.span)
        } catch {
            throw CheckpointError(
                file: file, field: error.tensor ?? "",
                reason: "\(error.reason) (at byte \(error.offset))")
        }
    }

    func numbers(_ name: String, _ shape: [Int]) throws(CheckpointError) -> [Float] {
        func refuse(_ reason: String) -> CheckpointError {
            CheckpointError(file: file, field: name, reason: reason)
        }
        guard let tensor = contents[name] else { throw refuse("missing") }
        guard tensor.shape == shape else {
            throw refuse("shape \(tensor.shape), where config.json means \(shape)")
        }
        guard tensor.elementType.isPlainFloat else {
            throw refuse("dtype \(tensor.elementType) is not read as weights")
        }
        return tensor.elementType.decode(bytes, tensor.fileRange)
    }

    func matrix(_ name: String, _ outputs: Int, _ inputs: Int) throws(CheckpointError)
        -> PackedMatrix
    {
        PackedMatrix(
            try numbers(name, [outputs, inputs]), outputCount: outputs, inputCount: inputs)
    }
}

/// One transformer layer's weights.
struct DecoderLayer: Sendable {
    let inputNorm: [Float]
    let queries: PackedMatrix
    let keys: PackedMatrix
    let values: PackedMatrix
    let output: PackedMatrix
    let forwardNorm: [Float]
    let gate: PackedMatrix
    let up: PackedMatrix
    let down: PackedMatrix

    fileprivate init(
        _ reader: TensorReader, layer: Int, _ shape: ModelConfiguration
    ) throws(CheckpointError) {
        let name = "model.layers.\(layer)"
        let hidden = shape.hiddenSize
        let row = shape.rowElementCount
        let query = shape.queryElementCount
        let wide = shape.intermediateSize
        inputNorm = try reader.numbers("\(name).input_layernorm.weight", [hidden])
        queries = try reader.matrix("\(name).self_attn.q_proj.weight", query, hidden)
        keys = try reader.matrix("\(name).self_attn.k_proj.weight", row, hidden)
        values = try reader.matrix("\(name).self_attn.v_proj.weight", row, hidden)
        output = try reader.matrix("\(name).self_attn.o_proj.weight", hidden, query)
        forwardNorm = try reader.numbers("\(name).post_attention_layernorm.weight", [hidden])
        gate = try reader.matrix("\(name).mlp.gate_proj.weight", wide, hidden)
        up = try reader.matrix("\(name).mlp.up_proj.weight", wide, hidden)
        down = try reader.matrix("\(name).mlp.down_proj.weight", hidden, wide)
    }
}
