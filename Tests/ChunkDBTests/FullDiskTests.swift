// A file system that is full though the store's budget is not, since others use it too (F-E): on a
// real ext4 of 64 MiB in a file, mounted by loop. Where that is not allowed the suite is skipped,
// and says so.

import BlockIO
import ChunkDB
import EngineTestSupport
import Foundation
import SegmentLog
import Testing

/// A small ext4 of its own, unmounted when it ends.
private final class LoopFileSystem: Sendable {
    let folder = NSTemporaryDirectory() + "chunkdb-loop-\(UUID().uuidString)"
    var path: String { folder + "/mount" }

    /// `nil` when there is no `mkfs.ext4`, or when this process may not mount.
    init?() {
        let image = folder + "/image"
        let isMounted =
            (try? FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)) != nil
            && Self.run("truncate", "-s", "64M", image)
            && Self.run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", image)
            && Self.run("mount", "-o", "loop", image, path)
        if !isMounted {
            try? FileManager.default.removeItem(atPath: folder)
            return nil
        }
    }

    deinit {
        // Lazily if need be: a test that failed may still have the store open.
        if Self.run("umount", path) || Self.run("umount", "-l", path) {
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    static let isAllowed = LoopFileSystem() != nil

    private static func run(_ words: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["timeout", "20"] + words
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Writes a file until it has so many bytes, or until nothing more fits.
    func fill(_ name: String, byteCount: Int = .max) {
        let file = path + "/" + name
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        guard let handle = FileHandle(forWritingAtPath: file) else { return }
        var (written, step) = (0, 1 << 20)
        while written < byteCount, step >= 4_096 {
            do {
                try handle.write(contentsOf: Data(repeating: 7, count: step))
                // Blocks are given out when bytes are written back.
                try handle.synchronize()
                written += step
            } catch {
                step /= 4
            }
        }
        try? handle.close()
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: path + "/" + name)
    }
}

@Suite(
    "A full disk",
    .enabled(if: LoopFileSystem.isAllowed, "needs root, mkfs.ext4 and a loop device"), .serialized)
struct FullDiskTests {
    private static let binding = smallBinding(layers: 4)
    private static func chunk(_ owner: UInt64) -> TestChunk { TestChunk(owner, tokenCount: 100) }

    private static func options(_ engine: DiskEngine) -> StoreOptions {
        var options = StoreOptions(capacity: .gibibytes(1), segmentSize: .mebibytes(4))
        options.disk.engine = engine
        return options
    }

    /// Puts chunks from `owner` on until one is refused. *Returns:* the first that is not there.
    private static func putAll(_ db: ChunkDB, from owner: UInt64) -> (next: UInt64, StoreError?) {
        for owner in owner..<10_000 {
            do throws(StoreError) {
                try db.wait { () async throws(StoreError) in
                    let space = try await db.namespace("acme", model: binding)
                    try await chunk(owner).put(in: space)
                }
            } catch {
                return (owner, error)
            }
        }
        return (10_000, nil)
    }

    private static func expectAll(_ db: ChunkDB, _ owners: Range<UInt64>, _ what: String) throws {
        try db.wait { () async throws(StoreError) in
            let space = try await db.namespace("acme", model: binding)
            for owner in owners {
                let isIntact = try await chunk(owner).isIntact(in: space)
                #expect(isIntact == true, "\(what): chunk \(owner)")
            }
        }
    }

    private static func isFull(_ error: StoreError?) -> Bool {
        switch error {
        case .log(.capacityExceeded): true
        case .log(.disk(let error)): error.code == .noSpace
        default: false
        }
    }

    @Test(
        "F-C F-E O-4 refuses puts with a typed error, loses nothing, goes on with room",
        arguments: [DiskEngine.automatic, .threads])
    func foreignFile(engine: DiskEngine) throws {
        let place = try #require(LoopFileSystem())
        let directory = place.path + "/store"
        place.fill("foreign", byteCount: 16 << 20)
        place.fill("another", byteCount: 8 << 20)
        var db = try ChunkDB.openAndWait(at: directory, options: Self.options(engine))
        let (full, error) = Self.putAll(db, from: 0)
        #expect(full > 50 && Self.isFull(error), "\(full): \(error as Any)")
        place.fill("rest")

        // Still full, and still in service: reads, and the same answer to puts.
        try Self.expectAll(db, 0..<full, "full")
        let (stillFull, again) = Self.putAll(db, from: full)
        #expect(stillFull == full && Self.isFull(again), "\(again as Any)")
        // A checkpoint needs room; it may be refused, and that is all.
        do throws(StoreError) {
            try db.wait { [db] () async throws(StoreError) in try await db.checkpoint() }
        } catch {
            #expect(Self.isFull(error), "\(error)")
        }
        try db.wait { [db] () async throws(StoreError) in try await db.barrier() }

        // Room again: the same store goes on.
        try place.remove("foreign")
        let (resumed, later) = Self.putAll(db, from: full)
        #expect(resumed > full + 20 && Self.isFull(later), "\(resumed): \(later as Any)")
        try Self.expectAll(db, 0..<resumed, "resumed")

        // Closed and opened while full; then with room.
        db.wait { [db] in await db.close() }
        db = try ChunkDB.openAndWait(at: directory, options: Self.options(engine))
        #expect(db.recovery.damages.isEmpty)
        try Self.expectAll(db, 0..<resumed, "opened while full")
        try place.remove("rest")
        try place.remove("another")
        let (last, end) = Self.putAll(db, from: resumed)
        #expect(last > resumed + 20 && Self.isFull(end), "\(last): \(end as Any)")
        db.wait { [db] in await db.close() }
        db = try ChunkDB.openAndWait(at: directory, options: Self.options(engine))
        #expect(db.recovery.damages.isEmpty)
        try Self.expectAll(db, 0..<last, "opened again")
        db.wait { [db] in await db.close() }
        print("FULL DISK: \(full) chunks, then \(resumed), then \(last)")
    }
}
