// What one could keep chunks in instead: as objects, each of a chunk's bytes, by number. The least
// that all of them can do, so that a peer is one small file.

import ChunkDB

/// A place for objects. One caller; all memory is the store's own and touched once.
protocol ObjectStore: AnyObject {
    var name: String { get }
    /// The directory that holds its files.
    var path: String { get }
    /// Makes the store, or opens what is there.
    func open() throws
    func close() throws
    /// Durable on return; the object is new.
    func put(_ object: Int) throws
    /// Reads the whole of it, and checks that it is the right one.
    func get(_ object: Int) throws
    /// Reads one layer of each, as well as the store can: layer 0 of a prompt's chunks.
    func getLayer(_ layer: Int, of objects: [Int]) throws
    /// Durable on return.
    func remove(_ object: Int) throws
    /// Lets go of what the page cache holds of it. Not timed.
    func forgetCached() throws
}

extension ObjectStore {
    func forgetCached() throws {}
}

/// Bytes of objects that cannot be compressed. Each is a stretch of one pool, at another unit of
/// it, so that objects differ and cost no memory of their own.
final class ObjectSource: Sendable {
    let byteCount: Int
    let layerCount: Int
    private let pool: AlignedBuffer
    private let placeCount: Int

    init(_ geometry: ChunkGeometry, seed: UInt64, disk: any Disk) {
        byteCount = geometry.chunkBytes
        layerCount = geometry.layerCount
        placeCount = max(min(geometry.chunkBytes / 4_096, 251), 1)
        var pool = disk.makeBuffer(byteCount: byteCount + placeCount * 4_096)
        fillRandom(&pool, seed: seed)
        self.pool = pool
    }

    var layerBytes: Int { byteCount / layerCount }

    /// The bytes of an object, at a multiple of 4,096 in memory.
    func withBytes<Result>(
        of object: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        let start = object % placeCount * 4_096
        let byteCount = byteCount
        return try unsafe pool.withBytes { bytes in
            // SAFETY: the pool is longer than an object by all its places.
            try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount]))
        }
    }

    /// Compares the begin of what was read from `offset` on.
    func check(_ found: UnsafeRawBufferPointer, of object: Int, from offset: Int, _ store: String)
        throws
    {
        let isRight = unsafe withBytes(of: object) { bytes in
            let expected = unsafe bytes[offset..<offset + min(found.count, 64)]
            return unsafe found.prefix(64).elementsEqual(expected)
        }
        if !isRight { throw BenchmarkError.wrongBytes("object \(object) of \(store)") }
    }
}
