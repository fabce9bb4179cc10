// Layers on a device, in order. A feed by way of the host is a `ChunkFeed` whose slabs are pinned:
//
//     disk ──read──► slab ──verify (the consumer's thread)──► device, by itself ──► nextLayer
//
// While the device fetches layer l, layer l + 1 is verified and later ones are read. A slab is the
// copy's until the driver says that it has ended, whatever becomes of the feed.

import ChunkDB
import Feed
import Synchronization

/// The stored chunks of a prompt on their way to a device.
///
/// *Concurrency:* one consumer; `cancel` is anybody's.
public final class DeviceFeed: AsyncSequence, Sendable {
    public typealias Element = DeviceLayer
    public typealias Failure = DeviceError

    /// What is really done.
    public let path: ActivePath
    /// What was found of the prompt.
    public let prompt: FedPrompt
    public let layerCount: Int
    private let source: any DeviceLayerSource

    /// Opens the chunks' headers and starts reading. Rows go to the beginning of each place of
    /// `slabs`.
    ///
    /// `FeedOptions` holds as for `ChunkFeed`, but for `slackRows`, which has no meaning on the
    /// device, and for cuFile, which takes `layersAhead` and `skippedLayers` alone.
    /// *Throws:* `.store` as `ChunkFeed.start`; `.noPlace`; `.bounceTooSmall`; `.cannotVerify`,
    /// `.encoded` and `.cuFile` by way of cuFile.
    public static func start(
        _ items: [FeedItem], into slabs: DeviceSlabs, by path: DevicePath,
        options: FeedOptions = .init()
    ) async throws(DeviceError) -> DeviceFeed {
        switch path {
        case .bounce(let memory):
            precondition(memory.device === slabs.device, "memory and slabs of one device")
            let source = try await BounceSource.start(items, slabs, memory, options)
            return DeviceFeed(source, slabs, .bounce, options.verification)
        case .cuFile(let files, let verification):
            precondition(files.device === slabs.device, "files and slabs of one device")
            guard verification == .unverified else { throw .cannotVerify }
            let source = try await DirectSource.start(items, slabs, files, options)
            return DeviceFeed(source, slabs, .cuFile, verification)
        }
    }

    private init(
        _ source: any DeviceLayerSource, _ slabs: DeviceSlabs, _ kind: ActivePath.Kind,
        _ verification: Verification
    ) {
        self.source = source
        prompt = source.prompt
        layerCount = slabs.keys.count
        path = ActivePath(
            kind: kind, verification: verification, deviceName: slabs.device.name)
    }

    /// What is on its way ends by itself, and keeps the memory that it needs.
    deinit { source.cancel() }

    /// Positions in the prompt of chunks that are not stored: the caller computes them.
    public var misses: [Int] { prompt.misses }

    /// The next layer once it is on the device; `nil` after the last.
    /// *Throws:* `.store` with what `ChunkFeed.nextLayer` throws; `.driver` or `.cuFile` when the
    /// device did not take it: that layer is not handed over, later ones can be asked for.
    /// `.store(.cancelled)` when the caller's task is: this layer can then be asked for again.
    public func nextLayer() async throws(DeviceError) -> DeviceLayer? {
        try await source.nextLayer()
    }

    /// Nothing more is read or copied, and `nextLayer` gives `nil`.
    public func cancel() { source.cancel() }

    /// Cancels, and returns when no byte of the slabs will change any more: for memory that is used
    /// for something else then.
    public func cancelAndWait() async {
        source.cancel()
        await source.drain()
    }

    // MARK: AsyncSequence

    public struct AsyncIterator: AsyncIteratorProtocol {
        let feed: DeviceFeed

        public mutating func next() async throws(DeviceError) -> DeviceLayer? {
            try await feed.nextLayer()
        }
        public mutating func next(isolation actor: isolated (any Actor)?)
            async throws(DeviceError) -> DeviceLayer?
        {
            try await feed.nextLayer()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(feed: self) }
}

/// One of the ways.
protocol DeviceLayerSource: AnyObject, Sendable {
    var prompt: FedPrompt { get }
    func nextLayer() async throws(DeviceError) -> DeviceLayer?
    func cancel()
    /// After `cancel`: returns when nothing is on its way any more.
    func drain() async
}

extension FedPrompt {
    /// One more than chunks.
    var firstRows: [Int] {
        chunks.reduce(into: [0]) { $0.append($0.last! + $1.tokenCount) }
    }
}
