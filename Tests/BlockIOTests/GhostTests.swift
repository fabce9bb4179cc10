import BlockIO
import Foundation
import Glibc
import Synchronization
import Testing

/// A process that is killed with writes in flight, and the next opener.
@Suite struct GhostTests {
    @Test(arguments: Place.engines)
    func killedWriterLeavesTheStoreToTheNext(engine: DiskEngine) async throws {
        let place = Place()
        for round in 0..<3 {
            let disk = try place.openDisk(engine)
            let isFirst = round == 0
            let lock = try await disk.open("lock", isFirst ? .createNew : .readWrite)
            try await disk.lock(lock)
            if isFirst { await disk.close(try await disk.open("data", .createNew)) }
            await disk.shutdown()
            let (path, name) = (place.path, engine.rawValue)
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = path as String, name = name as String] in
                try await GhostTests.writeAndDie(path, DiskEngine(rawValue: name)!)
            }
        }
        // Whoever holds the lock now sees a file that no ghost still writes to.
        let disk = try place.openDisk(engine)
        try await disk.lock(try await disk.open("lock", .readWrite))
        let data = try await disk.open("data", .read)
        let one = disk.makeBuffer(byteCount: 8 << 20)
        let two = disk.makeBuffer(byteCount: 8 << 20)
        let count = try await disk.read(data, at: 0, into: one.slice)
        usleep(50_000)
        #expect(try await disk.read(data, at: 0, into: two.slice) == count)
        #expect(one.bytes == two.bytes)
        await disk.shutdown()
    }

    static func writeAndDie(_ path: String, _ engine: DiskEngine) async throws {
        var options = DiskOptions()
        options.engine = engine
        options.buffered = !Place.isDirectPossible
        let disk = try openDisk(
            directory: path, create: false, readOnly: false, options: options)
        try await disk.lock(try await disk.open("lock", .readWrite))
        let file = try await disk.open("data", .readWrite)
        let buffer = filled(disk, pattern(8 << 20, seed: UInt64(getpid())))
        let slice = buffer.slice
        for _ in 0..<16 {
            disk.submit(IORequest(.write, file: file, offset: 0, slice: slice) { _ in })
        }
        usleep(2_000)
        kill(getpid(), SIGKILL)
    }
}
