import ChunkDB
import Primitives

/// One chunk of a prompt, in the prompt's order. Chunks may come from several namespaces of one
/// binding: a shared corpus beside a tenant's own.
public struct FeedItem: Sendable {
    public let namespace: Namespace
    public let key: ChunkKey
    public let variant: VariantID
    /// The share of its tokens that will be computed anew, 0 to 1: what its use scores by.
    public let fixCost: Float

    public init(
        _ namespace: Namespace, _ key: ChunkKey, variant: VariantID = .standalone,
        fixCost: Float = 0
    ) {
        self.namespace = namespace
        self.key = key
        self.variant = variant
        self.fixCost = fixCost
    }
}

/// What was found of one prompt.
public struct FedPrompt: Sendable {
    /// The chunks that are fed, in prompt order.
    public let chunks: [LocatedChunk]
    /// Positions in the request of chunks that are not stored: the caller computes them.
    public let misses: [Int]
    /// Of each of `chunks`, its index in the feed's.
    let indices: [Int]
}
