import BlockIO
import Primitives
import StoreTestSupport
import Testing

/// The assumptions of format-spec 12, each at its worst: a store that is right on this disk leans
/// on nothing that a device does not promise.
@Suite("What a power cut may leave of writes")
struct MediumTests {
    static let unit = SimulatedDiskTests.unit
    static let seeds = 0..<200 as Range<UInt64>

    /// One write of `count` blocks of `byte`.
    static func write(
        _ disk: SimulatedDisk, _ file: FileID, block: Int, count: Int, byte: UInt8
    ) async throws {
        var buffer = disk.makeBuffer(byteCount: count * unit)
        buffer.withMutableBytes { for index in $0.indices { $0[index] = byte } }
        try await disk.write(file, at: UInt64(block * unit), from: buffer.slice)
        withExtendedLifetime(buffer) {}
    }

    /// Eight durable blocks of 1, then one write of 9 over blocks 3 and 4 that no flush covers.
    static func overwritten() throws -> SimulatedDisk {
        let disk = SimulatedDiskTests.makeDisk()
        try SimulatedDiskTests.run(disk) {
            let file = try await SimulatedDiskTests.prepare(disk)
            try await write(disk, file, block: 0, count: 8, byte: 1)
            try await disk.flush(file)
            try await write(disk, file, block: 3, count: 2, byte: 9)
        }
        return disk
    }

    @Test("MED-2 no byte outside the units of a write changes", arguments: SurvivalPattern.allCases)
    func outside(pattern: SurvivalPattern) throws {
        let disk = try Self.overwritten()
        for seed in Self.seeds {
            let bytes = disk.crash(Survival(pattern, seed: seed)).bytes(of: "a")
            let around = bytes[..<(3 * Self.unit)] + bytes[(5 * Self.unit)...]
            #expect(around.count == 6 * Self.unit && around.allSatisfy { $0 == 1 })
        }
    }

    @Test("MED-3 no write, no unit and no sector is written as a whole or not at all")
    func nothingIsAtomic() throws {
        let disk = try Self.overwritten()
        var seen: Set<String> = []
        for pattern in SurvivalPattern.allCases {
            for seed in Self.seeds {
                let bytes = disk.crash(Survival(pattern, seed: seed)).bytes(of: "a")
                let units = [3, 4].map { Array(bytes[$0 * Self.unit..<($0 + 1) * Self.unit]) }
                let isOld = units.map { $0.allSatisfy { $0 == 1 } }
                let isNew = units.map { $0.allSatisfy { $0 == 9 } }
                if isNew[0] && isOld[1] { seen.insert("half a write") }
                let sectors = stride(from: 3 * Self.unit, to: 5 * Self.unit, by: 512).map {
                    bytes[$0]
                }
                if let hole = sectors.firstIndex(of: 1), sectors[hole...].contains(9) {
                    seen.insert("the end without the begin")
                }
                for unit in units {
                    if unit.contains(1) && unit.contains(9) { seen.insert("half a unit") }
                    let firstSector = unit[..<512]
                    if Set(firstSector).count > 2 { seen.insert("a sector of neither") }
                }
            }
        }
        #expect(
            seen == [
                "half a write", "the end without the begin", "half a unit", "a sector of neither",
            ])
    }

    @Test("MED-4 any subset of what was not flushed survives, in any order")
    func subsets() throws {
        let disk = SimulatedDiskTests.makeDisk()
        try SimulatedDiskTests.run(disk) {
            let file = try await SimulatedDiskTests.prepare(disk)
            for (block, byte) in [(0, 1), (1, 2), (2, 3), (0, 4)] as [(Int, UInt8)] {
                try await Self.write(disk, file, block: block, count: 1, byte: byte)
            }
        }
        let images = Set(
            Self.seeds.map { seed in
                Array(
                    SimulatedDiskTests.firstBytes(disk.crash(Survival(.random, seed: seed)))
                        .prefix(3))
            })
        // Block 0 has nothing, its first or its second write; the first also when both survived.
        var expected: Set<[UInt8]> = []
        for first in [0, 1, 4] as [UInt8] {
            for (second, third) in [(0, 0), (2, 0), (0, 3), (2, 3)] as [(UInt8, UInt8)] {
                expected.insert([first, second, third])
            }
        }
        #expect(images == expected)
        // One of four is lost, so that block 0 has one of its two writes; which is on top is drawn.
        let allButOne = Set(
            Self.seeds.map { seed in
                SimulatedDiskTests.firstBytes(disk.crash(Survival(.allButOne, seed: seed)))[0]
            })
        #expect(allButOne == [1, 4])
    }

    @Test("MED-6 a length that was not flushed may be lost, and one that was is not")
    func length() throws {
        let disk = SimulatedDiskTests.makeDisk()
        try SimulatedDiskTests.run(disk) {
            let file = try await SimulatedDiskTests.prepare(disk)
            try await disk.allocate(file, byteCount: UInt64(16 * Self.unit))
        }
        #expect(disk.crash(Survival(.none)).fileByteCount("a") == 8 * Self.unit)
        #expect(disk.crash(Survival(.all)).fileByteCount("a") == 16 * Self.unit)
        try SimulatedDiskTests.run(disk) {
            let file = try await disk.open("a", .readWrite)
            try await disk.flush(file)
        }
        #expect(disk.crash(Survival(.none)).fileByteCount("a") == 16 * Self.unit)
    }

    @Test("MED-1 a transfer that is not aligned in place, length and memory is a bug, and traps")
    func alignment() async {
        await #expect(processExitsWith: .failure) {
            try MediumTests.transfer(at: 512, byteCount: 4_096, skipping: 0)
        }
        await #expect(processExitsWith: .failure) {
            try MediumTests.transfer(at: 0, byteCount: 2_048, skipping: 0)
        }
        await #expect(processExitsWith: .failure) {
            try MediumTests.transfer(at: 0, byteCount: 4_096, skipping: 512)
        }
        await #expect(processExitsWith: .success) {
            try MediumTests.transfer(at: 4_096, byteCount: 4_096, skipping: 4_096)
        }
    }

    static func transfer(at offset: UInt64, byteCount: Int, skipping: Int) throws {
        let disk = SimulatedDiskTests.makeDisk()
        try SimulatedDiskTests.run(disk) {
            let file = try await SimulatedDiskTests.prepare(disk)
            let buffer = disk.makeBuffer(byteCount: 4 * Self.unit)
            let slice = buffer.slice.slice(offset: skipping, byteCount: byteCount)
            try await disk.write(file, at: offset, from: slice)
            withExtendedLifetime(buffer) {}
        }
    }
}
