// What a prompt cost to repair is stored, so that the next one like it does not pay again: the
// chunk's keys and values as they stood at the end of the prefill, as a new variant with the prefix
// they were repaired behind (Cache-Craft, arXiv 2502.15734). Nothing is changed in place: the
// variant it came from stays, and is named as its parent.
//
// Rows that were recomputed have their scores and sums from this prefill's capture. Rows that were
// kept saw what they saw before, so they count as they did in the parent; of a parent computed
// alone that is exact: all their attention stayed in the chunk.

import Attention
import ChunkDB
import Fusion
import KVModel
import Primitives

/// Which results of a prefill are worth storing.
public struct RepairKeeping: Hashable, Sendable {
    /// A repaired chunk is stored when its CFO was at least this; below it the variant that was
    /// used serves well enough.
    public var smallestFixCost: Double
    /// Whether chunks that had to be computed are stored.
    public var keepsComputed: Bool
    public var deviceClass: DeviceClass?
    public var durability: Durability

    public init(
        smallestFixCost: Double = 0.3, keepsComputed: Bool = true,
        deviceClass: DeviceClass? = nil, durability: Durability = .written
    ) {
        self.smallestFixCost = smallestFixCost
        self.keepsComputed = keepsComputed
        self.deviceClass = deviceClass
        self.durability = durability
    }
}

/// A chunk of a plan that was stored as a variant.
public struct KeptChunk: Hashable, Sendable {
    /// Of the plan's chunks.
    public let chunk: Int
    public let stored: IngestedChunk
}

extension Namespace {
    /// Stores what a planned prefill made of its chunks, each as the variant of the chunks in
    /// front of it. The prefill must have captured the plan's chunks (`capturing:` or `focus:`).
    ///
    /// Left out is what the name of a variant would not be true of: chunks behind text or behind
    /// themselves, for which a prefix has no words; a repaired first chunk, since nothing in front
    /// means computed alone; a chunk that was computed behind repaired ones, since that is not what
    /// a prefill gives; all of a plan whose chunks do not see each other or keep other positions.
    /// How many variants of one chunk are kept is the namespace's business (`variantsPerChunk`).
    /// *Durability:* as asked for when this returns, or better.
    /// *Complexity:* a put for each chunk that is stored.
    @discardableResult
    public func keep(
        _ result: PlannedPrefillResult, of tokens: [UInt32],
        keeping: RepairKeeping = RepairKeeping()
    ) async throws(AttentionFeedError) -> [KeptChunk] {
        let plan = result.plan
        switch plan.mode {
        case .cacheBlend, .cacheCraft, .recompute, .prefix: break
        case .parallel, .concatenate, .realign: return []
        }
        guard let capture = result.prefill.capture, capture.segments == plan.chunks.map(\.rows)
        else { return [] }
        let keys = plan.chunks.map(\.key)
        var kept: [KeptChunk] = []
        // Whether all chunks so far are what a full prefill gives.
        var isWhole = true
        for (index, chunk) in plan.chunks.enumerated() {
            let prefix = Array(keys[..<index])
            let recompute: RecomputeMetadata
            var detail = VariantDetail()
            let isNamed = capture.startsAtOnce(index) && !prefix.contains(chunk.key)
            if let use = chunk.use {
                let parent = try await parent(chunk.key, use.variant)
                isWhole = isWhole && use.fixCost.overlap.isExact && parent?.parent == nil
                guard isNamed, let parent, use.repair != .none, !prefix.isEmpty,
                    use.fixCost.ratio >= keeping.smallestFixCost
                else { continue }
                recompute = capture.metadata(
                    of: index, behind: prefix, repairing: parent, use.variant,
                    deviceClass: keeping.deviceClass)
            } else {
                guard isNamed, isWhole, keeping.keepsComputed,
                    let made = capture.metadata(
                        of: index, behind: prefix, deviceClass: keeping.deviceClass)
                else { continue }
                (recompute, detail) = made
            }
            let stored = try await put(
                result.prefill.cache.planes.rows(chunk.rows), tokens: Array(tokens[chunk.rows]),
                context: PrefixContext(prefix: prefix, basePosition: chunk.position),
                key: chunk.key, recompute: recompute, detail: detail,
                durability: keeping.durability)
            kept.append(KeptChunk(chunk: index, stored: stored))
        }
        return kept
    }

    /// The parent's metadata; `nil` when it is gone by now or no longer opens.
    private func parent(_ key: ChunkKey, _ variant: VariantID)
        async throws(AttentionFeedError) -> RecomputeMetadata?
    {
        do throws(StoreError) {
            guard let chunk = try await locate(key, variant: variant) else { return nil }
            return FoundVariant(chunk, bindingDigest: binding.digest).recompute
        } catch {
            guard error.isLoss else { throw .store(error) }
            return nil
        }
    }
}

extension AttentionCapture {
    /// The metadata of a chunk of which some rows were recomputed and the others kept.
    func metadata(
        of segment: Int, behind keys: [ChunkKey], repairing parent: RecomputeMetadata,
        _ parentID: VariantID, deviceClass: DeviceClass?
    ) -> RecomputeMetadata {
        let rows = segments[segment]
        let count = Double(rows.count)
        let isNew = rows.map { isComputed[$0] }
        let hasScores = !parent.tokenScores.isEmpty
        var scores: [Float] = []
        var (keptScore, allScore, keptCount) = (0.0, 0.0, 0.0)
        for (index, row) in rows.enumerated() {
            let before = hasScores ? Float(parent.tokenScores[index]) : 0
            scores.append(isNew[index] ? tokenScores[row] : before)
            allScore += Double(before)
            if !isNew[index] {
                keptScore += Double(before)
                keptCount += 1
            }
        }
        // What part of the parent's sums came from the rows that were kept.
        let keptShare = allScore > 0 ? keptScore / allScore : keptCount / count
        var earlier: [ChunkKey: Double] = [:]
        for share in parent.prefix { earlier[share.key] = Double(share.interMean) * keptShare }
        let inter = computedMeans(of: segment)
        let prefix = keys.indices.map { index in
            PrefixShare(
                key: keys[index], tokenCount: segments[index].count,
                interMean: Float(inter[index] + (earlier[keys[index]] ?? 0)))
        }
        // Σ of the weights that kept rows gave to their own chunk: all of it where they were
        // computed alone, what the mean says otherwise.
        let keptIntra =
            parent.contextImpact.map { Double($0.intraMean) * count * keptCount } ?? keptCount
        let interMean = prefix.reduce(0.0) { sum, share in
            share.tokenCount > 0
                ? sum + Double(share.interMean) / (count * Double(share.tokenCount)) : sum
        }
        return RecomputeMetadata(
            prefix: prefix,
            contextImpact: ContextImpact(
                interMean: Float(interMean),
                intraMean: Float((inter[segment] + keptIntra) / (count * count))),
            tokenScores: scores.map { Float16($0) }, deviationProfile: parent.deviationProfile,
            deviceClass: deviceClass, parent: parentID)
    }
}
