// A request that makes sense. The checks are all made here, so that nothing behind can meet a
// number it does not expect and nothing is half planned.

import KVModel
import Primitives

struct CheckedRequest {
    struct Positions {
        /// Of each chunk's first token.
        var chunks: [Int] = []
        /// Of each row that no chunk holds.
        var fresh: [Int: Int] = [:]
    }
    let request: PlanRequest
    let positions: Positions
    /// What stands before each chunk; of parallel chunks only what is shared.
    private let prefixes: [[PrefixEntry]]

    init(_ request: PlanRequest) throws(FusionError) {
        self.request = request
        guard request.tokenCount > 0 else { throw .emptyPrompt }
        try Self.checkModel(request)
        try Self.checkNumbers(request)
        try requireAscending(request.chunks.map(\.rows), rowCount: request.tokenCount)
        let (end, overflows) = request.firstPosition.addingReportingOverflow(request.tokenCount)
        guard request.firstPosition >= 0, !overflows, end <= request.positionLimit else {
            throw .positionOverflow(
                position: request.firstPosition < 0 ? request.firstPosition : end &- 1,
                limit: request.positionLimit)
        }
        let digest = request.binding.digest
        for (index, chunk) in request.chunks.enumerated() {
            guard let variants = request.found[chunk.key] else {
                throw .unknownKey(chunk: index, key: chunk.key)
            }
            for variant in variants {
                guard variant.bindingDigest == digest else {
                    throw .otherBinding(chunk: index, variant: variant.id)
                }
                try Self.check(variant, index, chunk, request)
            }
        }
        positions = try Self.place(request)
        prefixes = Self.prefixes(request)
    }

    func prefix(of chunk: Int) -> [PrefixEntry] { prefixes[chunk] }

    // MARK: Checks

    private static func checkModel(_ request: PlanRequest) throws(FusionError) {
        do throws(ModelBindingError) {
            try request.binding.validate()
        } catch {
            throw .binding(error)
        }
        if request.mode.movesKeys, !request.chunks.isEmpty, request.binding.rotary.dimension == 0 {
            throw .rotaryUndeclared
        }
    }

    private static func checkNumbers(_ request: PlanRequest) throws(FusionError) {
        func requireRatio(_ ratio: Double) throws(FusionError) {
            guard ratio >= 0, ratio <= 1 else { throw .ratioOutOfRange(ratio) }
        }
        let options = request.options
        try requireRatio(options.novelty)
        try requireRatio(options.ratioFloor)
        if let spread = options.gradualSpread { try requireRatio(spread) }
        if let layer = options.checkLayer, !(0..<request.binding.layerCount).contains(layer) {
            throw .schedule(layer: layer, reason: "not a layer of the model")
        }
        switch request.mode {
        case .cacheBlend(let ratio?): try requireRatio(ratio)
        case .cacheCraft(let alpha):
            guard alpha.isFinite, alpha >= 0 else { throw .alphaOutOfRange(alpha) }
        case .parallel(let temperature, let scale):
            for value in [temperature, scale] where !(value.isFinite && value > 0) {
                throw .parallelOutOfRange(value)
            }
        default: break
        }
        if let deadline = request.deadlineSeconds, deadline.isNaN {
            throw .profile("deadlineSeconds", deadline)
        }
    }

    private static func check(
        _ variant: FoundVariant, _ index: Int, _ chunk: ChunkSpan, _ request: PlanRequest
    ) throws(FusionError) {
        let recompute = variant.recompute
        guard variant.tokenCount == chunk.rows.count else {
            throw .tokenCount(chunk: index, expected: chunk.rows.count, found: variant.tokenCount)
        }
        guard !recompute.prefix.contains(where: { $0.key == chunk.key }) else {
            throw .prefixNamesItself(chunk: index, variant: variant.id)
        }
        let last = variant.basePosition.addingReportingOverflow(max(variant.tokenCount - 1, 0))
        let highest = variant.detail.positions.last.map(Int.init) ?? last.partialValue
        guard variant.basePosition >= 0, !last.overflow, highest < request.positionLimit else {
            throw .positionOverflow(
                position: variant.basePosition < 0 ? variant.basePosition : highest,
                limit: request.positionLimit)
        }
        if !variant.detail.positions.isEmpty, variant.detail.positions.count != chunk.rows.count {
            throw .tokenCount(
                chunk: index, expected: chunk.rows.count, found: variant.detail.positions.count)
        }
        for (kind, scores) in [
            (ScoreKind.tokenScore, recompute.tokenScores), (.deviation, recompute.deviationProfile),
        ] where !scores.isEmpty {
            guard scores.count == chunk.rows.count else {
                throw .scoreCount(
                    chunk: index, expected: chunk.rows.count, found: scores.count)
            }
            if let bad = scores.firstNoScore {
                throw .scoreNotANumber(chunk: index, score: kind, index: bad)
            }
        }
        let shares = recompute.prefix.map(\.interMean)
        let means = recompute.contextImpact.map { [$0.interMean, $0.intraMean] } ?? []
        for (kind, numbers) in [(ScoreKind.prefixAttention, shares), (.contextImpact, means)] {
            if let bad = numbers.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
                throw .scoreNotANumber(chunk: index, score: kind, index: bad)
            }
        }
    }

    // MARK: Places

    private static func place(_ request: PlanRequest) throws(FusionError) -> Positions {
        var positions = Positions()
        var isFresh = [Bool](repeating: true, count: request.tokenCount)
        for chunk in request.chunks { for row in chunk.rows { isFresh[row] = false } }
        guard case .parallel = request.mode, let first = request.chunks.first,
            let last = request.chunks.last
        else {
            positions.chunks = request.chunks.map { request.firstPosition + $0.rows.lowerBound }
            for row in isFresh.indices where isFresh[row] {
                positions.fresh[row] = request.firstPosition + row
            }
            return positions
        }
        // One range for all chunks; what follows stands behind the longest of them.
        let block = first.rows.lowerBound..<last.rows.upperBound
        for row in block where isFresh[row] { throw .textBetweenParallelChunks(row: row) }
        guard block.upperBound < request.tokenCount else { throw .parallelAtEnd }
        if let layer = request.binding.layers.firstIndex(where: { $0.windowTokenCount != nil }) {
            throw .parallelWindow(layer: layer)
        }
        let longest = request.chunks.map(\.rows.count).max() ?? 0
        positions.chunks = request.chunks.map { _ in request.firstPosition + block.lowerBound }
        for row in isFresh.indices where isFresh[row] {
            positions.fresh[row] =
                row < block.lowerBound
                ? request.firstPosition + row
                : request.firstPosition + block.lowerBound + longest + row - block.upperBound
        }
        return positions
    }

    private static func prefixes(_ request: PlanRequest) -> [[PrefixEntry]] {
        if case .parallel = request.mode {
            let shared = request.chunks.first?.rows.lowerBound ?? 0
            let text = shared > 0 ? [PrefixEntry(key: nil, tokenCount: shared)] : []
            return request.chunks.map { _ in text }
        }
        var entries: [PrefixEntry] = []
        var prefixes: [[PrefixEntry]] = []
        var end = 0
        for chunk in request.chunks {
            if chunk.rows.lowerBound > end {
                entries.append(PrefixEntry(key: nil, tokenCount: chunk.rows.lowerBound - end))
            }
            prefixes.append(entries)
            entries.append(PrefixEntry(key: chunk.key, tokenCount: chunk.rows.count))
            end = chunk.rows.upperBound
        }
        return prefixes
    }
}
