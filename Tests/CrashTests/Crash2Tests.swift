// CRASH2: the power goes while the store recovers from a power cut (CONTRACT O-2, F-G). Recovery
// may be interrupted after any of its effects, with any survival of what it had not flushed; the
// next one decides what an undisturbed one decides.
//
// CHUNKDB_CRASH2=n plays at least n crashes; CHUNKDB_CRASH2_CASE=seed:effect:index:effect:index
// one.

import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Testing

@Suite("CRASH2: a power cut during recovery")
struct Crash2Tests {
    static let environment = ProcessInfo.processInfo.environment
    static let crashCount = environment["CHUNKDB_CRASH2"].flatMap(Int.init) ?? 500
    static let marks = [
        "torn tail below", "mended journal below", "tail given back below",
        "cut in a mending write",
        "cut between flushes", "kept promise",
    ]

    @Test("O-2 RCV-2 F-G decides the same, wherever the last one was interrupted")
    func everyRecovery() throws {
        let marks = Marks()
        let only = Self.environment["CHUNKDB_CRASH2_CASE"]
        var seed: UInt64 = 501
        while marks["crashes"] < Self.crashCount || !marks.missing(of: Self.marks).isEmpty {
            guard seed < 501 + UInt64(Self.crashCount) else { break }
            let trace = Trace(seed: seed)
            for index in 0..<8 {
                let count =
                    trace.firstCrash + (trace.effects.count - trace.firstCrash) * (index + 1) / 8
                let images = trace.images(afterEffects: count)
                let image = images[(Int(seed) * 5 + index * 3) % images.count]
                let wrong = interrupt(trace, image, only, marks)
                if wrong { return }
            }
            seed += 1
        }
        print("CRASH2: seeds 501 to \(seed - 1), \(marks.summary)")
        if only == nil { #expect(marks.missing(of: Self.marks) == [], "\(marks.summary)") }
    }

    /// *Returns:* whether something is wrong.
    private func interrupt(
        _ trace: Trace, _ image: Trace.Image, _ only: String?, _ marks: Marks
    ) -> Bool {
        let first = "\(trace.seed):\(image.effectCount):\(image.index)"
        // What an undisturbed recovery decides, and its effects.
        let undisturbed = trace.image(image)
        undisturbed.disk.startRecording()
        guard let db = try? undisturbed.open() else {
            Issue.record("\(first): does not open")
            return true
        }
        let effects = undisturbed.disk.effects
        undisturbed.run { await db.close() }
        let truth = trace.life.examine(
            undisturbed.afterRestart(), owners: Trace.owners, after: image.kind,
            afterEffects: image.effectCount)
        marks.hit("torn tail below", if: db.recovery.droppedRecordCount > 0)
        marks.hit("mended journal below", if: !db.recovery.repairedJournalCopies.isEmpty)
        marks.hit("tail given back below", if: db.recovery.returnedBytes > 0)
        marks.hit(
            "kept promise",
            if: trace.life.model.promisedCount(afterEffects: image.effectCount) > 0)
        // The death of a process leaves unflushed bytes, which a cut then may take.
        let loss: KeyModel.Loss = .powerCut
        let patterns: [SurvivalPattern] = [.none, .random, .tornInside, .garbage, .all]
        for count in 0...effects.count {
            let pattern = patterns[(count + image.index) % patterns.count]
            let name = "\(first):\(count):\(pattern)"
            if let only, only != name { continue }
            var second = Trace.machine(
                trace.seed, isFull: Trace.isFull(trace.seed), confines: Trace.confines(trace.seed))
            second.disk = undisturbed.disk.crash(
                afterEffects: count, Survival(pattern, seed: UInt64(count)),
                scheduler: second.scheduler)
            let found = trace.life.examine(
                second, owners: Trace.owners, after: loss, afterEffects: image.effectCount)
            var wrong = found.violations
            if image.kind == .powerCut && found.found != truth.found {
                wrong.append("found \(found.found), undisturbed \(truth.found)")
            }
            #expect(wrong == [], "CHUNKDB_CRASH2_CASE=\(name) \(image)")
            if !wrong.isEmpty { return true }
            marks.hit("crashes")
            guard count > 0 else { continue }
            let effect = effects[count - 1]
            marks.hit("cut in a mending write", if: effect.operation == .write)
            marks.hit("cut between flushes", if: effect.operation == .flush)
        }
        return false
    }
}
