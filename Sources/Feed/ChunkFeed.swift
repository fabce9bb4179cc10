// Layers in order, verified, while later ones are read. All chunks' layer 0 is asked for first,
// then all chunks' layer 1, and so on: a consumer that computes layer l never waits for bytes of
// layer l+2.

import BlockIO
import ChunkDB
import ChunkFormat
import Primitives
import Synchronization

/// A prompt's stored chunks on their way to an attention module.
///
/// *Concurrency:* one consumer. Memory: `layersAhead` + 1 slabs, plus what the consumer keeps.
public final class ChunkFeed: AsyncSequence, Sendable {
    public typealias Element = FedLayer
    public typealias Failure = StoreError

    /// The chunks that are fed, in prompt order.
    public let chunks: [LocatedChunk]
    /// Positions in the request of chunks that are not stored: the caller computes them.
    public let misses: [Int]
    public let layerCount: Int
    /// The layers that are read, ascending.
    private let order: [Int]
    /// The first item's; all belong to one store.
    private let namespace: Namespace
    private let options: FeedOptions
    private let pool: SlabPool
    private let state: Mutex<State>
    private let layouts: [LayerLayout]

    private struct State {
        /// Positions in `order`.
        var nextIndex = 0
        var started: [Int: StartedLayer] = [:]
        var startedCount = 0
    }

    /// Where the extents of one layer land, and the reads that bring them.
    private struct LayerLayout: Sendable {
        var extents: [(extent: LocatedExtent, chunkIndex: Int, offset: Int)] = []
        var runs: [Range<Int>] = []
        var byteCount = 0
    }

    private struct StartedLayer: Sendable {
        let slab: Slab
        let reads: [PendingRead]
    }

    /// Opens the chunks' headers (one read each at most) and starts reading.
    /// *Throws:* `.damaged` when a header does not open; a chunk that is not stored is in `misses`.
    public static func start(_ items: [FeedItem], options: FeedOptions = .init())
        async throws(StoreError) -> ChunkFeed
    {
        guard let first = items.first else {
            throw .shape(what: "chunks to feed", expected: "at least one", found: "none")
        }
        var chunks: [LocatedChunk] = []
        var misses: [Int] = []
        for (index, item) in items.enumerated() {
            guard item.namespace.binding.digest == first.namespace.binding.digest else {
                throw .bindingMismatch(
                    namespace: item.namespace.name, expected: first.namespace.binding.name,
                    found: item.namespace.binding.name)
            }
            // A file's number means nothing on another store's disk.
            guard item.namespace.disk === first.namespace.disk else {
                throw .shape(
                    what: "namespaces to feed from", expected: "of one store",
                    found: "\(first.namespace.name) and \(item.namespace.name) of two")
            }
            if let chunk = try await item.namespace.locate(item.key, variant: item.variant) {
                item.namespace.countUse(of: chunk.entry, fixCost: item.fixCost)
                chunks.append(chunk)
            } else {
                misses.append(index)
            }
        }
        let feed = ChunkFeed(
            chunks: chunks, misses: misses, namespace: first.namespace, options: options)
        feed.prefetch()
        return feed
    }

    private init(
        chunks: [LocatedChunk], misses: [Int], namespace: Namespace, options: FeedOptions
    ) {
        self.chunks = chunks
        self.misses = misses
        self.options = options
        layerCount = namespace.binding.layerCount
        order = (0..<layerCount).filter { !options.skippedLayers.contains($0) }
        self.namespace = namespace
        layouts = (0..<layerCount).map { Self.layOut(chunks, layer: $0) }
        pool = SlabPool(disk: namespace.disk, byteCount: layouts.map(\.byteCount).max() ?? 0)
        state = Mutex(State())
    }

