// One layer's planes in the order the kernel reads them. Scores run over panels of eight keys,
// weighted sums over rows of values, so both are products like any other; copying them once a
// layer is little beside attending to them. Decoding attends with one row, so there they stay, with
// slack rows behind them: a token's row is put in its place and nothing else moves (BMC).

import KVModel

struct PackedPlanes: Sendable {
    private(set) var rowCount: Int
    /// Rows there is room for, whole panels.
    let capacity: Int
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
    var keyHeadStride: Int { capacity * headDimension }
    var valueHeadStride: Int { capacity * paddedDimension }

    init(_ planes: LayerPlanes, geometry: LayerGeometry, slackRows: Int = 0) {
        let row = geometry.rowElementCount
        let heads = geometry.kvHeadCount
        headDimension = geometry.headDimension
        paddedDimension = (headDimension + 7) / 8 * 8
        rowCount = planes.keys.count / row
        capacity = (rowCount + slackRows + 7) / 8 * 8
        keys = [Float](repeating: 0, count: heads * capacity * headDimension)
        values = [Float](repeating: 0, count: heads * capacity * paddedDimension)
        for head in 0..<heads {
            for token in 0..<rowCount { place(planes, token, at: token, head, heads) }
        }
    }

    /// Puts the last row of `planes` behind the others. *Precondition:* there is room for it.
    mutating func append(lastOf planes: LayerPlanes, geometry: LayerGeometry) {
        precondition(rowCount < capacity, "no slack is left")
        let last = planes.keys.count / geometry.rowElementCount - 1
        for head in 0..<geometry.kvHeadCount {
            place(planes, last, at: rowCount, head, geometry.kvHeadCount)
        }
        rowCount += 1
    }

    private mutating func place(
        _ planes: LayerPlanes, _ source: Int, at row: Int, _ head: Int, _ heads: Int
    ) {
        let source = (source * heads + head) * headDimension
        let key = head * keyHeadStride + row / 8 * headDimension * 8 + row % 8
        let value = head * valueHeadStride + row * paddedDimension
        for index in 0..<headDimension {
            keys[key + index * 8] = planes.keys[source + index]
            values[value + index] = planes.values[source + index]
        }
    }
}
