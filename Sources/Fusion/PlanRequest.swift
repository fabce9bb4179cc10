// What a plan is made from: a prompt, what a lookup found for its chunks, how fast the store gives
// and the model computes, and how chunks are to be put together.

import KVModel
import Primitives

/// How reused chunks are put together (FUSION; each names the system it is from).
public enum FusionMode: Hashable, Sendable {
    /// MatKV: as they are, at the positions they were computed at.
    case concatenate
    /// Keys moved to their place in the prompt, nothing recomputed ("full cache").
    case realign
    /// Only an exact chain from the prompt's first token on; what vLLM and LMCache give.
    case prefix
    /// APE (arXiv 2502.05431): all chunks stand at one position range behind a shared prefix and
    /// do not see each other; later rows merge both softmax parts with temperature and scale.
    case parallel(temperature: Double = 1, scale: Double = 1)
    /// CacheBlend (arXiv 2405.16444): the share of the reused rows that deviates most is
    /// recomputed; `nil` is as many as loading leaves time for, at least the floor.
    case cacheBlend(ratio: Double?)
    /// Cache-Craft (arXiv 2502.15734): of each chunk as much as its context changed.
    case cacheCraft(alpha: Double)
    /// From tokens.
    case recompute
}

/// A chunk's place in a prompt. Rows that no chunk holds are uncached text or the question.
public struct ChunkSpan: Hashable, Sendable {
    public var key: ChunkKey
    /// Rows of the prompt, 0 being its first token.
    public var rows: Range<Int>
    public init(key: ChunkKey, rows: Range<Int>) {
        self.key = key
        self.rows = rows
    }
}

/// A variant that a lookup found, with what is kept beside its payload.
public struct FoundVariant: Hashable, Sendable {
    public var id: VariantID
    public var bindingDigest: [UInt8]
    public var tokenCount: Int
    /// The position of its first token when it was computed.
    public var basePosition: Int
    /// Bytes of all its planes as stored: what loading it costs.
    public var storedBytes: UInt64
    public var recompute: RecomputeMetadata
    public var detail: VariantDetail

    public init(
        id: VariantID, bindingDigest: [UInt8], tokenCount: Int, basePosition: Int,
        storedBytes: UInt64, recompute: RecomputeMetadata, detail: VariantDetail = VariantDetail()
    ) {
        self.id = id
        self.bindingDigest = bindingDigest
        self.tokenCount = tokenCount
        self.basePosition = basePosition
        self.storedBytes = storedBytes
        self.recompute = recompute
        self.detail = detail
    }
}

/// What published systems fix and we leave open.
public struct PlanOptions: Hashable, Sendable {
    /// ν of the fix cost.
    public var novelty = 1.0
    /// r*: the least that CacheBlend recomputes of its own accord, and the most of a variant that
    /// was computed alone.
    public var ratioFloor = LoadingController.ratioFloor
    /// Whether rows are picked from stored deviation profiles where all variants have one.
    public var usesProfiles = true
    /// Whether Cache-Craft picks its rows from stored profiles also where token scores are there.
    /// Scores, which the paper has, say who looked at the prefix; profiles say what that changed.
    /// Measured (`Benchmarks/quality`): 97 % of what was lost comes back by profile, for a fifth of
    /// a full prefill, and nothing by scores.
    public var prefersProfiles = true
    /// The check layer; `nil` is the binding's calibration, else 1.
    public var checkLayer: Int?
    /// The tensor compared there; `nil` is the binding's calibration, else realigned keys.
    public var tensor: DeviationTensor?
    /// How far a gradual schedule falls around its mean; `nil` chooses once.
    public var gradualSpread: Double?
    /// Whether a chunk that takes longer to load than to compute is computed.
    public var weighsLoading = true

    public init() {}
}

public struct PlanRequest: Sendable {
    public var binding: ModelBinding
    /// Tokens of the prompt.
    public var tokenCount: Int
    /// In the order of their rows.
    public var chunks: [ChunkSpan]
    /// What was found for each key: an empty list is a miss, a missing entry a mistake.
    public var found: [ChunkKey: [FoundVariant]]
    public var mode: FusionMode
    public var device: DeviceProfile
    public var compute: ComputeProfile
    /// Until the first token; `nil` is no deadline.
    public var deadlineSeconds: Double?
    /// The position of row 0.
    public var firstPosition = 0
    /// The model has positions `0..<positionLimit`.
    public var positionLimit: Int
    public var options = PlanOptions()

    public init(
        binding: ModelBinding, tokenCount: Int, chunks: [ChunkSpan],
        found: [ChunkKey: [FoundVariant]], mode: FusionMode, device: DeviceProfile,
        compute: ComputeProfile, positionLimit: Int, deadlineSeconds: Double? = nil
    ) {
        self.binding = binding
        self.tokenCount = tokenCount
        self.chunks = chunks
        self.found = found
        self.mode = mode
        self.device = device
        self.compute = compute
        self.positionLimit = positionLimit
        self.deadlineSeconds = deadlineSeconds
    }
}
