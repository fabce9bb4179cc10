import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Foundation
import KVModel
import Primitives
import StoreTestSupport
import Synchronization
import Testing

/// What was acknowledged to the workload.
private final class Ledger: Sendable {
    private let state = Mutex<[UInt64: Bool]>([:])
    private let doubtful = Mutex<Set<UInt64>>([])
    let errors = Mutex<[String]>([])

    func begin(_ owner: UInt64) { doubtful.withLock { _ = $0.insert(owner) } }
    func end(_ owner: UInt64, isThere: Bool) {
        state.withLock { $0[owner] = isThere }
        doubtful.withLock { _ = $0.remove(owner) }
    }
    var certain: [UInt64: Bool] {
        let open = doubtful.withLock { $0 }
        return state.withLock { $0.filter { !open.contains($0.key) } }
    }
}

@Suite("A simulated life")
struct SimulationTests {
    static let owners = 0..<12 as Range<UInt64>

    /// Three workers put and remove; a checkpoint runs beside them. Errors are noted, not thrown.
    private static func life(_ db: ChunkDB, _ ledger: Ledger) async {
        do {
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            await withTaskGroup { group in
                for worker in 0..<3 as Range<UInt64> {
                    group.addTask {
                        for step in 0..<4 as Range<UInt64> {
                            await act(worker * 4 + step, space, ledger)
                        }
                    }
                }
                group.addTask { try? await db.checkpoint() }
            }
        } catch {
            ledger.errors.withLock { $0.append("\(error)") }
        }
    }

    private static func act(_ owner: UInt64, _ space: Namespace, _ ledger: Ledger) async {
        ledger.begin(owner)
        do {
            try await TestChunk(owner).put(in: space)
            ledger.end(owner, isThere: true)
            if owner % 4 == 1 {
                ledger.begin(owner)
                try await space.remove(TestChunk(owner).key(in: space))
                ledger.end(owner, isThere: false)
            }
        } catch {
            ledger.errors.withLock { $0.append("\(error)") }
        }
    }

