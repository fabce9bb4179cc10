// How a loaded span's keys come to their places.

import KVModel

/// Angles that turn a span's keys: one for all of them, or one a row.
struct SpanShift: Sendable {
    let table: RotaryTable
    let isPerRow: Bool

    func entry(of row: Int) -> Int { isPerRow ? row : 0 }

    /// `nil` where nothing turns. With `concatenate` keys go to where they were computed.
    init?(_ span: PromptSpan, plan: BlendPlan, format: PlaneFormat, _ model: Model) {
        let places = Array(span.start..<span.start + span.tokens.count)
        let stored: [Int]
        switch span.source {
        case .fresh: return nil
        case .loaded(let base): stored = Array(base..<base + span.tokens.count)
        case .loadedAt(let positions): stored = positions
        }
        switch (format.keyForm, plan) {
        case (.beforeRotation, .concatenate):
            table = RotaryTable(model.frequencies, positions: stored)
            isPerRow = true
        case (.beforeRotation, _):
            table = RotaryTable(model.frequencies, positions: places)
            isPerRow = true
        case (.afterRotation, .concatenate): return nil
        case (.afterRotation, _):
            if places == stored { return nil }
            if case .loadedAt = span.source {
                table = RotaryTable(
                    model.frequencies, shifts: zip(places, stored).map { $0 - $1 })
                isPerRow = true
            } else {
                table = RotaryTable(model.frequencies, shifts: [places[0] - stored[0]])
                isPerRow = false
            }
        }
    }
}

extension BlendedPrefill {
    /// *Throws:* when stored positions are not the model's, not one a token, or do not rise.
    static func check(_ span: PromptSpan, _ index: Int, _ model: Model) throws(AttentionError) {
        switch span.source {
        case .fresh: break
        case .loaded(let base): try model.checkPositions(base, count: span.tokens.count)
        case .loadedAt(let positions):
            let rises = zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 }
            guard rises, positions.count == span.tokens.count else {
                throw .positionsMismatch(
                    span: index, tokenCount: span.tokens.count, found: positions.count)
            }
            for position in positions { try model.checkPositions(position, count: 1) }
        }
    }

    /// Stops repairing reused rows of these spans (of `spans`): from the next layer on they are
    /// what was loaded, so every later layer needs its planes. What a question that looks at few
    /// chunks allows (FUSION, "Focused chunks").
    /// *Throws:* `spanNotLoaded`, for the first that is not.
    public mutating func stopRepair(of stopped: Set<Int>) throws(AttentionError) {
        for span in stopped.sorted() {
            guard spans.indices.contains(span), spans[span].isLoaded else {
                throw .spanNotLoaded(span: span)
            }
        }
        hasStoppedRepair = hasStoppedRepair || !stopped.isEmpty
        let lastRow = isReused.count - 1
        let kept = batch.slots.indices.filter { index in
            let slot = batch.slots[index]
            let isStopped = stopped.contains { spanRows[$0] <= slot && slot < spanRows[$0 + 1] }
            return slot == lastRow || !isStopped
        }
        batch = batch.keeping(kept, hiddenSize: model.configuration.hiddenSize)
    }
}
