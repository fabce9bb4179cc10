// The softmax of rows in and behind a block of chunks side by side. Weights are left in place of
// the scores, so that one product with the values serves both parts.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Turns one row's scores into unnormalized weights, zero where `row` does not see. Returns their
/// sum. `padded` is a multiple of eight beyond the row.
func exponentiate(
    _ scores: UnsafeMutablePointer<Float>, row: Int, padded: Int, scale: Float,
    _ parallel: ParallelRows
) -> Float {
    // SAFETY: `scores` has `padded` numbers; the block lies in front of `padded`.
    if row < parallel.rows.upperBound {
        guard row >= parallel.rows.lowerBound else {
            return unsafe exponentiate(
                scores, visible: 0..<row + 1, first: 0, padded: padded, scale: scale)
        }
        let hidden = parallel.hidden(from: row)
        for index in hidden { unsafe scores[index] = -.infinity }
        let sum = unsafe exponentiate(
            scores, visible: 0..<row + 1, first: 0, padded: padded, scale: scale)
        // e^−87 each before; too little to have changed a sum that is at least 1.
        for index in hidden { unsafe scores[index] = 0 }
        return sum
    }
    let block = parallel.rows
    for index in row + 1..<padded { unsafe scores[index] = 0 }
    let rest = [0..<block.lowerBound, block.upperBound..<row + 1]
    let plain = unsafe weigh(scores, rest, scale: scale)
    if block.isEmpty { return plain.sum }
    let chunks = unsafe weigh(scores, [block], scale: scale / parallel.temperature)
    let restLog = plain.top + log(Double(plain.sum))
    let chunksLog =
        Double(parallel.scale * parallel.temperature) * (chunks.top + log(Double(chunks.sum)))
    let highest = max(restLog, chunksLog)
    let restShare = exp(restLog - highest)
    let chunksShare = exp(chunksLog - highest)
    for range in rest {
        unsafe multiply(scores, range, by: Float(restShare / Double(plain.sum)))
    }
    unsafe multiply(scores, block, by: Float(chunksShare / Double(chunks.sum)))
    return Float(restShare + chunksShare)
}

/// e^(scale · (s − max)) over some ranges taken together: their sum, and scale · max.
private func weigh(
    _ scores: UnsafeMutablePointer<Float>, _ ranges: [Range<Int>], scale: Float
) -> (sum: Float, top: Double) {
    // SAFETY: the caller's ranges lie in the row.
    var top = -Float.infinity
    for range in ranges { for index in range { unsafe top = max(top, scores[index]) } }
    var sum = Lanes.zero
    for range in ranges {
        var index = range.lowerBound
        while index < range.upperBound {
            let count = min(8, range.upperBound - index)
            var lanes = unsafe exponential(
                (load(scores + index, count: count) - Lanes(repeating: top)) * scale)
            for lane in count..<8 { lanes[lane] = 0 }
            unsafe store(lanes, to: scores + index, count: count)
            sum += lanes
            index += 8
        }
    }
    return (sum.sum(), Double(top) * Double(scale))
}

private func multiply(
    _ weights: UnsafeMutablePointer<Float>, _ range: Range<Int>, by factor: Float
) {
    // SAFETY: the caller's range lies in the row.
    for index in range { unsafe weights[index] *= factor }
}
