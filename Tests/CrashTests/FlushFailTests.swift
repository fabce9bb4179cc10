// FLUSH-FAIL: the n-th flush fails, once or for ever, for every n, and the device forgets some of
// what it should have made durable (CONTRACT P-2). Its whole group is told; nothing is acknowledged
// as durable after it, since a later flush proves nothing; the file is not flushed again by that
// opener; reads go on; and a power cut at any effect after it takes nothing that was promised.
//
// CHUNKDB_FLUSH_FAIL_CASE=seed:number:kind:forever plays one again, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import StoreTestSupport
import Testing

@Suite("FLUSH-FAIL: a flush fails")
struct FlushFailTests {
    static let marks = [
        "group of several failed", "flush of a segment failed", "flush of a journal failed",
        "flush of a draft failed", "lossy", "once", "for ever", "degraded",
        "image after the failure",
        "kept promise",
    ]
    static let kinds: [FaultKind] = [.error(EIO), .lossy]
    /// Crash points after a failure, of each case.
    static let imageCount = 4
    /// `CHUNKDB_FLUSH_FAIL=n` for more traces.
    static let seedCount =
        ProcessInfo.processInfo.environment["CHUNKDB_FLUSH_FAIL"].flatMap(Int.init) ?? 3

    @Test("P-2 MED-9 N-5 fails its whole group, for ever", arguments: 1...seedCount)
    func everyFlush(seed: Int) throws {
        let marks = Marks()
        let whole = try run(seed, fault: nil)
        let flushCount = whole.disk.callCount(of: .flush) - whole.before
        try #require(flushCount > 10 && whole.life.violations == [])
        for number in 1...flushCount {
            for kind in Self.kinds {
                for isForever in [false, true] {
                    let name = "\(seed):\(number):\(kind):\(isForever)"
                    let only = ProcessInfo.processInfo.environment["CHUNKDB_FLUSH_FAIL_CASE"]
                    if let only, only != name { continue }
                    let one = try run(seed, fault: (number, kind, isForever))
                    let wrong = judge(one, marks)
                    #expect(wrong == [], "CHUNKDB_FLUSH_FAIL_CASE=\(name)")
                    if !wrong.isEmpty { return }
                    marks.hit(kind == .lossy ? "lossy" : "error")
                    marks.hit(isForever ? "for ever" : "once")
                    marks.hit("cases")
                }
            }
        }
        print("FLUSH-FAIL seed \(seed): \(marks.summary)")
        #expect(marks.missing(of: Self.marks) == [], "\(marks.summary)")
    }

    private struct Run {
        let life: Life
        let disk: SimulatedDisk
        let after: SimulatedMachine
        /// Flushes that made the store.
        let before: Int
        let isLossy: Bool
    }

    /// Callers who put and remove at once, all durable or written, and no second session: what the
    /// first opener does after the failure is all there is.
    private func run(_ seed: Int, fault: (number: Int, kind: FaultKind, isForever: Bool)?) throws
        -> Run
    {
        let machine = Trace.machine(UInt64(seed) + 300, isFull: seed.isMultiple(of: 2))
        machine.disk.startRecording()
        let db = try machine.open()
        machine.run { await db.close() }
        let next = machine.afterRestart()
        var shape = Trace.shape()
        (shape.roundCount, shape.deedsPerRound, shape.workerCount) = (3, 2, 4)
        shape.reopens = false
        var plan = LifePlan(seed: UInt64(seed) + 300, shape)
        plan.turns.insert(.checkpoint, at: 2)
        // A device that forgets may forget what reads of unflushed chunks want: they say so.
        plan.readsAllBeforeClosing = fault?.kind != .lossy
        let disk = machine.disk
        let life = Life(plan, KeyModel { disk.effectCount })
        let before = disk.callCount(of: .flush)
        if let fault {
            next.disk.fail(.flush, number: fault.number, fault.kind, forever: fault.isForever)
        }
        let after = life.run(on: next)
        after.disk.clearFailures()
        return Run(
            life: life, disk: disk, after: after, before: before,
            isLossy: fault?.kind == .lossy)
    }

    private func judge(_ run: Run, _ marks: Marks) -> [String] {
        let effects = run.disk.effects
        guard
            let index = effects.firstIndex(where: { $0.operation == .flush && $0.phase == .fails })
        else { return ["the planned flush was never reached"] }
        let failed = effects[index]
        var wrong = run.life.violations
        // The flush behind the header is the one that begins a use; nobody's bytes are in it yet.
        let isBeginning =
            effects[..<index].last { $0.operation == .write && $0.file == failed.file }?.offset == 0
        let isOfGroup =
            !isBeginning && (failed.file.hasPrefix("segments/") || failed.file.hasPrefix("journal"))
            && effects[..<index].contains {
                $0.operation == .flush && $0.phase == .ends && $0.file == failed.file
            }
        let isOpening = run.life.model.owners.isEmpty
        marks.hit("flush of a draft failed", if: failed.file.hasSuffix(".new"))
        marks.hit("flush of a segment failed", if: failed.file.hasPrefix("segments/"))
        marks.hit("flush of a journal failed", if: failed.file.hasPrefix("journal"))
        if isOfGroup && !isOpening {
            // Members of the group are told of the flush itself, callers that came later are not.
            let memberCount = run.life.refusals.count {
                if case .log(.disk(let error)) = $0 { error.operation == "flush" } else { false }
            }
            marks.hit("group of several failed", if: memberCount > 1)
            marks.hit("degraded", if: run.life.refusals.count > memberCount)
            if run.life.refusals.isEmpty && run.life.countedFailureCount == 0 {
                wrong.append("nobody was told")
            }
            let later = effects[(index + 1)...]
            if later.contains(where: { $0.operation == .flush && $0.file == failed.file }) {
                wrong.append("\(failed.file) was flushed again, as proof of what failed")
            }
            wrong += run.life.model.promises(after: index + 1).map {
                "chunk \($0) was acknowledged as durable after the failure"
            }
        }
        return wrong + images(run, after: index + 1, marks)
    }

    /// A restart, and power cuts from the failure to the end.
    private func images(_ run: Run, after first: Int, _ marks: Marks) -> [String] {
        let (life, last) = (run.life, run.disk.effectCount)
        var wrong: [String] = []
        marks.hit("kept promise", if: life.model.promisedCount(afterEffects: last) > 0)
        for index in 0..<Self.imageCount {
            let count = first + (last - first) * index / (Self.imageCount - 1)
            let patterns: [SurvivalPattern] = [.none, .random, .tornInside, .allButOne, .one]
            let pattern = patterns[(count + index) % patterns.count]
            let seed = UInt64(count) << 8 | UInt64(index)
            var image = Trace.machine(seed)
            image.disk = run.disk.crash(
                afterEffects: count, Survival(pattern, seed: seed),
                scheduler: image.scheduler)
            let found = life.examine(
                image, owners: Trace.owners, after: .powerCut, afterEffects: count)
            wrong += found.violations.map { "cut after effect \(count), \(pattern): \($0)" }
            marks.hit("image after the failure")
        }
        // What a device forgot under a running process is gone without any power cut.
        let restarted = life.examine(
            run.after, owners: Trace.owners, after: run.isLossy ? .powerCut : .processDeath)
        return wrong
            + restarted.violations.map { "after a restart: \($0)" }
    }
}
