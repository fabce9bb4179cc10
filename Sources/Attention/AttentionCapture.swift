// Who looked at whom during a prefill: what Cache-Craft's scores are made of (arXiv 2502.15734;
// FUSION, "Cache-Craft"). The weights exist anyway between the softmax and the values; they are
// summed there, stretch by stretch, so a capture costs one addition a weight beside the
// 4 · head dimension operations that made and used it. Measured (4 layers × 256, heads of 32,
// chunks of 128, one core, optimised): 1 % of a prefill of 256 tokens, 5 % of one of 2,048.

/// Attention weights of a prefill, averaged over heads and summed over stretches of rows.
public struct AttentionCapture: Sendable, Hashable {
    /// Rows of each segment (chunk), ascending. Rows between them are text or the question.
    public let segments: [Range<Int>]
    /// `[layer][query segment][key segment]`: Σ of the weights that the computed rows of the one
    /// gave to the rows of the other; at most the first one's rows.
    public private(set) var masses: [[[Double]]] = []
    /// `[layer][key segment]`: the same of the rows that are in no segment.
    public private(set) var outsideMasses: [[Double]] = []
    /// Whether each row was computed in every layer so far. Sums of a blend are of its computed
    /// rows only and say nothing of a chunk as a whole.
    public private(set) var isComputed: [Bool]
    private let segmentOfRow: [Int?]
    /// `[row][key segment]`, summed over layers; rows in no segment have none.
    private var rowMasses: [Double]

    init(segments: [Range<Int>], rowCount: Int) {
        self.segments = segments
        var segmentOfRow = [Int?](repeating: nil, count: rowCount)
        for (index, rows) in segments.enumerated() {
            for row in rows { segmentOfRow[row] = index }
        }
        self.segmentOfRow = segmentOfRow
        rowMasses = [Double](repeating: 0, count: rowCount * segments.count)
        isComputed = [Bool](repeating: true, count: rowCount)
    }

    public var isComplete: Bool { isComputed.allSatisfy { $0 } }

    /// Whether the sums of this segment are those of all its rows.
    public func isComplete(_ segment: Int) -> Bool {
        isComputed[segments[segment]].allSatisfy { $0 }
    }

    /// s(t): the mean over layers of the weight that each row of the prompt gave to segments before
    /// its own, 0…1; 0 for rows in no segment.
    public var tokenScores: [Float] {
        segmentOfRow.indices.map { row in
            guard let own = segmentOfRow[row], !masses.isEmpty else { return 0 }
            let start = row * segments.count
            let earlier = rowMasses[start..<start + own].reduce(0, +)
            return Float(earlier / Double(masses.count))
        }
    }

    /// `[key segment]`: the mean over layers of what those rows of `segment` gave that were
    /// computed in every layer.
    public func computedMeans(of segment: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: segments.count)
        for row in segments[segment] where isComputed[row] {
            for key in sums.indices { sums[key] += rowMasses[row * segments.count + key] }
        }
        return sums.map { masses.isEmpty ? 0 : $0 / Double(masses.count) }
    }

    /// inter(Ci, Cj) for each j < i, `[layer][j]`.
    public func inter(of segment: Int) -> [[Double]] {
        masses.map { Array($0[segment][..<segment]) }
    }

    /// intra(Ci), `[layer]`.
    public func intra(of segment: Int) -> [Double] { masses.map { $0[segment][segment] } }

    /// Takes the next layer: `rowMasses` is `[row of the batch][segment]`, of the rows in `slots`.
    mutating func add(_ rowMasses: [Float], slots: [Int]) {
        let count = segments.count
        var layer = [[Double]](
            repeating: [Double](repeating: 0, count: count), count: count)
        var outside = [Double](repeating: 0, count: count)
        for (index, slot) in slots.enumerated() {
            let own = segmentOfRow[slot]
            for key in 0..<count {
                let mass = Double(rowMasses[index * count + key])
                guard let own else {
                    outside[key] += mass
                    continue
                }
                layer[own][key] += mass
                self.rowMasses[slot * count + key] += mass
            }
        }
        masses.append(layer)
        outsideMasses.append(outside)
        var isActive = [Bool](repeating: false, count: segmentOfRow.count)
        for slot in slots { isActive[slot] = true }
        for row in isComputed.indices where !isActive[row] { isComputed[row] = false }
    }

    /// *Throws:* `rowOutOfRange` or `segmentsOverlap`.
    static func check(_ segments: [Range<Int>], rowCount: Int) throws(AttentionError) {
        var end = 0
        for (index, rows) in segments.enumerated() {
            for row in [rows.lowerBound, rows.upperBound] where !(0...rowCount).contains(row) {
                throw .rowOutOfRange(row: row, rowCount: rowCount)
            }
            guard rows.lowerBound >= end else { throw .segmentsOverlap(segment: index) }
            end = rows.upperBound
        }
    }
}
