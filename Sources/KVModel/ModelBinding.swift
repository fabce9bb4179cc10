// What a chunk's attention state is: the shape of every layer's planes, and the facts about the
// model without which the bytes mean nothing. Two stores of KV may only be mixed when their
// bindings are equal, which `digest` decides.

import Primitives

/// The shape of one transformer layer's planes. Row = one token: `[kv head][dim]`.
public struct LayerGeometry: Hashable, Sendable {
    public var kvHeadCount: Int
    public var headDimension: Int
    /// Tokens a query sees back; `nil` for all.
    public var windowTokenCount: Int?

    public init(kvHeadCount: Int, headDimension: Int, windowTokenCount: Int? = nil) {
        self.kvHeadCount = kvHeadCount
        self.headDimension = headDimension
        self.windowTokenCount = windowTokenCount
    }

    /// Numbers in one token's row of the key plane, and in one of the value plane.
    public var rowElementCount: Int { kvHeadCount * headDimension }
}

/// Why a binding is refused.
public struct ModelBindingError: Error, Hashable, Sendable, CustomStringConvertible {
    public let field: String
    public let reason: String
    public init(field: String, reason: String) {
        self.field = field
        self.reason = reason
    }
    public var description: String { "model binding: \(field): \(reason)" }
}

/// What a namespace is bound to: per-layer geometry, element type, rotary scheme, key form, and
/// the digest of the weights.
public struct ModelBinding: Hashable, Sendable {
    public static let layerCountMax = 1_024
    public static let rowElementCountMax = 1 << 20

    /// For people; not part of the identity.
    public var name: String
    /// SHA-256 of the weights, or any 32 bytes that stand for them.
    public var weightsDigest: [UInt8]
    public var layers: [LayerGeometry]
    public var elementType: ElementType
    public var rotary: RotaryEmbedding
    public var keyForm: KeyForm
    /// Which of how many tensor-parallel shards these planes are.
    public var tensorParallelRank: Int
    public var tensorParallelSize: Int
    /// The layer at which a CacheBlend check pays for this model, and by which tensor; `nil` until
    /// `calibrate` has measured it. Advice, not part of the identity.
    public var calibration: BlendCalibration?

    public init(
        name: String, weightsDigest: [UInt8], layers: [LayerGeometry], elementType: ElementType,
        rotary: RotaryEmbedding, keyForm: KeyForm = .afterRotation,
        tensorParallelRank: Int = 0, tensorParallelSize: Int = 1,
        calibration: BlendCalibration? = nil
    ) {
        self.name = name
        self.weightsDigest = weightsDigest
        self.layers = layers
        self.elementType = elementType
        self.rotary = rotary
        self.keyForm = keyForm
        self.tensorParallelRank = tensorParallelRank
        self.tensorParallelSize = tensorParallelSize
        self.calibration = calibration
    }

    public var layerCount: Int { layers.count }

    /// Bytes of one token's row in one plane of `layer`.
    public func rowBytes(layer: Int) -> Int {
        layers[layer].rowElementCount * elementType.byteCount
    }

    /// Bytes of all planes of `tokenCount` tokens, without padding.
    public func payloadBytes(tokenCount: Int) -> UInt64 {
        layers.indices.reduce(0) { $0 + 2 * UInt64(rowBytes(layer: $1)) * UInt64(tokenCount) }
    }

