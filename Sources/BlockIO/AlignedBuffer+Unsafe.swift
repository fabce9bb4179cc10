// Memory for transfers. A buffer has one owner; while a transfer runs, the request holds the
// memory through `slice.owner`, so that even an abandoned transfer has somewhere to write.

import Glibc

/// Aligned memory with one owner, given back when it ends. Zeroed when made, unless told not to.
public struct AlignedBuffer: ~Copyable, Sendable {
    private let storage: BufferStorage

    public init(byteCount: Int, alignment: Int = 4_096, isZeroed: Bool = true) {
        storage = BufferStorage(byteCount: byteCount, alignment: alignment, isZeroed: isZeroed)
    }

    /// A part of memory that somebody else owns, for example a registered pool.
    public init(storage: BufferStorage) { self.storage = storage }

    public var byteCount: Int { storage.byteCount }

    /// Whether the memory was made for this buffer; otherwise it is a part of a pool's.
    public var ownsMemory: Bool { storage.ownsMemory }

    /// The whole buffer as the end of a transfer.
    public var slice: IOSlice { storage.slice }

    /// Reads the bytes. No transfer into the buffer may be in flight.
    public borrowing func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: `storage` lives through the call, and the caller has awaited its transfers.
        try unsafe body(UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount))
    }

    /// Changes the bytes. No transfer on the buffer may be in flight.
    public mutating func withMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: as above, and `mutating` makes the access exclusive.
        try unsafe body(
            UnsafeMutableRawBufferPointer(start: storage.base, count: storage.byteCount))
    }
}

/// The memory behind an `AlignedBuffer`; subclasses give it back to their pool.
@safe open class BufferStorage: @unchecked Sendable {
    // SAFETY: the memory is reached only through the one `AlignedBuffer` or a request's slice.
    public final let base: UnsafeMutableRawPointer
    public final let byteCount: Int
    public final let registration: UInt16?
    /// Whether the memory ends with this object; otherwise it goes back to a pool.
    public final let ownsMemory: Bool

    /// Fresh memory.
    public init(byteCount: Int, alignment: Int, isZeroed: Bool = true) {
        let length = max(byteCount, alignment)
        // SAFETY: allocation of a positive size with a power-of-two alignment; zeroed in full if
        // asked.
        unsafe base = LargePages.allocate(byteCount: length, alignment: alignment)
        if isZeroed { unsafe memset(base, 0, length) }
        self.byteCount = byteCount
        registration = nil
        ownsMemory = true
    }

    /// Memory of a pool, which outlives this object.
    public init(pooled base: UnsafeMutableRawPointer, byteCount: Int, registration: UInt16?) {
        unsafe self.base = unsafe base
        self.byteCount = byteCount
        self.registration = registration
        ownsMemory = false
    }

    deinit {
        // SAFETY: made by this object's initializer; no request holds the object any more.
        if ownsMemory { unsafe base.deallocate() }
    }

    final var slice: IOSlice {
        IOSlice(
            address: unsafe UInt(bitPattern: base), byteCount: byteCount,
            registration: registration, owner: self)
    }
}

/// Memory in huge pages where the system has them: a transfer then has a few long segments instead
/// of one for each 4 KiB, which made reads of 1 MiB two to three times as fast on a virtual disk.
enum LargePages {
    static let pageBytes = 2 << 20

    /// Memory that the caller deallocates; not zeroed.
    static func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let isLarge = byteCount >= pageBytes
        // SAFETY: a positive size and a power-of-two alignment. The advice may be refused. Planes
        // are somebody's prompt, so they stay out of core dumps (S-4).
        let base = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount, alignment: isLarge ? max(alignment, pageBytes) : alignment)
        if isLarge {
            unsafe madvise(base, byteCount, MADV_HUGEPAGE)
            unsafe madvise(base, byteCount, MADV_DONTDUMP)
        }
        return unsafe base
    }
}
