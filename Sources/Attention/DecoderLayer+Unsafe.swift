// The two halves of a layer. First every active row's keys and values; then, when they stand in
// the planes, attention and the feed-forward part. Between the halves every core waits for all.

import KVModel

extension DecoderLayer {
    /// Keys (rotated for their places) and values of every row of the batch, `[row][kv head][dim]`.
    func keysAndValues(_ batch: RowBatch, _ context: PassContext) -> LayerPlanes {
        let shape = context.configuration
        let hidden = shape.hiddenSize
        let row = shape.rowElementCount
        let rowCount = batch.slots.count
        var planes = LayerPlanes(
            keys: [Float](repeating: 0, count: rowCount * row),
            values: [Float](repeating: 0, count: rowCount * row))
        // SAFETY: blocks are disjoint ranges of rows, and every pointer below stays in its rows.
        unsafe planes.keys.withUnsafeMutableBufferPointer { keys in
            unsafe planes.values.withUnsafeMutableBufferPointer { values in
                unsafe batch.hidden.withUnsafeBufferPointer { states in
                    let keys = keys.baseAddress!
                    let values = values.baseAddress!
                    let states = states.baseAddress!
                    context.parallelism.forEachBlock(
                        rowCount: rowCount, operationsPerRow: 2 * hidden * row
                    ) { block in
                        unsafe withScratch(block.count * hidden) { normed in
                            unsafe normalizeRows(
                                states + block.lowerBound * hidden, inputNorm, block.count, shape,
                                into: normed)
                            unsafe self.keys.apply(
                                normed, block.count, into: keys + block.lowerBound * row)
                            unsafe self.values.apply(
                                normed, block.count, into: values + block.lowerBound * row)
                        }
                        for index in block {
                            unsafe context.angles.rotate(
                                keys + index * row, headCount: shape.kvHeadCount,
                                headDimension: shape.headDimension,
                                entry: batch.slots[index] - context.anglesStart,
                                pairing: shape.rotary.pairing)
                        }
                    }
                }
            }
        }
        return planes
    }

    /// Attention of the batch's rows to all rows of `planes`, then the feed-forward part; both
    /// added to the batch's residual stream. Returns the rows' masses on the context's segments,
    /// `[row of the batch][segment]`.
    @discardableResult
    func transform(
        _ batch: inout RowBatch, _ planes: PackedPlanes, _ context: PassContext
    ) -> [Float] {
        let shape = context.configuration
        let hidden = shape.hiddenSize
        let query = shape.queryElementCount
        let wide = shape.intermediateSize
        let slots = batch.slots
        let segmentCount = context.segments.count
        var masses = [Float](repeating: 0, count: slots.count * segmentCount)
        // SAFETY: blocks are disjoint ranges of rows; scratch areas lie one after the other.
        // Without segments no mass is ever written.
        unsafe masses.withUnsafeMutableBufferPointer { masses in
            unsafe batch.hidden.withUnsafeMutableBufferPointer { states in
                let states = states.baseAddress!
                let masses = segmentCount == 0 ? nil : masses.baseAddress
                context.parallelism.forEachBlock(
                    rowCount: slots.count,
                    operationsPerRow: 2 * hidden * query + 3 * hidden * wide
                        + query * context.positions.count
                ) { block in
                    let count = block.count
                    let rows = unsafe states + block.lowerBound * hidden
                    unsafe withScratch(count * (2 * hidden + 2 * max(query, wide))) { scratch in
                        let normed = unsafe scratch
                        let sums = unsafe normed + count * hidden
                        let left = unsafe sums + count * hidden
                        let right = unsafe left + count * max(query, wide)

                        unsafe normalizeRows(rows, inputNorm, count, shape, into: normed)
                        unsafe queries.apply(normed, count, into: left)
                        for index in 0..<count {
                            unsafe context.angles.rotate(
                                left + index * query, headCount: shape.headCount,
                                headDimension: shape.headDimension,
                                entry: slots[block.lowerBound + index] - context.anglesStart,
                                pairing: shape.rotary.pairing)
                        }
                        unsafe attend(
                            left, slots: slots[block], to: planes, context, into: right,
                            masses: masses.map { unsafe $0 + block.lowerBound * segmentCount })
                        unsafe output.apply(right, count, into: sums)
                        unsafe add(sums, count: count * hidden, to: rows)

                        unsafe normalizeRows(rows, forwardNorm, count, shape, into: normed)
                        unsafe gate.apply(normed, count, into: left)
                        unsafe up.apply(normed, count, into: right)
                        unsafe gateUnits(left, up: right, count: count * wide)
                        unsafe down.apply(left, count, into: sums)
                        unsafe add(sums, count: count * hidden, to: rows)
                    }
                }
            }
        }
        return masses
    }
}

extension PackedMatrix {
    /// y = W · x for `rowCount` contiguous rows of inputs.
    func apply(
        _ inputs: UnsafePointer<Float>, _ rowCount: Int,
        into outputs: UnsafeMutablePointer<Float>
    ) {
        // SAFETY: inputs are `rowCount × inputCount`, outputs `rowCount × outputCount`.
        unsafe panels.withUnsafeBufferPointer { panels in
            unsafe multiply(
                inputs, aStride: inputCount, rowCount: rowCount, panels: panels.baseAddress!,
                layout: layout, depth: inputCount, columnCount: outputCount, into: outputs,
                cStride: outputCount)
        }
    }
}

extension Model {
    /// Final norm and output head of one row of hidden state.
    func logits(of hidden: ArraySlice<Float>) -> [Float] {
        var logits = [Float](repeating: 0, count: configuration.vocabularySize)
        // SAFETY: `hidden` is one row; the head has one output for each entry of the vocabulary.
        unsafe hidden.withUnsafeBufferPointer { row in
            unsafe logits.withUnsafeMutableBufferPointer { logits in
                unsafe withScratch(row.count) { normed in
                    unsafe normalizeRows(
                        row.baseAddress!, finalNorm, 1, configuration, into: normed)
                    unsafe head.apply(normed, 1, into: logits.baseAddress!)
                }
            }
        }
        return logits
    }
}

/// RMSNorm of contiguous rows of hidden state.
private func normalizeRows(
    _ rows: UnsafePointer<Float>, _ weight: [Float], _ rowCount: Int,
    _ shape: ModelConfiguration, into target: UnsafeMutablePointer<Float>
) {
    // SAFETY: both are `rowCount` rows of `hiddenSize`, which is `weight`'s length.
    unsafe weight.withUnsafeBufferPointer { weight in
        for row in 0..<rowCount {
            let start = row * shape.hiddenSize
            unsafe normalize(
                rows + start, weight: weight.baseAddress!, count: shape.hiddenSize,
                epsilon: shape.normEpsilon, into: target + start)
        }
    }
}

/// Uninitialized memory for `count` numbers, freed at the end of `body`.
func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    // SAFETY: every user writes a number before it reads it.
    let scratch = UnsafeMutablePointer<Float>.allocate(capacity: max(1, count))
    unsafe body(scratch)
    unsafe scratch.deallocate()
}
