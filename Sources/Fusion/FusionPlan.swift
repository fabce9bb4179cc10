// What is to be done with each chunk of a prompt, and what it will cost. A plan is a value: it
// holds no lease and reads nothing.

import KVModel
import Primitives

/// Why a chunk is computed from its tokens.
public enum ComputeReason: Hashable, Sendable {
    case mode
    /// Nothing is stored, or what is stored does not fit the mode.
    case missing
    /// The plan's variant could not be read any more.
    case lost
    /// The chunk is not in an exact chain from the first token on.
    case notInPrefix
    /// Loading takes at least as long: both in seconds.
    case loadsSlower(load: Double, compute: Double)
    /// Its context changed so much that all of it would be repaired.
    case fullRepair
}

/// By what the rows to recompute were picked.
public enum RowSource: Hashable, Sendable {
    case tokenScores
    case storedProfile
    case evenlySpaced
}

/// What is recomputed of a reused chunk. Rows count from the chunk's first token and ascend.
public enum Repair: Hashable, Sendable {
    case none
    /// Known before any layer is computed.
    case rows([Int], RowSource)
    /// The rows that deviate most at the plan's check; `budget` of them in this chunk, or `nil`
    /// when the chunks share one budget.
    case check(budget: Int?)
}

/// One variant used for one chunk.
public struct VariantUse: Hashable, Sendable {
    public let variant: VariantID
    /// Where its first key was rotated for.
    public let storedPosition: Int
    /// For each token, when those are not consecutive; else empty.
    public let storedPositions: [UInt32]
    public let bytes: UInt64
    public let repair: Repair
    /// What Cache-Craft says of it in this prompt; the caller reports it with the use.
    public let fixCost: FixCost
}

public struct ChunkPlan: Hashable, Sendable {
    public enum Action: Hashable, Sendable {
        case compute(ComputeReason)
        case reuse(VariantUse)
    }
    public let key: ChunkKey
    /// Rows of the prompt.
    public let rows: Range<Int>
    /// The position its first token stands at; with `concatenate` keys stay at their stored one.
    public let position: Int
    public let action: Action

    public var use: VariantUse? {
        if case .reuse(let use) = action { use } else { nil }
    }
}

/// What a plan is expected to cost.
public struct PlanEstimate: Hashable, Sendable {
    public let loadBytes: UInt64
    public let loadSeconds: Double
    public let computeSeconds: Double
    /// Loads and layers overlapped.
    public let firstTokenSeconds: Double
    /// Work as a number of tokens computed through all layers, checks included.
    public let tokensComputed: Double
    /// Of a full prefill, on the same profile.
    public let fullSeconds: Double
}

public struct FusionPlan: Hashable, Sendable {
    public let mode: FusionMode
    public let tokenCount: Int
    public let chunks: [ChunkPlan]
    /// The position of each row that no chunk holds, ascending by row; others follow their chunk.
    public let freshPositions: [Int: Int]
    /// Rows known beforehand to be computed through all layers, ascending: uncached text, the
    /// question, chunks that are computed, repair rows, and always the last row.
    public let knownRows: [Int]
    /// When rows are picked during the prefill; `nil` when all are known.
    public let schedule: BlendSchedule?
    /// What is compared at the schedule's steps.
    public let tensor: DeviationTensor
    /// Layers to have before the first is computed.
    public let preloadLayerCount: Int
    public let estimate: PlanEstimate
    public let deadlineSeconds: Double?
    /// How much of the repair was kept for the deadline's sake: 1 is all of it.
    public let repairKept: Double

    /// The same plan with these chunks computed from their tokens: what was planned with is gone or
    /// damaged by now. The estimate stays that of the plan as it was made.
    public func computing(_ lost: Set<Int>) -> FusionPlan {
        var known = Set(knownRows)
        let chunks = chunks.indices.map { index in
            guard lost.contains(index), self.chunks[index].use != nil else {
                return self.chunks[index]
            }
            known.formUnion(self.chunks[index].rows)
            return ChunkPlan(
                key: self.chunks[index].key, rows: self.chunks[index].rows,
                position: self.chunks[index].position, action: .compute(.lost))
        }
        return FusionPlan(
            mode: mode, tokenCount: tokenCount, chunks: chunks, freshPositions: freshPositions,
            knownRows: known.sorted(), schedule: schedule, tensor: tensor,
            preloadLayerCount: preloadLayerCount, estimate: estimate,
            deadlineSeconds: deadlineSeconds, repairKept: repairKept)
    }

    /// `nil` without a deadline.
    public var meetsDeadline: Bool? {
        deadlineSeconds.map { estimate.firstTokenSeconds <= $0 }
    }
}
