// What goes into a blended prefill (spans and a plan) and what comes out of it (logits, a cache to
// decode from, and an account of the work).

import KVModel

/// Consecutive tokens of a prompt, from one source.
public struct PromptSpan: Sendable, Hashable {
    public enum Source: Sendable, Hashable {
        /// Computed here.
        case fresh
        /// From planes that were computed with the span's first token at `basePosition`.
        case loaded(basePosition: Int)
        /// From planes whose tokens stood at these positions, one each, rising.
        case loadedAt(positions: [Int])
    }

    public var tokens: [UInt32]
    public var source: Source
    /// The position of the first token in this prompt. Spans ascend and do not overlap, but for
    /// those that stand side by side.
    public var start: Int

    public init(tokens: [UInt32], source: Source, start: Int) {
        self.tokens = tokens
        self.source = source
        self.start = start
    }

    public var isLoaded: Bool { source != .fresh }
}

/// What is recomputed of the reused tokens. Fresh spans and the prompt's last token (whose logits
/// are the answer) are always computed, outside any budget.
public enum BlendPlan: Sendable, Hashable {
    /// Keys keep the positions they were stored with (MatKV); queries and fresh keys stand at
    /// their places in the prompt, and the mask goes by place.
    case concatenate
    /// Keys are moved to their places; nothing reused is recomputed ("full cache").
    case realign
    /// CacheBlend, one shot: layers before `checkLayer` computed for every token, there the
    /// `⌈ratio · reused tokens⌉` rows that deviate most are chosen, and only they go on.
    ///
    /// The check has computed every row's keys and values. Published implementations drop those of
    /// the rows not chosen and attend to the loaded ones; `keepsComputed` keeps them, at no cost.
    case blend(
        ratio: Double, checkLayer: Int, tensor: DeviationTensor, keepsComputed: Bool = false)
    /// Rows known beforehand, rows compared at several layers (the paper's gradual filtering), and
    /// budgets of single spans.
    case filtered(BlendFilter)
    /// These prompt rows (0 is the first token of the first span) from layer 0 on; what a stored
    /// profile or token scores decided before any layer was computed.
    case rows([Int])
    /// Chunks side by side, moved to their common place; nothing reused is recomputed (APE).
    case parallel(ParallelBlock)
    /// Every token in every layer; loaded planes are ignored.
    case recompute
}

/// How far a reused row is from the row computed in its context.
public struct RowDeviation: Sendable, Hashable {
    public var row: Int
    public var squaredDistance: Float
    public init(row: Int, squaredDistance: Float) {
        self.row = row
        self.squaredDistance = squaredDistance
    }
}

/// Picks at most `budget` rows; a planner may put its own in place.
public typealias RowChooser = @Sendable (_ deviations: [RowDeviation], _ budget: Int) -> [Int]

/// The rows with the largest deviation, ascending; of equals the earlier. A deviation that is not
/// a number counts as infinite: a row so damaged is the first to be recomputed.
public func rowsOfLargestDeviation(_ deviations: [RowDeviation], budget: Int) -> [Int] {
    func weight(_ deviation: RowDeviation) -> Float {
        deviation.squaredDistance.isNaN ? .infinity : deviation.squaredDistance
    }
    let ordered = deviations.sorted {
        weight($0) != weight($1) ? weight($0) > weight($1) : $0.row < $1.row
    }
    return ordered.prefix(max(0, budget)).map(\.row).sorted()
}

/// ⌈ratio · count⌉, without the last-bit noise of the product (0.07 · 100 is 7).
public func recomputeBudget(ratio: Double, reusedTokenCount: Int) -> Int {
    Int((ratio * Double(reusedTokenCount) - 1e-9).rounded(.up))
}

/// In what form loaded planes arrive.
public struct PlaneFormat: Sendable, Hashable {
    public var elementType: ElementType
    public var keyForm: KeyForm
    public init(elementType: ElementType, keyForm: KeyForm = .afterRotation) {
        self.elementType = elementType
        self.keyForm = keyForm
    }
    public init(_ binding: ModelBinding) {
        self.init(elementType: binding.elementType, keyForm: binding.keyForm)
    }
}

/// What a layer wants of the loaded planes under a plan.
public enum PlaneDemand: Sendable, Hashable {
    case required
    /// Compared with what is computed anyway: a test of binding and realignment (layer 0 only).
    case selfTest
    case unused
}

/// The work of one prefill.
public struct PrefillStatistics: Sendable, Hashable {
    public var promptTokenCount = 0
    public var reusedTokenCount = 0
    /// Per layer: rows that went through the whole layer.
    public var computedRowCounts: [Int] = []
    /// Per layer: rows whose keys and values were computed; at a check, more than went on.
    public var projectedRowCounts: [Int] = []
    /// Reused rows that were recomputed to the end, ascending.
    public var chosenRows: [Int] = []
    /// What the first check saw, ascending by row; empty without a check.
    public var deviations: [RowDeviation] = []
    /// The largest difference between loaded and computed rows at layer 0, relative to the largest
    /// number there; `nil` when no row was both. Layer 0 depends on the token alone, so beyond the
    /// element type's rounding it means a wrong binding or a wrong position.
    public var layerZeroError: Float?
    /// The cost of projecting a row, as a share of computing it (`keyValueShare`).
    public var projectionShare = 0.0

    /// Row-layers computed in full.
    public var rowLayerCount: Int { computedRowCounts.reduce(0, +) }

    /// The work as a number of tokens computed through all layers: the layers computed for the
    /// check are in it, and rows only projected count by their share.
    public var tokensComputed: Double {
        if computedRowCounts.isEmpty { return 0 }
        let projectedOnly = projectedRowCounts.reduce(0, +) - rowLayerCount
        return (Double(rowLayerCount) + projectionShare * Double(projectedOnly))
            / Double(computedRowCounts.count)
    }
}

/// Everything a query of the next token can see.
public struct KVCache: Sendable {
    public internal(set) var planes: KVPlanes
    /// The place of every row, ascending but for chunks side by side: what the mask and the next
    /// position go by.
    public internal(set) var positions: [Int]
    var parallel: ParallelRows?
    /// The planes once more, as the kernel reads them, from the first decoded token on.
    var packed: [PackedPlanes] = []
    /// Rows that are added behind the others whenever there is no room for the next token's: the
    /// cache is copied once in so many tokens, and each token's row is put in place.
    public var slackRowCount = 128
    public var nextPosition: Int { (positions.last ?? -1) + 1 }
}

/// What a prefill ends in.
public struct PrefillResult: Sendable {
    /// One for each entry of the vocabulary, for the token after the prompt.
    public var logits: [Float]
    public var cache: KVCache
    public var statistics: PrefillStatistics
    /// Who looked at whom; `nil` when nobody asked.
    public var capture: AttentionCapture?

    /// The likeliest next token.
    public var greedyToken: UInt32 { Attention.greedyToken(logits) }
}

/// The index of the largest number; of equals the first, and 0 when none is a number.
public func greedyToken(_ logits: [Float]) -> UInt32 {
    var best = 0
    for index in logits.indices where logits[index] > logits[best] || logits[best].isNaN {
        best = index
    }
    return UInt32(best)
}
