import ChunkDB
import Primitives

/// How to feed.
public struct FeedOptions: Sendable {
    /// Layers that are on their way beside the one in the consumer's hands; 1 at least.
    public var layersAhead: Int
    public var verification: Verification
    /// Layers that the consumer computes itself; they are not read.
    public var skippedLayers: Set<Int> = []
    /// Layers that are read before all others, in this order, whatever `layersAhead` says, and that
    /// pass the bulk of other feeds: those that somebody waits for. No other layer of the feed is
    /// asked for before their reads are there; of several, all but one. Layers are handed over in
    /// ascending order all the same.
    public var firstLayers: [Int] = [0]
    /// Rows of address space behind each prompt's rows, for tokens that are decoded later
    /// (`FedLayer.append`); the memory is taken page by page when rows are appended, as far as the
    /// slab is fresh.
    public var slackRows = 0
    /// The largest single read; `nil` is what the disk reports as its best
    /// (`DiskTraits.pieceBytes`, measured). Rounded down to whole digest blocks, one at least.
    public var readBytes: Int?
    /// Bytes that a feed may have asked for and not yet got; one read at least is always on its
    /// way. Others' bulk requests wait behind so much of a feed at most. By default twice what the
    /// ring hands to the device at once (`DiskOptions.queueBytes`), so that it does not run dry
    /// between a completion and the next read; not measured by itself.
    public var inFlightBytes = 12 << 20
    /// A read that has no answer for so long is counted and told to `stallObserver`, once. The wait
    /// goes on and the memory stays the read's (CONTRACT X-2); `withDeadline` or `cancel` ends
    /// waits. `nil`: only the store watches (`StoreOptions.stallTime`).
    public var readDeadline: Duration?
    /// Told of each such read, from a thread of the store or the disk; must be short.
    public var stallObserver: (@Sendable (StalledRead) -> Void)?
    /// Memory that layers land in, in place of the store's own.
    package var slabs: (any SlabSource)?

    public init(layersAhead: Int = 3, verification: Verification = .verified) {
        self.layersAhead = layersAhead
        self.verification = verification
    }
}

/// Bounded memory for slabs. With none left a feed has fewer layers ahead, and for the layer that
/// is next it says so (`.noRoom`).
package protocol SlabSource: Sendable {
    /// `nil` when there is not as much left.
    func takeSlab(byteCount: Int) -> Slab?
}

/// A read without an answer within `FeedOptions.readDeadline`.
public struct StalledRead: Sendable, Hashable {
    public let layer: Int
    /// The first chunk that waits for it.
    public let key: ChunkKey
    public let variant: VariantID
    /// In the chunk's segment file.
    public let offset: UInt64
    public let byteCount: Int
    public let nanoseconds: UInt64
}

/// What a feed did so far; exact.
public struct FeedCounters: Sendable, Hashable {
    /// Planes of handed-over layers that stand where the disk put them, and the bytes of their
    /// rows…
    public var directPlaneCount: UInt64 = 0
    public var directBytes: UInt64 = 0
    /// …and those that were copied once: rows before them do not end on a unit, several places
    /// share one read, or they were decoded.
    public var copiedPlaneCount: UInt64 = 0
    public var copiedBytes: UInt64 = 0
    /// Reads that the disk was asked for, and their bytes, padding included.
    public var readCount: UInt64 = 0
    public var readBytes: UInt64 = 0
    /// Reads of layers ahead that were cancelled before the disk was asked.
    public var skippedReadCount: UInt64 = 0
    /// Reads that had no answer within `FeedOptions.readDeadline`.
    public var stalledCount: UInt64 = 0
    public init() {}
}
