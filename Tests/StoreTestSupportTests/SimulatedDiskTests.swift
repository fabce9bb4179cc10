import BlockIO
import Glibc
import Primitives
import StoreTestSupport
import Testing

/// What a simulated disk keeps, and what it may lose.
@Suite struct SimulatedDiskTests {
    static let unit = 4_096

    static func makeDisk(seed: UInt64 = 1) -> SimulatedDisk {
        SimulatedDisk(
            scheduler: SeededScheduler(seed: seed), options: SimulatedDiskOptions(seed: seed))
    }

    /// Writes `byte` to one block.
    static func write(
        _ disk: SimulatedDisk, _ file: FileID, block: Int, byte: UInt8
    ) async throws {
        var buffer = disk.makeBuffer(byteCount: unit)
        buffer.withMutableBytes { for index in $0.indices { $0[index] = byte } }
        try await disk.write(file, at: UInt64(block * unit), from: buffer.slice)
        withExtendedLifetime(buffer) {}
    }

    /// A disk with a durable empty file `a` of eight blocks, open as the result.
    static func prepare(_ disk: SimulatedDisk) async throws -> FileID {
        let file = try await disk.open("a", .createNew)
        try await disk.allocate(file, byteCount: UInt64(8 * unit))
        try await disk.flush(file)
        try await disk.flushDirectory("")
        return file
    }

    static func run<Value: Sendable>(
        _ disk: SimulatedDisk, _ body: @escaping @Sendable () async throws -> Value
    ) throws -> Value {
        try disk.scheduler.wait {
            do { return Result<Value, any Error>.success(try await body()) } catch {
                return .failure(error)
            }
        }.get()
    }

    static func firstBytes(_ disk: SimulatedDisk) -> [UInt8] {
        (0..<8).map { disk.bytes(of: "a", $0 * unit..<$0 * unit + 1)[0] }
    }

