// Other people's stores, behind the C door of CStorePeers.

import CStorePeers
import ChunkDB
import Foundation

@safe
final class ForeignObjectStore: ObjectStore {
    enum Kind: String, CaseIterable {
        case rocksDB = "RocksDB BlobDB"
        case lmdb = "LMDB"

        var number: Int32 {
            switch self {
            case .rocksDB: Int32(store_peer_rocksdb)
            case .lmdb: Int32(store_peer_lmdb)
            }
        }
        /// The Debian package that it is built with.
        var package: String { self == .rocksDB ? "librocksdb-dev" : "liblmdb-dev" }
        var isBuilt: Bool { store_peer_is_built(number) }
    }

    let path: String
    private let kind: Kind
    private let source: ObjectSource
    private let capacity: Int
    private var memory: AlignedBuffer
    private var peer: UnsafeMutableRawPointer?

    /// - Parameter capacity: of the memory map, where the peer has one.
    init(_ kind: Kind, at path: String, _ source: ObjectSource, capacity: Int, disk: any Disk) {
        self.kind = kind
        self.path = path
        self.source = source
        self.capacity = capacity
        memory = disk.makeBuffer(byteCount: source.byteCount)
    }

    // SAFETY: nobody can be inside a peer that nobody holds.
    deinit { if let peer = unsafe peer { unsafe store_peer_close(peer) } }

    var name: String { kind.rawValue }

    func open() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        unsafe peer = store_peer_open(kind.number, path, capacity)
        if unsafe peer == nil { throw BenchmarkError.world("\(name) does not open in \(path)") }
    }

    func close() throws {
        guard let open = unsafe peer else { return }
        unsafe store_peer_close(open)
        unsafe peer = nil
    }

    // SAFETY: a peer that is open, and memory that outlives the call; here and below.
    func put(_ object: Int) throws {
        let isDone = unsafe source.withBytes(of: object) { bytes in
            unsafe store_peer_put(peer, UInt64(object), bytes.baseAddress, bytes.count)
        }
        if !isDone { throw BenchmarkError.world("\(name): put of object \(object) failed") }
    }

    func get(_ object: Int) throws { try read(object, 0, source.byteCount) }

    func getLayer(_ layer: Int, of objects: [Int]) throws {
        for object in objects { try read(object, layer * source.layerBytes, source.layerBytes) }
    }

    private func read(_ object: Int, _ offset: Int, _ byteCount: Int) throws {
        try unsafe memory.withMutableBytes { bytes in
            guard
                unsafe store_peer_get(
                    peer, UInt64(object), offset, bytes.baseAddress, byteCount)
            else { throw BenchmarkError.wrongBytes("object \(object) of \(name): a miss") }
            try unsafe source.check(
                UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]), of: object, from: offset,
                name)
        }
    }

    func remove(_ object: Int) throws {
        guard unsafe store_peer_remove(peer, UInt64(object)) else {
            throw BenchmarkError.world("\(name): removal of object \(object) failed")
        }
    }

    /// Mapped pages stay in the cache until nobody maps them.
    func forgetCached() throws {
        guard kind == .lmdb else { return }
        try close()
        PageCache.forget(below: path)
        try open()
    }
}
