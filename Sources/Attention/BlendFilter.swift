// Which reused rows go on, and from where: rows known beforehand, rows compared at one layer or at
// several, or both in one prompt (FUSION, "CacheBlend" and "Cache-Craft").

import KVModel

/// What a planner worked out for the reused rows of a prompt.
public struct BlendFilter: Sendable, Hashable {
    public struct Step: Sendable, Hashable {
        /// Open rows are compared at this layer, with what is loaded.
        public var layer: Int
        /// How many of all open rows go on: `⌈ratio · open rows⌉`.
        public var ratio: Double
        public init(layer: Int, ratio: Double) {
            self.layer = layer
            self.ratio = ratio
        }
    }

    /// Prompt rows computed from layer 0 to the last.
    public var known: [Int]
    /// Loaded spans whose other rows are open: computed up to the first step, and beyond if chosen.
    /// Rows of loaded spans that are not open are reused.
    public var open: [Int]
    /// By rising layer; none when nothing is open.
    public var steps: [Step]
    /// Rows of an open span that go on at the last step, in place of its part of the ratio's.
    public var budgets: [Int: Int]
    public var tensor: DeviationTensor
    /// Whether a step's computed keys and values stand in for the loaded ones of rows that are
    /// dropped there; published implementations drop both.
    public var keepsComputed: Bool

    public init(
        known: [Int] = [], open: [Int] = [], steps: [Step] = [], budgets: [Int: Int] = [:],
        tensor: DeviationTensor = .realignedKeys, keepsComputed: Bool = false
    ) {
        self.known = known
        self.open = open
        self.steps = steps
        self.budgets = budgets
        self.tensor = tensor
        self.keepsComputed = keepsComputed
    }
}

/// The rows of a filter, worked out for one prompt.
struct RowFilter: Sendable {
    /// Rows that are computed whatever a step says.
    var isKept: [Bool]
    /// The loaded span of each open row: one in an open span that is not known to be computed.
    var openSpans: [Int?]
    var steps: [BlendFilter.Step]
    var budgets: [Int: Int]
    var tensor: DeviationTensor
    var keepsComputed: Bool
    /// Whether some loaded rows are reused from layer 0 on.
    var hasClosed: Bool

    /// The rows computed from layer 0 on.
    var firstRows: [Int] { isKept.indices.filter { isKept[$0] || openSpans[$0] != nil } }

    func isOpen(_ row: Int) -> Bool { openSpans[row] != nil }

    func step(at layer: Int) -> BlendFilter.Step? { steps.first { $0.layer == layer } }

    /// Open rows that go on, of those that came in: each span's own budget where it has one, the
    /// step's of all others together.
    func choose(
        _ deviations: [RowDeviation], at step: BlendFilter.Step, by choose: RowChooser
    ) -> [Int] {
        let isLast = step == steps.last
        var shared: [RowDeviation] = []
        var own: [Int: [RowDeviation]] = [:]
        for deviation in deviations {
            guard let span = openSpans[deviation.row] else { continue }
            if isLast, budgets[span] != nil {
                own[span, default: []].append(deviation)
            } else {
                shared.append(deviation)
            }
        }
        let sharedCount = openSpans.count { span in
            span.map { !isLast || budgets[$0] == nil } ?? false
        }
        var chosen = choose(
            shared, recomputeBudget(ratio: step.ratio, reusedTokenCount: sharedCount))
        for (span, candidates) in own {
            chosen += choose(candidates, budgets[span] ?? 0)
        }
        return chosen
    }
}

extension BlendedPrefill {
    /// The filter of a plan that computes reused rows; `nil` when it reuses or computes them all.
    static func filter(
        _ plan: BlendPlan, isReused: [Bool], spanRows: [Int], loadedSpans: [Int]
    ) -> RowFilter? {
        let filter: BlendFilter
        switch plan {
        case .blend(let ratio, let layer, let tensor, let keepsComputed):
            filter = BlendFilter(
                open: loadedSpans, steps: [.init(layer: layer, ratio: ratio)], tensor: tensor,
                keepsComputed: keepsComputed)
        case .filtered(let given): filter = given
        case .rows(let rows): filter = BlendFilter(known: rows)
        case .concatenate, .realign, .parallel, .recompute: return nil
        }
        var isKept = isReused.map { !$0 }
        for row in filter.known { isKept[row] = true }
        isKept[isKept.count - 1] = true
        var openSpans = [Int?](repeating: nil, count: isReused.count)
        for span in filter.open {
            for row in spanRows[span]..<spanRows[span + 1] { openSpans[row] = span }
        }
        for row in filter.known { openSpans[row] = nil }
        return RowFilter(
            isKept: isKept, openSpans: openSpans, steps: filter.steps,
            budgets: filter.budgets, tensor: filter.tensor, keepsComputed: filter.keepsComputed,
            hasClosed: loadedSpans.contains { !filter.open.contains($0) })
    }

    /// *Throws:* what does not fit the prompt or the model.
    static func check(
        _ filter: BlendFilter, rowCount: Int, layerCount: Int, spans: [PromptSpan]
    ) throws(AttentionError) {
        for row in filter.known where !(0..<rowCount).contains(row) {
            throw .rowOutOfRange(row: row, rowCount: rowCount)
        }
        for span in filter.open + filter.budgets.keys.sorted() {
            guard spans.indices.contains(span), spans[span].isLoaded else {
                throw .spanNotLoaded(span: span)
            }
        }
        var next = 0
        for step in filter.steps {
            guard step.ratio >= 0, step.ratio <= 1 else { throw .ratioOutOfRange(step.ratio) }
            guard (0..<layerCount).contains(step.layer) else {
                throw .layerOutOfRange(layer: step.layer, layerCount: layerCount)
            }
            guard step.layer >= next else {
                throw .layerOutOfOrder(expected: next, found: step.layer)
            }
            next = step.layer + 1
        }
    }
}
