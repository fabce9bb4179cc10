import Fusion
import KVModel
import Primitives

/// A prompt of three chunks of ten tokens behind each other and a question of two.
enum PlanBench {
    static let binding = ModelBinding(
        name: "bench", weightsDigest: [UInt8](repeating: 3, count: 32),
        layers: [LayerGeometry](
            repeating: LayerGeometry(kvHeadCount: 2, headDimension: 8), count: 4),
        elementType: .float32, rotary: RotaryEmbedding(base: 10_000, dimension: 8))
    static let digest = binding.digest
    static let chunks = (0..<3).map { index in
        ChunkSpan(key: key(UInt64(index + 1)), rows: index * 10..<index * 10 + 10)
    }

    /// Computed alone, unless it says otherwise.
    static func variant(
        _ id: UInt64 = 0, base: Int = 0, prefix: [PrefixShare] = [],
        impact: ContextImpact? = nil, scores: [Float16] = [], profile: [Float16] = [],
        tokenCount: Int = 10, bytes: UInt64 = 10_000
    ) -> FoundVariant {
        FoundVariant(
            id: VariantID(id), bindingDigest: digest, tokenCount: tokenCount, basePosition: base,
            storedBytes: bytes,
            recompute: RecomputeMetadata(
                prefix: prefix, contextImpact: impact, tokenScores: scores,
                deviationProfile: profile))
    }

    /// All three found, each in one variant computed alone; loading is nearly free.
    static func request(_ mode: FusionMode) throws -> PlanRequest {
        PlanRequest(
            binding: binding, tokenCount: 32, chunks: chunks,
            found: Dictionary(uniqueKeysWithValues: chunks.map { ($0.key, [variant()]) }),
            mode: mode, device: try DeviceProfile(bytesPerSecond: 1e9),
            compute: try ComputeProfile(secondsPerToken: 1e-3, projectionShare: 0.25),
            positionLimit: 1_024)
    }

    static func plan(
        _ mode: FusionMode, _ change: (inout PlanRequest) throws -> Void = { _ in }
    ) throws -> FusionPlan {
        var request = try request(mode)
        try change(&request)
        return try FusionPlan(request)
    }

    static func error(
        _ mode: FusionMode, _ change: (inout PlanRequest) throws -> Void
    ) throws -> FusionError? {
        var request = try request(mode)
        try change(&request)
        do throws(FusionError) {
            _ = try FusionPlan(request)
            return nil
        } catch {
            return error
        }
    }
}

extension FusionPlan {
    /// Rows recomputed of each chunk that is reused; `nil` where it is computed.
    var repairs: [Repair?] { chunks.map { $0.use?.repair } }
    var reasons: [ComputeReason?] {
        chunks.map { if case .compute(let reason) = $0.action { reason } else { nil } }
    }
}
