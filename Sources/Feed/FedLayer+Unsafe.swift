// A layer in the consumer's hands, and how it was put together in its slab.

import ChunkDB
import ChunkFormat
import Primitives
import Synchronization

/// One layer of all chunks of a prompt, complete and verified: all key rows one after the other,
/// all value rows likewise. Its memory goes back to the store's pool when the last reference ends.
///
/// A feed over several prompts gives each its own rows; calls that name no prompt mean the first.
///
/// *Concurrency:* any thread may read; nobody does while rows are appended.
public final class FedLayer: Sendable {
    /// The transformer layer.
    public let layer: Int
    /// Bytes that were read for this layer, padding included.
    public let byteCount: Int
    /// Of one token's keys, and as many of its values.
    public let rowBytes: Int
    private let slab: Slab
    // Not the plan: its extents would keep their segments as long as somebody keeps a layer.
    private let regions: [LayerPlan.Region]
    private let cancelled: Set<ChunkPlace>
    /// Rows behind the chunks', by prompt.
    private let appendedRows: Mutex<[Int]>

    /// Chunks that were cancelled (`ChunkFeed.cancel(chunk:prompt:)`) have rows of zeros.
    init(_ plan: LayerPlan, _ slab: Slab, byteCount: Int, cancelled: Set<ChunkPlace>) {
        layer = plan.layer
        self.byteCount = byteCount
        rowBytes = plan.rowBytes
        regions = plan.regions
        self.slab = slab
        self.cancelled = cancelled
        appendedRows = Mutex(Array(repeating: 0, count: plan.regions.count))
        for place in cancelled {
            let rows = regions[place.prompt].firstRows
            for kind in [ExtentKind.keys, .values] {
                let range = range(kind, place.prompt, rows[place.chunk]..<rows[place.chunk + 1])
                unsafe slab.withMutableBytes { bytes in
                    // SAFETY: laid out inside the slab, into which nothing is read any more.
                    _ = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
                        .initializeMemory(as: UInt8.self, repeating: 0)
                }
            }
        }
    }

    /// Rows of a prompt: its chunks' and those that were appended.
    public func rowCount(prompt: Int = 0) -> Int {
        region(prompt).rowCount + appendedRows.withLock { $0[prompt] }
    }

    /// The rows of one chunk of a prompt. `chunk` counts the chunks that were found.
    public func rows(ofChunk chunk: Int, prompt: Int = 0) -> Range<Int> {
        let rows = region(prompt).firstRows
        precondition(chunk >= 0 && chunk + 1 < rows.count, "no chunk \(chunk) in this feed")
        return rows[chunk]..<rows[chunk + 1]
    }

    /// Whether its reads were cancelled: its rows are zeros.
    public func isCancelled(chunk: Int, prompt: Int = 0) -> Bool {
        cancelled.contains(ChunkPlace(prompt: prompt, chunk: chunk))
    }

    /// All rows of a prompt: `[token][kv head][dim]` of the binding's element type, keys and values
    /// each contiguous.
    public func withSlabs<Result, Failure: Error>(
        prompt: Int = 0,
        _ body: (_ keys: UnsafeRawBufferPointer, _ values: UnsafeRawBufferPointer)
            throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe withRows(0..<rowCount(prompt: prompt), prompt, body)
    }

    /// The rows of one chunk's key and value planes, together.
    public func withPlanes<Result, Failure: Error>(
        chunk: Int, prompt: Int = 0,
        _ body: (_ keys: UnsafeRawBufferPointer, _ values: UnsafeRawBufferPointer)
            throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe withRows(rows(ofChunk: chunk, prompt: prompt), prompt, body)
    }

    /// The rows of one chunk's plane, of keys or values.
    public func withPlane<Result, Failure: Error>(
        chunk: Int, _ kind: ExtentKind, prompt: Int = 0,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe withPlanes(chunk: chunk, prompt: prompt) { keys, values throws(Failure) in
            try unsafe body(kind == .keys ? keys : values)
        }
    }

