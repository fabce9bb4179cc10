// Which rows of a prompt CacheBlend recomputes (arXiv 2405.16444): everything that is not reused,
// outside any budget, and the reused rows that deviate most. LMCache lets uncached rows eat the
// budget, and a prompt with more than 15 % of them then stays stale; we do not.

/// Uncached ∪ question ∪ the `⌈ratio·reused⌉` reused rows of largest deviation, ascending.
///
/// - Parameters:
///   - rowCount: rows of the prompt; those that are not reused are always in the set, and so is the
///     last one, whose logits are the answer.
///   - reused: stretches of reused rows, ascending.
///   - deviations: squared distances, one for each reused row in order.
///
/// *Throws:* `rowsOverlap`, `rowsOutOfPrompt`, `ratioOutOfRange`, `scoreCount`, `scoreNotANumber`.
public func blendRows(
    rowCount: Int, reused: [Range<Int>], deviations: [Float], ratio: Double
) throws(FusionError) -> [Int] {
    guard ratio >= 0, ratio <= 1 else { throw .ratioOutOfRange(ratio) }
    try requireAscending(reused, rowCount: rowCount)
    let reusedRows = reused.flatMap { Array($0) }
    guard deviations.count == reusedRows.count else {
        throw .scoreCount(chunk: nil, expected: reusedRows.count, found: deviations.count)
    }
    if let index = deviations.firstIndex(where: \.isNaN) {
        throw .scoreNotANumber(chunk: nil, score: .deviation, index: index)
    }
    let budget = recomputeBudget(ratio: ratio, tokenCount: reusedRows.count)
    let chosen = largest(reusedRows.count, budget: budget) { deviations[$0] }
    var isComputed = [Bool](repeating: true, count: rowCount)
    for row in reusedRows { isComputed[row] = false }
    for index in chosen { isComputed[reusedRows[index]] = true }
    if rowCount > 0 { isComputed[rowCount - 1] = true }
    return isComputed.indices.filter { isComputed[$0] }
}

/// *Throws:* the first stretch that begins before the one in front ends, or leaves the prompt.
func requireAscending(_ rows: [Range<Int>], rowCount: Int) throws(FusionError) {
    var end = 0
    for (index, range) in rows.enumerated() {
        guard range.lowerBound >= 0, range.upperBound <= rowCount else {
            throw .rowsOutOfPrompt(chunk: index, rows: range, tokenCount: rowCount)
        }
        guard range.lowerBound >= end else { throw .rowsOverlap(chunk: index, rows: range) }
        end = range.upperBound
    }
}