    @Test func roundTripAndEndOfFile() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await Self.write(disk, file, block: 7, byte: 9)
            let buffer = disk.makeBuffer(byteCount: 2 * Self.unit)
            let count = try await disk.read(file, at: UInt64(7 * Self.unit), into: buffer.slice)
            #expect(count == Self.unit)
            buffer.withBytes { #expect($0[0] == 9 && $0[Self.unit - 1] == 9) }
            #expect(try await disk.byteCount(of: file) == UInt64(8 * Self.unit))
            #expect(try await disk.list("") == ["a"])
            await disk.shutdown()
        }
        #expect(disk.counters.readCount == 1 && disk.counters.writeCount == 1)
    }

    @Test(
        "MED-8 what a flush that succeeded covered never vanishes",
        arguments: SurvivalPattern.allCases)
    func flushedNeverVanishes(pattern: SurvivalPattern) throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            for block in 0..<8 {
                try await Self.write(disk, file, block: block, byte: UInt8(block + 1))
            }
            try await disk.flush(file)
        }
        for seed in 0..<20 {
            let image = disk.crash(Survival(pattern, seed: UInt64(seed)))
            #expect(Self.firstBytes(image) == [1, 2, 3, 4, 5, 6, 7, 8])
            #expect(image.bytes(of: "a") == disk.bytes(of: "a"))
        }
    }

    @Test func unflushedMayVanish() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            for block in 0..<8 { try await Self.write(disk, file, block: block, byte: 7) }
        }
        func survivors(_ pattern: SurvivalPattern, _ seed: UInt64 = 3) -> Int {
            Self.firstBytes(disk.crash(Survival(pattern, seed: seed))).count { $0 == 7 }
        }
        #expect(survivors(.all) == 8)
        #expect(survivors(.none) == 0)
        #expect(survivors(.one) == 1)
        #expect(survivors(.allButOne) == 7)
        #expect(Set((0..<30).map { survivors(.random, $0) }).count > 3)
    }

    @Test func tornWritesEndAtSectors() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await Self.write(disk, file, block: 0, byte: 7)
        }
        var lengths: Set<Int> = []
        for seed in 0..<60 {
            let image = disk.crash(Survival(.tornPrefix, seed: UInt64(seed)))
            let bytes = image.bytes(of: "a", 0..<Self.unit)
            let length = bytes.firstIndex(of: 0) ?? Self.unit
            #expect(length % 512 == 0 && bytes[length...].allSatisfy { $0 == 0 })
            lengths.insert(length)
        }
        #expect(lengths.count == 9)
    }

    @Test("MED-5 a write beside a flush is not covered by it, whichever of the two ends first")
    func flushCoversOnlyWhatWasSeen() throws {
        var endedBeforeFlush: Set<Bool> = []
        for seed in 0..<40 as Range<UInt64> {
            let disk = Self.makeDisk(seed: seed)
            let start = try Self.run(disk) {
                let file = try await Self.prepare(disk)
                try await Self.write(disk, file, block: 0, byte: 1)
                let start = disk.effectCount
                async let flushed: Void = disk.flush(file)
                async let written: Void = Self.write(disk, file, block: 1, byte: 2)
                _ = try await (flushed, written)
                return start
            }
            #expect(Self.firstBytes(disk).prefix(2) == [1, 2])
            let effects = disk.effects[start...]
            func place(_ operation: DiskOperation, _ phase: Effect.Phase) throws -> Int {
                try #require(
                    effects.firstIndex { $0.operation == operation && $0.phase == phase })
            }
            let written = try place(.write, .ends)
            let (begun, flushed) = (try place(.flush, .begins), try place(.flush, .ends))
            let isSeen = written < begun
            endedBeforeFlush.insert(written < flushed)
            let image = Self.firstBytes(disk.crash(Survival(.none)))
            #expect(image.prefix(2) == [1, isSeen ? 2 : 0], "seed \(seed)")
        }
        #expect(endedBeforeFlush == [true, false], "both orders were met")
    }

    @Test("MED-9 what a failed flush should have covered is made good by no later one")
    func failedFlushIsNeverMadeGood() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await Self.write(disk, file, block: 0, byte: 1)
            disk.fail(.flush, errorNumber: EIO)
            await #expect(throws: DiskError.self) { try await disk.flush(file) }
            try await disk.flush(file)
            #expect(Self.firstBytes(disk.crash(Survival(.none)))[0] == 0)
            // Written again and flushed, the old bytes cannot come back over the new ones.
            try await Self.write(disk, file, block: 0, byte: 5)
            try await disk.flush(file)
        }
        for seed in 0..<20 {
            #expect(Self.firstBytes(disk.crash(Survival(.random, seed: UInt64(seed))))[0] == 5)
        }
    }

    @Test("MED-6 names and renames are durable after the flush of their directory")
    func namesNeedTheirDirectory() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await disk.makeDirectory("d")
            let other = try await disk.open("d/b", .createNew)
            try await disk.flush(other)
            try await disk.rename("a", to: "c")
            _ = file
        }
        #expect(disk.fileNames == ["c", "d/b"])
        #expect(disk.crash(Survival(.none)).fileNames == ["a"])
        #expect(disk.crash(Survival(.all)).fileNames == ["c", "d/b"])
        // A name in a directory that is not durable itself is lost with it.
        try Self.run(disk) { try await disk.flushDirectory("d") }
        #expect(disk.crash(Survival(.none)).fileNames == ["a"])
        try Self.run(disk) { try await disk.flushDirectory("") }
        #expect(disk.crash(Survival(.none)).fileNames == ["c", "d/b"])
    }

    @Test("MED-6 length may survive without content, and content without length")
    func lengthAndContentPartWays() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await Self.write(disk, file, block: 8, byte: 3)
        }
        let long = disk.crash(Survival(data: .none, lengths: .all, names: .all, seed: 0))
        #expect(long.fileByteCount("a") == 9 * Self.unit)
        #expect(long.bytes(of: "a").allSatisfy { $0 == 0 })
        let short = disk.crash(Survival(data: .all, lengths: .none, names: .all, seed: 0))
        #expect(short.fileByteCount("a") == 8 * Self.unit)
    }

    @Test func truncatedSpaceReadsAsZeroAfterFlush() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            for block in 0..<8 { try await Self.write(disk, file, block: block, byte: 7) }
            try await disk.flush(file)
            try await disk.truncate(file, byteCount: UInt64(Self.unit))
            try await Self.write(disk, file, block: 3, byte: 8)
            try await disk.flush(file)
        }
        let image = disk.crash(Survival(.none))
        #expect(image.bytes(of: "a") == disk.bytes(of: "a"))
        #expect(image.fileByteCount("a") == 4 * Self.unit)
        #expect(image.bytes(of: "a", Self.unit..<3 * Self.unit).allSatisfy { $0 == 0 })
    }

    @Test func flipsAndFaults() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            disk.flip("a", byte: 5, bit: 3)
            disk.fail(.read, number: 2, errorNumber: EIO)
            disk.fail(.write, errorNumber: ENOSPC, forever: true)
            let buffer = disk.makeBuffer(byteCount: Self.unit)
            _ = try await disk.read(file, at: 0, into: buffer.slice)
            buffer.withBytes { #expect($0[5] == 8) }
            let error = await #expect(throws: DiskError.self) {
                try await disk.read(file, at: 0, into: buffer.slice)
            }
            #expect(error?.errorNumber == EIO && error?.offset == 0 && error?.file == "a")
            _ = try await disk.read(file, at: 0, into: buffer.slice)
            for _ in 0..<3 {
                let error = await #expect(throws: DiskError.self) {
                    try await Self.write(disk, file, block: 0, byte: 1)
                }
                #expect(error?.code == .noSpace)
            }
        }
    }

    @Test func shortTransfersAreContinued() throws {
        var options = SimulatedDiskOptions()
        options.shortTransferOdds = 2
        let disk = SimulatedDisk(scheduler: SeededScheduler(seed: 1), options: options)
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            for block in 0..<8 { try await Self.write(disk, file, block: block, byte: 1) }
        }
        #expect((1..<8).contains(disk.counters.continuedCount))
        #expect(Self.firstBytes(disk) == Array(repeating: 1, count: 8))
    }

    @Test func capacityIsKept() throws {
        var options = SimulatedDiskOptions()
        options.capacityBytes = UInt64(10 * Self.unit)
        let disk = SimulatedDisk(scheduler: SeededScheduler(seed: 1), options: options)
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            #expect(try await disk.freeByteCount() == UInt64(2 * Self.unit))
            let error = await #expect(throws: DiskError.self) {
                try await disk.allocate(file, byteCount: UInt64(11 * Self.unit))
            }
            #expect(error?.code == .noSpace)
            await disk.close(file)
            try await disk.unlink("a")
            #expect(try await disk.freeByteCount() == UInt64(10 * Self.unit))
        }
    }

    @Test func lockIsExclusiveAmongOpeners() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await disk.lock(file)
            let second = disk.openedAgain()
            let other = try await second.open("a", .readWrite)
            let error = await #expect(throws: DiskError.self) { try await second.lock(other) }
            #expect(error?.code == .locked)
            await disk.shutdown()
            try await second.lock(other)
        }
    }

    @Test func processDeathKeepsWhatCompleted() throws {
        let disk = Self.makeDisk()
        try Self.run(disk) {
            let file = try await Self.prepare(disk)
            try await Self.write(disk, file, block: 0, byte: 4)
        }
        let next = disk.afterProcessDeath(seed: 5)
        #expect(Self.firstBytes(next)[0] == 4)
        // The power may fail after the process did: nothing was flushed meanwhile.
        #expect(Self.firstBytes(next.crash(Survival(.none)))[0] == 0)
    }
}
