// How positions enter the keys. A chunk computed at one position is read at another, so the store
// must know the rotation exactly; what it does not know, it refuses (FUSION, "Stored key form").

/// Which components of a head form a rotated pair.
public enum RotaryPairing: UInt8, Sendable, CaseIterable {
    /// Component `i` with `i + rotaryDimension / 2` (GPT-NeoX, Llama in the Hugging Face layout).
    case halves = 1
    /// Component `2i` with `2i + 1` (GPT-J, Llama in Meta's layout).
    case interleaved = 2
}

/// How the base angles are stretched. Only kinds whose angles do not depend on the total length.
public enum RotaryScaling: Hashable, Sendable {
    case none
    /// Positions divided by `factor`.
    case linear(factor: Float)
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between.
    case llama3(
        factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float,
        originalPositionCount: UInt32)
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
