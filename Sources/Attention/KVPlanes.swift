// A prompt's attention state in memory: per layer one key plane and one value plane, fp32,
// row-major `[token][kv head][dim]`. Stores hold the same rows in a smaller element type.

import KVModel

/// The two planes of one layer.
public struct LayerPlanes: Sendable, Equatable {
    /// `[token][kv head][dim]`, rotated for their positions.
    public var keys: [Float]
    public var values: [Float]

    public init(keys: [Float], values: [Float]) {
        self.keys = keys
        self.values = values
    }

    public subscript(kind: PlaneKind) -> [Float] { kind == .keys ? keys : values }
}

/// All layers' planes of the same tokens.
public struct KVPlanes: Sendable, Equatable {
    public let geometry: [LayerGeometry]
    public internal(set) var tokenCount: Int
    public internal(set) var layers: [LayerPlanes]

    /// Planes of zeros.
    public init(geometry: [LayerGeometry], tokenCount: Int) {
        self.geometry = geometry
        self.tokenCount = tokenCount
        layers = geometry.map {
            let zeros = [Float](repeating: 0, count: tokenCount * $0.rowElementCount)
            return LayerPlanes(keys: zeros, values: zeros)
        }
    }

    /// One plane as bytes of `elementType`, little-endian, without padding.
    /// *Throws:* `elementTypeUnsupported` for types that need scales.
    public func encoded(
        _ kind: PlaneKind, layer: Int, as elementType: ElementType
    ) throws(AttentionError) -> [UInt8] {
        try checkLayer(layer, elementType)
        return elementType.encode(layers[layer][kind].span)
    }

    /// The same into the caller's memory, which must have exactly the plane's size.
    /// *Throws:* also `planeSizeMismatch`.
    public func encode(
        _ kind: PlaneKind, layer: Int, as elementType: ElementType, into bytes: inout MutableRawSpan
    ) throws(AttentionError) {
        try checkLayer(layer, elementType)
        let expected = layers[layer][kind].count * elementType.byteCount
        guard bytes.byteCount == expected else {
            throw .planeSizeMismatch(
                layer: layer, span: 0, plane: kind, expectedBytes: expected,
                foundBytes: bytes.byteCount)
        }
        elementType.encode(layers[layer][kind].span, into: &bytes)
    }

    /// Fills one plane from bytes of `elementType`.
    public mutating func decode(
        _ bytes: RawSpan, as elementType: ElementType, into kind: PlaneKind, layer: Int
    ) throws(AttentionError) {
        try checkLayer(layer, elementType)
        let expected = layers[layer][kind].count * elementType.byteCount
        guard bytes.byteCount == expected else {
            throw .planeSizeMismatch(
                layer: layer, span: 0, plane: kind, expectedBytes: expected,
                foundBytes: bytes.byteCount)
        }
        switch kind {
        case .keys: elementType.decode(bytes, into: &layers[layer].keys, at: 0)
        case .values: elementType.decode(bytes, into: &layers[layer].values, at: 0)
        }
    }

    /// Rotates every layer's keys from one base position to another, in one step.
    public mutating func realign(from oldBase: Int, to newBase: Int, rotary: RotaryEmbedding) {
        for layer in layers.indices {
            Attention.realign(
                &layers[layer].keys, geometry: geometry[layer], rotary: rotary, from: oldBase,
                to: newBase)
        }
    }

    /// Takes the rotation off every layer's keys, whose row *i* stands at `base` + *i*, and with it
    /// what YaRN multiplies by there: the form that a binding of keys before rotation stores.
    public mutating func unrotate(from base: Int, rotary: RotaryEmbedding) {
        let factor = Float(RotaryFrequencies(rotary).attentionFactor)
        for layer in layers.indices {
            let row = geometry[layer].rowElementCount
            for token in 0..<tokenCount {
                let range = token * row..<(token + 1) * row
                var keys = Array(layers[layer].keys[range])
                Attention.realign(
                    &keys, geometry: geometry[layer], rotary: rotary, from: base + token, to: 0)
                if factor != 1 {
                    // Components that are not rotated are not multiplied either.
                    let dimension = geometry[layer].headDimension
                    for index in keys.indices where index % dimension < rotary.dimension {
                        keys[index] /= factor
                    }
                }
                layers[layer].keys.replaceSubrange(range, with: keys)
            }
        }
    }

    /// Rows `rows` of every plane.
    public func rows(_ rows: Range<Int>) -> Self {
        var result = Self(geometry: geometry, tokenCount: rows.count)
        for layer in layers.indices {
            let row = geometry[layer].rowElementCount
            let range = rows.lowerBound * row..<rows.upperBound * row
            result.layers[layer].keys = Array(layers[layer].keys[range])
            result.layers[layer].values = Array(layers[layer].values[range])
        }
        return result
    }

    /// Squared distance of every row to the same row of `other`: CacheBlend's deviation, when one
    /// side is reused and the other computed in its context. Keys must stand at the same positions.
    public func squaredDistances(
        to other: Self, layer: Int, tensor: DeviationTensor
    ) -> [Float] {
        let kind: PlaneKind = tensor == .values ? .values : .keys
        let row = geometry[layer].rowElementCount
        return (0..<min(tokenCount, other.tokenCount)).map {
            squaredDistance(
                layers[layer][kind], at: $0 * row, other.layers[layer][kind], at: $0 * row, row)
        }
    }

    /// What a variant keeps so that the next plan can pick its rows beforehand: each token's
    /// squared distance to the same row of `other`, keys and values of all layers together. One
    /// side is reused, the other computed in some context, both at the same positions. Distances
    /// beyond fp16, or that are no number, are its largest: such a row is the first to be
    /// recomputed.
    public func deviationProfile(to other: Self) -> [Float16] {
        var sums = [Float](repeating: 0, count: min(tokenCount, other.tokenCount))
        for layer in layers.indices {
            for tensor in DeviationTensor.allCases {
                let distances = squaredDistances(to: other, layer: layer, tensor: tensor)
                for token in sums.indices { sums[token] += distances[token] }
            }
        }
        let largest = Float16.greatestFiniteMagnitude
        return sums.map { $0 < Float(largest) ? Float16($0) : largest }
    }

    private func checkLayer(_ layer: Int, _ elementType: ElementType) throws(AttentionError) {
        guard layers.indices.contains(layer) else {
            throw .layerOutOfRange(layer: layer, layerCount: layers.count)
        }
        guard elementType.isPlainFloat else { throw .elementTypeUnsupported(elementType) }
    }
}

extension PrefillResult {
    /// The deviation profile of planes whose first token was computed at `basePosition`, beside the
    /// same tokens at `rows` of this prefill, which computed all of them in another context.
    public func deviationProfile(
        of planes: KVPlanes, from basePosition: Int, at rows: Range<Int>, rotary: RotaryEmbedding
    ) -> [Float16] {
        if rows.isEmpty { return [] }
        var moved = planes
        moved.realign(from: basePosition, to: cache.positions[rows.lowerBound], rotary: rotary)
        return moved.deviationProfile(to: cache.planes.rows(rows))
    }
}

/// Σ (a − b)² over `count` numbers from each one's start.
func squaredDistance(
    _ a: [Float], at aStart: Int, _ b: [Float], at bStart: Int, _ count: Int
) -> Float {
    var sum: Float = 0
    for index in 0..<count {
        let difference = a[aStart + index] - b[bStart + index]
        sum += difference * difference
    }
    return sum
}
