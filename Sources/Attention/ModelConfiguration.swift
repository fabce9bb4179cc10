// The shape of a model, as a Hugging Face `config.json` gives it. Every number has a cap, so that
// no later product of two of them can overflow and no allocation follows a number nobody checked.

import KVModel

/// A Llama-layout decoder: pre-norm RMSNorm, rotary grouped-query attention, SwiGLU.
public struct ModelConfiguration: Hashable, Sendable {
    /// Width of the residual stream.
    public var hiddenSize: Int
    public var layerCount: Int
    /// Query heads; a multiple of `kvHeadCount`.
    public var headCount: Int
    public var kvHeadCount: Int
    public var headDimension: Int
    public var intermediateSize: Int
    public var normEpsilon: Float
    public var rotary: RotaryEmbedding
    public var vocabularySize: Int
    /// Positions run from 0 up to this, exclusive.
    public var positionCount: Int
    /// Whether the output head is the transposed embedding.
    public var tiesHead: Bool
    /// Tokens a query sees back, itself included; `nil` for all.
    public var windowTokenCount: Int?

    public init(
        hiddenSize: Int, layerCount: Int, headCount: Int, kvHeadCount: Int, headDimension: Int,
        intermediateSize: Int, normEpsilon: Float = 1e-5, rotary: RotaryEmbedding,
        vocabularySize: Int, positionCount: Int, tiesHead: Bool = false,
        windowTokenCount: Int? = nil
    ) {
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.kvHeadCount = kvHeadCount
        self.headDimension = headDimension
        self.intermediateSize = intermediateSize
        self.normEpsilon = normEpsilon
        self.rotary = rotary
        self.vocabularySize = vocabularySize
        self.positionCount = positionCount
        self.tiesHead = tiesHead
        self.windowTokenCount = windowTokenCount
    }

    /// Numbers in one token's row of a key or value plane.
    public var rowElementCount: Int { kvHeadCount * headDimension }
    /// Numbers in one token's queries.
    public var queryElementCount: Int { headCount * headDimension }

    public var geometry: LayerGeometry {
        LayerGeometry(
            kvHeadCount: kvHeadCount, headDimension: headDimension,
            windowTokenCount: windowTokenCount)
    }

    /// Weights of one layer's matrices: the work of one row in one layer, attention scores aside.
    public var layerWeightCount: Int {
        2 * hiddenSize * (queryElementCount + rowElementCount) + 3 * hiddenSize * intermediateSize
    }

    /// The share of a layer's work that makes the key and value rows: what a check costs for a
    /// row it does not choose (FUSION's ρ, counting only the projections the check needs).
    public var keyValueShare: Double {
        Double(2 * hiddenSize * rowElementCount) / Double(layerWeightCount)
    }

    /// Refuses shapes that no model has. *Throws:* the first field that is wrong, by the name it
    /// has in `config.json`.
    public func validate(file: String = "config.json") throws(CheckpointError) {
        func require(_ condition: Bool, _ field: String, _ reason: String)
            throws(CheckpointError)
        {
            if !condition { throw CheckpointError(file: file, field: field, reason: reason) }
        }
        func bound(_ value: Int, _ field: String, _ limit: Int) throws(CheckpointError) {
            try require((1...limit).contains(value), field, "\(value) is not in 1...\(limit)")
        }
        try bound(hiddenSize, "hidden_size", 1 << 16)
        try bound(layerCount, "num_hidden_layers", ModelBinding.layerCountMax)
        try bound(headCount, "num_attention_heads", 1 << 12)
        try bound(kvHeadCount, "num_key_value_heads", 1 << 12)
        try bound(headDimension, "head_dim", 1 << 12)
        try bound(intermediateSize, "intermediate_size", 1 << 18)
        try bound(vocabularySize, "vocab_size", 1 << 22)
        try bound(positionCount, "max_position_embeddings", 1 << 24)
        try require(
            headCount.isMultiple(of: kvHeadCount), "num_key_value_heads",
            "\(kvHeadCount) does not divide num_attention_heads \(headCount)")
        try require(
            rowElementCount <= ModelBinding.rowElementCountMax, "num_key_value_heads",
            "rows of \(kvHeadCount) × \(headDimension) are too long")
        try require(
            normEpsilon.isFinite && normEpsilon >= 0 && normEpsilon <= 1, "rms_norm_eps",
            "\(normEpsilon) is not in 0...1")
        if let windowTokenCount { try bound(windowTokenCount, "sliding_window", 1 << 24) }
        try validateRotary(require)
    }

    private func validateRotary(
        _ require: (Bool, String, String) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        try require(
            rotary.base.isFinite && rotary.base > 1, "rope_theta",
            "\(rotary.base) is not a finite number above 1")
        try require(
            rotary.dimension > 0 && rotary.dimension <= headDimension
                && rotary.dimension.isMultiple(of: 2),
            "partial_rotary_factor",
            "\(rotary.dimension) of \(headDimension) components cannot be rotated in pairs")
        switch rotary.scaling {
        case .none: break
        case .linear(let factor):
            try require(
                factor.isFinite && factor >= 1, "rope_scaling.factor", "\(factor) is not above 1")
        case .llama3(let factor, let low, let high, let original):
            try require(
                factor.isFinite && factor >= 1, "rope_scaling.factor", "\(factor) is not above 1")
            try require(
                low.isFinite && high.isFinite && low > 0 && high > low,
                "rope_scaling.high_freq_factor", "\(low) and \(high) are not ascending")
            try require(
                original > 0 && original <= 1 << 24,
                "rope_scaling.original_max_position_embeddings", "\(original) is out of range")
        case .yarn(let yarn):
            try require(
                yarn.factor.isFinite && yarn.factor >= 1, "rope_scaling.factor",
                "\(yarn.factor) is not above 1")
            try require(
                yarn.betaFast.isFinite && yarn.betaSlow > 0 && yarn.betaFast > yarn.betaSlow,
                "rope_scaling.beta_fast",
                "\(yarn.betaFast) is not above beta_slow, \(yarn.betaSlow)")
            try require(
                yarn.attentionFactor.isFinite && yarn.attentionFactor > 0,
                "rope_scaling.attention_factor", "\(yarn.attentionFactor) is not positive")
            try require(
                (1...1 << 24).contains(yarn.originalPositionCount),
                "rope_scaling.original_max_position_embeddings",
                "\(yarn.originalPositionCount) is out of range")
        }
    }
}
