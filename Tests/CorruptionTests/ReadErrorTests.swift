// READ-EIO: each read of opening and reading everything fails once (CONTRACT F-C). An error may be
// told; nothing may be decided on it that a later opening cannot take back (N-5, N-6).
//
// Or blocks of the medium can never be read, one by one and in clusters: each costs the chunks that
// need it and no other, and once it can be read all is back.
//
// CHUNKDB_READ=n:shape plays one failing read again, CHUNKDB_BLOCK=file:block:count:shape one bad
// place, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Testing

@Suite("READ-EIO: a read that fails once")
struct ReadErrorTests {
    static let environment = ProcessInfo.processInfo.environment
    static let victims: [Victim] = [
        try! Victim(keepsCheckpoint: true), try! Victim(keepsCheckpoint: false),
        try! Victim(isClosed: true),
    ]

    @Test(
        "N-5 N-6 RCV-7 is told, and the next opening has everything",
        arguments: 0..<3)
    func everyRead(shape: Int) throws {
        let victim = Self.victims[shape]
        let calm = victim.image()
        #expect(try victim.read(calm).isAllThere)
        let readCount = Int(calm.disk.counters.readCount)
        #expect(readCount > 30)
        var seen: Set<String> = []
        for number in 1...readCount {
            let name = "\(number):\(shape)"
            if let only = Self.environment["CHUNKDB_READ"], only != name { continue }
            let machine = victim.image()
            machine.disk.fail(.read, number: number, errorNumber: 5)
            do throws(StoreError) {
                let opened = try victim.read(machine, closes: true)
                let wrong = violations(opened, victim)
                #expect(wrong.isEmpty, "CHUNKDB_READ=\(name): \(wrong)")
                seen.insert(opened.isAllThere ? "all there" : "told")
            } catch {
                seen.insert("refused")
            }
            machine.disk.clearFailures()
            let again = try victim.read(machine.afterRestart())
            #expect(
                again.isAllThere && again.report.damages.isEmpty,
                "CHUNKDB_READ=\(name), the fault gone: \(victim.judge(again)) \(again.report)")
        }
        guard Self.environment["CHUNKDB_READ"] == nil else { return }
        #expect(seen.isSuperset(of: ["all there", "told"]))
    }

    @Test("N-3 N-6 a put after it takes nothing away", arguments: 0..<3)
    func writesGoOn(shape: Int) throws {
        let victim = Self.victims[shape]
        let calm = victim.image()
        let db = try calm.open()
        let readCount = Int(calm.disk.counters.readCount)
        calm.run { await db.close() }
        var (openedCount, missedCount) = (0, 0)
        for number in 1...readCount {
            let name = "\(number):\(shape)"
            if let only = Self.environment["CHUNKDB_READ"], only != name { continue }
            let machine = victim.image()
            machine.disk.fail(.read, number: number, errorNumber: 5)
            guard let opened = try? victim.read(machine, closes: true, puts: true) else { continue }
            openedCount += 1
            if opened.report.missesTheEnd { missedCount += 1 }
            machine.disk.clearFailures()
            let again = try victim.read(machine.afterRestart())
            let wrong = victim.judge(again).wrong
            #expect(
                wrong.isEmpty,
                "CHUNKDB_READ=\(name): \(wrong), told before: \(opened.report.damages)")
        }
        guard Self.environment["CHUNKDB_READ"] == nil else { return }
        #expect(openedCount > 0)
        // With a checkpoint of the very end, no commit behind it can be missed.
        #expect(missedCount > 0 || shape == 2)
    }

    @Test("N-3 N-6 F-D a block that can never be read costs what needs it", arguments: 0..<6)
    func everyBlock(part: Int) throws {
        let (shape, isCluster) = (part % 3, part >= 3)
        let victim = Self.victims[shape]
        let marks = Marks()
        for name in victim.image().disk.fileNames {
            let blockCount = victim.image().disk.fileByteCount(name) / 4_096
            // Of the clusters some: they cost as much again.
            for block in stride(from: 0, to: blockCount, by: isCluster ? 3 : 1) {
                let count = isCluster ? 2 + block % 5 : 1
                let what = "\(name):\(block):\(count):\(shape)"
                if let only = Self.environment["CHUNKDB_BLOCK"], only != what { continue }
                let machine = victim.image()
                machine.disk.spoil(name, blocks: block..<block + count)
                let range = block * 4_096..<(block + count) * 4_096
                let needing = victim.items(needing: range, of: name)
                do {
                    let opened = try victim.read(machine, closes: true)
                    let wrong = violations(opened, victim)
                    #expect(wrong.isEmpty, "CHUNKDB_BLOCK=\(what): \(wrong)")
                    for (item, answer) in opened.answers {
                        if case .intact = answer { continue }
                        marks.hit("told")
                        #expect(
                            needing.contains(item), "CHUNKDB_BLOCK=\(what): \(item) is \(answer)")
                    }
                    marks.hit("all there", if: opened.isAllThere)
                } catch {
                    Issue.record("CHUNKDB_BLOCK=\(what): refused: \(error)")
                }
                machine.disk.heal()
                let again = try victim.read(machine.afterRestart())
                #expect(
                    again.isAllThere && again.report.damages.isEmpty,
                    "CHUNKDB_BLOCK=\(what), healed: \(victim.judge(again)) \(again.report)")
            }
        }
        guard Self.environment["CHUNKDB_BLOCK"] == nil else { return }
        #expect(marks.missing(of: ["told", "all there"], atLeast: 20) == [], "\(marks.summary)")
    }

    /// A get that could not read says so; one that misses has a report of the opening.
    private func violations(_ opened: Opened, _ victim: Victim) -> [String] {
        var opened = opened
        for (item, answer) in opened.answers {
            if case .failed(.log(.disk(let error))) = answer, error.errorNumber == 5 {
                opened.answers[item] = .damaged
            }
        }
        return victim.judge(opened).wrong
    }
}
