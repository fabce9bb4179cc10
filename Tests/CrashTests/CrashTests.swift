// CRASH: the power goes after the k-th effect, for every k, and what no flush had covered survives
// in every pattern (CONTRACT F-B); or the process dies there (F-A). One recorded run gives all its
// images. What was told durable is found, what was durably removed is gone, and every key is in a
// state it passed through (P-6).
//
// CHUNKDB_CRASH=n opens at least n images; CHUNKDB_CRASH_IMAGE=seed:effect:index plays one again,
// as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("CRASH: a power cut")
struct CrashTests {
    static let partCount = 4
    static let environment = ProcessInfo.processInfo.environment
    static let imageCount = environment["CHUNKDB_CRASH"].flatMap(Int.init) ?? 20_000

    /// What all parts together must have met.
    static let marks = [
        "torn commit record", "torn payload header", "dropped record", "dropped commit",
        "written operation lost", "journal copy mended", "kept promise", "second opening",
        "second life", "process death", "checkpoint used", "freed segment", "moved record",
    ]
    /// One life in six or so does it: the ordinary count has too few. SIM asks for it always.
    private static let rareMarks = imageCount < 100_000 ? [] : ["segment of a class begun again"]

    private static let met = Marks()
    private static let finishedPartCount = Atomic(0)
    /// Whichever part is free takes the next trace; all images of a trace are made.
    private static let nextSeed = Atomic<UInt64>(1)

    @Test(
        "P-6 REC-8 RCV-20 RCV-23 loses nothing promised and brings nothing back, at every effect",
        arguments: 0..<partCount)
    func everyEffect(part: Int) throws {
        if let one = Self.environment["CHUNKDB_CRASH_IMAGE"] {
            if part == 0 { replay(one) }
            return
        }
        let marks = Self.met
        while marks["images"] < Self.imageCount {
            let seed = Self.nextSeed.add(1, ordering: .relaxed).oldValue
            let trace = Trace(seed: seed)
            try #require(trace.life.violations == [], "seed \(seed)")
            try #require(trace.life.refusals.filter { !Self.isFull($0) } == [], "seed \(seed)")
            marks.hit("freed segment", if: trace.life.freedCount > 0)
            marks.hit("moved record", if: trace.life.movedBytes > 0)
            marks.hit("segment of a class begun again", if: trace.life.begunInPlaceCount > 0)
            for count in trace.firstCrash...trace.effects.count {
                for image in trace.images(afterEffects: count) {
                    guard judge(image, of: trace, marks) else { return }
                    marks.hit("images")
                }
            }
        }
        let finished = Self.finishedPartCount.add(1, ordering: .relaxed).newValue
        guard finished == Self.partCount else { return }
        let seeds = 1..<Self.nextSeed.load(ordering: .relaxed)
        print("CRASH: seeds \(seeds), \(marks.summary)")
        #expect(marks.missing(of: Self.marks + Self.rareMarks) == [], "\(marks.summary)")
    }

    /// An answer on a store that is full.
    static func isFull(_ error: StoreError) -> Bool {
        switch error {
        case .log(.capacityExceeded), .quotaExceeded: true
        default: false
        }
    }

    private func replay(_ name: String) {
        let numbers = name.split(separator: ":").compactMap { Int($0) }
        let trace = Trace(seed: UInt64(numbers[0]))
        _ = judge(trace.images(afterEffects: numbers[1])[numbers[2]], of: trace, Marks())
    }

    /// *Returns:* whether all is well.
    private func judge(_ image: Trace.Image, of trace: Trace, _ marks: Marks) -> Bool {
        let machine = trace.image(image)
        // One in so many also gets what costs another opening, or several.
        let turn = (image.effectCount &* 7 &+ image.index) % 24
        if turn == 1 { machine.disk.startRecording() }
        let seed = trace.seed << 20 ^ UInt64(image.effectCount)
        let next = SecondLife(after: image.kind, seed: seed, machine)
        var going: (@Sendable (ChunkDB) async -> Void)?
        if turn == 1 { going = { db in await next.live(after: db) } }
        let found = trace.life.examine(
            turn == 1 ? next.machine : machine, owners: Trace.owners, after: image.kind,
            afterEffects: image.effectCount, going: going)
        var wrong = found.violations
        note(found, image, trace, marks)
        if turn == 0 {
            // Recovery is idempotent (O-2): what it left opens again and says the same.
            let again = trace.life.examine(
                machine.afterRestart(), owners: Trace.owners, after: image.kind,
                afterEffects: image.effectCount)
            wrong += again.violations
            if again.found != found.found { wrong.append("another answer at the second opening") }
            marks.hit("second opening")
        } else if turn == 1 && wrong.isEmpty {
            wrong += next.crash()
            marks.hit("second life")
        }
        let name = "CHUNKDB_CRASH_IMAGE=\(trace.seed):\(image.effectCount):\(image.index)"
        #expect(wrong == [], "\(name) \(image)")
        return wrong.isEmpty
    }

    private func note(
        _ found: Examination, _ image: Trace.Image, _ trace: Trace, _ marks: Marks
    ) {
        marks.hit("dropped record", if: found.report.droppedRecordCount > 0)
        marks.hit("dropped commit", if: found.report.unprovenCommitCount > 0)
        marks.hit("journal copy mended", if: !found.report.repairedJournalCopies.isEmpty)
        marks.hit("checkpoint used", if: found.report.checkpointIgnored == nil)
        let model = trace.life.model
        marks.hit("kept promise", if: model.promisedCount(afterEffects: image.effectCount) > 0)
        switch image.loss {
        case .processDeath: marks.hit("process death")
        case .powerCut(let survival):
            let isLost = found.found.contains { owner, edition in
                !model.allowed(
                    owner, after: .processDeath, afterEffects: image.effectCount
                ).contains(edition)
            }
            marks.hit("written operation lost", if: isLost)
            guard survival.newestWriteSectors != nil else { return }
            switch trace.newestRecord(afterEffects: image.effectCount) {
            case .commit: marks.hit("torn commit record")
            case .payload: marks.hit("torn payload header")
            default: marks.hit("torn other write")
            }
        }
    }
}
