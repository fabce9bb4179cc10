// Loaded planes come in as bytes of the store's element type; they are decoded straight to their
// rows and turned to their places there.

import KVModel

/// One loaded span's planes of one layer, as the bytes a feed has verified.
@unsafe
public struct LoadedPlanes {
    public var keys: UnsafeRawBufferPointer
    public var values: UnsafeRawBufferPointer
    public init(keys: UnsafeRawBufferPointer, values: UnsafeRawBufferPointer) {
        unsafe self.keys = unsafe keys
        unsafe self.values = unsafe values
    }
}

extension BlendedPrefill {
    /// Hands over `span`'s planes of the layer that is next: `[token][kv head][dim]` of
    /// `format.elementType`, little-endian, no padding. Spans may come in any order; a span handed
    /// over twice counts once. Layers that want nothing (`demand(layer:)`) ignore theirs.
    public mutating func load(
        layer: Int, span: Int, keys: RawSpan, values: RawSpan
    ) throws(AttentionError) {
        try checkTurn(layer)
        guard spans.indices.contains(span), spans[span].isLoaded else {
            throw .spanNotLoaded(span: span)
        }
        let shape = model.configuration
        let rowCount = spans[span].tokens.count
        let expected = rowCount * shape.rowElementCount * format.elementType.byteCount
        for (plane, found) in [(PlaneKind.keys, keys.byteCount), (.values, values.byteCount)]
        where found != expected {
            throw .planeSizeMismatch(
                layer: layer, span: span, plane: plane, expectedBytes: expected, foundBytes: found)
        }
        if rowCount == 0 || demand(layer: layer) == .unused { return }
        let start = spanRows[span] * shape.rowElementCount
        format.elementType.decode(keys, into: &cache.planes.layers[layer].keys, at: start)
        format.elementType.decode(values, into: &cache.planes.layers[layer].values, at: start)
        arrived.insert(span)
        guard let shift = shifts[span] else { return }
        // SAFETY: the span's rows lie in the plane from `start` on, one after the other.
        unsafe cache.planes.layers[layer].keys.withUnsafeMutableBufferPointer { plane in
            for row in 0..<rowCount {
                unsafe shift.table.rotate(
                    plane.baseAddress! + start + row * shape.rowElementCount,
                    headCount: shape.kvHeadCount, headDimension: shape.headDimension,
                    entry: shift.entry(of: row), pairing: shape.rotary.pairing)
            }
        }
    }

    /// The same from bytes in arrays.
    public mutating func load(
        layer: Int, span: Int, keys: [UInt8], values: [UInt8]
    ) throws(AttentionError) {
        let keys = keys.span
        let values = values.span
        // SAFETY: the spans cover the arrays for this call; bytes have no padding.
        try load(layer: layer, span: span, keys: unsafe keys.bytes, values: unsafe values.bytes)
    }

    /// Hands over all loaded spans' planes of `layer`, in span order, and computes it.
    public mutating func attend(
        layer: Int, planes: [LoadedPlanes]
    ) throws(AttentionError) {
        let count = unsafe planes.count
        guard count == loadedSpans.count else {
            throw .planesMissing(
                layer: layer, span: count < loadedSpans.count ? loadedSpans[count] : spans.count)
        }
        for (index, span) in loadedSpans.enumerated() {
            let pair = unsafe planes[index]
            try load(
                layer: layer, span: span, keys: unsafe RawSpan(_unsafeBytes: pair.keys),
                values: unsafe RawSpan(_unsafeBytes: pair.values))
        }
        try compute(layer: layer)
    }
}

extension KVPlanes {
    /// Fills one plane from bytes of `elementType` in an array.
    public mutating func decode(
        _ bytes: [UInt8], as elementType: ElementType, into kind: PlaneKind, layer: Int
    ) throws(AttentionError) {
        let bytes = bytes.span
        // SAFETY: the span covers the array for this call; bytes have no padding.
        try decode(unsafe bytes.bytes, as: elementType, into: kind, layer: layer)
    }
}
