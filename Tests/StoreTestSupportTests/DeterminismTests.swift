import BlockIO
import Glibc
import Primitives
import StoreTestSupport
import Testing

/// The same seed gives the same trace; a stopped world stays stopped.
@Suite struct DeterminismTests {
    /// A core as the engine has one: its steps run where the executor says.
    actor Core {
        let executor: SeededScheduler
        nonisolated var unownedExecutor: UnownedSerialExecutor {
            executor.asUnownedSerialExecutor()
        }
        private(set) var order: [Int] = []
        init(_ executor: SeededScheduler) { self.executor = executor }

        func work(_ number: Int, _ disk: SimulatedDisk, _ file: FileID) async throws {
            executor.checkIsolated()
            order.append(number)
            try await SimulatedDiskTests.write(
                disk, file, block: number, byte: UInt8(number + 1))
            executor.checkIsolated()
            order.append(number)
            if number % 3 == 0 { try await disk.flush(file) }
        }
    }

    actor Plain {
        private(set) var sum = 0
        func add(_ number: Int) { sum += number }
    }

    struct Trace: Equatable {
        var order: [Int]
        var steps: UInt64
        var effects: UInt64
        var time: UInt64
    }

    static func scenario(
        _ disk: SimulatedDisk
    ) async throws -> [Int] {
        let file = try await SimulatedDiskTests.prepare(disk)
        let core = Core(disk.scheduler)
        let plain = Plain()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    try await core.work(number, disk, file)
                    await plain.add(number)
                }
            }
            try await group.waitForAll()
        }
        #expect(await plain.sum == 28)
        await disk.shutdown()
        return await core.order
    }

    static func trace(seed: UInt64) throws -> Trace {
        let disk = SimulatedDiskTests.makeDisk(seed: seed)
        let order = try SimulatedDiskTests.run(disk) { try await scenario(disk) }
        return Trace(
            order: order, steps: disk.scheduler.traceHash, effects: disk.traceHash,
            time: disk.scheduler.clock.monotonicNanoseconds)
    }

    @Test func sameSeedSameTrace() throws {
        for seed in UInt64(0)..<20 {
            let first = try Self.trace(seed: seed)
            for _ in 0..<3 { #expect(try Self.trace(seed: seed) == first) }
        }
    }

    @Test func otherSeedOtherTrace() throws {
        let traces = try (UInt64(0)..<20).map { try Self.trace(seed: $0) }
        #expect(Set(traces.map(\.order)).count > 10)
        #expect(Set(traces.map(\.effects)).count == 20)
    }

    @Test func everyCrashPointStops() throws {
        let whole = SimulatedDiskTests.makeDisk(seed: 4)
        _ = try SimulatedDiskTests.run(whole) { try await Self.scenario(whole) }
        let count = whole.effectCount
        #expect(count > 25)
        for point in 0...count {
            let disk = SimulatedDiskTests.makeDisk(seed: 4)
            disk.stop(afterEffects: point)
            let outcome = Result {
                try SimulatedDiskTests.run(disk) { try await Self.scenario(disk) }
            }
            #expect(disk.effectCount == point)
            #expect(disk.effects == Array(whole.effects.prefix(point)))
            if point < count { #expect(throws: (any Error).self) { try outcome.get() } }
            for survival in Survival.menu(seed: 1) {
                let image = disk.crash(survival)
                #expect(image.fileNames == ["a"] || image.fileNames == [])
                #expect(
                    image.fileNames.map { image.bytes(of: $0) }
                        == disk.crash(survival).fileNames.map {
                            disk.crash(survival).bytes(of: $0)
                        })
            }
        }
    }

    @Test func hangingWorldIsStuck() throws {
        let disk = SimulatedDiskTests.makeDisk()
        disk.stop(afterEffects: 12, behaviour: .hang)
        let result = disk.scheduler.waitUnlessStuck { try? await Self.scenario(disk) }
        #expect(result == nil)
    }

    @Test func entropyIsSeeded() {
        let first = SeededEntropy(seed: 1).bytes(32)
        #expect(first == SeededEntropy(seed: 1).bytes(32))
        #expect(first != SeededEntropy(seed: 2).bytes(32))
    }

    @Test func clockMovesOnlyByEvents() {
        let scheduler = SeededScheduler(seed: 1)
        let clock = scheduler.clock
        let start = clock.monotonicNanoseconds
        let passed = scheduler.wait {
            await clock.sleep(nanoseconds: 5_000_000_000)
            return clock.monotonicNanoseconds - start
        }
        #expect(passed == 5_000_000_000)
        let wall = clock.wallSeconds
        clock.jumpWall(bySeconds: -100)
        #expect(clock.wallSeconds == wall - 100 && clock.monotonicNanoseconds == start + passed)
    }

    @Test func deadlockIsNamed() async {
        await #expect(processExitsWith: .failure) {
            SeededScheduler(seed: 1).wait {
                await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
            }
        }
    }

    @Test func misuseTraps() async {
        await #expect(processExitsWith: .failure) {
            let disk = SimulatedDiskTests.makeDisk()
            try SimulatedDiskTests.run(disk) {
                let file = try await SimulatedDiskTests.prepare(disk)
                async let one: Void = SimulatedDiskTests.write(disk, file, block: 1, byte: 1)
                async let two: Void = SimulatedDiskTests.write(disk, file, block: 1, byte: 2)
                _ = try await (one, two)
            }
        }
        await #expect(processExitsWith: .failure) {
            let disk = SimulatedDiskTests.makeDisk()
            try SimulatedDiskTests.run(disk) {
                let file = try await SimulatedDiskTests.prepare(disk)
                let buffer = disk.makeBuffer(byteCount: 8_192)
                try await disk.write(
                    file, at: 0, from: buffer.slice.slice(offset: 512, byteCount: 4_096))
            }
        }
    }
}
