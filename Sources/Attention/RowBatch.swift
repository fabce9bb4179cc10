// What the layers work on, between one layer and the next.

import KVModel

/// The rows of a prompt that are being computed, and their residual stream.
struct RowBatch: Sendable {
    /// Which rows of the prompt, ascending.
    var slots: [Int]
    /// `[row of the batch][hidden]`.
    var hidden: [Float]

    /// Only the rows at `indices` (of the batch, ascending).
    func keeping(_ indices: [Int], hiddenSize: Int) -> RowBatch {
        var kept = RowBatch(slots: indices.map { slots[$0] }, hidden: [])
        kept.hidden.reserveCapacity(indices.count * hiddenSize)
        for index in indices {
            kept.hidden += hidden[index * hiddenSize..<(index + 1) * hiddenSize]
        }
        return kept
    }
}

/// What every layer of one pass has in common.
struct PassContext: Sendable {
    let configuration: ModelConfiguration
    let parallelism: Parallelism
    /// The place of every row of the prompt, ascending but for chunks side by side.
    let positions: [Int]
    /// Angles of the places from row `anglesStart` on.
    let angles: RotaryTable
    let anglesStart: Int
    /// Stretches of rows whose weights are summed for a capture; none without one.
    var segments: [Range<Int>] = []
    /// Chunks side by side; `nil` for plain attention.
    var parallel: ParallelRows?

    init(_ model: Model, positions: [Int], computingFrom anglesStart: Int = 0) {
        configuration = model.configuration
        parallelism = model.parallelism
        self.positions = positions
        self.anglesStart = anglesStart
        angles = RotaryTable(model.frequencies, positions: Array(positions[anglesStart...]))
    }

    /// The rows that the query of `row` sees: not after itself, not before its window.
    func visibleRows(of row: Int) -> Range<Int> {
        guard let window = configuration.windowTokenCount else { return 0..<row + 1 }
        var first = row
        while first > 0, positions[row] - positions[first - 1] < window { first -= 1 }
        return first..<row + 1
    }
}
