// What an opener begins with: numbers that nothing on the medium has, whatever a crash, or the loss
// of a file, left there to be found.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Numbers are never given twice")
struct NextNumbersTests {
    /// Goes on with an image, recorded from its opening on. *Returns:* what was written.
    private static func goOn(_ machine: SimulatedMachine, _ facts: String) throws -> WriteHistory {
        machine.disk.startRecording()
        let db = try machine.open()
        #expect(db.recovery.damages == [], "\(facts)")
        try machine.run { () async throws in
            let space = try await db.namespace("next", model: smallBinding(layers: 1))
            try await TestChunk(7).put(in: space)
            try await space.remove(TestChunk(7).key(in: space))
            await db.close()
        }
        return try WriteHistory(machine.disk)
    }

    /// The write sequences of all that a chain leads to; of uses that have ended nothing is left.
    private static func largestSequence(_ found: StoreBytes) -> UInt64 {
        let freed = found.facts.compactMap { fact in
            if case .freed(let use) = fact { use } else { nil }
        }
        let living = found.commits.filter { commit in
            !freed.contains {
                $0.segment == commit.prefix.location.segment
                    && $0.useSequence >= commit.useSequence
            }
        }
        return living.map(\.prefix.writeSequence.raw).max() ?? 0
    }

    @Test(
        "COM-8 RCV-17 commits, uses, segments and write sequences go on above all that was found",
        arguments: [1, 3, 4, 5, 7, 8] as [UInt64])
    func images(seed: UInt64) throws {
        // Where a namespace confines itself there is no room for the puts below.
        try #require(!Trace.confines(seed))
        let trace = Trace(seed: seed)
        let marks = Marks()
        let step = 11
        for count in stride(from: trace.firstCrash, to: trace.effects.count, by: step) {
            let images = trace.images(afterEffects: count)
            let image = images[(count / step) % images.count]
            let machine = trace.image(image)
            let found = try StoreBytes(machine.disk)
            let facts = "seed \(seed) \(image)"
            let names = machine.disk.fileNames.filter { $0.hasPrefix("segments/") }
            let history = try Self.goOn(machine, facts)
            let newestFact =
                found.facts.map { fact -> UInt64 in
                    if case .tombstone(let tombstone) = fact { tombstone.commit } else { 0 }
                }.max() ?? 0
            let newestInChains = found.commits.map(\.commit).max() ?? 0
            marks.hit("a fact without its commit", if: newestFact > newestInChains)
            for write in history.writes {
                switch write.content {
                case .commit(let commit):
                    #expect(commit.commit > found.largestCommit, "\(facts)")
                    #expect(
                        commit.prefix.writeSequence.raw > Self.largestSequence(found), "\(facts)")
                    marks.hit("commit")
                case .segmentHeader(let header):
                    #expect(header.useSequence > found.largestUse, "\(facts)")
                    // A file is used again, or its number is above all that there were.
                    let isKnown = names.contains(StoreFiles.segment(header.segment))
                    #expect(
                        isKnown || StoreFiles.segment(header.segment) > names.last ?? "",
                        "\(facts)")
                    marks.hit("use")
                default: break
                }
            }
        }
        #expect(marks.missing(of: ["commit", "use"], atLeast: 10) == [], "\(marks.summary)")
    }

    @Test(
        "RCV-17 COM-8 a fact that a crash left in the journals alone has taken its commit's number",
        arguments: 1...4 as ClosedRange<UInt64>)
    func factAlone(seed: UInt64) throws {
        let machine = try TombstoneCut(seed: seed).machine
        let found = try StoreBytes(machine.disk)
        let history = try Self.goOn(machine, "seed \(seed)")
        let first = try #require(history.commits.first)
        #expect(found.largestCommit > found.commits.map(\.commit).max()!)
        #expect(first.record.commit > found.largestCommit)
    }

    @Test(
        "RCV-17 N-3 after the newest segment was lost, what is written next is found again",
        arguments: [true, false])
    func lostSegment(headerOnly: Bool) throws {
        let machine = SimulatedMachine(seed: 3, segmentSize: .kibibytes(64))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<6 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            await db.close()
        }
        let before = try StoreBytes(machine.disk)
        let lost = try #require(before.uses.last)
        if headerOnly {
            machine.disk.setBytes([UInt8](repeating: 0, count: 4_096), of: lost.file, at: 0)
        } else {
            machine.disk.removeFile(lost.file)
        }
        let next = machine.afterRestart()
        let again = try next.open()
        #expect(again.recovery.damages != [])
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            for owner in 100..<104 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
        }
        let cut = next.afterPowerCut(Survival(.none))
        let old = Set(before.uses.map(\.header.useSequence))
        let begun = try StoreBytes(cut.disk).uses.filter { !old.contains($0.header.useSequence) }
        #expect(begun.count == 2, "no use has the number of the lost one")
        let last = try cut.open()
        #expect(last.recovery.damages != [], "what was lost is told at every opening")
        try cut.run { () async throws in
            let space = try #require(last.namespace("acme"))
            for owner in 100..<104 as Range<UInt64> {
                #expect(try await TestChunk(owner).isIntact(in: space) == true, "chunk \(owner)")
            }
            await last.close()
        }
    }
}

/// A store whose process was cut off between the journals' tombstone and the commit that names its
/// record: chunk 1 was being removed, chunk 2 stays.
struct TombstoneCut {
    let machine: SimulatedMachine
    /// The number that the removal would have had.
    let commit: UInt64

    init(seed: UInt64) throws {
        let machine = SimulatedMachine(seed: seed)
        machine.disk.startRecording()
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 1...2 as ClosedRange<UInt64> { try await TestChunk(owner).put(in: space) }
            try await space.remove(TestChunk(1).key(in: space))
            await db.close()
        }
        let removal = try #require(
            try WriteHistory(machine.disk).commits.last {
                $0.record.members.contains { $0.kind == RecordKind.tombstone.rawValue }
            })
        commit = removal.record.commit
        var cut = SimulatedMachine(seed: seed)
        cut.disk = machine.disk.crash(
            afterEffects: removal.write.begin, Survival(.all, seed: seed),
            scheduler: cut.scheduler)
        self.machine = cut
    }
}
