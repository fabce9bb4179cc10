// What a caller hands in has the shape that the namespace's model says, or is refused before a byte
// of it is taken.

import BlockIO
import ChunkFormat
import KVModel
import Primitives

extension ChunkWriter {
    func paddedBytes(layer: Int) -> Int {
        guard namespace.binding.layers.indices.contains(layer) else { return 0 }
        return aligned(
            namespace.binding.rowBytes(layer: layer) * tokens.count,
            to: Int(namespace.core.log.superblock.alignmentUnit))
    }

    var core: StoreCore { namespace.core }

    /// After a failed write nothing of this put can become true.
    func requireSound() throws(StoreError) {
        if isCancelled { throw .cancelled }
        if let error = writes.error { throw .log(.disk(error)) }
    }

    func requireAlignment(_ buffer: borrowing AlignedBuffer) throws(StoreError) {
        let unit = UInt(core.log.superblock.alignmentUnit)
        guard buffer.slice.address.isMultiple(of: unit) else {
            throw .shape(
                what: "address of a buffer", expected: "a multiple of \(unit)",
                found: "\(buffer.slice.address)")
        }
    }

    func requireShape(
        layer: Int, keyBytes: Int, valueBytes: Int, expected: Int? = nil
    ) throws(StoreError) {
        guard layer == nextLayer, layer < namespace.binding.layerCount else {
            throw .shape(what: "layer", expected: "\(nextLayer)", found: "\(layer)")
        }
        let expected = expected ?? namespace.binding.rowBytes(layer: layer) * tokens.count
        guard keyBytes == expected else {
            throw .shape(
                what: "key plane of layer \(layer)", expected: "\(expected) bytes",
                found: "\(keyBytes)")
        }
        guard valueBytes == expected else {
            throw .shape(
                what: "value plane of layer \(layer)", expected: "\(expected) bytes",
                found: "\(valueBytes)")
        }
    }

    /// Of a buffer with all planes of the layers in turn.
    func requireShape(layers: Range<Int>, _ planes: borrowing AlignedBuffer) throws(StoreError) {
        guard layers.lowerBound == nextLayer, !layers.isEmpty,
            layers.upperBound <= namespace.binding.layerCount
        else {
            throw .shape(
                what: "layers",
                expected: "some of \(nextLayer)..<\(namespace.binding.layerCount), from the first",
                found: "\(layers)")
        }
        let expected = layers.reduce(0) { $0 + 2 * paddedBytes(layer: $1) }
        guard planes.byteCount == expected else {
            throw .shape(
                what: "planes of layers \(layers)", expected: "\(expected) bytes",
                found: "\(planes.byteCount)")
        }
        try requireAlignment(planes)
        var offset = 0
        for layer in layers {
            for what in ["keys", "values"] {
                let place = offset..<offset + paddedBytes(layer: layer)
                try requireZeroPadding(planes, place, layer: layer, "\(what) of layer \(layer)")
                offset = place.upperBound
            }
        }
    }

    /// - Parameter place: of a plane and its padding, in the buffer.
    func requireZeroPadding(
        _ buffer: borrowing AlignedBuffer, _ place: Range<Int>, layer: Int, _ what: String
    ) throws(StoreError) {
        let used = namespace.binding.rowBytes(layer: layer) * tokens.count
        let isZero = unsafe buffer.withBytes { bytes in
            unsafe bytes[place].dropFirst(used).allSatisfy { $0 == 0 }
        }
        guard isZero else {
            throw .shape(what: what, expected: "zeros behind \(used) bytes", found: "others")
        }
    }

    /// Fits what the caller gives into the metadata part that was reserved.
    func encodeMetadata(
        _ recompute: RecomputeMetadata?, _ detail: VariantDetail
    ) throws(StoreError) -> [UInt8] {
        var recompute = recompute ?? RecomputeMetadata()
        if recompute.prefix.isEmpty {
            recompute.prefix = context.prefix.map { PrefixShare(key: $0, tokenCount: 0) }
        }
        try recompute.requireShape(prefix: context.prefix, tokenCount: tokens.count)
        let bytes = ChunkMetadata(
            tokens: tokens, recompute: recompute, detail: try requireShape(of: detail)
        ).encode()
        guard bytes.count <= plan.metadataBytes else {
            throw .shape(
                what: "metadata", expected: "\(plan.metadataBytes) bytes, as the put reserved",
                found: "\(bytes.count)")
        }
        return bytes
    }

    /// Positions that are consecutive are what the base position says, and are not written (MET-8).
    private func requireShape(of detail: VariantDetail) throws(StoreError) -> VariantDetail {
        var detail = detail
        let positions = detail.positions
        if !positions.isEmpty {
            guard positions.count == tokens.count,
                zip(positions, positions.dropFirst()).allSatisfy({ $0 < $1 }),
                Int(positions[0]) == context.basePosition
            else {
                throw .shape(
                    what: "positions",
                    expected: "\(tokens.count), rising from \(context.basePosition)",
                    found: "\(positions.count) from \(positions[0])")
            }
            if Int(positions[positions.count - 1] - positions[0]) == positions.count - 1 {
                detail.positions = []
            }
        }
        let layerCount = namespace.binding.layerCount
        for (what, found, rowCount) in [
            ("attention within the chunk", detail.layerIntra.count, 1),
            ("attention to the prefix", detail.layerInter.count, context.prefix.count),
        ] where found != 0 && found != layerCount * rowCount {
            throw .shape(
                what: what, expected: "\(rowCount) for each of \(layerCount) layers",
                found: "\(found)")
        }
        guard ChunkMetadata.canHold(detail.others) else {
            throw .shape(
                what: "other sections", expected: "some of unknown kinds, each once",
                found: "kinds \(detail.others.map(\.kind))")
        }
        return detail
    }
}

extension RecomputeMetadata {
    /// What it says of the prefix is of the variant's own, and its scores are one a token.
    func requireShape(prefix keys: [ChunkKey], tokenCount: Int) throws(StoreError) {
        guard prefix.map(\.key) == keys else {
            throw .shape(
                what: "prefix of the recompute metadata",
                expected: "\(keys.count) keys, as the put was begun with",
                found: "\(prefix.count) others")
        }
        for share in prefix {
            guard (0...Int(UInt32.max)).contains(share.tokenCount) else {
                throw .shape(
                    what: "tokens of a prefix chunk", expected: "a count",
                    found: "\(share.tokenCount)")
            }
        }
        for (what, count) in [
            ("token scores", tokenScores.count), ("deviation profile", deviationProfile.count),
        ] where count != 0 && count != tokenCount {
            throw .shape(what: what, expected: "one a token, \(tokenCount)", found: "\(count)")
        }
    }
}
