import BlockIO
import Foundation
import Glibc
import Testing

/// What both real engines do alike.
@Suite struct EngineContractTests {
    static let unit = 4_096

    @Test func engineIsWhatWasAskedFor() async throws {
        let place = Place()
        for engine in Place.engines {
            let disk = try place.openDisk(engine)
            #expect(disk.traits.engine == (engine == .ring ? "io_uring" : "threads"))
            #expect(disk.traits.alignment >= 4_096)
            #expect(disk.traits.isDirect == Place.isDirectPossible)
            await disk.shutdown()
            await disk.shutdown()
        }
    }

    @Test(arguments: Place.engines)
    func roundTrip(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        let bytes = pattern(3 * Self.unit, seed: 1)
        let source = filled(disk, bytes)
        try await disk.write(file, at: UInt64(Self.unit), from: source.slice)
        try await disk.flush(file)
        let target = disk.makeBuffer(byteCount: bytes.count)
        #expect(target.bytes.allSatisfy { $0 == 0 })
        let count = try await disk.read(file, at: UInt64(Self.unit), into: target.slice)
        #expect(count == bytes.count && target.bytes == bytes)
        #expect(try await disk.byteCount(of: file) == UInt64(4 * Self.unit))
        #expect(disk.counters.readBytes == UInt64(bytes.count))
        #expect(disk.counters.writtenBytes == UInt64(bytes.count))
        #expect(disk.counters.flushCount == 1)
        await disk.close(file)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func endOfFile(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        let source = filled(disk, pattern(3 << 20, seed: 2))
        try await disk.write(file, at: 0, from: source.slice)
        // An end that no boundary knows, in the middle of the third piece.
        try await disk.truncate(file, byteCount: 1_200_123)
        let target = disk.makeBuffer(byteCount: 4 << 20)
        #expect(try await disk.read(file, at: 0, into: target.slice) == 1_200_123)
        #expect(target.bytes.prefix(1_200_123) == source.bytes.prefix(1_200_123))
        #expect(try await disk.read(file, at: 2 << 20, into: target.slice) == 0)
        let last = target.slice.slice(offset: 0, byteCount: Self.unit)
        #expect(try await disk.read(file, at: UInt64(292 * Self.unit), into: last) == 4_091)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func largeTransfersAreSplitAndWhole(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine) { $0.queueDepth = 4 }
        let file = try await disk.open("a", .createNew)
        let bytes = pattern(9 << 20, seed: 3)
        let source = filled(disk, bytes)
        try await disk.write(file, at: 0, from: source.slice)
        let target = disk.makeBuffer(byteCount: bytes.count)
        #expect(try await disk.read(file, at: 0, into: target.slice) == bytes.count)
        #expect(target.bytes == bytes)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func manyAtOnce(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        let blockCount = 400
        try await disk.allocate(file, byteCount: UInt64(blockCount * Self.unit))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for block in 0..<blockCount {
                group.addTask {
                    let offset = UInt64(block * Self.unit)
                    let source = filled(disk, pattern(Self.unit, seed: UInt64(block)))
                    try await disk.write(file, at: offset, from: source.slice)
                    if block % 50 == 0 { try await disk.flush(file) }
                    let target = disk.makeBuffer(byteCount: Self.unit)
                    let count = try await disk.read(file, at: offset, into: target.slice)
                    #expect(count == Self.unit && target.bytes == source.bytes)
                }
            }
            try await group.waitForAll()
        }
        #expect(disk.counters.writeCount == UInt64(blockCount))
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func aBatchIsEachOfItsRequests(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        let buffer = filled(disk, pattern(64 * Self.unit, seed: 4))
        let slice = buffer.slice
        let (results, report) = AsyncStream.makeStream(of: Result<Int, DiskError>.self)
        disk.submit(
            (0..<64).map { block in
                IORequest(
                    .write, file: file, offset: UInt64(block * Self.unit),
                    slice: slice.slice(offset: block * Self.unit, byteCount: Self.unit)
                ) { report.yield($0) }
            })
        var count = 0
        for await result in results {
            #expect(try result.get() == Self.unit)
            count += 1
            if count == 64 { break }
        }
        let target = disk.makeBuffer(byteCount: 64 * Self.unit)
        _ = try await disk.read(file, at: 0, into: target.slice)
        #expect(target.bytes == buffer.bytes)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func closingWaitsForTransfers(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        let buffer = filled(disk, pattern(8 << 20, seed: 5))
        async let written: Void = disk.write(file, at: 0, from: buffer.slice)
        while disk.counters.writeCount == 0 { await Task.yield() }
        await disk.close(file)
        try await written
        let again = try await disk.open("a", .read)
        #expect(try await disk.byteCount(of: again) == 8 << 20)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func errorsNameFileAndPlace(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("a", .createNew)
        await disk.close(file)
        let readable = try await disk.open("a", .read)
        let buffer = disk.makeBuffer(byteCount: Self.unit)
        let error = await #expect(throws: DiskError.self) {
            try await disk.write(readable, at: 8_192, from: buffer.slice)
        }
        #expect(error?.file == "a" && error?.offset == 8_192 && error?.operation == "write")
        #expect(error?.errorNumber == EBADF)
        let missing = await #expect(throws: DiskError.self) {
            _ = try await disk.open("nowhere", .read)
        }
        #expect(missing?.code == .notFound)
        let present = await #expect(throws: DiskError.self) {
            _ = try await disk.open("a", .createNew)
        }
        #expect(present?.code == .alreadyExists)
        await disk.shutdown()
    }

    /// The file-size limit makes real writes fail, short of the limit first.
    @Test(arguments: Place.engines)
    func fileSizeLimit(engine: DiskEngine) async {
        let name = engine.rawValue
        await #expect(processExitsWith: .success) { [name = name as String] in
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            setrlimit(__rlimit_resource_t(1), &limit)
            let place = Place()
            let disk = try place.openDisk(DiskEngine(rawValue: name)!) { $0.queueDepth = 2 }
            let file = try await disk.open("a", .createNew)
            let buffer = filled(disk, pattern(16 << 20, seed: 6))
            do throws(DiskError) {
                try await disk.write(file, at: 0, from: buffer.slice)
                exit(3)
            } catch {
                let isRight = error.code == .noSpace && error.offset == 1 << 20
                await disk.shutdown()
                exit(isRight ? 0 : 4)
            }
        }
    }

    @Test(arguments: Place.engines)
    func namesAndSpace(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        try await disk.makeDirectory("segments")
        let file = try await disk.open("segments/00000001", .createNew)
        try await disk.allocate(file, byteCount: 1 << 20)
        #expect(try await disk.byteCount(of: file) == 1 << 20)
        #expect(try await disk.allocatedByteCount(of: file) >= 1 << 20)
        try await disk.truncate(file, byteCount: 4_096)
        #expect(try await disk.allocatedByteCount(of: file) <= 8_192)
        try await disk.rename("segments/00000001", to: "b")
        #expect(try await disk.list("") == ["b", "segments"])
        #expect(try await disk.list("segments") == [])
        try await disk.flushDirectory("segments")
        try await disk.flushDirectory("")
        try await disk.unlink("b")
        #expect(try await disk.list("") == ["segments"])
        #expect(try await disk.freeByteCount() > 0)
        await disk.shutdown()
    }

    /// A stale number must not reach a file that came later, nor a closed file keep its descriptor.
    @Test(arguments: Place.engines)
    func closedFilesAreGone(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let first = try await disk.open("a", .createNew)
        #expect(descriptors(of: "a", in: place) == 1)
        await disk.close(first)
        #expect(descriptors(of: "a", in: place) == 0)
        let second = try await disk.open("a", .readWrite)
        #expect(second != first)
        await disk.shutdown()
        #expect(descriptors(of: "a", in: place) == 0)
    }

    private func descriptors(of name: String, in place: Place) -> Int {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return numbers.count { number in
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/self/fd/\(number)")
            return target?.hasSuffix("\(place.path)/\(name)") == true
        }
    }

    @Test func refusedAllocationOnlyGrows() async throws {
        let place = Place()
        let disk = try place.openDisk(.threads) { $0.simulated.allocation = EOPNOTSUPP }
        let file = try await disk.open("a", .createNew)
        try await disk.allocate(file, byteCount: 1 << 20)
        #expect(try await disk.byteCount(of: file) == 1 << 20)
        try await disk.allocate(file, byteCount: 4_096)
        #expect(try await disk.byteCount(of: file) == 1 << 20)
        #expect(disk.traits.notes.contains { $0.contains("reserves no blocks") })
        await disk.shutdown()
    }
}
