// ROT-LOG: a bad block in the log is rot or a torn tail, and the two are told apart by design, not
// by guessing: what a mark, a checkpoint or a later commit proves was flushed, and its loss is said
// (MRK-4); what nothing proves may never have been written (COM-13, L-1).

import ChunkDB
import EngineTestSupport
import StoreTestSupport
import Testing

@Suite("ROT-LOG: rot is not a torn tail")
struct RotLogTests {
    enum Rot: String, CaseIterable { case flipped, zeroed, garbage, torn }

    static let victim = try! Victim(keepsCheckpoint: false)

    private func spoil(_ rot: Rot, _ record: Found, at byte: Int, on disk: SimulatedDisk) {
        let start = record.offset
        switch rot {
        case .flipped: disk.flip(record.file, byte: start + byte, bit: 2)
        case .zeroed:
            disk.setBytes([UInt8](repeating: 0, count: 4_096), of: record.file, at: start)
        case .garbage:
            let noise = plane(99, layer: 0, .keys, byteCount: 4_096)
            disk.setBytes(noise, of: record.file, at: start)
        case .torn:
            // The first sectors of a write, and what was there before.
            disk.setBytes([UInt8](repeating: 0, count: 4_032), of: record.file, at: start + 64)
        }
    }

    /// Takes the marks away: nothing proves the newest commit then.
    private func unmark(_ disk: SimulatedDisk) {
        disk.setBytes([UInt8](repeating: 0, count: 8_192), of: "superblock", at: 262_144)
    }

    private var commits: [Found] { Self.victim.records.filter { $0.kind == .commit } }

    @Test(
        "REC-9 COM-13 a commit that a later one proves is missed, by its number",
        arguments: Rot.allCases, [true, false])
    func middle(rot: Rot, hasMark: Bool) throws {
        var said = 0
        for commit in commits.dropLast() {
            let machine = Self.victim.image()
            if !hasMark { unmark(machine.disk) }
            spoil(rot, commit, at: 100, on: machine.disk)
            let opened = try Self.victim.read(machine)
            // The newest commit but one is proven only by the newest one's word or the mark.
            let reports = opened.report.damages.filter { $0.reason.contains("REC-9") }
            #expect(
                reports.contains { $0.reason.contains("commit \(commit.commit) is missing") },
                "commit \(commit.commit) \(rot): \(opened.report.damages)")
            #expect(opened.returned.isEmpty, "\(opened.returned)")
            let lost = Self.victim.records.filter { $0.commit == commit.commit }.compactMap(\.item)
            for (item, answer) in opened.answers where !lost.contains(item) {
                guard case .intact = answer else {
                    Issue.record("commit \(commit.commit) \(rot): \(item) is \(answer)")
                    continue
                }
            }
            said += reports.count
        }
        #expect(said >= commits.count - 1)
    }

    @Test("MRK-4 REC-9 the newest commit is missed by the mark", arguments: Rot.allCases)
    func newestProven(rot: Rot) throws {
        let last = try #require(commits.last)
        try #require(Self.victim.mark.syncedCommit == last.commit)
        let machine = Self.victim.image()
        spoil(rot, last, at: 100, on: machine.disk)
        let opened = try Self.victim.read(machine)
        #expect(opened.report.missesTheEnd, "\(opened.report.damages)")
        #expect(Self.victim.judge(opened).wrong.isEmpty)
    }

    @Test(
        "N-6 RCV-16 a newest commit below the mark is told at every opening, and nothing is cut",
        arguments: Rot.allCases, [true, false])
    func newestStaysMissed(rot: Rot, puts: Bool) throws {
        let last = try #require(commits.last)
        let machine = Self.victim.image()
        let byteCount = machine.disk.fileByteCount(last.file)
        spoil(rot, last, at: 100, on: machine.disk)
        let first = try Self.victim.read(machine, closes: true, puts: puts)
        #expect(first.report.missesTheEnd)
        let second = try Self.victim.read(machine.afterRestart(), closes: true, puts: puts)
        #expect(Self.victim.judge(second).wrong.isEmpty)
        for opened in [first, second] {
            let reports = opened.report.damages.filter { $0.reason.contains("REC-9") }
            #expect(reports.count == 1, "\(opened.report.damages)")
        }
        #expect(machine.disk.fileByteCount(last.file) == byteCount)
    }

    @Test("N-6 a newest commit that can be read again is back", arguments: [true, false])
    func transientEnd(puts: Bool) throws {
        let last = try #require(commits.last)
        let machine = Self.victim.image()
        spoil(.flipped, last, at: 100, on: machine.disk)
        #expect(try Self.victim.read(machine, closes: true, puts: puts).report.missesTheEnd)
        spoil(.flipped, last, at: 100, on: machine.disk)
        let again = try Self.victim.read(machine.afterRestart())
        #expect(again.isAllThere && again.report.damages.isEmpty, "\(again.report.damages)")
    }

    @Test(
        "COM-13 MRK-6 L-1 with no mark the newest commit is a torn tail, and nothing is said",
        arguments: Rot.allCases)
    func newestUnproven(rot: Rot) throws {
        let last = try #require(commits.last)
        let machine = Self.victim.image()
        unmark(machine.disk)
        spoil(rot, last, at: 100, on: machine.disk)
        let opened = try Self.victim.read(machine, closes: true)
        #expect(opened.report.damages.isEmpty)
        for (item, answer) in opened.answers {
            let isLast = item == Item(space: "acme", owner: 5)
            if case .missing = answer, isLast { continue }
            guard case .intact = answer, !isLast else {
                Issue.record("\(rot): \(item) is \(answer)")
                continue
            }
        }
        let again = try Self.victim.read(machine.afterRestart())
        #expect(again.report.damages.isEmpty && again.returned.isEmpty)
    }

    @Test("MRK-4 one mark of two is enough, the newer one decides", arguments: [0, 1])
    func oneMark(block: Int) throws {
        let last = try #require(commits.last)
        let machine = Self.victim.image()
        machine.disk.flip("superblock", byte: 262_144 + block * 4_096 + 30, bit: 1)
        spoil(.flipped, last, at: 100, on: machine.disk)
        let opened = try Self.victim.read(machine)
        let isNewer = Int(Self.victim.mark.turn & 1) == block
        #expect(opened.report.missesTheEnd == !isNewer)
    }

    @Test(
        "RCV-10 RCV-11 RCV-13 a bad member is damage if proven, and dropped if not",
        arguments: [true, false], [0, 100, 4_096 + 9])
    func members(isProven: Bool, byte: Int) throws {
        let victim = Self.victim
        let item = Item(space: "acme", owner: 5)
        let record = try #require(victim.record(of: item))
        let machine = victim.image()
        if !isProven { unmark(machine.disk) }
        spoil(.flipped, record, at: byte, on: machine.disk)
        let opened = try victim.read(machine, closes: true)
        let answer = try #require(opened.answers[item])
        switch (isProven, answer) {
        case (true, .damaged): #expect(byte >= 4_096)
        case (true, .missing):
            #expect(opened.report.damages.map(\.offset) == [record.location.offset])
        case (false, .missing):
            #expect(opened.report.damages.isEmpty && opened.report.droppedRecordCount == 1)
        default: Issue.record("\(isProven) byte \(byte): \(answer)")
        }
        // The next opening says the same: what was dropped stays so, what is damaged stays loud.
        let again = try victim.read(machine.afterRestart())
        #expect(again.report.damages == opened.report.damages)
        #expect("\(again.answers[item]!)" == "\(answer)")
    }
}
