// One prompt in flight: some of its planes arrive layer by layer from a store, the rest is computed
// here. Layer-driven, so that a feed can hand over layer l while it still reads l + 1:
//
//     var prefill = try BlendedPrefill(model: model, spans: spans, plan: plan, format: format)
//     for layer in 0..<layerCount {
//         for span in prefill.loadedSpans { try prefill.load(layer: layer, span: span, …) }
//         try prefill.compute(layer: layer)
//     }
//     let result = try prefill.finish()
//
// Invariants: (1) after `compute(l)` the cache's planes of layer l hold, for every row, the reused
// numbers or the computed ones; (2) active rows only ever become fewer, and the last row is always
// one of them; (3) a row's bits do not depend on which other rows are active, so recomputing
// everything gives exactly the full prefill.

import KVModel

/// *Concurrency:* one owner; `load` and `compute` run on the caller's thread (and `compute` on the
/// model's workers until it returns).
public struct BlendedPrefill: ~Copyable {
    public let model: Model
    public let spans: [PromptSpan]
    public let plan: BlendPlan
    public let format: PlaneFormat
    /// Which of `spans` are loaded: the order in which planes are handed over.
    public let loadedSpans: [Int]
    /// The layer that `compute` does next.
    public private(set) var nextLayer = 0
    public internal(set) var statistics = PrefillStatistics()

    /// What was captured up to `nextLayer`; `nil` without segments.
    public private(set) var capture: AttentionCapture?

    var context: PassContext
    let choose: RowChooser
    /// First row of every span, and the prompt's length.
    let spanRows: [Int]
    /// Whether each row belongs to a loaded span.
    let isReused: [Bool]
    let filter: RowFilter?
    /// Shift of each loaded span's keys to its place; `nil` where nothing turns.
    let shifts: [SpanShift?]
    var batch: RowBatch
    var cache: KVCache
    var hasStoppedRepair = false
    /// Loaded spans whose planes of `nextLayer` have arrived.
    var arrived: Set<Int> = []

    /// Opens a prefill. Attention on the rows of `segments`, ascending, is captured: about
    /// 1 / (4 · head dimension) more work in attention. *Throws:* what does not fit the model:
    /// tokens, positions, plan, segments.
    public init(
        model: Model, spans: [PromptSpan], plan: BlendPlan,
        format: PlaneFormat = PlaneFormat(elementType: .float32),
        capturing segments: [Range<Int>] = [],
        choosing choose: @escaping RowChooser = { rowsOfLargestDeviation($0, budget: $1) }
    ) throws(AttentionError) {
        let shape = model.configuration
        guard format.elementType.isPlainFloat else {
            throw .elementTypeUnsupported(format.elementType)
        }
        var block: ParallelBlock?
        if case .parallel(let given) = plan { block = given }
        /// Whether a span of a block stands beside the one in front of it.
        func isBeside(_ span: Int) -> Bool {
            block.map { $0.spans.contains(span) && span > $0.spans.lowerBound } ?? false
        }
        var highest: Int?
        var spanRows = [0]
        var positions: [Int] = []
        var tokens: [UInt32] = []
        for (index, span) in spans.enumerated() {
            try model.checkTokens(span.tokens, firstRow: tokens.count)
            try model.checkPositions(span.start, count: span.tokens.count)
            try Self.check(span, index, model)
            if !isBeside(index), let highest, span.start <= highest {
                throw .spansOverlap(span: index)
            }
            highest = max(highest ?? -1, span.start + span.tokens.count - 1)
            positions += span.start..<span.start + span.tokens.count
            tokens += span.tokens
            spanRows.append(tokens.count)
        }
        guard !tokens.isEmpty else { throw .emptyPrompt }
        try Self.check(
            plan, rowCount: tokens.count, shape, spans: spans)
        try AttentionCapture.check(segments, rowCount: tokens.count)
        self.model = model
        self.spans = spans
        self.plan = plan
        self.format = format
        self.choose = choose
        self.spanRows = spanRows
        loadedSpans = spans.indices.filter { spans[$0].isLoaded && !spans[$0].tokens.isEmpty }
        isReused = spans.flatMap { Array(repeating: $0.isLoaded, count: $0.tokens.count) }
        let filter = Self.filter(
            plan, isReused: isReused, spanRows: spanRows, loadedSpans: loadedSpans)
        self.filter = filter
        shifts = spans.map { SpanShift($0, plan: plan, format: format, model) }
        var context = PassContext(model, positions: positions)
        context.segments = segments
        context.parallel = block.map { ParallelRows($0, spanRows: spanRows) }
        self.context = context
        capture =
            segments.isEmpty ? nil : AttentionCapture(segments: segments, rowCount: tokens.count)
        cache = KVCache(
            planes: KVPlanes(
                geometry: Array(repeating: shape.geometry, count: shape.layerCount),
                tokenCount: tokens.count),
            positions: positions, parallel: context.parallel)
        let everyRow = RowBatch(slots: Array(tokens.indices), hidden: model.embed(tokens))
        // No `??` here: its autoclosure would capture a half-made `~Copyable` value, and optimised
        // code of Swift 6.3.1 then releases a part of it once too often.
        let firstRows: [Int]
        if let filter {
            firstRows = filter.firstRows
        } else {
            firstRows = Self.firstRows(plan, isReused: isReused)
        }
        batch = everyRow.keeping(firstRows, hiddenSize: shape.hiddenSize)
        statistics.promptTokenCount = tokens.count
        statistics.reusedTokenCount = isReused.count { $0 }
        statistics.projectionShare = shape.keyValueShare
    }

