// The simulated device's hands on a request's memory.

import BlockIO

enum SimulatedMemory {
    static func bytes(of slice: IOSlice) -> [UInt8] {
        guard slice.byteCount > 0 else { return [] }
        // SAFETY: between submit and completion the memory is the disk's, alive through `owner`.
        return unsafe Array(
            UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: slice.address), count: slice.byteCount))
    }

    static func store(_ bytes: [UInt8], in slice: IOSlice) {
        precondition(bytes.count <= slice.byteCount)
        guard !bytes.isEmpty else { return }
        // SAFETY: as above, and the count was checked.
        unsafe UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: slice.address), count: slice.byteCount
        ).copyBytes(from: bytes)
    }

    /// Makes a reader who looks before the completion see nonsense.
    static func scribble(_ slice: IOSlice) {
        store([UInt8](repeating: 0xA5, count: slice.byteCount), in: slice)
    }
}
