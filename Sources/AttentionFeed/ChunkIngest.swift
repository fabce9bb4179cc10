// Chunks in: prefilled alone, or as a part of a prompt behind other chunks, with what was captured
// there. Planes are stored in the form that the binding says.

import Attention
import ChunkDB
import KVModel
import Primitives

/// What storing a chunk came to.
public struct IngestedChunk: Sendable, Hashable {
    public let key: ChunkKey
    public let variant: VariantID
    public let outcome: CommitOutcome
}

/// Trouble on the way between store and attention.
public enum AttentionFeedError: Error, Sendable, CustomStringConvertible {
    case store(StoreError)
    case attention(AttentionError)

    public var description: String {
        switch self {
        case .store(let error): "\(error)"
        case .attention(let error): "\(error)"
        }
    }
}

extension Namespace {
    /// Prefills `tokens` alone and stores the planes in the binding's element type; a chunk that is
    /// present is not computed again. *Durability:* durable when this returns.
    @discardableResult
    public func ingest(_ tokens: [UInt32], with model: Model)
        async throws(AttentionFeedError) -> IngestedChunk
    {
        try requireModel(model)
        let key = key(tokens: tokens)
        if contains(key) != nil {
            return IngestedChunk(key: key, variant: .standalone, outcome: .alreadyPresent)
        }
        let planes: KVPlanes
        do throws(AttentionError) {
            planes = try model.prefill(tokens).cache.planes
        } catch {
            throw .attention(error)
        }
        return try await put(planes, tokens: tokens, context: .standalone, key: key)
    }

    /// Prefills one segment of a full prefill alone and stores that, with its deviation profile:
    /// how far each token's keys and values were from it here, behind other chunks. Later plans
    /// pick their rows by it before any layer is computed (FUSION, "Stored profile").
    ///
    /// - Parameters:
    ///   - tokens: of the whole prompt, one a row.
    ///   - renewing: a chunk that is present gets this profile.
    /// *Complexity:* a prefill of the segment. *Durability:* durable when this returns.
    /// *Throws:* `segmentNotCaptured` when a part of the segment was not computed.
    @discardableResult
    public func ingest(
        segment: Int, of prefill: PrefillResult, tokens: [UInt32], with model: Model,
        renewing: Bool = false
    ) async throws(AttentionFeedError) -> IngestedChunk {
        try requireModel(model)
        guard let capture = prefill.capture, capture.segments.indices.contains(segment),
            !capture.segments[segment].isEmpty, capture.isComplete(segment)
        else { throw .attention(.segmentNotCaptured(segment: segment)) }
        let rows = capture.segments[segment]
        let tokens = Array(tokens[rows])
        let key = key(tokens: tokens)
        let present = IngestedChunk(key: key, variant: .standalone, outcome: .alreadyPresent)
        if !renewing, contains(key) != nil { return present }
        let planes: KVPlanes
        do throws(AttentionError) {
            planes = try model.prefill(tokens).cache.planes
        } catch {
            throw .attention(error)
        }
        let profile = prefill.deviationProfile(
            of: planes, from: 0, at: rows, rotary: binding.rotary)
        do throws(StoreError) {
            if try await renew(key, { $0.deviationProfile = profile }) { return present }
        } catch {
            throw .store(error)
        }
        return try await put(
            planes, tokens: tokens, context: .standalone, key: key,
            recompute: RecomputeMetadata(deviationProfile: profile))
    }

    /// Stores one segment of a prefill that captured it (`capturing:`) as the variant of the
    /// context it was computed in, with the metadata that plans are made from: Cache-Craft's sums
    /// and scores, and the chunks in front.
    ///
    /// - Parameters:
    ///   - tokens: of the whole prompt, one a row.
    ///   - keys: of the segments in front, in order.
    ///   - creationMilliseconds: what the prefill of the segment cost.
    ///   - profile: how far each token was from what it is in another context
    ///     (`PrefillResult.deviationProfile(of:from:at:rotary:)`).
    /// *Durability:* as asked for when this returns, or better.
    /// *Throws:* `segmentNotCaptured` when a part of the segment was not computed, or text that is
    /// no segment stands in front of it.
    @discardableResult
    public func put(
        segment: Int, of prefill: PrefillResult, tokens: [UInt32], behind keys: [ChunkKey],
        creationMilliseconds: Float = 0, deviceClass: DeviceClass? = nil,
        profile: [Float16] = [], durability: Durability = .durable
    ) async throws(AttentionFeedError) -> IngestedChunk {
        guard let capture = prefill.capture, capture.segments.indices.contains(segment),
            let (captured, detail) = capture.metadata(
                of: segment, behind: keys, creationMilliseconds: creationMilliseconds,
                deviceClass: deviceClass)
        else { throw .attention(.segmentNotCaptured(segment: segment)) }
        var recompute = captured
        recompute.deviationProfile = profile
        let rows = capture.segments[segment]
        return try await put(
            prefill.cache.planes.rows(rows), tokens: Array(tokens[rows]),
            context: PrefixContext(
                prefix: keys, basePosition: prefill.cache.positions[rows.lowerBound]),
            recompute: recompute, detail: detail, durability: durability)
    }

    /// Stores planes of consecutive positions from the context's base on, in the binding's form.
    func put(
        _ planes: consuming KVPlanes, tokens: [UInt32], context: PrefixContext,
        key: ChunkKey? = nil, recompute: RecomputeMetadata? = nil,
        detail: VariantDetail = VariantDetail(), durability: Durability = .durable
    ) async throws(AttentionFeedError) -> IngestedChunk {
        let key = key ?? self.key(tokens: tokens)
        var layers: [(keys: [UInt8], values: [UInt8])] = []
        do throws(AttentionError) {
            if binding.keyForm == .beforeRotation {
                planes.unrotate(from: context.basePosition, rotary: binding.rotary)
            }
            for layer in binding.layers.indices {
                layers.append(
                    (
                        try planes.encoded(.keys, layer: layer, as: binding.elementType),
                        try planes.encoded(.values, layer: layer, as: binding.elementType)
                    ))
            }
        } catch {
            throw .attention(error)
        }
        do throws(StoreError) {
            let outcome = try await put(
                key, tokens: tokens, layers: layers, context: context, recompute: recompute,
                detail: detail, durability: durability)
            return IngestedChunk(key: key, variant: context.variantID, outcome: outcome)
        } catch {
            throw .store(error)
        }
    }
}
