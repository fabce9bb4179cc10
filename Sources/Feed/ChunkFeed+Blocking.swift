// The blocking twin: for threads of an engine's own, and for the C ABI. Not for Swift's cooperative
// threads.

import ChunkDB

extension ChunkFeed {
    /// As `start(_:options:)`; the calling thread waits.
    public static func startAndWait(_ items: [FeedItem], options: FeedOptions = .init())
        throws(StoreError) -> ChunkFeed
    {
        try startAndWait(prompts: [items], options: options)
    }

    /// As `start(prompts:options:)`; the calling thread waits.
    public static func startAndWait(prompts: [[FeedItem]], options: FeedOptions = .init())
        throws(StoreError) -> ChunkFeed
    {
        guard let first = prompts.joined().first?.namespace else { throw noChunks }
        return try first.wait { () async throws(StoreError) in
            try await start(prompts: prompts, options: options)
        }
    }

    /// As `nextLayer`; the calling thread waits and verifies. `cancel` from another thread ends the
    /// wait.
    public func nextLayerAndWait() throws(StoreError) -> FedLayer? {
        try namespace.wait { [self] () async throws(StoreError) in try await nextLayer() }
    }
}
