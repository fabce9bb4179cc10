// How positions enter the keys. A chunk computed at one position is read at another, so the store
// must know the rotation exactly; what it does not know, it refuses (FUSION, "Stored key form").

/// Which components of a head form a rotated pair.
public enum RotaryPairing: UInt8, Sendable, CaseIterable {
    /// Component `i` with `i + rotaryDimension / 2` (GPT-NeoX, Llama in the Hugging Face layout).
    case halves = 1
    /// Component `2i` with `2i + 1` (GPT-J, Llama in Meta's layout).
    case interleaved = 2
}

/// How the base angles are stretched. Only kinds whose angles do not depend on the total length; a
/// model of dynamic NTK is bound with the base that its pinned length gives, and `none`.
public enum RotaryScaling: Hashable, Sendable {
    case none
    /// Positions divided by `factor`.
    case linear(factor: Float)
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between.
    case llama3(
        factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float,
        originalPositionCount: UInt32)
    case yarn(YarnScaling)
}

/// YaRN (arXiv 2309.00071): pairs that turn often keep their angle, pairs that turn rarely are
/// divided by `factor`, a ramp between, and queries and keys are both multiplied by
/// `attentionFactor` where they are rotated. A rotated key therefore carries the factor, and
/// turning it on to another position does not multiply it again.
public struct YarnScaling: Hashable, Sendable {
    public var factor: Float
    /// Turns over the original positions above which a pair keeps its angle.
    public var betaFast: Float
    /// Turns below which a pair's angle is divided.
    public var betaSlow: Float
    /// What queries and keys are multiplied by, already worked out from a model's `mscale`.
    public var attentionFactor: Float
    public var originalPositionCount: UInt32
    /// Whether the ramp begins and ends at whole pairs. Published models differ: most do, gpt-oss
    /// does not.
    public var roundsRamp: Bool

    public init(
        factor: Float, betaFast: Float = 32, betaSlow: Float = 1, attentionFactor: Float,
        originalPositionCount: UInt32, roundsRamp: Bool = true
    ) {
        self.factor = factor
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.attentionFactor = attentionFactor
        self.originalPositionCount = originalPositionCount
        self.roundsRamp = roundsRamp
    }
}

/// The rotary position scheme of a model.
public struct RotaryEmbedding: Hashable, Sendable {
    /// The base θ; 10,000 for Llama 2, 500,000 for Llama 3.
    public var base: Float
    /// How many leading components of a head are rotated; even, at most the head dimension.
    public var dimension: Int
    public var pairing: RotaryPairing
    public var scaling: RotaryScaling

    public init(
        base: Float, dimension: Int, pairing: RotaryPairing = .halves,
        scaling: RotaryScaling = .none
    ) {
        self.base = base
        self.dimension = dimension
        self.pairing = pairing
        self.scaling = scaling
    }
}

/// In which form key planes are stored.
public enum KeyForm: UInt8, Sendable, CaseIterable {
    /// Before rotation: a reader rotates to the position it wants.
    case beforeRotation = 1
    /// Rotated for consecutive positions from the record's base position: a reader realigns.
    case afterRotation = 2
}
