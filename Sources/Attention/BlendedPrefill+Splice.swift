// Where reused rows meet computed ones: the layer-0 self-test, the check that chooses rows, and the
// splice by index (FUSION, "CacheBlend"; arXiv 2405.16444).

import KVModel

extension BlendedPrefill {
    /// At a check every open row that came this far has just been projected in its context. Returns
    /// the rows (of the batch) that go on: those that deviate most, and all that are kept anyway.
    mutating func chooseRows(
        _ fresh: LayerPlanes, _ step: BlendFilter.Step, _ filter: RowFilter
    ) -> [Int] {
        let row = model.configuration.rowElementCount
        let kind: PlaneKind = filter.tensor == .values ? .values : .keys
        let loaded = cache.planes.layers[step.layer][kind]
        let computed = fresh[kind]
        var deviations: [RowDeviation] = []
        for (index, slot) in batch.slots.enumerated() where isReused[slot] {
            deviations.append(
                RowDeviation(
                    row: slot,
                    squaredDistance: squaredDistance(
                        computed, at: index * row, loaded, at: slot * row, row)))
        }
        if statistics.deviations.isEmpty { statistics.deviations = deviations }
        // Known rows are in no budget.
        let open = deviations.filter { filter.isOpen($0.row) }
        var goesOn = filter.isKept
        for slot in filter.choose(open, at: step, by: choose) where goesOn.indices.contains(slot) {
            goesOn[slot] = true
        }
        return batch.slots.indices.filter { goesOn[batch.slots[$0]] }
    }

    /// Copies the computed rows at `rows` (of the batch) over the planes' rows.
    mutating func splice(_ fresh: LayerPlanes, rows: [Int], into layer: Int) {
        let row = model.configuration.rowElementCount
        for index in rows {
            let source = index * row..<(index + 1) * row
            let target = batch.slots[index] * row..<(batch.slots[index] + 1) * row
            cache.planes.layers[layer].keys.replaceSubrange(target, with: fresh.keys[source])
            cache.planes.layers[layer].values.replaceSubrange(target, with: fresh.values[source])
        }
    }

    /// Layer 0's keys and values depend on the token alone: loaded and computed must agree.
    mutating func testLayerZero(_ fresh: LayerPlanes) {
        guard plan != .concatenate, arrived.count == loadedSpans.count else { return }
        let row = model.configuration.rowElementCount
        var largest: Float = 0
        var difference: Float = 0
        for kind in PlaneKind.allCases {
            let computed = fresh[kind]
            let loaded = cache.planes.layers[0][kind]
            for (index, slot) in batch.slots.enumerated() where isReused[slot] {
                for offset in 0..<row {
                    let number = computed[index * row + offset]
                    let gap = (number - loaded[slot * row + offset]).magnitude
                    largest = max(largest, number.magnitude)
                    difference = max(difference, gap.isNaN ? .infinity : gap)
                }
            }
        }
        if batch.slots.contains(where: { isReused[$0] }) {
            statistics.layerZeroError = difference == 0 ? 0 : difference / largest
        }
    }
}
