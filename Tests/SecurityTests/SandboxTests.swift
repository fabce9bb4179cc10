// S-20, S-21: no page fault stands for a read, and the store works where io_uring is forbidden.

import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import StoreTestSupport
import Testing

@Suite("S-20 S-21: pages and sandboxes")
struct SandboxTests {
    @Test(
        "S-20 a file that is cut under a live reader is an error, not a signal",
        arguments: [DiskEngine.threads, .automatic])
    func truncatedUnderReader(engine: DiskEngine) throws {
        let place = TemporaryDirectory()
        var options = realOptions
        options.disk.engine = engine
        let db = try ChunkDB.openAndWait(at: place.path, options: options)
        try db.wait { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 1...4 as ClosedRange<UInt64> { try await TestChunk(owner).put(in: space) }
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            for file in try FileManager.default.contentsOfDirectory(
                atPath: place.path + "/segments")
            {
                #expect(truncate(place.path + "/segments/" + file, 4_096) == 0)
            }
            for owner in 1...4 as ClosedRange<UInt64> {
                do {
                    _ = try await TestChunk(owner).isIntact(in: space)
                    Issue.record("read from a file that has no bytes")
                } catch StoreError.damaged {}
            }
            await db.close()
        }
    }

    /// Tells the kernel to answer io_uring_setup with EPERM from now on, on this thread and those
    /// it makes. `prctl` takes variable arguments, which Swift does not import.
    static func forbidRing() -> Bool {
        typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
        guard let symbol = dlsym(nil, "prctl") else { return false }
        let control = unsafeBitCast(symbol, to: Control.self)
        // Load the call's number; io_uring_setup is 425 everywhere; EPERM; allow.
        let code: [UInt64] = [
            0x0000_0000_0000_0020, 425 << 32 | 0x0100_0015, 0x0005_0001 << 32 | 0x06,
            0x7FFF_0000 << 32 | 0x06,
        ]
        return code.withUnsafeBufferPointer { instructions in
            var program = (UInt(instructions.count), UInt(bitPattern: instructions.baseAddress))
            return withUnsafePointer(to: &program) { pointer in
                let noNewPrivileges = control(38, 1, 0, 0, 0)
                let filter = control(22, 2, UInt(bitPattern: pointer), 0, 0)
                return noNewPrivileges == 0 && filter == 0
            }
        }
    }

    @Test("S-21 under a filter that forbids io_uring, threads do the work and say so")
    func forbiddenRing() async {
        await #expect(processExitsWith: .exitCode(7)) {
            guard SandboxTests.forbidRing() else { exit(9) }
            let place = TemporaryDirectory()
            var options = realOptions
            options.disk.engine = .automatic
            let db = try ChunkDB.openAndWait(at: place.path, options: options)
            let isSaid = db.disk.notes.contains { $0.contains("io_uring is not available") }
            let isIntact = try db.wait { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                try await TestChunk(1).put(in: space)
                let isIntact = try await TestChunk(1).isIntact(in: space)
                await db.close()
                return isIntact == true
            }
            exit(db.disk.engine == "threads" && isSaid && isIntact ? 7 : 8)
        }
    }
}