    private static func machine(_ seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, segmentSize: .kibibytes(128))
    }

    @Test(
        "one seed gives one trace, to the last effect and step",
        arguments: [1, 2, 3, 4] as [UInt64])
    func determinism(seed: UInt64) throws {
        func trace() throws -> [UInt64] {
            let machine = Self.machine(seed)
            let ledger = Ledger()
            let db = try machine.open()
            machine.run {
                await Self.life(db, ledger)
                await db.close()
            }
            let next = machine.afterRestart()
            let again = try next.open()
            machine.run { await again.close() }
            return [
                machine.disk.traceHash, machine.scheduler.traceHash, machine.scheduler.stepCount,
                machine.scheduler.clock.monotonicNanoseconds,
            ]
        }
        #expect(try trace() == trace())
    }

    @Test("another seed gives another trace")
    func difference() throws {
        let hashes = (1...6 as ClosedRange<UInt64>).map { seed in
            let machine = Self.machine(seed)
            let ledger = Ledger()
            if let db = try? machine.open() { machine.run { await Self.life(db, ledger) } }
            return machine.disk.traceHash
        }
        #expect(Set(hashes).count == 6)
    }

    /// What must hold when the n-th operation of a kind failed, once or for ever.
    private func survive(
        _ operation: DiskOperation, _ number: Int, _ errorNumber: Int32, forever: Bool, seed: UInt64
    ) throws -> Bool {
        let machine = Self.machine(seed)
        let ledger = Ledger()
        let facts = "\(operation) \(number) error \(errorNumber) forever \(forever) seed \(seed)"
        // The store stands before anything fails.
        let first = try machine.open()
        machine.run {
            _ = try? await first.namespace("acme", model: smallBinding(layers: 2))
            await first.close()
        }
        let faulty = machine.afterRestart()
        var opened: ChunkDB?
        faulty.disk.fail(operation, number: number, errorNumber: errorNumber, forever: forever)
        do {
            let db = try faulty.open()
            opened = db
            faulty.run { await Self.life(db, ledger) }
            // Reads go on, whatever writes do (O-4).
            if operation != .read {
                let certain = ledger.certain
                try faulty.run { () async throws in
                    guard let space = db.namespace("acme") else { return }
                    for (owner, isThere) in certain {
                        let isIntact = try await TestChunk(owner).isIntact(in: space)
                        #expect(
                            isIntact == (isThere ? true : nil), "\(facts): \(owner) before reopen")
                    }
                }
            }
            faulty.run { await db.close() }
        } catch {
            ledger.errors.withLock { $0.append("\(error)") }
            faulty.run { await faulty.disk.shutdown() }
        }
        _ = opened
        faulty.disk.clearFailures()
        let isSeen = !ledger.errors.withLock { $0.isEmpty }
        // A power cut on top of it, and the next life.
        for image in [
            faulty.afterRestart(), faulty.afterPowerCut(Survival(.random, seed: UInt64(number))),
        ] {
            let db = try image.open()
            #expect(db.recovery.damages.isEmpty, "\(facts): \(db.recovery.damages)")
            try image.run { () async throws in
                let space = try #require(db.namespace("acme"))
                for (owner, isThere) in ledger.certain {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact == (isThere ? true : nil), "\(facts): \(owner) after reopen")
                }
                for owner in Self.owners {
                    #expect(try await TestChunk(owner).isIntact(in: space) != false, "\(facts)")
                }
                try await TestChunk(500).put(in: space)
                await db.close()
            }
        }
        return isSeen
    }

    @Test(
        "O-4 N-5 F-C a failing write, flush or growth loses nothing acknowledged and is told",
        arguments: [
            DiskOperation.write, .flush, .allocate, .truncate, .open, .flushDirectory, .rename,
        ])
    func failingWrites(operation: DiskOperation) throws {
        var seenCount = 0
        for (index, number) in [1, 2, 3, 5, 8, 13, 21, 34].enumerated() {
            for forever in [false, true] {
                let errorNumber = (index % 2 == 0) == forever ? EIO : ENOSPC
                let isSeen = try survive(
                    operation, number, errorNumber, forever: forever, seed: UInt64(index % 3))
                seenCount += isSeen ? 1 : 0
            }
        }
        // Some numbers are never reached, and some failures cost nothing (a truncation).
        if operation == .write || operation == .flush { #expect(seenCount > 8) }
    }

    @Test("F-C a failing read during opening and life makes nothing worse")
    func failingReads() throws {
        for number in 1...14 {
            _ = try survive(.read, number, EIO, forever: number % 4 == 0, seed: 1)
        }
    }

    @Test("L5 a degraded store refuses writes at once, serves reads, and names the reason")
    func degraded() throws {
        let machine = Self.machine(9)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await TestChunk(1).put(in: space)
            machine.disk.fail(.write, number: 1, errorNumber: EIO, forever: true)
            await #expect(throws: StoreError.self) { try await TestChunk(2).put(in: space) }
            machine.disk.clearFailures()
            let written = db.diskCounters.writtenBytes
            for _ in 0..<3 {
                do {
                    try await TestChunk(3).put(in: space)
                    Issue.record("a degraded store took a put")
                } catch StoreError.log(.degraded(let reason)) {
                    #expect(reason.contains("write of segments/"))
                }
            }
            await #expect(throws: StoreError.self) {
                try await space.remove(TestChunk(1).key(in: space))
            }
            await #expect(throws: StoreError.self) { try await db.checkpoint() }
            #expect(db.diskCounters.writtenBytes == written)
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            await db.close()
        }
        let next = machine.afterRestart()
        let again = try next.open()
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            try await TestChunk(2).put(in: space)
            await again.close()
        }
    }
}
