// The memory of one layer of a prompt: every chunk's key and value rows, where the disk put them.
//
//     ┌──────────────────┬──────────────────┬──────────────────┬─────
//     │ chunk 0: K pad V │ chunk 1: K pad V │ chunk 2: K pad V │ …
//     └──────────────────┴──────────────────┴──────────────────┴─────
//
// Extents land at unit boundaries without a copy. Slabs are made once per feed and go round.

import BlockIO
import ChunkDB
import ChunkFormat
import Primitives
import Synchronization

/// The slabs of one feed: as many as layers may be in memory at once.
final class SlabPool: Sendable {
    private let free: Mutex<[Slab]>
    private let disk: any Disk
    private let byteCount: Int

    init(disk: any Disk, byteCount: Int) {
        self.disk = disk
        self.byteCount = byteCount
        free = Mutex([])
    }

    func take() -> Slab {
        if let slab = free.withLock({ $0.popLast() }) { return slab }
        return Slab(disk.makeReadBuffer(byteCount: max(byteCount, 1)))
    }

    func give(_ slab: Slab) { free.withLock { $0.append(slab) } }
}

/// One layer's memory. Held by the reads into it, then by one `FedLayer`, then by the pool.
final class Slab: Sendable {
    let buffer: AlignedBuffer
    init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }
}

/// One layer of all chunks, complete and verified. Its memory goes back to the feed when the last
/// reference ends.
public final class FedLayer: Sendable {
    /// The transformer layer.
    public let layer: Int
    private let slab: Slab
    private let pool: SlabPool
    private let places: [PlanePlace]

    struct PlanePlace: Sendable {
        let chunkIndex: Int
        let kind: ExtentKind
        let offset: Int
        let byteCount: Int
    }

    init(layer: Int, byteCount: Int, slab: Slab, pool: SlabPool, places: [PlanePlace]) {
        self.layer = layer
        self.byteCount = byteCount
        self.slab = slab
        self.pool = pool
        self.places = places
    }

    deinit { pool.give(slab) }

    /// Bytes that were read for this layer, padding included.
    public let byteCount: Int

    /// The rows of one chunk's key and value planes, together.
    public func withPlanes<Result, Failure: Error>(
        chunk chunkIndex: Int,
        _ body: (_ keys: UnsafeRawBufferPointer, _ values: UnsafeRawBufferPointer)
            throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let keys = place(chunkIndex, .keys)
        let values = place(chunkIndex, .values)
        return try unsafe slab.buffer.withBytes { bytes throws(Failure) in
            // SAFETY: places were laid out inside the slab.
            try unsafe body(
                UnsafeRawBufferPointer(
                    rebasing: bytes[keys.offset..<keys.offset + keys.byteCount]),
                UnsafeRawBufferPointer(
                    rebasing: bytes[values.offset..<values.offset + values.byteCount]))
        }
    }

    private func place(_ chunkIndex: Int, _ kind: ExtentKind) -> PlanePlace {
        guard let place = places.first(where: { $0.chunkIndex == chunkIndex && $0.kind == kind })
        else { preconditionFailure("no chunk \(chunkIndex) in this feed") }
        return place
    }

    /// The rows of one chunk's plane: `[token][kv head][dim]` of the binding's element type.
    /// `chunkIndex` counts the chunks that were found.
    public func withPlane<Result>(
        chunk chunkIndex: Int, _ kind: ExtentKind,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        let place = place(chunkIndex, kind)
        return try unsafe slab.buffer.withBytes { bytes in
            // SAFETY: places were laid out inside the slab.
            try unsafe body(
                UnsafeRawBufferPointer(
                    rebasing: bytes[place.offset..<place.offset + place.byteCount]))
        }
    }
}
