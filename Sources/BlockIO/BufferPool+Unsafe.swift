// One region of memory in huge pages, given out in pieces, so that small buffers have the few long
// segments of large ones. The ring's is registered: pinned and mapped once, which saves the kernel
// the page lookups of every transfer.

import Glibc
import Synchronization

@safe package final class BufferPool: @unchecked Sendable {
    // SAFETY: pieces are disjoint, given out and taken back under `free`'s lock.
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int
    private let unit: Int
    /// Free ranges, in order, never touching each other.
    private let free: Mutex<[Range<Int>]>

    /// The kernel's limit for one registered region.
    static let greatestByteCount = 1 << 30

    package init(byteCount: Int, unit: Int) {
        self.byteCount = byteCount
        self.unit = unit
        // SAFETY: deallocated in `deinit`; pieces are zeroed when they are given out, if asked.
        unsafe base = LargePages.allocate(byteCount: byteCount, alignment: unit)
        free = Mutex([0..<byteCount])
    }

    deinit { unsafe base.deallocate() }

    /// Whether the whole range lies in the pool.
    func contains(_ address: UInt, _ byteCount: Int) -> Bool {
        let start = unsafe UInt(bitPattern: base)
        return address >= start && address + UInt(byteCount) <= start + UInt(self.byteCount)
    }

    /// Memory, or `nil` if no free range is long enough.
    func allocate(_ byteCount: Int, isZeroed: Bool, registration: UInt16?) -> AlignedBuffer? {
        guard let range = take(byteCount) else { return nil }
        // SAFETY: the range is inside the region, and nobody else has it.
        let memory = unsafe base + range.lowerBound
        if isZeroed { unsafe memset(memory, 0, range.count) }
        return AlignedBuffer(
            storage: unsafe PooledStorage(
                self, memory, byteCount: byteCount, registration: registration, range: range))
    }

    /// A range that is the caller's until `giveBack`; whole units. `nil` if none is long enough.
    package func take(_ byteCount: Int) -> Range<Int>? {
        let length = (max(byteCount, 1) + unit - 1) / unit * unit
        return free.withLock { free in
            guard let index = free.firstIndex(where: { $0.count >= length }) else { return nil }
            let range = free[index]
            if range.count == length {
                free.remove(at: index)
            } else {
                free[index] = range.lowerBound + length..<range.upperBound
            }
            return range.lowerBound..<range.lowerBound + length
        }
    }

    package func giveBack(_ range: Range<Int>) {
        free.withLock { free in
            var range = range
            var index = free.firstIndex { $0.lowerBound > range.lowerBound } ?? free.count
            if index < free.count, free[index].lowerBound == range.upperBound {
                range = range.lowerBound..<free[index].upperBound
                free.remove(at: index)
            }
            if index > 0, free[index - 1].upperBound == range.lowerBound {
                index -= 1
                range = free[index].lowerBound..<range.upperBound
                free.remove(at: index)
            }
            free.insert(range, at: index)
        }
    }

    package var freeByteCount: Int { free.withLock { $0.reduce(0) { $0 + $1.count } } }
}

/// A piece of the pool, which it keeps alive.
private final class PooledStorage: BufferStorage, @unchecked Sendable {
    // SAFETY: immutable.
    private let pool: BufferPool
    private let range: Range<Int>

    init(
        _ pool: BufferPool, _ base: UnsafeMutableRawPointer, byteCount: Int,
        registration: UInt16?, range: Range<Int>
    ) {
        self.pool = pool
        self.range = range
        unsafe super.init(pooled: base, byteCount: byteCount, registration: registration)
    }

    deinit { pool.giveBack(range) }
}
