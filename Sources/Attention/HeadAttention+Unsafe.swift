// softmax(Q · Kᵀ / √dim) · V, four queries of one head at a time. Keys that a query may not see get
// weight zero, and adding zeros changes no bit: a row's result does not depend on its neighbours.

import KVModel

/// Attention of contiguous query rows `[row][head][dim]` (rotated) to all of `planes`.
/// `slots` says which rows of the prompt the queries are. With a capture, `masses` is
/// `[row][segment]` and gets each row's weights (mean of heads) on the context's segments.
func attend(
    _ queries: UnsafePointer<Float>, slots: ArraySlice<Int>, to planes: PackedPlanes,
    _ context: PassContext, into target: UnsafeMutablePointer<Float>,
    masses: UnsafeMutablePointer<Float>? = nil
) {
    let shape = context.configuration
    let dimension = shape.headDimension
    let stride = shape.queryElementCount
    let group = shape.headCount / shape.kvHeadCount
    let scale = 1 / Float(dimension).squareRoot()
    let padded = (planes.rowCount + 7) / 8 * 8
    // SAFETY: four rows of scores, one number for each row of the prompt, padded to whole vectors;
    // planes have the strides they state.
    unsafe withScratch(4 * padded) { scores in
        unsafe planes.keys.withUnsafeBufferPointer { keys in
            unsafe planes.values.withUnsafeBufferPointer { values in
                for first in Swift.stride(from: 0, to: slots.count, by: 4) {
                    let count = min(4, slots.count - first)
                    let visible = (0..<count).map {
                        context.visibleRows(of: slots[slots.startIndex + first + $0])
                    }
                    // Whole panels from the first key any of the four sees to the last.
                    let low = visible[0].lowerBound / 8 * 8
                    let end = visible[count - 1].upperBound
                    let high = (end + 7) / 8 * 8
                    for head in 0..<shape.headCount {
                        let kvHead = head / group
                        let offset = first * stride + head * dimension
                        unsafe multiply(
                            queries + offset, aStride: stride, rowCount: count,
                            panels: keys.baseAddress! + kvHead * planes.keyHeadStride
                                + low * dimension,
                            layout: planes.keyLayout, depth: dimension, columnCount: high - low,
                            into: scores + low, cStride: padded)
                        var sums = SIMD4<Float>.zero
                        for row in 0..<count {
                            if let parallel = context.parallel {
                                sums[row] = unsafe exponentiate(
                                    scores + row * padded,
                                    row: slots[slots.startIndex + first + row],
                                    padded: high, scale: scale, parallel)
                            } else {
                                sums[row] = unsafe exponentiate(
                                    scores + row * padded, visible: visible[row], first: low,
                                    padded: high, scale: scale)
                            }
                            if let masses = unsafe masses {
                                unsafe addMasses(
                                    scores + row * padded, visible: visible[row],
                                    segments: context.segments,
                                    share: 1 / (sums[row] * Float(shape.headCount)),
                                    to: masses + (first + row) * context.segments.count)
                            }
                        }
                        unsafe multiply(
                            scores + low, aStride: padded, rowCount: count,
                            panels: values.baseAddress! + kvHead * planes.valueHeadStride
                                + low * planes.paddedDimension,
                            layout: planes.valueLayout, depth: end - low, columnCount: dimension,
                            into: target + offset, cStride: stride)
                        for row in 0..<count {
                            let share = 1 / sums[row]
                            for index in 0..<dimension {
                                unsafe target[offset + row * stride + index] *= share
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds one head's weights, summed over each segment and times `share`, to one row's masses.
private func addMasses(
    _ weights: UnsafePointer<Float>, visible: Range<Int>, segments: [Range<Int>], share: Float,
    to masses: UnsafeMutablePointer<Float>
) {
    // SAFETY: weights reach to the end of `visible`; there is a mass for each segment.
    for (segment, rows) in segments.enumerated() {
        let rows = rows.clamped(to: visible)
        var sum = Lanes.zero
        var row = rows.lowerBound
        while row < rows.upperBound {
            unsafe sum += load(weights + row, count: rows.upperBound - row)
            row += 8
        }
        unsafe masses[segment] += sum.sum() * share
    }
}
