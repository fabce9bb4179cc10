// Reading whole chunks, layer ranges and token ranges. A token range is widened to the digest grid,
// so that every byte that is handed over was verified (CONTRACT G-2).

import BlockIO
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// Whether read bytes are compared with their digests before they are handed over.
public enum Verification: Sendable {
    case verified
    /// The caller takes what the disk gives; counted.
    case unverified
}

extension Namespace {
    /// The planes of a stored variant; `nil` is a miss.
    ///
    /// - Parameters:
    ///   - key: of the chunk.
    ///   - variant: which of its forms.
    ///   - layers: `nil` for all.
    ///   - tokens: rows of every plane; `nil` for all.
    ///   - verification: whether the bytes are compared with their digests.
    /// *Throws:* `.damaged` with the facts when bytes do not verify; nothing is handed over then.
    /// `.cancelled` as soon as the caller's task is; the reads keep their memory until they end.
    /// *Complexity:* one read per plane, adjacent planes merged, all started at once.
    public func get(
        _ key: ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
        tokens: Range<Int>? = nil, verification: Verification = .verified
    ) async throws(StoreError) -> ChunkData? {
        if Task.isCancelled { throw .cancelled }
        try core.gate.enter()
        defer { core.gate.leave() }
        guard let chunk = try await locate(key, variant: variant, layers: layers) else {
            return nil
        }
        return try await get(chunk, layers, tokens, verification)
    }

    /// - Parameter chunk: located with these layers, or with all.
    func get(
        _ chunk: LocatedChunk, _ layers: Range<Int>?, _ tokens: Range<Int>?,
        _ verification: Verification
    ) async throws(StoreError) -> ChunkData {
        if Task.isCancelled { throw .cancelled }
        try core.gate.enter()
        defer { core.gate.leave() }
        let (map, parts) = try plan(chunk, layers, tokens)
        var buffer = core.disk.makeReadBuffer(byteCount: max(map.byteCount, 1))
        try await read(parts, into: &buffer, verification)
        touch(map.entry)
        return ChunkData(map: map, buffer: buffer)
    }

    /// As `get`, into the caller's own aligned buffer, without a copy: recycle it, since memory
    /// that is touched for the first time costs more than the read.
    /// *Throws:* also `.shape` when the buffer is too small or not aligned; nothing was read then.
    /// After `.cancelled` the buffer is another one of the same size, with undefined bytes: the
    /// memory of the old one belongs to the reads until they end.
    public func read(
        _ key: ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
        tokens: Range<Int>? = nil, into buffer: inout AlignedBuffer,
        verification: Verification = .verified
    ) async throws(StoreError) -> PlaneMap? {
        if Task.isCancelled { throw .cancelled }
        try core.gate.enter()
        defer { core.gate.leave() }
        guard let chunk = try await locate(key, variant: variant, layers: layers) else {
            return nil
        }
        let (map, parts) = try plan(chunk, layers, tokens)
        let isAligned = buffer.slice.address.isMultiple(
            of: UInt(core.log.superblock.alignmentUnit))
        guard buffer.byteCount >= map.byteCount, isAligned else {
            throw .shape(
                what: "buffer", expected: "\(map.byteCount) aligned bytes",
                found: "\(buffer.byteCount)\(isAligned ? "" : ", not aligned")")
        }
        do throws(StoreError) {
            try await read(parts, into: &buffer, verification)
        } catch {
            // The old memory belongs to reads that may still be on their way.
            if error == .cancelled {
                buffer = core.disk.makeReadBuffer(byteCount: buffer.byteCount)
            }
            throw error
        }
        touch(map.entry)
        return map
    }

    /// Lays the planes out.
    private func plan(_ chunk: LocatedChunk, _ layers: Range<Int>?, _ tokens: Range<Int>?)
        throws(StoreError) -> (map: PlaneMap, parts: [PartRead])
    {
        let layers = layers ?? 0..<binding.layerCount
        guard layers.lowerBound >= 0, layers.upperBound <= binding.layerCount else {
            throw .shape(
                what: "layers", expected: "within 0..<\(binding.layerCount)", found: "\(layers)")
        }
        let tokens = tokens ?? 0..<chunk.tokenCount
        guard tokens.lowerBound >= 0, tokens.upperBound <= chunk.tokenCount else {
            throw .shape(
                what: "tokens", expected: "within 0..<\(chunk.tokenCount)", found: "\(tokens)")
        }
        let (parts, places, byteCount) = layOut(chunk, layers, tokens)
        let map = PlaneMap(
            entry: chunk.entry, metadata: chunk.metadata,
            layers: layers, tokens: tokens,
            basePosition: chunk.basePosition, byteCount: byteCount, places: places)
        return (map, parts)
    }

    /// Counts a read, in the heat table and in the store's counters.
    func touch(_ entry: ChunkEntry) {
        countUse(entry)
        core.count { $0.getCount += 1 }
    }

    private func layOut(_ chunk: LocatedChunk, _ layers: Range<Int>, _ tokens: Range<Int>)
        -> (parts: [PartRead], places: [PlaneMap.Place], byteCount: Int)
    {
        var parts: [PartRead] = []
        var places: [PlaneMap.Place] = []
        var offset = 0
        for extent in chunk.extents where layers.contains(extent.layer) {
            // An empty range has no bytes anywhere.
            if tokens.isEmpty {
                places.append(
                    PlaneMap.Place(layer: extent.layer, kind: extent.kind, range: 0..<0))
                continue
            }
            let rowBytes = binding.rowBytes(layer: extent.layer)
            let grid = extent.gridBytes
            let first = tokens.lowerBound * rowBytes / grid * grid
            let end = min(aligned(tokens.upperBound * rowBytes, to: grid), extent.gridEnd)
            parts.append(
                PartRead(
                    extent: extent, blockOffset: first, byteCount: end - first,
                    bufferOffset: offset))
            let start = offset + tokens.lowerBound * rowBytes - first
            places.append(
                PlaneMap.Place(
                    layer: extent.layer, kind: extent.kind,
                    range: start..<start + tokens.count * rowBytes))
            // What is decoded may end within a unit, where no read can begin.
            offset += aligned(end - first, to: Int(core.log.superblock.alignmentUnit))
        }
        return (parts, places, offset)
    }
}
