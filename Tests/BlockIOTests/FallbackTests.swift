import BlockIO
import Foundation
import Glibc
import Testing

/// The ways around what a machine does not have, and that each is reported.
@Suite struct FallbackTests {
    @Test(arguments: [EPERM, ENOSYS, ENOMEM])
    func forbiddenRingMeansThreads(errorNumber: Int32) async throws {
        let place = Place()
        let disk = try place.openDisk(.automatic) { $0.simulated.ringSetup = errorNumber }
        #expect(disk.traits.engine == "threads")
        #expect(disk.traits.notes.contains { $0.contains("io_uring is not available") })
        try await check(disk)
        let error = #expect(throws: DiskError.self) {
            _ = try place.openDisk(.ring) { $0.simulated.ringSetup = errorNumber }
        }
        #expect(error?.errorNumber == errorNumber)
    }

    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func automaticTakesTheRing() async throws {
        let disk = try Place().openDisk(.automatic)
        #expect(disk.traits.engine == "io_uring")
        await disk.shutdown()
    }

    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func olderKernelsRunTheRingToo() async throws {
        let place = Place()
        let disk = try place.openDisk(.ring) {
            $0.simulated.modernFlags = EINVAL
            $0.simulated.fileRegistration = EINVAL
        }
        #expect(disk.traits.notes.contains { $0.contains("deferred") })
        #expect(disk.traits.notes.contains { $0.contains("files are not registered") })
        try await check(disk)
    }

    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func refusedRegistrationIsNoted() async throws {
        let place = Place()
        let disk = try place.openDisk(.ring) { $0.simulated.bufferRegistration = ENOMEM }
        #expect(!disk.traits.hasRegisteredBuffers)
        #expect(disk.traits.notes.contains { $0.contains("RLIMIT_MEMLOCK") })
        #expect(disk.makeBuffer(byteCount: 4_096).slice.registration == nil)
        try await check(disk)
    }

    /// What each thread of this process may run on, as the kernel lists it.
    private func processorLists(_ path: String) throws -> [String] {
        let name = "Cpus_allowed_list:\t"
        return try FileManager.default.contentsOfDirectory(atPath: path).compactMap { task in
            // Threads come and go meanwhile.
            let status = try? String(contentsOfFile: "\(path)/\(task)/status", encoding: .utf8)
            let line = status?.split(separator: "\n").first { $0.hasPrefix(name) }
            return line.map { String($0.dropFirst(name.count)) }
        }
    }

    @Test(.enabled(if: sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1, "one processor proves nothing"))
    func threadsKeepToTheirProcessors() async throws {
        let threads = "/proc/self/task"
        // One that this process may run on: the first of a list such as 0-3,8.
        let allowed = try #require(try processorLists(threads).first)
        let first = try #require(Int(allowed.prefix { $0.isNumber }))
        for engine in Place.engines {
            let place = Place()
            let before = try processorLists(threads).count { $0 == "\(first)" }
            let disk = try place.openDisk(engine) {
                $0.processors = [first]
                $0.threadCount = 2
            }
            try await check(disk) {
                let now = try processorLists(threads).count { $0 == "\(first)" }
                #expect(now > before, "\(engine)")
            }
            let other = try place.openDisk(engine) { $0.processors = [8_191] }
            try await check(other)
            #expect(other.traits.notes.contains { $0.contains("any processor") })
        }
    }

    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func poolRunsOutAndComesBack() async throws {
        let place = Place()
        let disk = try place.openDisk(.ring) { $0.registeredPoolBytes = 2 << 20 }
        try #require(disk.traits.hasRegisteredBuffers)
        do {
            let whole = disk.makeBuffer(byteCount: 2 << 20)
            #expect(whole.slice.registration == 0)
            #expect(disk.makeBuffer(byteCount: 4_096).slice.registration == nil)
            _ = consume whole
        }
        let parts = (0..<4).map { _ in BufferBox(disk.makeBuffer(byteCount: 512 << 10)) }
        #expect(parts.allSatisfy { $0.buffer.slice.registration == 0 })
        #expect(Set(parts.map { $0.buffer.slice.address }).count == 4)
        try await check(disk)
    }

    final class BufferBox {
        let buffer: AlignedBuffer
        init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }
    }

    /// Memory of one disk's pool is plain memory to another.
    @Test(.enabled(if: Place.isRingPossible, "io_uring is forbidden here"))
    func foreignRegisteredMemory() async throws {
        let place = Place()
        let (one, two) = (try place.openDisk(.ring), try place.openDisk(.ring))
        let buffer = filled(one, pattern(8_192, seed: 8))
        let file = try await two.open("a", .createNew)
        try await two.write(file, at: 0, from: buffer.slice)
        await one.shutdown()
        let target = two.makeBuffer(byteCount: 8_192)
        _ = try await two.read(file, at: 0, into: target.slice)
        #expect(target.bytes == buffer.bytes)
        await two.shutdown()
    }

    @Test(arguments: Place.engines)
    func bufferedByNameInMemory(engine: DiskEngine) async throws {
        guard FileManager.default.isWritableFile(atPath: "/dev/shm") else {
            try Test.cancel("no /dev/shm here")
        }
        let place = Place(in: "/dev/shm")
        let disk = try place.openDisk(engine) { $0.buffered = true }
        #expect(!disk.traits.isDirect)
        #expect(disk.traits.notes.contains { $0.contains("buffered") })
        try await check(disk)
    }

    @Test func refusedDirectIsAnErrorUnlessAskedFor() async throws {
        let place = Place()
        let error = #expect(throws: DiskError.self) {
            _ = try place.openDisk(.threads) {
                $0.buffered = false
                $0.simulated.directOpen = EINVAL
            }
        }
        #expect(error?.code == .directIORefused)
        let disk = try place.openDisk(.threads) {
            $0.buffered = true
            $0.simulated.directOpen = EINVAL
        }
        try await check(disk)
    }

    @Test(.enabled(if: Place.isDirectPossible, "the temporary directory refuses O_DIRECT"))
    func directHere() async throws {
        let disk = try Place().openDisk(.automatic)
        #expect(disk.traits.isDirect)
        await disk.shutdown()
    }

    /// A round trip, and the end of the disk.
    private func check(_ disk: any Disk, meanwhile: () throws -> Void = {}) async throws {
        let file = try await disk.open("check", .createNew)
        let source = filled(disk, pattern(1 << 20, seed: 7))
        try await disk.write(file, at: 4_096, from: source.slice)
        try await disk.flush(file)
        try meanwhile()
        let target = disk.makeBuffer(byteCount: 1 << 20)
        #expect(try await disk.read(file, at: 4_096, into: target.slice) == 1 << 20)
        #expect(target.bytes == source.bytes)
        await disk.close(file)
        try await disk.unlink("check")
        await disk.shutdown()
    }
}
