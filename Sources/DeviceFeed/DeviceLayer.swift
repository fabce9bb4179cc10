// A layer on the device.

import ChunkFormat

/// One layer of all chunks of a prompt, resident on the device: no copy into it is on its way.
public struct DeviceLayer: Sendable {
    /// The transformer layer.
    public let layer: Int
    /// All key rows one after the other: `[token][kv head][dim]`.
    public let keys: DeviceSlice
    public let values: DeviceSlice
    /// Of one token's keys, and as many of its values.
    public let rowBytes: Int
    /// One more than chunks: where each chunk's rows begin, and the last end.
    private let firstRows: [Int]

    init(layer: Int, slabs: DeviceSlabs, rowBytes: Int, firstRows: [Int]) {
        let planeBytes = rowBytes * firstRows.last!
        self.layer = layer
        self.rowBytes = rowBytes
        self.firstRows = firstRows
        keys = slabs.keys[layer].slice(0..<planeBytes)
        values = slabs.values[layer].slice(0..<planeBytes)
    }

    public var rowCount: Int { firstRows.last! }

    /// The rows of one chunk. `chunk` counts the chunks that were found.
    public func rows(ofChunk chunk: Int) -> Range<Int> {
        precondition(chunk >= 0 && chunk + 1 < firstRows.count, "no chunk \(chunk) in this feed")
        return firstRows[chunk]..<firstRows[chunk + 1]
    }

    /// The rows of one chunk's plane, of keys or values.
    public func plane(chunk: Int, _ kind: ExtentKind) -> DeviceSlice {
        let rows = rows(ofChunk: chunk)
        return (kind == .keys ? keys : values)
            .slice(rows.lowerBound * rowBytes..<rows.upperBound * rowBytes)
    }
}
