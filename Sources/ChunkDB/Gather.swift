// What sparse readers ask for (RetrievalAttention, LouisKV, LeoAM and their kind): some rows of
// some planes. Rows become blocks, each block is read once however many rows want it, and
// neighbours become one request.

import BlockIO
import ChunkFormat
import KVModel
import Primitives

/// Rows of one plane.
public struct RowSelection: Sendable {
    public var layer: Int
    /// `.keys` or `.values`.
    public var kind: ExtentKind
    /// Tokens of the chunk, from 0, in the order in which their rows are wanted.
    public var tokens: [Int]
    /// Key/value heads of a row; `nil` for all.
    public var heads: Range<Int>?

    public init(layer: Int, _ kind: ExtentKind, tokens: [Int], heads: Range<Int>? = nil) {
        self.layer = layer
        self.kind = kind
        self.tokens = tokens
        self.heads = heads
    }
}

/// Rows of one stored variant.
public struct ChunkRows: Sendable {
    public var key: ChunkKey
    public var variant: VariantID
    public var selections: [RowSelection]

    public init(_ key: ChunkKey, variant: VariantID = .standalone, _ selections: [RowSelection]) {
        self.key = key
        self.variant = variant
        self.selections = selections
    }
}

/// Rows in memory, where they landed. Owns them; they end with it.
public struct GatheredRows: ~Copyable, Sendable {
    /// Where the rows of one selection stand in the buffer.
    struct Place: Sendable {
        let rowBytes: Int
        let offsets: [Int]
    }
    /// Of each chunk, of each selection; `nil` for a miss.
    let places: [[Place]?]
    let buffer: AlignedBuffer
    /// Bytes of the rows that were asked for.
    public let rowBytes: Int
    /// Bytes that were read for them: whole blocks.
    public let readBytes: Int
    public let requestCount: Int

    /// Whether the chunk was there.
    public borrowing func contains(chunk: Int) -> Bool { places[chunk] != nil }

    /// One row, `[kv head][dim]` of the heads that were asked for, where it landed.
    public borrowing func withRow<Result>(
        chunk: Int, selection: Int, row: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        guard let place = places[chunk]?[selection] else {
            preconditionFailure("chunk \(chunk) was not there")
        }
        return try unsafe buffer.withBytes { bytes in
            // SAFETY: rows were laid out inside the buffer.
            try unsafe body(
                UnsafeRawBufferPointer(
                    rebasing: bytes[place.offsets[row]..<place.offsets[row] + place.rowBytes]))
        }
    }

    /// A copy of the rows of one selection, `[row][kv head][dim]`; `nil` for a miss.
    public borrowing func rows(chunk: Int, selection: Int) -> [UInt8]? {
        guard let place = places[chunk]?[selection] else { return nil }
        var rows: [UInt8] = []
        rows.reserveCapacity(place.rowBytes * place.offsets.count)
        for row in place.offsets.indices {
            unsafe withRow(chunk: chunk, selection: selection, row: row) { bytes in
                unsafe rows.append(contentsOf: bytes)
            }
        }
        return rows
    }
}

extension Namespace {
    /// Reads some rows of some planes of some chunks.
    ///
    /// - Parameters:
    ///   - wanted: the chunks, and which rows of each.
    ///   - verification: verified, whole digest blocks are read (`StoreOptions.digestBlockShift`;
    ///     64 KiB unless the store says otherwise); unverified, alignment units. A coded plane is
    ///     read whole, and only its blocks that hold rows are decoded.
    /// *Throws:* `.damaged` when a block that was read does not verify; nothing is handed over.
    /// `.shape` for layers, kinds, tokens or heads that the model or the chunk does not have.
    /// *Complexity:* O(n log n) for n rows, and a read for each run of neighbouring blocks, all
    /// started at once.
    public func gather(_ wanted: [ChunkRows], verification: Verification = .verified)
        async throws(StoreError) -> GatheredRows
    {
        if Task.isCancelled { throw .cancelled }
        try core.gate.enter()
        defer { core.gate.leave() }
        var gathering = Gathering(
            unit: Int(core.log.superblock.alignmentUnit), isVerified: verification == .verified)
        var spans: [[GatheredSpan]?] = []
        var entries: [ChunkEntry] = []
        for rows in wanted {
            guard let chunk = try await locateLayers(of: rows) else {
                spans.append(nil)
                continue
            }
            entries.append(chunk.entry)
            var spansOfChunk: [GatheredSpan] = []
            for selection in rows.selections {
                spansOfChunk.append(try span(selection, of: chunk))
            }
            for span in spansOfChunk { gathering.add(span) }
            spans.append(spansOfChunk)
        }
        let (parts, byteCount) = gathering.layOut()
        var buffer = core.disk.makeReadBuffer(byteCount: max(byteCount, 1))
        let cost = try await read(parts, into: &buffer, verification)
        for entry in entries { touch(entry) }
        let places = spans.map { spans in
            spans?.map { GatheredRows.Place(rowBytes: $0.rowBytes, offsets: $0.offsets(in: parts)) }
        }
        return GatheredRows(
            places: places, buffer: buffer,
            rowBytes: spans.compactMap(\.self).joined().reduce(0) {
                $0 + $1.rowBytes * $1.starts.count
            },
            readBytes: cost.byteCount, requestCount: cost.requestCount)
    }