    /// Refuses shapes that no model has. *Throws:* the first field that is wrong.
    public func validate() throws(ModelBindingError) {
        func require(_ condition: Bool, _ field: String, _ reason: String)
            throws(ModelBindingError)
        {
            if !condition { throw ModelBindingError(field: field, reason: reason) }
        }
        try require(weightsDigest.count == 32, "weightsDigest", "must have 32 bytes")
        try require(
            (1...Self.layerCountMax).contains(layers.count), "layers",
            "must be 1 to \(Self.layerCountMax), not \(layers.count)")
        try require(name.utf8.count <= 255, "name", "must have at most 255 bytes")
        for (index, layer) in layers.enumerated() {
            let heads = layer.kvHeadCount
            let dimension = layer.headDimension
            try require(
                heads > 0 && dimension > 0 && heads <= Self.rowElementCountMax
                    && dimension <= Self.rowElementCountMax
                    && heads * dimension <= Self.rowElementCountMax,
                "layers[\(index)]", "row of \(heads) × \(dimension) is out of range")
            try require(
                rotary.dimension <= dimension, "rotary.dimension",
                "\(rotary.dimension) exceeds head dimension \(dimension) of layer \(index)")
            if let window = layer.windowTokenCount {
                try require(
                    window > 0 && window <= Int(UInt32.max),
                    "layers[\(index)].windowTokenCount", "must be positive and fit 32 bits")
            }
        }
        try require(
            rotary.dimension >= 0 && rotary.dimension.isMultiple(of: 2), "rotary.dimension",
            "must be even and not negative")
        try require(
            rotary.base.isFinite && rotary.base > 1, "rotary.base", "must be finite and above 1")
        let factors: [Float] =
            switch rotary.scaling {
            case .none: []
            case .linear(let factor): [factor]
            case .llama3(let factor, let low, let high, _): [factor, low, high]
            case .yarn(let yarn):
                [yarn.factor, yarn.betaFast, yarn.betaSlow, yarn.attentionFactor]
            }
        try require(
            factors.allSatisfy { $0.isFinite && $0 > 0 }, "rotary.scaling",
            "factors must be finite and positive")
        if case .yarn(let yarn) = rotary.scaling {
            try require(
                yarn.betaFast > yarn.betaSlow && yarn.originalPositionCount > 0, "rotary.scaling",
                "betaFast must exceed betaSlow, over at least one position")
        }
        try require(
            calibration.map { layers.indices.contains($0.checkLayer) } ?? true,
            "calibration.checkLayer", "must be a layer of the model")
        try require(
            tensorParallelSize > 0 && tensorParallelSize <= 65_535
                && (0..<tensorParallelSize).contains(tensorParallelRank),
            "tensorParallelRank", "must lie in 0..<tensorParallelSize")
    }

    /// The identity of the binding: 32 bytes over everything but `name` and `calibration`.
    public var digest: [UInt8] {
        var hasher = IdentityHasher(domain: "chunkdb.model-binding.v1")
        hasher.append(bytes: weightsDigest)
        hasher.append(number: UInt64(layers.count))
        for layer in layers {
            hasher.append(number: UInt64(layer.kvHeadCount))
            hasher.append(number: UInt64(layer.headDimension))
            hasher.append(number: UInt64(layer.windowTokenCount ?? 0))
        }
        hasher.append(number: UInt64(elementType.rawValue))
        hasher.append(number: UInt64(rotary.base.bitPattern))
        hasher.append(number: UInt64(rotary.dimension))
        hasher.append(number: UInt64(rotary.pairing.rawValue))
        switch rotary.scaling {
        case .none:
            hasher.append(number: 0)
        case .linear(let factor):
            hasher.append(number: 1)
            hasher.append(number: UInt64(factor.bitPattern))
        case .llama3(let factor, let low, let high, let original):
            hasher.append(number: 2)
            hasher.append(number: UInt64(factor.bitPattern))
            hasher.append(number: UInt64(low.bitPattern))
            hasher.append(number: UInt64(high.bitPattern))
            hasher.append(number: UInt64(original))
        case .yarn(let yarn):
            hasher.append(number: 3)
            for factor in [yarn.factor, yarn.betaFast, yarn.betaSlow, yarn.attentionFactor] {
                hasher.append(number: UInt64(factor.bitPattern))
            }
            hasher.append(number: UInt64(yarn.originalPositionCount))
            hasher.append(number: yarn.roundsRamp ? 1 : 0)
        }
        hasher.append(number: UInt64(keyForm.rawValue))
        hasher.append(number: UInt64(tensorParallelRank))
        hasher.append(number: UInt64(tensorParallelSize))
        return hasher.finalize()
    }
}

/// Which tensor's change tells that a token must be recomputed (FUSION, "CacheBlend").
public enum DeviationTensor: UInt8, Sendable, CaseIterable {
    /// Keys, after both sides are at the same position (LMCache).
    case realignedKeys = 1
    /// Values (the research prototype).
    case values = 2
}

/// Where CacheBlend's check pays for one model: measured once, kept as data.
public struct BlendCalibration: Hashable, Sendable {
    public var checkLayer: Int
    public var tensor: DeviationTensor
    public init(checkLayer: Int, tensor: DeviationTensor) {
        self.checkLayer = checkLayer
        self.tensor = tensor
    }
}
