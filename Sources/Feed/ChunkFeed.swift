// Layers in order, verified, while later ones are read. All chunks' layer 0 is asked for first,
// then all chunks' layer 1, and so on: a consumer that computes layer l never waits for bytes of
// layer l+2.
//
//     plan (LayerPlan)   where every byte lands
//     load (FeedLoader)  what is asked of the disk, when, and what no longer
//     verify, decode     here, on the consumer's thread, read by read as they come in; while it has
//                        to wait for one, those of later layers

import BlockIO
import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import Synchronization

/// The stored chunks of a prompt, or of several, on their way to an attention module.
///
/// *Concurrency:* one consumer; `cancel` is anybody's. Memory: `layersAhead` + 1 slabs and one for
/// each of `firstLayers`, from the store's pool, plus what the consumer keeps.
public final class ChunkFeed: AsyncSequence, Sendable {
    public typealias Element = FedLayer
    public typealias Failure = StoreError

    /// What was found, of each prompt.
    public let prompts: [FedPrompt]
    public let layerCount: Int
    /// The first item's; all belong to one store.
    let namespace: Namespace
    private let verification: Verification
    private let loader: FeedLoader

    /// The chunks of the first prompt that are fed, in its order.
    public var chunks: [LocatedChunk] { prompts[0].chunks }
    /// Positions in the first prompt of chunks that are not stored: the caller computes them.
    public var misses: [Int] { prompts[0].misses }
    /// What was done so far.
    public var counters: FeedCounters { loader.counters }

    /// Opens the chunks' headers (one read each at most, all at once) and starts reading.
    /// *Throws:* `.damaged` when a header does not open; a chunk that is not stored is in `misses`.
    /// `.shape` for no chunks, several stores, or slabs larger than any is; `.bindingMismatch`.
    public static func start(_ items: [FeedItem], options: FeedOptions = .init())
        async throws(StoreError) -> ChunkFeed
    {
        try await start(prompts: [items], options: options)
    }

    /// As `start(_:options:)`, for several prompts at once: each has its own rows in every layer,
    /// and a chunk that stands in several of them is read once.
    public static func start(prompts: [[FeedItem]], options: FeedOptions = .init())
        async throws(StoreError) -> ChunkFeed
    {
        guard let first = prompts.joined().first?.namespace else { throw noChunks }
        try requireOneStore(prompts.joined().map(\.namespace), first)
        let (found, chunks) = try await FoundChunks.find(prompts)
        let disk = first.disk.traits
        let shape = FeedShape(
            binding: first.binding, chunks: chunks, prompts: found, slackRows: options.slackRows,
            unit: disk.alignment, readBytes: options.readBytes ?? disk.pieceBytes)
        try shape.requireRoom()
        let feed = ChunkFeed(first, shape, options)
        _ = try feed.loader.advance(isStart: true)
        return feed
    }

    private init(_ namespace: Namespace, _ shape: FeedShape, _ options: FeedOptions) {
        self.namespace = namespace
        prompts = shape.prompts
        verification = options.verification
        layerCount = namespace.binding.layerCount
        let layers = (0..<layerCount).filter { !options.skippedLayers.contains($0) }
        loader = FeedLoader(namespace, shape, layers, options)
    }

    /// What is on its way ends by itself; nothing more is asked for.
    deinit { loader.cancelAll() }

    package static var noChunks: StoreError {
        .shape(what: "chunks to feed", expected: "at least one", found: "none")
    }

    package static func requireOneStore(_ namespaces: [Namespace], _ first: Namespace)
        throws(StoreError)
    {
        let digest = first.binding.digest
        for namespace in namespaces where namespace !== first {
            guard namespace.binding.digest == digest else {
                throw .bindingMismatch(
                    namespace: namespace.name, expected: first.binding.name,
                    found: namespace.binding.name)
            }
            // A file's number means nothing on another store's disk.
            guard namespace.disk === first.disk else {
                throw .shape(
                    what: "namespaces to feed from", expected: "of one store",
                    found: "\(first.name) and \(namespace.name) of two")
            }
        }
    }

    // MARK: Layers

