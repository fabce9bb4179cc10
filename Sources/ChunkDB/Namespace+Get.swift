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
    /// One read of a part of one extent: aligned to the digest grid, aimed at one buffer.
    private struct PartRead {
        let extent: LocatedExtent
        /// Of the extent, on the digest grid.
        let blockOffset: Int
        let byteCount: Int
        let bufferOffset: Int
    }

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
        let buffer = core.disk.makeReadBuffer(byteCount: max(map.byteCount, 1))
        try await read(parts, into: buffer, verification)
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
            try await read(parts, into: buffer, verification)
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
    private func touch(_ entry: ChunkEntry) {
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
            let grid = extent.digestBlockBytes
            let first = tokens.lowerBound * rowBytes / grid * grid
            let end = min(aligned(tokens.upperBound * rowBytes, to: grid), extent.paddedBytes)
            parts.append(
                PartRead(
                    extent: extent, blockOffset: first, byteCount: end - first,
                    bufferOffset: offset))
            let start = offset + tokens.lowerBound * rowBytes - first
            places.append(
                PlaneMap.Place(
                    layer: extent.layer, kind: extent.kind,
                    range: start..<start + tokens.count * rowBytes))
            offset += end - first
        }
        return (parts, places, offset)
    }

    /// Starts all reads, adjacent ones merged, and verifies each as it comes in.
    private func read(
        _ parts: [PartRead], into buffer: borrowing AlignedBuffer, _ verification: Verification
    ) async throws(StoreError) {
        let runs = mergeAdjacent(parts)
        let pending = core.disk.startReads(
            runs.map { run in
                let first = parts[run.lowerBound]
                let last = parts[run.upperBound - 1]
                return (
                    first.extent.file, first.extent.fileOffset + UInt64(first.blockOffset),
                    first.extent.keeping(
                        buffer.slice.slice(
                            offset: first.bufferOffset,
                            byteCount: last.bufferOffset + last.byteCount - first.bufferOffset))
                )
            })
        // Every read is awaited, also after an error: the buffer belongs to them until then. Who is
        // cancelled has to let go of the buffer instead.
        var failure: StoreError?
        for (run, read) in zip(runs, pending) {
            let result = await read.value()
            if case .failure(let error) = result, error.code == .cancelled { throw .cancelled }
            if failure != nil { continue }
            failure = check(parts[run], result, buffer, verification)
        }
        if let failure { throw failure }
    }

    /// Ranges of parts that are neighbours both on disk and in the buffer, up to 4 MiB each.
    private func mergeAdjacent(_ parts: [PartRead]) -> [Range<Int>] {
        let runBytesMax = 4 << 20
        var runs: [Range<Int>] = []
        var runBytes = 0
        for (index, part) in parts.enumerated() {
            if index > 0, let run = runs.last, runBytes + part.byteCount <= runBytesMax {
                let previous = parts[index - 1]
                let end =
                    previous.extent.fileOffset
                    + UInt64(previous.blockOffset + previous.byteCount)
                if previous.extent.file == part.extent.file,
                    end == part.extent.fileOffset + UInt64(part.blockOffset)
                {
                    runs[runs.count - 1] = run.lowerBound..<index + 1
                    runBytes += part.byteCount
                    continue
                }
            }
            runs.append(index..<index + 1)
            runBytes = part.byteCount
        }
        return runs
    }

    private func check(
        _ parts: ArraySlice<PartRead>, _ result: Result<Int, DiskError>,
        _ buffer: borrowing AlignedBuffer, _ verification: Verification
    ) -> StoreError? {
        let expected = parts.reduce(0) { $0 + $1.byteCount }
        switch result {
        case .failure(let error): return .log(.disk(error))
        case .success(let count) where count < expected:
            core.count { $0.damageCount += 1 }
            let extent = parts.first!.extent
            return .damaged(
                extent.facts(
                    ExtentDigests.truncated(extent.row, expected: expected, found: count)))
        case .success: break
        }
        if verification == .unverified {
            core.count { $0.unverifiedBytes += UInt64(expected) }
            return nil
        }
        core.count { $0.verifiedBytes += UInt64(expected) }
        for part in parts {
            let damage = unsafe buffer.withBytes { bytes in
                // SAFETY: parts were laid out inside the buffer.
                unsafe part.extent.verify(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[
                            part.bufferOffset..<part.bufferOffset + part.byteCount]),
                    blockOffset: part.blockOffset)
            }
            if let damage {
                core.count { $0.damageCount += 1 }
                return .damaged(damage)
            }
        }
        return nil
    }
}
