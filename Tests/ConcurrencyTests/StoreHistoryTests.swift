// LIN: recorded histories of a whole store, put, get, contains and remove by concurrent callers,
// judged by the same checker as the index's (CONTRACT C-1).
//
// Two histories of three live on the simulated disk, whose scheduler draws the order of all steps
// from the seed; every second of those has a write or flush that fails, and an operation that
// failed may have taken effect or not (P-3). The third lives on a real directory under threads.
// CHUNKDB_LIN_HISTORIES says how many, CHUNKDB_LIN_SEED plays one simulated history again.

import ChunkDB
import EngineTestSupport
import Foundation
import Primitives
import StoreTestSupport
import Synchronization
import Testing

@Suite("LIN: histories of the store")
struct StoreHistoryTests {
    static let callers = 6
    static let operations = 10
    static let owners = 0..<3 as Range<UInt64>
    static let environment = ProcessInfo.processInfo.environment
    static let histories = environment["CHUNKDB_LIN_HISTORIES"].flatMap(Int.init) ?? 300

    static let options = StoreOptions(
        capacity: .mebibytes(256), segmentSize: .kibibytes(64), digestBlockShift: 12,
        commitsPerCheckpoint: 16)

    @Test("C-1 P-3 P-5 callers on the simulated disk, with and without failing writes")
    func simulated() throws {
        let only = Self.environment["CHUNKDB_LIN_SEED"].flatMap(UInt64.init)
        var totals = Totals()
        for number in 0..<UInt64(Self.histories * 2 / 3) {
            if let only, only != number { continue }
            let notes = try Self.simulatedHistory(seed: number)
            totals.add(notes)
            if let key = Self.firstWrong(notes) {
                let told = Self.told(notes, of: key)
                Issue.record(
                    "CHUNKDB_LIN_SEED=\(number), chunk \(key): not linearizable:\n\(told)")
                return
            }
        }
        // No suite is vacuous: all answers occur, and some operations failed.
        if only == nil { #expect(totals.isVaried && totals.failed > 0, "\(totals)") }
    }

    @Test("C-1 P-5 threads on a real directory")
    func threads() throws {
        let perStore = 20
        var totals = Totals()
        var left = Self.histories / 3
        while left > 0 {
            let notes = try Self.realHistories(min(left, perStore), seed: UInt64(left))
            left -= perStore
            totals.add(notes)
            if let key = Self.firstWrong(notes) {
                let told = Self.told(notes, of: key)
                Issue.record("chunk \(key): not linearizable:\n\(told)")
                return
            }
        }
        #expect(totals.isVaried && totals.failed == 0, "\(totals)")
    }

    static func simulatedHistory(seed: UInt64) throws -> [StoreCaller.Note] {
        var machine = SimulatedMachine(seed: seed)
        machine.options = options
        let live = machine
        let clock = HistoryTests.Clock()
        let db = try live.open()
        let hasFaults = seed % 2 == 1
        var notes = try live.run { () async throws in
            let space = try await db.namespace("acme", model: StoreCaller.binding)
            if hasFaults {
                live.disk.fail(
                    seed % 4 == 1 ? .write : .flush, number: 2 + Int(seed / 4 % 20), errorNumber: 5,
                    forever: seed % 8 < 4)
            }
            return await withTaskGroup(of: [StoreCaller.Note].self) { group in
                for number in 0..<callers {
                    group.addTask(executorPreference: live.scheduler) {
                        var caller = StoreCaller(
                            space: space, clock: clock, number: number, seed: seed,
                            owners: owners, expectsFailure: hasFaults)
                        await caller.live(operations)
                        return caller.notes
                    }
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
        }
        live.run { await db.close() }
        if hasFaults { return notes }
        let next = live.afterRestart()
        let again = try next.open()
        notes += try next.run { () async throws in
            let notes = await lastLook(again, clock, owners)
            await again.close()
            return notes
        }
        return notes
    }

    /// Many histories on one store, each on chunks of its own.
    static func realHistories(_ count: Int, seed: UInt64) throws -> [StoreCaller.Note] {
        let directory = TemporaryDirectory()
        var options = options
        options.disk.engine = .threads
        options.disk.buffered = true
        options.disk.registeredPoolBytes = 4 << 20
        let clock = HistoryTests.Clock()
        let db = try ChunkDB.openAndWait(at: directory.path, options: options)
        let space = try db.wait { () async throws in
            try await db.namespace("acme", model: StoreCaller.binding)
        }
        let collected = Collected<StoreCaller.Note>()
        for history in 0..<UInt64(count) {
            let own = history * 8..<history * 8 + owners.upperBound
            runThreads(callers) { number in
                let notes = db.wait {
                    var caller = StoreCaller(
                        space: space, clock: clock, number: number, seed: seed << 8 | history,
                        owners: own, expectsFailure: false)
                    await caller.live(operations)
                    return caller.notes
                }
                collected.add(notes)
            }
        }
        db.wait { await db.close() }
        let again = try ChunkDB.openAndWait(at: directory.path, options: options)
        let all = (0..<UInt64(count)).flatMap { $0 * 8..<$0 * 8 + owners.upperBound }
        let last = again.wait {
            let notes = await lastLook(again, clock, all)
            await again.close()
            return notes
        }
        return collected.take() + last
    }

    @Test("P-5 a durable put that comes second to an accepted one is durable when it returns")
    func secondDurable() throws {
        var secondCount = 0
        for seed in 0..<40 as Range<UInt64> {
            let machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
            let db = try machine.open()
            let images = try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 1))
                let images = try await withThrowingTaskGroup(
                    of: (UInt64, SimulatedMachine)?.self
                ) { group in
                    for owner in 0..<6 as Range<UInt64> {
                        for durability in [Durability.accepted, .durable] {
                            group.addTask(executorPreference: machine.scheduler) {
                                let outcome = try await TestChunk(owner).put(
                                    in: space, durability: durability)
                                guard durability == .durable, outcome == .alreadyPresent
                                else { return nil }
                                return (owner, machine.afterPowerCut(Survival(.none, seed: seed)))
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0 += [$1].compactMap { $0 } }
                }
                await db.close()
                return images
            }
            for (owner, image) in images {
                secondCount += 1
                let again = try image.open()
                let isIntact = try image.run { () async throws in
                    let space = again.namespace("acme")!
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    await again.close()
                    return isIntact
                }
                #expect(isIntact == true, "seed \(seed), chunk \(owner)")
            }
        }
        #expect(secondCount > 20)
    }

    /// What a store that was closed and opened again has: the newest state, like any later get.
    static func lastLook(
        _ db: ChunkDB, _ clock: HistoryTests.Clock, _ owners: some Sequence<UInt64>
    ) async -> [StoreCaller.Note] {
        guard let space = db.namespace("acme") else { return [] }
        var caller = StoreCaller(
            space: space, clock: clock, number: 0, seed: 0, owners: owners, expectsFailure: false)
        for owner in caller.owners { await caller.get(owner) }
        return caller.notes
    }

    /// One chunk's history, for a person.
    static func told(_ notes: [StoreCaller.Note], of owner: UInt64) -> String {
        let operations = notes.filter { $0.owner == owner }.map(\.operation)
        return operations.sorted { $0.called < $1.called }.map { operation in
            "\(operation.called)..\(operation.returned.map(String.init) ?? "?") "
                + "\(operation.kind) -> \(operation.answer.map(String.init) ?? "?")"
        }.joined(separator: "\n")
    }

    static func firstWrong(_ notes: [StoreCaller.Note]) -> UInt64? {
        let perKey = Dictionary(grouping: notes, by: \.owner)
        return perKey.keys.sorted().first { owner in
            !Linearizability.holds(perKey[owner]!.map(\.operation))
        }
    }

    /// How often each answer was given.
    struct Totals {
        var hits = 0
        var misses = 0
        var committed = 0
        var alreadyPresent = 0
        var failed = 0
        var isVaried: Bool { min(hits, misses, committed, alreadyPresent) > 50 }

        mutating func add(_ notes: [StoreCaller.Note]) {
            for note in notes {
                switch (note.operation.kind, note.operation.answer) {
                case _ where note.operation.returned == nil: failed += 1
                case (.lookup, 0): misses += 1
                case (.lookup, _): hits += 1
                case (.insert, 1): committed += 1
                case (.insert, _): alreadyPresent += 1
                default: break
                }
            }
        }
    }
}

@Suite("The linearizability checker on failed and blind operations")
struct StoreCheckerTests {
    static func operation(
        _ kind: Recorded.Kind, _ answer: UInt64?, _ called: Int, _ returned: Int?
    ) -> Recorded {
        Recorded(kind: kind, answer: answer, called: called, returned: returned)
    }

    @Test("a failed put may be seen, or not, but not unseen again")
    func failedPut() {
        let put = Self.operation(.insert(7), nil, 0, nil)
        func looks(_ answers: [UInt64]) -> [Recorded] {
            answers.enumerated().map { index, answer in
                Self.operation(.lookup, answer, 10 + index * 2, 11 + index * 2)
            }
        }
        for right in [[0, 0, 0], [0, 0, 7], [7, 7, 7]] as [[UInt64]] {
            #expect(Linearizability.holds([put] + looks(right)))
        }
        for wrong in [[7, 0, 0], [0, 7, 0], [7, 0, 7], [0, 8, 8]] as [[UInt64]] {
            #expect(!Linearizability.holds([put] + looks(wrong)))
        }
    }

    @Test("a blind removal takes effect at one moment between its call and its return")
    func blindRemoval() {
        let put = Self.operation(.insert(7), 1, 2, 3)
        let erase = Self.operation(.erase, nil, 0, 9)
        let there = Self.operation(.contains, 1, 4, 5)
        let gone = Self.operation(.contains, 0, 6, 7)
        #expect(Linearizability.holds([put, erase, there, gone]))
        let back = Self.operation(.lookup, 7, 10, 11)
        #expect(Linearizability.holds([put, erase, there, back]))
        #expect(!Linearizability.holds([put, erase, there, gone, back]))
        #expect(!Linearizability.holds([put, there, gone]))
        let early = Self.operation(.erase, nil, 0, 1)
        #expect(!Linearizability.holds([put, early, there, gone]))
    }
}
