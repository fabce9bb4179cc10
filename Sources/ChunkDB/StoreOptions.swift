import BlockIO
import Logging
import Primitives
import Retention
import SegmentLog

/// How to open or create a store.
public struct StoreOptions: Sendable {
    /// The budget, in bytes on the medium, of a store that is made; `nil`: half of what is free
    /// then. `setCapacity` changes that of one that is there.
    public var capacity: ByteCount?
    /// Fixed at creation; `nil`: a sixteenth of the capacity, 64 KiB to 256 MiB. One layer of a
    /// chunk has to fit, and cleaning wants many segments.
    public var segmentSize: ByteCount?
    /// Whether a directory without a store gets one.
    public var createsIfMissing: Bool
    /// Refuse a directory that has a store.
    public var mustBeNew = false
    /// Refuse to open a store with any damage.
    public var isStrict: Bool
    public var disk: DiskOptions
    /// Digest blocks of 1 << shift bytes; 12 to 20.
    public var digestBlockShift: UInt8
    /// Memory for opened record headers, so that a second read of a chunk needs no header read.
    public var headerCacheSize: ByteCount
    /// Memory of finished feeds that is kept for later ones.
    public var slabMemory: ByteCount = .mebibytes(256)
    public var commitsPerCheckpoint: UInt64
    /// A request that the device has not answered for so long is counted (`stalledCount`) and
    /// logged. It keeps memory and range for as long as it takes; `withDeadline` ends waits.
    public var stallTime: Duration = .seconds(10)
    /// Told how far opening has come, from the thread that opens; must be short.
    public var openingProgress: (@Sendable (OpeningProgress) -> Void)?
    /// Whether a full store forgets the least worthy chunks to make room, or refuses puts. What was
    /// removed, or is over its time, makes room either way.
    public var evicts = true
    /// Which those are: a name of `RetentionPolicies.names`.
    public var retentionPolicy = RetentionPolicies.defaultName
    /// Bytes on disk that may be pinned; `nil`: what guaranteed shares leave of three quarters.
    public var pinnedCapacity: ByteCount?
    /// Bytes of segments that leases may keep from being used again; at most a quarter of the
    /// capacity, which is also the default.
    public var leasedCapacity: ByteCount?
    /// For namespaces that want others than the default, by name, whether they exist yet or not.
    public var namespaces: [String: NamespaceOptions] = [:]
    /// For namespaces whose writes are to stay in segments of their own
    /// (`NamespaceOptions.writeClass`).
    public var writeClasses: [WriteClass] = []
    /// What cleaning may copy in a second while nobody waits for it; `nil`: as fast as it can. A
    /// put that finds no room ends the restraint.
    public var cleaningBandwidth: ByteCount?
    /// Told of each variant that was forgotten to make room, from a thread of the store's own; must
    /// be short, and wait for nothing of the store.
    public var evictionObserver:
        (@Sendable (_ namespace: String, _ key: ChunkKey, _ variant: VariantID) -> Void)?
    /// Told of every use, and of every put of a chunk that was not there, from the caller's or a
    /// thread of the store's own; must be short, and wait for nothing of the store.
    public var requestObserver: (@Sendable (StoreRequest) -> Void)?
    /// Told what opening found and what failed in the background; silent by default. Messages hold
    /// no payload, no tokens and no secrets.
    public var logger = Logger(label: "chunkdb") { _ in SwiftLogNoOpLogHandler() }

    public init(
        capacity: ByteCount? = nil, segmentSize: ByteCount? = nil,
        createsIfMissing: Bool = true, isStrict: Bool = false, disk: DiskOptions = .init(),
        digestBlockShift: UInt8 = 16, headerCacheSize: ByteCount = .mebibytes(64),
        commitsPerCheckpoint: UInt64 = 65_536
    ) {
        self.capacity = capacity
        self.segmentSize = segmentSize
        self.createsIfMissing = createsIfMissing
        self.isStrict = isStrict
        self.disk = disk
        self.digestBlockShift = digestBlockShift
        self.headerCacheSize = headerCacheSize
        self.commitsPerCheckpoint = commitsPerCheckpoint
    }
}
