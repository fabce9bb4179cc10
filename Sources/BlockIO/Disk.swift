// The Disk seam (PRODUCT D9): every effect of the engine on a file goes through this protocol, so
// that a test can own time, order and failure. Three engines stand behind it: `RingDisk`
// (io_uring), `ThreadDisk` (positional calls on threads) and the simulated disk of the tests.
//
// Nothing above the engines dereferences the memory of a transfer: an `IOSlice` says where bytes
// come from or go to, and keeps that memory alive until the completion (CONTRACT X-1).
//
// Files are named relative to the store's directory, by names the engine made itself; a `Disk`
// opens them beneath that directory only, never through a link (S-1, S-3).

/// A file that is open in one `Disk`.
public struct FileID: Hashable, Sendable {
    public let raw: UInt32
    public init(_ raw: UInt32) { self.raw = raw }
}

/// How to open a file.
public enum OpenMode: Sendable {
    /// Reads only; the file must exist.
    case read
    /// Reads and writes; the file must exist.
    case readWrite
    /// Reads and writes; the file must not exist (mode 0600).
    case createNew
}

/// How long bytes will live, compared with others': a hint, by which a drive may keep them apart.
public enum WriteLifetime: UInt64, Sendable, CaseIterable {
    case short = 2
    case medium
    case long
    case extreme
}

/// What a disk can do, and what it does; reported, never silent (PRODUCT D10).
public struct DiskTraits: Sendable {
    /// `io_uring`, `threads` or `simulated`.
    public var engine: String
    /// Whether transfers bypass the page cache.
    public var isDirect: Bool
    /// U: every offset, length and address of a transfer is a multiple of it; 4,096 at least.
    public var alignment: Int
    /// Whether `makeBuffer` gives registered memory, and files are registered.
    public var hasRegisteredBuffers: Bool
    /// Why a better way was not taken, for people (for example a small RLIMIT_MEMLOCK).
    public var notes: [String]
    /// The transfer that the device is asked for at once; a multiple of `alignment`.
    public var pieceBytes: Int

    public init(
        engine: String, isDirect: Bool, alignment: Int, hasRegisteredBuffers: Bool,
        notes: [String], pieceBytes: Int = DiskOptions().pieceBytes
    ) {
        self.pieceBytes = pieceBytes
        self.engine = engine
        self.isDirect = isDirect
        self.alignment = alignment
        self.hasRegisteredBuffers = hasRegisteredBuffers
        self.notes = notes
    }
}

/// Exact counts of what a disk was asked to do since it was made.
public struct DiskCounters: Sendable, Equatable {
    public var readCount: UInt64 = 0
    public var readBytes: UInt64 = 0
    public var writeCount: UInt64 = 0
    public var writtenBytes: UInt64 = 0
    public var flushCount: UInt64 = 0
    /// Short or interrupted transfers that were continued.
    public var continuedCount: UInt64 = 0
    /// System calls that submit or wait; 0 where they are not counted.
    public var submitCallCount: UInt64 = 0
    public init() {}
}

/// A place for files, and the only door to it.
public protocol Disk: AnyObject, Sendable {
    var traits: DiskTraits { get }
    var counters: DiskCounters { get }

    /// Starts a transfer or a flush. Returns at once; the request's completion is called exactly
    /// once, on a thread of the disk's own, and must be short. Before that call the memory and the
    /// range of the request belong to the disk.
    func submit(_ request: IORequest)
    /// Starts many; equal to submitting each, at the cost of one.
    func submit(_ requests: [IORequest])

    /// Memory for transfers: aligned to U, zeroed, registered where that is possible.
    func makeBuffer(byteCount: Int) -> AlignedBuffer
    /// As `makeBuffer`, not zeroed: for reads that fill it whole before anybody looks. What stood
    /// in it before is somebody else's, so a short read must never be handed over.
    func makeReadBuffer(byteCount: Int) -> AlignedBuffer

    func open(_ name: String, _ mode: OpenMode) async throws(DiskError) -> FileID
    /// Closes after the last transfer on the file has completed.
    func close(_ file: FileID) async
    func byteCount(of file: FileID) async throws(DiskError) -> UInt64
    /// Bytes that the file occupies on the medium.
    func allocatedByteCount(of file: FileID) async throws(DiskError) -> UInt64
    /// Grows the file to `byteCount` and reserves its blocks. *Durability:* none before a flush.
    func allocate(_ file: FileID, byteCount: UInt64) async throws(DiskError)
    /// Cuts the file to `byteCount`. *Durability:* none before a flush.
    func truncate(_ file: FileID, byteCount: UInt64) async throws(DiskError)
    /// Tells the kernel how long what is written to the file will live. *Returns:* whether it takes
    /// such hints; the drive may still ignore them.
    func setLifetime(_ file: FileID, _ lifetime: WriteLifetime) async -> Bool
    /// Lends the file's descriptor to a library that reads by itself; closing waits until it is
    /// back. The calling thread may be one that blocks. *Returns:* `nil` where there is none.
    func withDescriptor<Value>(of file: FileID, _ body: (Int32) -> Value) -> Value?
    /// Takes the exclusive lock of the file, which falls with the disk's last hold on it.
    /// *Throws:* `.locked` when another opener, of this process or another, has it.
    func lock(_ file: FileID) async throws(DiskError)

    func makeDirectory(_ name: String) async throws(DiskError)
    /// Names in a directory, sorted; `""` is the store's own.
    func list(_ directory: String) async throws(DiskError) -> [String]
    func rename(_ source: String, to target: String) async throws(DiskError)
    func unlink(_ name: String) async throws(DiskError)
    /// Makes creations, renames and removals in a directory durable.
    func flushDirectory(_ name: String) async throws(DiskError)
    /// Bytes that an unprivileged process could still allocate on this file system.
    func freeByteCount() async throws(DiskError) -> UInt64

    /// Waits for all requests, then gives every file and thread back. Idempotent.
    func shutdown() async
}

extension Disk {
    public func makeReadBuffer(byteCount: Int) -> AlignedBuffer {
        makeBuffer(byteCount: byteCount)
    }

    public func withDescriptor<Value>(of file: FileID, _ body: (Int32) -> Value) -> Value? { nil }

    public func submit(_ requests: [IORequest]) {
        for request in requests { submit(request) }
    }
}
