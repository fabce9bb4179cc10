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

/// How to feed.
public struct FeedOptions: Sendable {
    /// Layers that are on their way beside the one in the consumer's hands; 1 at least.
    public var layersAhead: Int
    public var verification: Verification
    /// Layers that the consumer computes itself; they are not read.
    public var skippedLayers: Set<Int> = []

    public init(layersAhead: Int = 3, verification: Verification = .verified) {
        self.layersAhead = layersAhead
        self.verification = verification
    }
}