    /// The next layer, complete and verified; `nil` after the last.
    /// *Throws:* `.damaged` with the facts; later layers can still be asked for. `.cancelled` when
    /// the caller's task is; this layer can then be asked for again.
    public func nextLayer() async throws(StoreError) -> FedLayer? {
        let (index, started) = state.withLock { state -> (Int, StartedLayer?) in
            defer { state.nextIndex += 1 }
            return (state.nextIndex, state.started.removeValue(forKey: state.nextIndex))
        }
        guard let started else {
            if index < order.count { throw .log(.closed) }
            return nil
        }
        let layer = order[index]
        let layout = layouts[layer]
        // The reads of one more layer take the place of these; then these are verified meanwhile.
        prefetch()
        var failure: StoreError?
        for (run, read) in zip(layout.runs, started.reads) {
            let result = await read.value()
            if case .failure(let error) = result, error.code == .cancelled {
                // The slab belongs to its reads; whoever asks again gets this layer.
                state.withLock { state in
                    state.nextIndex = index
                    state.started[index] = started
                }
                throw .cancelled
            }
            if failure == nil { failure = check(layout, run, result, started.slab) }
        }
        if let failure {
            pool.give(started.slab)
            if case .damaged = failure { namespace.countDamage() }
            throw failure
        }
        return FedLayer(
            layer: layer, byteCount: layout.byteCount, slab: started.slab, pool: pool,
            places: layout.extents.map {
                FedLayer.PlanePlace(
                    chunkIndex: $0.chunkIndex, kind: $0.extent.kind, offset: $0.offset,
                    byteCount: $0.extent.storedBytes)
            })
    }

    /// Keeps `layersAhead` layers beyond the one being consumed on their way.
    private func prefetch() {
        while true {
            let index = state.withLock { state -> Int? in
                let ahead = Swift.min(Swift.max(options.layersAhead, 1), order.count)
                let limit = state.nextIndex + ahead
                guard state.startedCount < Swift.min(limit, order.count) else { return nil }
                defer { state.startedCount += 1 }
                return state.startedCount
            }
            guard let index else { return }
            let layout = layouts[order[index]]
            let slab = pool.take()
            let reads = namespace.startReads(
                layout.runs.map { run in
                    let first = layout.extents[run.lowerBound]
                    let last = layout.extents[run.upperBound - 1]
                    return (
                        first.extent.file, first.extent.fileOffset,
                        first.extent.keeping(
                            slab.buffer.slice.slice(
                                offset: first.offset,
                                byteCount: last.offset + last.extent.paddedBytes - first.offset))
                    )
                })
            guard let reads else { return pool.give(slab) }
            state.withLock { $0.started[index] = StartedLayer(slab: slab, reads: reads) }
        }
    }

    private func check(
        _ layout: LayerLayout, _ run: Range<Int>, _ result: Result<Int, DiskError>, _ slab: Slab
    ) -> StoreError? {
        let extents = layout.extents[run]
        let expected = extents.reduce(0) { $0 + $1.extent.paddedBytes }
        switch result {
        case .failure(let error): return .log(.disk(error))
        case .success(let found) where found < expected:
            return .damaged(extents.first!.extent.truncated(found: found))
        case .success: break
        }
        namespace.countFed(expected, options.verification)
        guard options.verification == .verified else { return nil }
        for (extent, _, offset) in extents {
            let damage = unsafe slab.buffer.withBytes { bytes in
                // SAFETY: extents were laid out inside the slab.
                unsafe extent.verify(
                    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + extent.paddedBytes]))
            }
            if let damage { return .damaged(damage) }
        }
        return nil
    }

    /// Extents one after the other; neighbours on disk become one read.
    private static func layOut(_ chunks: [LocatedChunk], layer: Int) -> LayerLayout {
        var layout = LayerLayout()
        for (chunkIndex, chunk) in chunks.enumerated() {
            for extent in chunk.extents where extent.layer == layer {
                let index = layout.extents.count
                if let last = layout.extents.last, last.extent.file == extent.file,
                    last.extent.fileOffset + UInt64(last.extent.paddedBytes) == extent.fileOffset
                {
                    let run = layout.runs.removeLast()
                    layout.runs.append(run.lowerBound..<index + 1)
                } else {
                    layout.runs.append(index..<index + 1)
                }
                layout.extents.append((extent, chunkIndex, layout.byteCount))
                layout.byteCount += extent.paddedBytes
            }
        }
        return layout
    }

    // MARK: AsyncSequence

    public struct AsyncIterator: AsyncIteratorProtocol {
        let feed: ChunkFeed

        public mutating func next() async throws(StoreError) -> FedLayer? {
            try await feed.nextLayer()
        }
        public mutating func next(isolation actor: isolated (any Actor)?)
            async throws(StoreError) -> FedLayer?
        {
            try await feed.nextLayer()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(feed: self) }
}
