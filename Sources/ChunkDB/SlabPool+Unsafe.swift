// The memory that feeds land in. Memory that is touched for the first time costs more than the read
// that fills it, so slabs outlive their feeds: the store keeps a bounded amount of them, and once
// it is warm a feed of the same shape takes no new memory. Parts of the disk's own region are not
// kept: they go back to it, where they are as warm, and gets and puts can have them.

import BlockIO
import Synchronization

/// What slabs were made and reused, since the store was opened.
public struct SlabCounters: Sendable, Hashable {
    /// Slabs of fresh memory.
    public var madeCount: UInt64 = 0
    public var madeBytes: UInt64 = 0
    /// Slabs that were there already…
    public var reusedCount: UInt64 = 0
    /// …and those out of the disk's own region (`DiskOptions.registeredPoolBytes`).
    public var regionCount: UInt64 = 0
    /// Slabs that were given back to the system, because more are not kept.
    public var droppedCount: UInt64 = 0
    /// Of slabs that wait for the next feed.
    public var keptBytes = 0
    public init() {}
}

/// Slabs that nobody uses. *Concurrency:* any thread; never waits for the disk.
final class SlabPool: Sendable {
    private struct State {
        /// Oldest first.
        var free: [SlabMemory] = []
        var counters = SlabCounters()
        var keptBytesMax: Int
    }
    private let state: Mutex<State>
    private let disk: any Disk

    init(disk: any Disk, keptBytesMax: Int) {
        self.disk = disk
        state = Mutex(State(keptBytesMax: max(keptBytesMax, 0)))
    }

    var counters: SlabCounters { state.withLock { $0.counters } }

    /// The smallest slab that is large enough and not twice as large as asked for, or a new one.
    func take(byteCount: Int) -> Slab {
        let byteCount = max(byteCount, 1)
        let found = state.withLock { state -> SlabMemory? in
            let fitting = state.free.indices.filter {
                state.free[$0].byteCount >= byteCount && state.free[$0].byteCount / 2 <= byteCount
            }
            guard
                let index = fitting.min(by: { state.free[$0].byteCount < state.free[$1].byteCount })
            else { return nil }
            state.counters.reusedCount += 1
            state.counters.keptBytes -= state.free[index].byteCount
            return state.free.remove(at: index)
        }
        if let found { return Slab(found, self) }
        let memory = SlabMemory(disk.makeReadBuffer(byteCount: byteCount))
        state.withLock { state in
            if memory.buffer.ownsMemory {
                state.counters.madeCount += 1
                state.counters.madeBytes += UInt64(byteCount)
            } else {
                state.counters.regionCount += 1
            }
        }
        return Slab(memory, self)
    }

    fileprivate func give(_ memory: SlabMemory) {
        guard memory.buffer.ownsMemory else { return }
        // What is dropped ends after the lock.
        let dropped = state.withLock { state in
            state.free.append(memory)
            state.counters.keptBytes += memory.byteCount
            return Self.drop(&state)
        }
        withExtendedLifetime(dropped) {}
    }

    /// Keeps nothing from now on: the store is closed.
    func close() {
        let dropped = state.withLock { state in
            state.keptBytesMax = 0
            return Self.drop(&state)
        }
        withExtendedLifetime(dropped) {}
    }

    private static func drop(_ state: inout State) -> [SlabMemory] {
        var dropped: [SlabMemory] = []
        while state.counters.keptBytes > state.keptBytesMax {
            let oldest = state.free.removeFirst()
            state.counters.keptBytes -= oldest.byteCount
            state.counters.droppedCount += 1
            dropped.append(oldest)
        }
        return dropped
    }
}

/// The memory itself: of one `Slab`, or of the pool.
private final class SlabMemory: @unchecked Sendable {
    // SAFETY: has one owner at a time, who says who may look.
    var buffer: AlignedBuffer
    init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }
    var byteCount: Int { buffer.byteCount }
}

/// Aligned memory out of a store's pool, where it returns when the last reference ends. Whoever
/// starts a read into it holds a reference until the completion (CONTRACT X-1). What stood in it
/// before is somebody else's.
public final class Slab: Sendable {
    private let memory: SlabMemory
    private let pool: SlabPool?
    private let whenEnded: (@Sendable () -> Void)?

    fileprivate init(_ memory: SlabMemory, _ pool: SlabPool) {
        self.memory = memory
        self.pool = pool
        whenEnded = nil
    }

    /// Memory of somebody else's, who is told when it can be used again.
    package init(_ buffer: consuming AlignedBuffer, whenEnded: @escaping @Sendable () -> Void) {
        memory = SlabMemory(buffer)
        pool = nil
        self.whenEnded = whenEnded
    }

    deinit {
        pool?.give(memory)
        whenEnded?()
    }

    /// As much as was asked for, or more.
    public var byteCount: Int { memory.byteCount }

    /// The whole slab as the target of reads.
    public var slice: IOSlice { memory.buffer.slice }

    /// Reads the bytes. Nobody writes what is looked at meanwhile, no read in flight either.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe memory.buffer.withBytes(body)
    }

    /// Changes the bytes. Nobody else reads or writes what is changed meanwhile, no read in flight
    /// either.
    public func withMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: the pointer is made of the slice, since several may change disjoint parts.
        let slice = memory.buffer.slice
        return try unsafe body(
            UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: slice.address), count: slice.byteCount))
    }
}