    private static func check(
        _ plan: BlendPlan, rowCount: Int, _ shape: ModelConfiguration, spans: [PromptSpan]
    ) throws(AttentionError) {
        let layerCount = shape.layerCount
        switch plan {
        case .blend(let ratio, let checkLayer, _, _):
            guard ratio >= 0, ratio <= 1 else { throw .ratioOutOfRange(ratio) }
            guard (0..<layerCount).contains(checkLayer) else {
                throw .layerOutOfRange(layer: checkLayer, layerCount: layerCount)
            }
        case .rows(let rows):
            for row in rows where !(0..<rowCount).contains(row) {
                throw .rowOutOfRange(row: row, rowCount: rowCount)
            }
        case .filtered(let filter):
            try check(filter, rowCount: rowCount, layerCount: layerCount, spans: spans)
        case .parallel(let block): try check(block, spans: spans, shape)
        case .concatenate, .realign, .recompute: break
        }
    }

    /// The rows computed from layer 0 on by a plan without a filter.
    private static func firstRows(_ plan: BlendPlan, isReused: [Bool]) -> [Int] {
        if plan == .recompute { return Array(isReused.indices) }
        return isReused.indices.filter { !isReused[$0] || $0 == isReused.count - 1 }
    }

    /// What `layer` wants of the loaded planes; what it does not want need not be read.
    public func demand(layer: Int) -> PlaneDemand {
        let isNeeded =
            switch plan {
            case .concatenate, .realign, .parallel: true
            case .blend, .filtered, .rows:
                filter.map { $0.hasClosed || layer >= $0.steps.first?.layer ?? .max } ?? true
            case .recompute: false
            }
        // Rows whose repair was stopped are what is loaded, whatever the plan said.
        return isNeeded || hasStoppedRepair ? .required : layer == 0 ? .selfTest : .unused
    }

    /// Computes `layer` for the active rows. Every loaded span's planes of it must have been
    /// handed over if `demand(layer:)` says `required`.
    public mutating func compute(layer: Int) throws(AttentionError) {
        try checkTurn(layer)
        if demand(layer: layer) == .required, arrived.count < loadedSpans.count {
            let missing = loadedSpans.first { !arrived.contains($0) }
            throw .planesMissing(layer: layer, span: missing ?? 0)
        }
        let weights = model.layers[layer]
        let fresh = weights.keysAndValues(batch, context)
        statistics.projectedRowCounts.append(batch.slots.count)
        if layer == 0 { testLayerZero(fresh) }
        if let filter, let step = filter.step(at: layer) {
            let kept = chooseRows(fresh, step, filter)
            splice(
                fresh, rows: filter.keepsComputed ? Array(batch.slots.indices) : kept, into: layer)
            batch = batch.keeping(kept, hiddenSize: model.configuration.hiddenSize)
        } else {
            splice(fresh, rows: Array(batch.slots.indices), into: layer)
        }
        let packed = PackedPlanes(
            cache.planes.layers[layer], geometry: model.configuration.geometry)
        let masses = weights.transform(&batch, packed, context)
        capture?.add(masses, slots: batch.slots)
        statistics.computedRowCounts.append(batch.slots.count)
        nextLayer += 1
        arrived = []
    }

    /// The prompt's logits and cache. *Throws:* `unfinished` before the last layer.
    public consuming func finish() throws(AttentionError) -> PrefillResult {
        let layerCount = model.configuration.layerCount
        guard nextLayer == layerCount else {
            throw .unfinished(layersDone: nextLayer, layerCount: layerCount)
        }
        statistics.chosenRows = batch.slots.filter { isReused[$0] }
        let logits = model.logits(of: batch.hidden.suffix(model.configuration.hiddenSize))
        return PrefillResult(
            logits: logits, cache: cache, statistics: statistics, capture: capture)
    }

    func checkTurn(_ layer: Int) throws(AttentionError) {
        guard layer == nextLayer, layer < model.configuration.layerCount else {
            throw .layerOutOfOrder(expected: nextLayer, found: layer)
        }
    }
}
