// Buffers between a caller's unaligned memory and the disk. Touched once and recycled: fresh memory
// costs more than the copy.

import BlockIO
import Primitives
import Synchronization

/// A staging buffer being filled. Held by one put, then by one write, then by the pool.
final class StagingBuffer: @unchecked Sendable {
    // SAFETY: handed from owner to owner; never used by two at once.
    private var buffer: AlignedBuffer
    private(set) var usedBytes = 0

    init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }

    var freeBytes: Int { buffer.byteCount - usedBytes }

    /// What was filled, as the source of a write.
    var slice: IOSlice { buffer.slice.slice(offset: 0, byteCount: usedBytes) }

    /// Copies as much of `bytes` as fits; returns how much that was.
    func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = min(bytes.count, freeBytes)
        let start = usedBytes
        unsafe buffer.withMutableBytes { target in
            // SAFETY: `count` bytes fit behind `start`.
            unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<start + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
        usedBytes += count
        return count
    }

    /// Appends zeros.
    func appendZeros(_ count: Int) {
        let start = usedBytes
        unsafe buffer.withMutableBytes { target in
            for index in start..<start + count { unsafe target[index] = 0 }
        }
        usedBytes += count
    }

    func reset() { usedBytes = 0 }
}

final class StagingPool: Sendable {
    static let bufferBytes = 1 << 20
    /// What the pool keeps; more is given back to the system.
    static let keptBufferCountMax = 32
    private let free = Mutex<[StagingBuffer]>([])
    private let disk: any Disk

    init(disk: any Disk) { self.disk = disk }

    func take() -> StagingBuffer {
        if let buffer = free.withLock({ $0.popLast() }) { return buffer }
        return StagingBuffer(disk.makeBuffer(byteCount: Self.bufferBytes))
    }

    func give(_ buffer: StagingBuffer) {
        buffer.reset()
        free.withLock { if $0.count < Self.keptBufferCountMax { $0.append(buffer) } }
    }
}
