// The simulated device's hands on a request's memory.

import BlockIO
import Glibc

/// Whether all bytes are equal. What `==` says, without its cost in a debug build.
public func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard one.count == other.count else { return false }
    if one.isEmpty { return true }
    return unsafe one.withUnsafeBytes { one in
        // SAFETY: both have `count` bytes.
        unsafe other.withUnsafeBytes { other in
            unsafe memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0
        }
    }
}

/// The memory of words, as this machine keeps them.
public func memoryBytes(_ words: [UInt64]) -> [UInt8] {
    unsafe words.withUnsafeBytes { unsafe Array($0) }
}

enum SimulatedMemory {
    static func bytes(of slice: IOSlice) -> [UInt8] {
        guard slice.byteCount > 0 else { return [] }
        // SAFETY: between submit and completion the memory is the disk's, alive through `owner`.
        return unsafe Array(
            UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: slice.address), count: slice.byteCount))
    }

    static func holds(_ slice: IOSlice, _ bytes: [UInt8]) -> Bool {
        guard slice.byteCount == bytes.count else { return false }
        if bytes.isEmpty { return true }
        return unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: as above, and the counts are equal.
            unsafe memcmp(
                bytes.baseAddress!, UnsafeRawPointer(bitPattern: slice.address)!, bytes.count) == 0
        }
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
        guard slice.byteCount > 0 else { return }
        // SAFETY: as above.
        unsafe memset(
            UnsafeMutableRawPointer(bitPattern: slice.address)!, 0xA5, slice.byteCount)
    }
}
