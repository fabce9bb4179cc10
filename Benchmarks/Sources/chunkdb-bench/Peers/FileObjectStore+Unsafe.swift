// A file for every object, as the disk tiers of serving engines keep them: written to a temporary
// name, flushed, renamed, and the directory flushed. Direct, which is the honest opponent, or
// through the page cache.

import CStorePeers
import ChunkDB
import Foundation
import Glibc

final class FileObjectStore: ObjectStore {
    let name: String
    let path: String
    private let isDirect: Bool
    private let source: ObjectSource
    private var memory: AlignedBuffer
    private var directory: Int32 = -1

    init(at path: String, _ source: ObjectSource, isDirect: Bool, disk: any Disk) {
        name = isDirect ? "files, direct" : "files, buffered"
        self.path = path
        self.source = source
        self.isDirect = isDirect
        memory = disk.makeBuffer(byteCount: source.byteCount)
    }

    func open() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        directory = try check("open", path) { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY) }
    }

    func close() throws {
        if directory >= 0 { Glibc.close(directory) }
        directory = -1
    }

    private var directFlag: Int32 { isDirect ? store_peer_direct_flag() : 0 }

    func put(_ object: Int) throws {
        let (file, draft) = (fileName(object), fileName(object) + ".new")
        let descriptor = try check("create", draft) {
            unsafe openat(directory, draft, O_WRONLY | O_CREAT | O_EXCL | directFlag, 0o600)
        }
        defer { Glibc.close(descriptor) }
        try unsafe source.withBytes(of: object) { bytes in
            // SAFETY: the kernel reads inside the object's bytes.
            try move("write", draft, bytes.count) {
                unsafe pwrite(descriptor, bytes.baseAddress! + $0, bytes.count - $0, $0)
            }
        }
        try check("flush", draft) { fdatasync(descriptor) }
        try check("rename", file) { unsafe renameat(directory, draft, directory, file) }
        try check("flush", path) { fsync(directory) }
    }

    func get(_ object: Int) throws { try read(object, 0, source.byteCount) }

    /// One after the other: files give nothing better to who waits for each.
    func getLayer(_ layer: Int, of objects: [Int]) throws {
        for object in objects { try read(object, layer * source.layerBytes, source.layerBytes) }
    }

    private func read(_ object: Int, _ offset: Int, _ byteCount: Int) throws {
        let file = fileName(object)
        let descriptor = try check("open", file) {
            unsafe openat(directory, file, O_RDONLY | directFlag)
        }
        defer { Glibc.close(descriptor) }
        try unsafe memory.withMutableBytes { bytes in
            // SAFETY: the memory has an object's size.
            try move("read", file, byteCount) {
                unsafe pread(
                    descriptor, bytes.baseAddress! + $0, byteCount - $0, offset + $0)
            }
            try unsafe source.check(
                UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]), of: object, from: offset,
                name)
        }
    }

    func remove(_ object: Int) throws {
        let file = fileName(object)
        try check("unlink", file) { unsafe unlinkat(directory, file, 0) }
        try check("flush", path) { fsync(directory) }
    }

    func forgetCached() throws { PageCache.forget(below: path) }

    /// 32 hexadecimal digits, as a content hash has them.
    private func fileName(_ object: Int) -> String {
        let digits = String(object, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    @discardableResult
    private func check(_ operation: String, _ file: String, _ body: () -> Int32) throws -> Int32 {
        let result = body()
        if result < 0 { throw failure(operation, file) }
        return result
    }

    private func move(
        _ operation: String, _ file: String, _ byteCount: Int, _ body: (_ done: Int) -> Int
    ) throws {
        var done = 0
        while done < byteCount {
            let count = body(done)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { throw failure(operation, file) }
            done += count
        }
    }

    private func failure(_ operation: String, _ file: String) -> BenchmarkError {
        .world("\(operation) \(file): \(unsafe String(cString: strerror(errno)))")
    }
}
