// NTH: the n-th call of a kind fails, once or from then on, in a life that nothing else disturbs.
// The store answers with typed errors, never with wrong bytes, and never hangs; reads go on while
// writes fail; and without the fault, a restart or a power cut on top of it loses nothing that was
// promised.
//
// CHUNKDB_NTH=n plays at least n cases, CHUNKDB_NTH=all every call of the first seeds;
// CHUNKDB_NTH_CASE=seed:operation:number:kind:forever plays one again, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import StoreTestSupport
import Synchronization
import Testing

@Suite("NTH: one call fails")
struct NthTests {
    static let environment = ProcessInfo.processInfo.environment
    static let partCount = 8
    static let caseCount = environment["CHUNKDB_NTH"].map { Int($0) ?? .max } ?? 5_000

    static let kinds: [FaultKind] =
        [EIO, ENOSPC, EAGAIN, EINTR, ECANCELED].map(FaultKind.error) + [.short, .zero]
    static let operations: [DiskOperation] = [
        .read, .write, .flush, .open, .length, .allocate, .truncate, .list, .rename, .unlink,
        .flushDirectory, .lock,
    ]
    static let marks =
        operations.filter { $0 != .lock }.map { "hit \($0)" } + kinds.map { "hit \($0)" } + [
            "hit once", "hit for ever", "opened with a report", "caller told", "opening refused",
            "no caller hurt",
            "kept promise", "reads beside failing writes",
        ]

    struct Case: CustomStringConvertible {
        let seed: UInt64
        let operation: DiskOperation
        let number: Int
        let kind: FaultKind
        let isForever: Bool
        var description: String { "\(seed):\(operation):\(number):\(kind):\(isForever)" }
    }

    private static let met = Marks()
    private static let finishedPartCount = Atomic(0)

    @Test(
        "F-C O-4 N-5 a failing call is told, and takes nothing that was promised",
        arguments: 0..<partCount)
    func everyCall(part: Int) throws {
        if let name = Self.environment["CHUNKDB_NTH_CASE"] {
            for one in Self.cases(seed: UInt64(name.prefix { $0 != ":" })!)
            where part == 0 && one.description == name {
                _ = play(one, Self.met)
            }
            return
        }
        var (caseCount, seed) = (0, UInt64(part) + 1)
        let quota = Self.caseCount / Self.partCount
        while caseCount < quota, seed < 1_000 {
            let cases = Self.cases(seed: seed)
            #expect(cases.count > 500, "seed \(seed)")
            // What is not asked for in full is taken evenly, by a step that shares no factor with
            // the seven kinds and two durations.
            let step = max(1, cases.count / (quota - caseCount)) | 1
            for index in stride(from: 0, to: cases.count, by: step == 7 ? 9 : step) {
                guard play(cases[index], Self.met) else { return }
                caseCount += 1
            }
            seed += UInt64(Self.partCount)
            if Self.caseCount == .max { break }
        }
        Self.met.hit("cases", count: caseCount)
        let finished = Self.finishedPartCount.add(1, ordering: .relaxed).newValue
        guard finished == Self.partCount else { return }
        print("NTH: seeds 1 to \(seed), \(Self.met.summary)")
        #expect(Self.met.missing(of: Self.marks) == [], "\(Self.met.summary)")
    }

    // MARK: Cases

    private static func machine(_ seed: UInt64) -> SimulatedMachine {
        Trace.machine(seed &+ 100, isFull: seed.isMultiple(of: 2))
    }

    private static func life(_ seed: UInt64, _ machine: SimulatedMachine) -> Life {
        var shape = Trace.shape()
        shape.roundCount = 2
        var plan = LifePlan(seed: seed &+ 100, shape)
        // A drop and a checkpoint in every life: they write what nothing else writes.
        plan.turns.insert(.checkpoint, at: 1)
        plan.turns.append(.drop(space: seed % 2))
        plan.readsAllBeforeClosing = true
        return Life(plan, KeyModel { machine.disk.effectCount })
    }

    /// Every call of a life that begins with an empty store, in every way.
    static func cases(seed: UInt64) -> [Case] {
        let machine = machine(seed)
        guard let db = try? machine.open() else { return [] }
        machine.run { await db.close() }
        let before = operations.map { machine.disk.callCount(of: $0) }
        let next = machine.afterRestart()
        _ = life(seed, next).run(on: next)
        return zip(operations, before).flatMap { operation, before -> [Case] in
            let count = machine.disk.callCount(of: operation) - before
            let isTransfer = operation == .read || operation == .write
            let kinds = isTransfer ? kinds : kinds.filter { $0 != .short && $0 != .zero }
            return (0..<count).flatMap { number in
                kinds.flatMap { kind in
                    [false, true].map {
                        Case(
                            seed: seed, operation: operation, number: number + 1, kind: kind,
                            isForever: $0)
                    }
                }
            }
        }
    }

    /// *Returns:* whether all is well.
    private func play(_ one: Case, _ marks: Marks) -> Bool {
        let machine = Self.machine(one.seed)
        guard let db = try? machine.open() else { return false }
        machine.run { await db.close() }
        let faulty = machine.afterRestart()
        let life = Self.life(one.seed, faulty)
        faulty.disk.fail(one.operation, number: one.number, one.kind, forever: one.isForever)
        let after = life.run(on: faulty)
        let isHit = faulty.disk.faultHitCount > 0
        after.disk.clearFailures()
        var wrong = life.violations
        // Reads that fail are their own caller's trouble; nothing else may stop them.
        if one.operation == .read || one.operation == .length || one.operation == .open {
            wrong.removeAll { $0.contains("reads do not go on") }
        } else {
            marks.hit("reads beside failing writes", if: isHit)
        }
        let cut = after.afterPowerCut(.drawn(seed: UInt64(one.number) << 8 | one.seed))
        let afterCut = life.examine(cut, owners: Trace.owners, after: .powerCut).violations
        wrong += afterCut.map { "after a power cut: \($0)" }
        wrong += life.examine(after, owners: Trace.owners, after: .processDeath).violations.map {
            "after a restart: \($0)"
        }
        #expect(wrong == [], "CHUNKDB_NTH_CASE=\(one)")
        note(one, life, isHit, marks)
        return wrong.isEmpty
    }

    private func note(_ one: Case, _ life: Life, _ isHit: Bool, _ marks: Marks) {
        guard isHit else { return }
        marks.hit("hit \(one.operation)")
        marks.hit("hit \(one.kind)")
        marks.hit(one.isForever ? "hit for ever" : "hit once")
        let isTold = !life.refusals.isEmpty || life.damagedOpeningCount > 0
        marks.hit(isTold ? "caller told" : "no caller hurt")
        marks.hit("opened with a report", if: life.damagedOpeningCount > 0)
        marks.hit("opening refused", if: life.model.owners.isEmpty && !life.refusals.isEmpty)
        marks.hit("kept promise", if: life.model.promisedCount(afterEffects: .max) > 0)
    }
}
