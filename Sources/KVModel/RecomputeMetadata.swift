// What is kept with a variant so that a later plan can decide what to recompute without touching
// its payload (FUSION, "What a record therefore carries").

import Primitives

/// One chunk of the prefix a variant was computed in, and how much the variant attended to it.
public struct PrefixShare: Hashable, Sendable {
    public var key: ChunkKey
    public var tokenCount: Int
    /// Mean over layers of inter(Ci, Cj) (Cache-Craft); 0 when it was not captured.
    public var interMean: Float
    public init(key: ChunkKey, tokenCount: Int, interMean: Float = 0) {
        self.key = key
        self.tokenCount = tokenCount
        self.interMean = interMean
    }
}

/// Recompute metadata of one variant. Every part but the prefix may be missing.
public struct RecomputeMetadata: Hashable, Sendable {
    public var prefix: [PrefixShare]
    /// Cache-Craft's ā, b̄ and CCI = 1/(1 + exp(−ā/b̄)); `nil` when not captured.
    public var contextImpact: ContextImpact?
    /// Token inter scores s(t), fp16, one a token; empty when not captured.
    public var tokenScores: [Float16]
    /// Deviation profile, fp16, one a token; empty when not captured.
    public var deviationProfile: [Float16]
    /// What the prefill that made this cost.
    public var creationMilliseconds: Float
    /// What it was computed on; costs are only comparable within one class.
    public var deviceClass: DeviceClass?
    /// The variant of the same chunk that this one was repaired from.
    public var parent: VariantID?

    public init(
        prefix: [PrefixShare] = [], contextImpact: ContextImpact? = nil,
        tokenScores: [Float16] = [], deviationProfile: [Float16] = [],
        creationMilliseconds: Float = 0, deviceClass: DeviceClass? = nil,
        parent: VariantID? = nil
    ) {
        self.prefix = prefix
        self.contextImpact = contextImpact
        self.tokenScores = tokenScores
        self.deviationProfile = deviationProfile
        self.creationMilliseconds = creationMilliseconds
        self.deviceClass = deviceClass
        self.parent = parent
    }
}

/// A caller's name for machines on which a prefill costs the same, such as `h200` or `epyc-2`.
public struct DeviceClass: Hashable, Sendable, CustomStringConvertible {
    public static let byteCountMax = 32
    public let name: String

    /// `nil` unless the name has 1 to 32 bytes of UTF-8.
    public init?(_ name: String) {
        guard (1...Self.byteCountMax).contains(name.utf8.count) else { return nil }
        self.name = name
    }
    public var description: String { name }
}

/// How strongly a variant was shaped by its prefix (Cache-Craft, arXiv 2502.15734).
public struct ContextImpact: Hashable, Sendable {
    public var interMean: Float
    public var intraMean: Float
    public init(interMean: Float, intraMean: Float) {
        self.interMean = interMean
        self.intraMean = intraMean
    }
}

extension [Float16] {
    /// The first that is no score: not a number of at least 0. Infinite is what a large squared
    /// distance becomes in fp16, and orders as it should.
    ///
    /// By bits: without a machine instruction for halves a comparison is a function call, and a
    /// plan looks at every score of every variant.
    public var firstNoScore: Int? {
        firstIndex { !($0.bitPattern <= 0x7C00 || $0.bitPattern == 0x8000) }
    }
}