    private func withRows<Result, Failure: Error>(
        _ rows: Range<Int>, _ prompt: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let keys = range(.keys, prompt, rows)
        let values = range(.values, prompt, rows)
        return try unsafe slab.withBytes { bytes throws(Failure) in
            // SAFETY: laid out inside the slab.
            try unsafe body(
                UnsafeRawBufferPointer(rebasing: bytes[keys]),
                UnsafeRawBufferPointer(rebasing: bytes[values]))
        }
    }

    /// Puts rows of decoded tokens behind the prompt's, as long as there is slack
    /// (`FeedOptions.slackRows`). They belong to this object; the store does not learn of them.
    /// *Throws:* `.shape` when these are not equally many whole rows, or more than fit; nothing was
    /// appended then.
    public func append(keys: RawSpan, values: RawSpan, prompt: Int = 0) throws(StoreError) {
        let region = region(prompt)
        guard keys.byteCount == values.byteCount, keys.byteCount.isMultiple(of: rowBytes) else {
            throw .shape(
                what: "rows to append", expected: "whole rows of \(rowBytes) bytes, keys as values",
                found: "\(keys.byteCount) and \(values.byteCount) bytes")
        }
        let first = rowCount(prompt: prompt)
        let rows = first..<first + keys.byteCount / rowBytes
        guard rows.upperBound * rowBytes <= region.keys.count else {
            throw .shape(
                what: "rows to append", expected: "at most \(region.keys.count / rowBytes - first)",
                found: "\(rows.count)")
        }
        for (kind, source) in [(ExtentKind.keys, 0), (.values, 1)] {
            let target = range(kind, prompt, rows)
            unsafe slab.withMutableBytes { bytes in
                unsafe (source == 0 ? keys : values).withUnsafeBytes { rows in
                    // SAFETY: bounds were checked; the caller says nobody reads meanwhile.
                    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[target])
                        .copyMemory(from: rows)
                }
            }
        }
        appendedRows.withLock { $0[prompt] += rows.count }
    }

    private func region(_ prompt: Int) -> LayerPlan.Region {
        precondition(regions.indices.contains(prompt), "no prompt \(prompt) in this feed")
        return regions[prompt]
    }

    private func range(_ kind: ExtentKind, _ prompt: Int, _ rows: Range<Int>) -> Range<Int> {
        let start = regions[prompt].range(kind).lowerBound
        return start + rows.lowerBound * rowBytes..<start + rows.upperBound * rowBytes
    }
}

/// A chunk of one prompt of a feed.
struct ChunkPlace: Hashable {
    let prompt: Int
    let chunk: Int
}

extension LayerPlan {
    /// Compares what a read brought with its digests, but for chunks that nobody wants any more.
    func verify(_ read: Int, in slab: Slab, except cancelled: Set<Int>) -> DamageFacts? {
        for part in reads[read].parts where !cancelled.contains(part.chunk) {
            let damage = unsafe slab.withBytes { bytes in
                // SAFETY: laid out inside the slab; the read has completed.
                unsafe part.extent.verify(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[part.offset..<part.offset + part.byteCount]),
                    blockOffset: part.blockOffset)
            }
            if let damage { return damage }
        }
        return nil
    }

    /// Copies or decodes what is whole now that the reads up to this one are, but for chunks that
    /// nobody wants any more. *Returns:* what does not decode.
    func copy(after read: Int, in slab: Slab, except cancelled: Set<Int>) -> DamageFacts? {
        for copy in copies[read] where !cancelled.contains(copy.chunk) {
            let damage = unsafe slab.withMutableBytes { bytes -> DamageFacts? in
                // SAFETY: laid out inside the slab; source and target are disjoint, and no read in
                // flight touches either.
                let target = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: bytes[copy.target..<copy.target + copy.byteCount])
                let sourceBytes = copy.coded?.storedBytes ?? copy.byteCount
                let source = unsafe UnsafeRawBufferPointer(
                    rebasing: bytes[copy.source..<copy.source + sourceBytes])
                if let coded = copy.coded { return unsafe coded.decode(source, into: target) }
                unsafe target.copyMemory(from: source)
                return nil
            }
            if let damage { return damage }
        }
        return nil
    }
}
