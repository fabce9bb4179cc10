// A model from a directory: what loads, what is refused, and what a namespace is bound to.

import Foundation
import KVModel
import Primitives
import Testing

@testable import Attention

@Suite("Checkpoint")
struct CheckpointTests {
    private func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "attention-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func refuses(
        _ part: String, _ body: () throws -> Void,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            try body()
            Issue.record("accepted", sourceLocation: sourceLocation)
        } catch let error as CheckpointError {
            #expect(error.description.contains(part), "\(error)", sourceLocation: sourceLocation)
        } catch {
            Issue.record("\(error)", sourceLocation: sourceLocation)
        }
    }

    @Test("from a directory: weights, digest, binding")
    func directory() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        refuses("config.json: not found") { _ = try Model(directory: folder.path) }
        let shape: [String: Any] = [
            "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
            "intermediate_size": 24, "rms_norm_eps": 1e-5, "vocab_size": 40,
            "max_position_embeddings": 256,
        ]
        try JSONSerialization.data(withJSONObject: shape)
            .write(to: folder.appending(path: "config.json"))
        refuses("model.safetensors: not found") { _ = try Model(directory: folder.path) }
        let weights = randomWeights(.tiny, seed: 1)
        let path = folder.appending(path: "model.safetensors")
        try Data(weights).write(to: path)

        let model = try Model(directory: folder.path)
        #expect(model.configuration == .tiny)
        #expect(model.weightsDigest == sha256(weights))
        let direct = try randomModel()
        let tokens = randomTokens(6, .tiny)
        #expect(try model.prefill(tokens).logits == direct.prefill(tokens).logits)
        let binding = model.binding(elementType: .bfloat16, name: "tiny")
        try binding.validate()
        let geometry = LayerGeometry(kvHeadCount: 2, headDimension: 8)
        #expect(binding.layers == [geometry, geometry, geometry])
        #expect(binding.keyForm == .afterRotation && binding.elementType == .bfloat16)
        #expect(binding.rotary == model.configuration.rotary)

        try Data(weights.dropLast(5)).write(to: path)
        refuses("model.safetensors") { _ = try Model(directory: folder.path) }
        try FileManager.default.removeItem(at: path)
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: false)
        refuses("not a regular file") { _ = try Model(directory: folder.path) }
    }

    @Test("tensors that are missing, of another shape or of another type")
    func tensors() throws {
        let list = weightShapes(.tiny)
        func file(_ change: (Int) -> (String, ElementType, [Int])?) -> [UInt8] {
            let tensors = list.indices.compactMap(change)
            let header = Safetensors.header(
                tensors: tensors.map { (name: $0.0, elementType: $0.1, shape: $0.2) })
            let data = tensors.reduce(0) { $0 + $1.2.reduce($1.1.byteCount, *) }
            return header + [UInt8](repeating: 0, count: data)
        }
        func load(_ bytes: [UInt8]) throws { _ = try Model(configuration: .tiny, weights: bytes) }
        try load(file { (list[$0].name, .float16, list[$0].shape) })
        for missing in [0, 1, 5, list.count - 1] {
            let bytes = file {
                $0 == missing ? nil : (list[$0].name, .float32, list[$0].shape)
            }
            refuses("\(list[missing].name): missing") { try load(bytes) }
        }
        for wrong in [0, 2, 9, list.count - 2] {
            let bytes = file {
                (list[$0].name, .float32, $0 == wrong ? list[$0].shape + [2] : list[$0].shape)
            }
            refuses("\(list[wrong].name): shape") { try load(bytes) }
            let typed = file {
                (list[$0].name, $0 == wrong ? .int8 : .float32, list[$0].shape)
            }
            refuses("\(list[wrong].name): dtype i8") { try load(typed) }
        }
        refuses("model.safetensors") { try load([]) }
        refuses("model.safetensors") { try load([UInt8](repeating: 0xFF, count: 64)) }
        var shape = ModelConfiguration.tiny
        shape.kvHeadCount = 3
        refuses("num_key_value_heads") {
            _ = try Model(configuration: shape, weights: file { (list[$0].name, .float32, [1]) })
        }
    }
}
