// A Llama-layout decoder in memory: fp32 weights, packed for the kernels, immutable once loaded.
//
// The life of a prefill: `BlendedPrefill` embeds the prompt's tokens; for each layer it is handed
// the loaded planes of the reused spans, moves their keys to their places, computes keys and values
// of the active rows and splices them in, lets the active rows attend to all rows, and passes them
// through the feed-forward part. A plan decides which rows are active; the last row's logits are
// the answer, the planes are the cache to decode from.

import KVModel
import Primitives

/// *Concurrency:* immutable; any number of prefills may run on one model.
public final class Model: Sendable {
    public let configuration: ModelConfiguration
    /// SHA-256 of `model.safetensors`.
    public let weightsDigest: [UInt8]
    public let parallelism: Parallelism
    let layers: [DecoderLayer]
    /// `[token][hidden]`.
    let embedding: [Float]
    let finalNorm: [Float]
    let head: PackedMatrix
    let frequencies: RotaryFrequencies

    init(
        configuration: ModelConfiguration, weightsDigest: [UInt8], parallelism: Parallelism,
        layers: [DecoderLayer], embedding: [Float], finalNorm: [Float], head: PackedMatrix
    ) {
        self.configuration = configuration
        self.weightsDigest = weightsDigest
        self.parallelism = parallelism
        self.layers = layers
        self.embedding = embedding
        self.finalNorm = finalNorm
        self.head = head
        frequencies = RotaryFrequencies(configuration.rotary)
    }

    /// What a namespace that holds this model's KV is bound to.
    public func binding(elementType: ElementType, name: String = "") -> ModelBinding {
        ModelBinding(
            name: name, weightsDigest: weightsDigest,
            layers: Array(repeating: configuration.geometry, count: configuration.layerCount),
            elementType: elementType, rotary: configuration.rotary, keyForm: .afterRotation)
    }

    /// Full prefill of `tokens` at consecutive positions from `basePosition`; attention on the rows
    /// of `segments` is captured.
    public func prefill(
        _ tokens: [UInt32], basePosition: Int = 0, capturing segments: [Range<Int>] = []
    ) throws(AttentionError) -> PrefillResult {
        var prefill = try BlendedPrefill(
            model: self,
            spans: [PromptSpan(tokens: tokens, source: .fresh, start: basePosition)],
            plan: .recompute, capturing: segments)
        for layer in 0..<configuration.layerCount { try prefill.compute(layer: layer) }
        return try prefill.finish()
    }

    func checkTokens(_ tokens: [UInt32], firstRow: Int) throws(AttentionError) {
        for (index, token) in tokens.enumerated()
        where Int(token) >= configuration.vocabularySize {
            throw .tokenOutOfRange(
                token: token, row: firstRow + index, vocabularySize: configuration.vocabularySize)
        }
    }

    func checkPositions(_ start: Int, count: Int) throws(AttentionError) {
        let limit = configuration.positionCount
        // Compared without adding first: `start` may come from a damaged or foreign record.
        guard start >= 0, start <= limit, count <= limit - start else {
            throw .positionOutOfRange(position: start, limit: limit)
        }
    }

    /// Embedding rows of `tokens`, `[token][hidden]`.
    func embed(_ tokens: [UInt32]) -> [Float] {
        var hidden: [Float] = []
        hidden.reserveCapacity(tokens.count * configuration.hiddenSize)
        for token in tokens {
            let start = Int(token) * configuration.hiddenSize
            hidden += embedding[start..<start + configuration.hiddenSize]
        }
        return hidden
    }
}
