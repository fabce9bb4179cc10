// Layers by way of pinned host memory.

import ChunkDB
import Feed
import Primitives
import Synchronization

final class BounceSource: DeviceLayerSource {
    /// A layer that the device fetches, or why it does not.
    private enum Fetch {
        case running(DeviceLayer, OneShot<CopyStream.End>)
        case failed(DeviceError)
    }
    private struct State {
        /// In the layers' order; those that were handed over are not there any more.
        var fetches: [Fetch] = []
        /// Whether the feed has no more layers.
        var isRead = false
        var isCancelled = false
        var hasGiven = false
    }
    private let state = Mutex(State())
    private let feed: ChunkFeed
    private let slabs: DeviceSlabs
    private let memory: BounceMemory
    private let firstRows: [Int]

    var prompt: FedPrompt { feed.prompts[0] }

    static func start(
        _ items: [FeedItem], _ slabs: DeviceSlabs, _ memory: BounceMemory, _ options: FeedOptions
    ) async throws(DeviceError) -> BounceSource {
        var options = options
        options.slabs = memory
        options.slackRows = 0
        do throws(StoreError) {
            let feed = try await ChunkFeed.start(items, options: options)
            return BounceSource(feed, slabs, memory)
        } catch {
            throw memory.told(error)
        }
    }

    private init(_ feed: ChunkFeed, _ slabs: DeviceSlabs, _ memory: BounceMemory) {
        self.feed = feed
        self.slabs = slabs
        self.memory = memory
        firstRows = feed.prompts[0].firstRows
    }

    func nextLayer() async throws(DeviceError) -> DeviceLayer? {
        try await fetchAhead()
        switch state.withLock({ $0.isCancelled ? nil : $0.fetches.first }) {
        case nil: return nil
        case .failed(let error):
            takeFirst()
            throw error
        case .running(let layer, let end):
            guard let end = await end.value() else { throw .store(.cancelled) }
            guard takeFirst() else { return nil }
            try end.get()
            return layer
        }
    }

    /// *Returns:* whether it is wanted still.
    @discardableResult
    private func takeFirst() -> Bool {
        state.withLock { state in
            state.fetches.removeFirst()
            state.hasGiven = true
            return !state.isCancelled
        }
    }

    /// Has the layer behind the next one on its way too, so that one is verified while another is
    /// fetched; but nobody waits longer for the first. *Throws:* what the next one's place in the
    /// order does not matter for.
    private func fetchAhead() async throws(DeviceError) {
        while let hasSome = wantsMore() {
            do throws(StoreError) {
                guard let layer = try await feed.nextLayer() else {
                    return state.withLock { $0.isRead = true }
                }
                let fetch = fetch(layer)
                state.withLock { $0.fetches.append(fetch) }
            } catch {
                switch error {
                case .cancelled: throw .store(error)
                // Memory comes back from what is on its way to the device; then it is asked again.
                case .noRoom where hasSome: return
                case .noRoom: throw memory.told(error)
                default: state.withLock { $0.fetches.append(.failed(.store(error))) }
                }
            }
        }
    }

    /// `nil` when enough is on its way; else whether some is.
    private func wantsMore() -> Bool? {
        state.withLock { state in
            let isEnough = state.fetches.count >= (state.hasGiven ? 2 : 1)
            return isEnough || state.isRead || state.isCancelled ? nil : !state.fetches.isEmpty
        }
    }

    private func fetch(_ layer: FedLayer) -> Fetch {
        let bytes = layer.rowBytes * layer.rowCount()
        do throws(DeviceError) {
            try slabs.require(layer: layer.layer, planeBytes: bytes)
        } catch {
            return .failed(error)
        }
        let target = DeviceLayer(
            layer: layer.layer, slabs: slabs, rowBytes: layer.rowBytes, firstRows: firstRows)
        let end = unsafe layer.withSlabs { keys, values in
            // SAFETY: the stream holds the layer, and with it these bytes, until the copies' end.
            memory.copies.start(
                [
                    CopyStream.Copy(
                        source: UInt(bitPattern: keys.baseAddress), target: target.keys),
                    CopyStream.Copy(
                        source: UInt(bitPattern: values.baseAddress), target: target.values),
                ], holding: layer)
        }
        return .running(target, end)
    }

    func cancel() {
        feed.cancel()
        state.withLock { $0.isCancelled = true }
    }

    func drain() async { await memory.copies.drain() }
}

extension BounceMemory {
    /// A store's error as a device feed throws it.
    func told(_ error: StoreError) -> DeviceError {
        if case .noRoom(let byteCount) = error {
            return .bounceTooSmall(expectedBytes: byteCount, freeBytes: freeByteCount)
        }
        return .store(error)
    }
}