    private func locateLayers(of rows: ChunkRows) async throws(StoreError) -> LocatedChunk? {
        let layers = rows.selections.map(\.layer)
        for layer in layers where !binding.layers.indices.contains(layer) {
            throw .shape(
                what: "layer", expected: "within 0..<\(binding.layerCount)", found: "\(layer)")
        }
        let range = (layers.min() ?? 0)..<(layers.max() ?? 0) + 1
        return try await locate(rows.key, variant: rows.variant, layers: range)
    }

    private func span(_ selection: RowSelection, of chunk: LocatedChunk) throws(StoreError)
        -> GatheredSpan
    {
        guard let extent = chunk.extent(layer: selection.layer, selection.kind) else {
            throw .shape(
                what: "kind of a plane", expected: "K or V", found: "\(selection.kind)")
        }
        let headCount = binding.layers[selection.layer].kvHeadCount
        let heads = selection.heads ?? 0..<headCount
        guard heads.lowerBound >= 0, heads.upperBound <= headCount, !heads.isEmpty else {
            throw .shape(what: "heads", expected: "within 0..<\(headCount)", found: "\(heads)")
        }
        let tokens = 0..<chunk.tokenCount
        if let wrong = selection.tokens.first(where: { !tokens.contains($0) }) {
            throw .shape(what: "token", expected: "within \(tokens)", found: "\(wrong)")
        }
        let rowBytes = binding.rowBytes(layer: selection.layer)
        let headBytes = rowBytes / headCount
        return GatheredSpan(
            extent: extent, rowBytes: headBytes * heads.count,
            starts: selection.tokens.map { $0 * rowBytes + heads.lowerBound * headBytes })
    }
}

/// Rows of one extent, as its bytes.
private struct GatheredSpan {
    let extent: LocatedExtent
    let rowBytes: Int
    /// Of the extent.
    let starts: [Int]

    /// Where the rows are in the buffer: their blocks stand there in the order of the disk, so that
    /// a row that crosses a border is whole.
    func offsets(in parts: [PartRead]) -> [Int] {
        starts.map { start in
            // The last part that begins at or before the row.
            var (low, high) = (0, parts.count)
            while high - low > 1 {
                let middle = (low + high) / 2
                let isBehind = parts[middle].order > (extent.file.raw, extent.fileOffset, start)
                if isBehind { high = middle } else { low = middle }
            }
            return parts[low].bufferOffset + start - parts[low].blockOffset
        }
    }
}

extension PartRead {
    /// By place on the disk, then within the rows.
    fileprivate var order: (UInt32, UInt64, Int) {
        (extent.file.raw, extent.fileOffset, blockOffset)
    }
}

/// The blocks of all rows, each once.
private struct Gathering {
    let unit: Int
    /// Whole digest blocks then, units otherwise.
    let isVerified: Bool
    private var blocks: [PartRead] = []

    init(unit: Int, isVerified: Bool) {
        self.unit = unit
        self.isVerified = isVerified
    }

    mutating func add(_ span: GatheredSpan) {
        let extent = span.extent
        let grid = isVerified || extent.isCoded ? extent.gridBytes : unit
        for start in span.starts {
            let first = start / grid * grid
            let end = min(aligned(start + span.rowBytes, to: grid), extent.gridEnd)
            blocks.append(
                PartRead(
                    extent: extent, blockOffset: first, byteCount: end - first, bufferOffset: 0))
        }
    }

    /// Runs of neighbouring blocks in the order of the disk, one behind the other in a buffer.
    consuming func layOut() -> (parts: [PartRead], byteCount: Int) {
        let sorted = blocks.sorted { $0.order < $1.order }
        var parts: [PartRead] = []
        var byteCount = 0
        for block in sorted {
            // What is decoded may end within a unit, where no read can begin.
            var (first, bufferOffset) = (block.blockOffset, aligned(byteCount, to: unit))
            if let last = parts.last, last.extent.file == block.extent.file,
                last.extent.fileOffset == block.extent.fileOffset,
                last.blockOffset + last.byteCount >= block.blockOffset
            {
                parts.removeLast()
                (first, bufferOffset) = (last.blockOffset, last.bufferOffset)
            }
            // A row may want one block, and the next of them two.
            let end = max(
                block.blockOffset + block.byteCount,
                first + byteCount - bufferOffset)
            parts.append(
                PartRead(
                    extent: block.extent, blockOffset: first, byteCount: end - first,
                    bufferOffset: bufferOffset))
            byteCount = bufferOffset + end - first
        }
        return (parts, byteCount)
    }
}
