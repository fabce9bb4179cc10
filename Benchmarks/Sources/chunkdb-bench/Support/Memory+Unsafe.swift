import ChunkDB

/// Fills a buffer with bytes that no layer below can compress or fold.
func fillRandom(_ buffer: inout AlignedBuffer, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    unsafe buffer.withMutableBytes { bytes in
        for index in 0..<bytes.count / 8 {
            // SAFETY: whole words inside the buffer.
            unsafe bytes.storeBytes(of: generator.next(), toByteOffset: index * 8, as: UInt64.self)
        }
    }
}

/// The same as an array; `byteCount` is a multiple of 8.
func randomBytes(_ byteCount: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { bytes, initialized in
        let raw = UnsafeMutableRawBufferPointer(bytes)
        for index in 0..<byteCount / 8 {
            // SAFETY: whole words inside the new array.
            unsafe raw.storeBytes(of: generator.next(), toByteOffset: index * 8, as: UInt64.self)
        }
        initialized = byteCount
    }
}

/// Whether the first bytes of a plane are those that were put.
func begins(_ plane: UnsafeRawBufferPointer, with bytes: [UInt8]) -> Bool {
    unsafe plane.count == bytes.count && plane.prefix(64).elementsEqual(bytes.prefix(64))
}

/// Planes side by side in aligned memory, over and over: what who keeps chunks so puts from.
final class PlanePool: Sendable {
    private let memory: AlignedBuffer

    init(_ planes: [[UInt8]]) {
        var memory = AlignedBuffer(byteCount: planes.reduce(0) { $0 + $1.count })
        unsafe memory.withMutableBytes { bytes in
            var rest = unsafe bytes[...]
            for plane in planes {
                // SAFETY: the memory has room for all planes.
                unsafe UnsafeMutableRawBufferPointer(rebasing: rest).copyBytes(from: plane)
                unsafe rest = rest.dropFirst(plane.count)
            }
        }
        self.memory = memory
    }

    /// A part of it; nobody changes it.
    func buffer(at offset: Int, byteCount: Int) -> AlignedBuffer {
        // SAFETY: the part is inside, keeps the pool, and is only read.
        let base = unsafe memory.withBytes {
            unsafe UnsafeMutableRawPointer(mutating: $0.baseAddress! + offset)
        }
        return AlignedBuffer(storage: unsafe Part(self, base, byteCount: byteCount))
    }

    private final class Part: BufferStorage, @unchecked Sendable {
        // SAFETY: immutable.
        private let pool: PlanePool

        init(_ pool: PlanePool, _ base: UnsafeMutableRawPointer, byteCount: Int) {
            self.pool = pool
            unsafe super.init(pooled: base, byteCount: byteCount, registration: nil)
        }
    }
}

/// Memory of one layer that a caller keeps.
final class LayerMemory: Sendable {
    let buffer: AlignedBuffer
    init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }

    /// The extents stand side by side, on disk as here.
    func verify(_ chunk: LocatedChunk) throws {
        var offset = 0
        for extent in chunk.extents {
            let damage = unsafe buffer.withBytes { bytes in
                // SAFETY: the extents of one layer fill the buffer.
                unsafe extent.verify(
                    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + extent.paddedBytes]))
            }
            if let damage { throw StoreError.damaged(damage) }
            offset += extent.paddedBytes
        }
    }
}

/// Reads one word of every cache line.
func touch(_ buffer: borrowing AlignedBuffer) {
    unsafe buffer.withBytes { bytes in
        var sum: UInt64 = 0
        var offset = 0
        while offset < bytes.count {
            // SAFETY: offsets of whole words inside the buffer.
            sum &+= unsafe bytes.load(fromByteOffset: offset, as: UInt64.self)
            offset += 64
        }
        // Random bytes do not sum up to this: the compiler cannot know.
        if sum == 42 { print("") }
    }
}

/// The digest that verification takes, over the whole buffer in blocks of 64 KiB.
func digest(_ buffer: borrowing AlignedBuffer) {
    unsafe buffer.withBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: 1 << 16) {
            // SAFETY: the range is cut to the buffer.
            let found = unsafe Digest128(
                hashing: UnsafeRawBufferPointer(
                    rebasing: bytes[start..<min(start + 1 << 16, bytes.count)]))
            // Random bytes do not digest to this: the compiler cannot know.
            if found == .zero { print("") }
        }
    }
}