    /// The next layer, complete and verified; `nil` after the last.
    /// *Throws:* `.damaged` with the facts; later layers can still be asked for. `.cancelled` when
    /// the caller's task is; this layer can then be asked for again.
    public func nextLayer() async throws(StoreError) -> FedLayer? {
        while let position = try loader.advance() {
            guard let layer = loader.layer(position) else { continue }
            if try await complete(layer, position),
                let cancelled = loader.handOver(position, layer.plan.landings)
            {
                return FedLayer(
                    layer.plan, layer.slab, byteCount: layer.plan.byteCountRead,
                    cancelled: cancelled)
            }
        }
        return nil
    }

    /// Waits for a layer's reads and puts it together. *Returns:* false when it was cancelled.
    private func complete(_ layer: OpenLayer, _ position: Int) async throws(StoreError) -> Bool {
        while true {
            let (read, failure) = layer.progress.withLock { $0 }
            if let failure {
                loader.cancel([position])
                if case .damaged = failure { namespace.countDamage() }
                throw failure
            }
            if read == layer.plan.reads.count { return true }
            if takeIn(layer, position) || takeInAhead(of: position) { continue }
            switch await loader.wait(for: read, in: position) {
            case .look: if loader.layer(position) == nil { return false }
            case .cancelled: throw .cancelled
            case .closed: throw .log(.closed)
            }
        }
    }

    /// Verifies a read of some later layer that has come in.
    private func takeInAhead(of position: Int) -> Bool {
        loader.openLayers(after: position).contains { takeIn($0.layer, $0.position) }
    }

    /// Verifies the next read of a layer, if it has come in.
    private func takeIn(_ layer: OpenLayer, _ position: Int) -> Bool {
        let (read, failure) = layer.progress.withLock { $0 }
        guard failure == nil, read < layer.plan.reads.count,
            let (end, dead) = loader.end(of: read, in: position)
        else { return false }
        var trouble = check(layer, read, end, dead)
        if trouble == nil {
            trouble = layer.plan.copy(after: read, in: layer.slab, except: dead)
                .map { .damaged($0) }
        }
        layer.progress.withLock { $0 = (read + 1, trouble) }
        return true
    }

    private func check(
        _ layer: OpenLayer, _ number: Int, _ end: FeedState.ReadEnd, _ dead: Set<Int>
    ) -> StoreError? {
        guard case .transferred(let result) = end else { return nil }
        let read = layer.plan.reads[number]
        switch result {
        case .failure(let error): return .log(.disk(error))
        case .success(let found) where found < read.byteCount:
            return .damaged(read.truncated(found: found))
        case .success: break
        }
        namespace.countFed(read.byteCount, verification)
        guard verification == .verified else { return nil }
        return layer.plan.verify(number, in: layer.slab, except: dead).map { .damaged($0) }
    }

    // MARK: Cancelling

    /// Nothing more is read, and `nextLayer` gives `nil`. What is on its way keeps its memory until
    /// it has come (CONTRACT X-1). A wait for a layer ends at once.
    public func cancel() { loader.cancelAll() }

    /// These layers are not handed over, and what was not asked of the disk yet is not read.
    /// Layers in the consumer's hands stay.
    public func cancel(layers: Set<Int>) { loader.cancel(layers: layers) }

    /// The rows of a chunk are zeros in the layers that are handed over from now on, and what was
    /// not asked of the disk yet is not read, unless another place of the feed wants it.
    /// `chunk` counts the chunks of the prompt that were found; others are ignored.
    public func cancel(chunk: Int, prompt: Int = 0) { loader.cancel(chunk: chunk, prompt: prompt) }

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

extension LayerPlan {
    /// What all reads transfer, padding included.
    var byteCountRead: Int { reads.reduce(0) { $0 + $1.byteCount } }
}

extension LayerPlan.Read {
    /// The facts of a read that found the file ending early: of the part in which it ended.
    func truncated(found: Int) -> DamageFacts {
        var left = found
        for part in parts {
            if left < part.byteCount {
                return part.extent.truncated(found: part.blockOffset + left)
            }
            left -= part.byteCount
        }
        preconditionFailure("the read was complete")
    }
}
