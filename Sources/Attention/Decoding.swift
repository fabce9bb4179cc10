// Token after token from a cache: one active row, appended to every layer's planes.

import KVModel

extension Model {
    /// Computes `token` at the cache's next position, appends its rows, and returns the logits for
    /// the token after it. *Complexity:* O(weights + cached rows).
    public func decode(
        _ token: UInt32, into cache: inout KVCache
    ) throws(AttentionError) -> [Float] {
        try checkTokens([token], firstRow: cache.positions.count)
        try checkPositions(cache.nextPosition, count: 1)
        let row = cache.positions.count
        cache.positions.append(cache.nextPosition)
        cache.planes.tokenCount += 1
        var context = PassContext(self, positions: cache.positions, computingFrom: row)
        context.parallel = cache.parallel
        var batch = RowBatch(slots: [row], hidden: embed([token]))
        for (index, layer) in layers.enumerated() {
            let fresh = layer.keysAndValues(batch, context)
            cache.append(fresh, layer: index, geometry: configuration.geometry)
            layer.transform(&batch, cache.packed[index], context)
        }
        return logits(of: batch.hidden[...])
    }

    /// The likeliest token, again and again, from a prefill on: at most `tokenCount`, ending early
    /// (and including) a token of `stops`.
    public func generate(
        from result: consuming PrefillResult, tokenCount: Int, stoppingAt stops: Set<UInt32> = []
    ) throws(AttentionError) -> [UInt32] {
        var tokens: [UInt32] = []
        var logits = result.logits
        var cache = result.cache
        while tokens.count < tokenCount {
            let token = greedyToken(logits)
            tokens.append(token)
            if stops.contains(token) || tokens.count == tokenCount { break }
            logits = try decode(token, into: &cache)
        }
        return tokens
    }
}

extension KVCache {
    /// Puts one token's rows behind the others of `layer`, in both forms.
    mutating func append(_ row: LayerPlanes, layer: Int, geometry: LayerGeometry) {
        let room = max(slackRowCount, 0)
        let isPacked = layer < packed.count
        if !isPacked || packed[layer].rowCount == packed[layer].capacity {
            let numbers = planes.layers[layer].keys.count + (room + 1) * geometry.rowElementCount
            planes.layers[layer].keys.reserveCapacity(numbers)
            planes.layers[layer].values.reserveCapacity(numbers)
            let wider = PackedPlanes(
                planes.layers[layer], geometry: geometry, slackRows: room + 1)
            if isPacked { packed[layer] = wider } else { packed.append(wider) }
        }
        planes.layers[layer].keys += row.keys
        planes.layers[layer].values += row.values
        packed[layer].append(lastOf: planes.layers[layer], geometry: geometry)
    }
}
