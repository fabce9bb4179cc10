// One layer's planes in the order the kernel reads them. Scores run over panels of eight keys,
// weighted sums over rows of values, so both are products like any other; copying them once a
// layer is little beside attending to them.

import KVModel

struct PackedPlanes: Sendable {
    let rowCount: Int
    let headDimension: Int
    /// Numbers in one padded value row of one head.
    let paddedDimension: Int
    /// `[kv head][panel of 8 rows][dim][8]`.
    private(set) var keys: [Float]
    /// `[kv head][row][padded dim]`.
    private(set) var values: [Float]

    var keyLayout: PanelLayout { PanelLayout(panelStride: headDimension * 8, stepStride: 8) }
    var valueLayout: PanelLayout { PanelLayout(panelStride: 8, stepStride: paddedDimension) }
    /// Where a head's keys and values begin.
    var keyHeadStride: Int { (rowCount + 7) / 8 * headDimension * 8 }
    var valueHeadStride: Int { rowCount * paddedDimension }

    init(_ planes: LayerPlanes, geometry: LayerGeometry) {
        let row = geometry.rowElementCount
        headDimension = geometry.headDimension
        paddedDimension = (headDimension + 7) / 8 * 8
        rowCount = planes.keys.count / row
        let keyStride = (rowCount + 7) / 8 * headDimension * 8
        let valueStride = rowCount * paddedDimension
        keys = [Float](repeating: 0, count: geometry.kvHeadCount * keyStride)
        values = [Float](repeating: 0, count: geometry.kvHeadCount * valueStride)
        for head in 0..<geometry.kvHeadCount {
            for token in 0..<rowCount {
                let source = token * row + head * headDimension
                let key = head * keyStride + token / 8 * headDimension * 8 + token % 8
                let value = head * valueStride + token * paddedDimension
                for index in 0..<headDimension {
                    keys[key + index * 8] = planes.keys[source + index]
                    values[value + index] = planes.values[source + index]
                }
            }
        }
    }
}
