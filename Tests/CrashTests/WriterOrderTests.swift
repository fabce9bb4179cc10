// What a writer owes in the order of its writes. Crash images show a violation only where a cut
// falls right; here every write of whole lives is looked at, half of them on full stores.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("The order of a writer's writes")
struct WriterOrderTests {
    static let histories: [(seed: UInt64, history: WriteHistory)] = try!
        (1...16 as ClosedRange<UInt64>)
        .map { seed in
            var shape = Trace.shape(isFull: Trace.isFull(seed))
            // Long enough that full stores move what lives, and that journals grow.
            shape.roundCount = 12
            return (seed, try WriteHistory(Trace(seed: seed, shape)))
        }

    /// All commits of a life in the order in which they were written.
    private static func forEachLife(
        _ body: (_ history: WriteHistory, _ facts: String) throws -> Void
    ) rethrows {
        for (seed, history) in histories { try body(history, "seed \(seed)") }
    }

    @Test("COM-8 commit numbers grow over all openings, and none is given twice")
    func commitNumbers() {
        var count = 0
        Self.forEachLife { history, facts in
            let numbers = history.commits.map(\.record.commit)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "\(facts)")
            count += numbers.count
        }
        #expect(count > 300)
    }

    @Test("COM-17 the commits of a use are numbered above all commits of every earlier use")
    func usesTakeTurns() {
        var useCount = 0
        var numbersOfReused = 0
        Self.forEachLife { history, facts in
            var newest: (use: UInt64, segment: SegmentID)?
            var segments: Set<SegmentID> = []
            for (commit, _) in history.commits {
                let segment = commit.prefix.location.segment
                if let newest {
                    let isSame = commit.useSequence == newest.use && segment == newest.segment
                    #expect(
                        isSame || commit.useSequence > newest.use,
                        "\(facts) commit \(commit.commit)")
                }
                if newest?.use != commit.useSequence {
                    useCount += 1
                    if !segments.insert(segment).inserted { numbersOfReused += 1 }
                }
                newest = (commit.useSequence, segment)
            }
        }
        #expect(useCount > 50 && numbersOfReused > 5, "segments were used again")
    }

    @Test("REC-11 write sequences are unique, and grow from place to place of a use")
    func writeSequences() {
        var count = 0
        Self.forEachLife { history, facts in
            var seen: Set<UInt64> = []
            var newest: [UInt64: (offset: UInt64, sequence: UInt64)] = [:]
            var ofUse: [UInt64: [UInt64: UInt64]] = [:]
            for write in history.writes {
                switch write.content {
                case .commit(let commit):
                    #expect(seen.insert(commit.prefix.writeSequence.raw).inserted, "\(facts)")
                case .record(let prefix, let use, _):
                    #expect(seen.insert(prefix.writeSequence.raw).inserted, "\(facts)")
                    ofUse[use, default: [:]][prefix.location.offset] = prefix.writeSequence.raw
                    newest[use] = (prefix.location.offset, prefix.writeSequence.raw)
                default: break
                }
            }
            // Headers are written in any order; places are handed out from the front to the back.
            for places in ofUse.values {
                let sequences = places.sorted { $0.key < $1.key }.map(\.value)
                #expect(zip(sequences, sequences.dropFirst()).allSatisfy { $0 < $1 }, "\(facts)")
            }
            count += seen.count
        }
        #expect(count > 500)
    }

    @Test(
        "JRN-7 facts stand in both journals, block behind block, before their commit is written")
    func journalsFirst() throws {
        let marks = Marks()
        try Self.forEachLife { history, facts in
            for copy in 0..<2 {
                let name = StoreFiles.journals[copy]
                var last: UInt64 = 0
                for write in history.writes where write.file.hasPrefix(name) {
                    switch write.content {
                    case .journalHeader: last = 0
                    case .journalBlock:
                        #expect(
                            write.offset == last + UInt64(StoreBytes.unit),
                            "\(facts) \(name) at \(write.offset): not behind the last block")
                        last = write.offset
                    default: break
                    }
                }
            }
            for (commit, write) in history.commits {
                let kinds = commit.members.compactMap { RecordKind(rawValue: $0.kind) }
                for kind in [RecordKind.tombstone, .namespaceOperation] where kinds.contains(kind) {
                    for name in StoreFiles.journals {
                        let block = history.writes.last {
                            $0.file == name && $0.begin < write.begin
                                && Self.holds($0, kind, of: commit.commit)
                        }
                        let facts = "\(facts) commit \(commit.commit) \(kind) \(name)"
                        let found = try #require(block, "\(facts)")
                        let end = try #require(found.end, "\(facts)")
                        #expect(end < write.begin, "\(facts)")
                        marks.hit("\(kind)")
                        try Self.checkFlush(of: name, after: end, commit, history, facts, marks)
                    }
                }
            }
        }
        #expect(marks.missing(of: ["tombstone", "namespaceOperation", "proven"]) == [])
    }

    /// Whoever says that the commit is proven had both journals flushed before.
    private static func checkFlush(
        of name: String, after end: Int, _ commit: CommitRecord, _ history: WriteHistory,
        _ facts: String, _ marks: Marks
    ) throws {
        let proof = history.writes.first { write in
            switch write.content {
            case .mark(let mark): mark.syncedCommit >= commit.commit
            case .commit(let later): later.syncedCommit >= commit.commit
            default: false
            }
        }
        guard let proof else { return }
        // A journal that was replaced meanwhile was flushed under its draft's name.
        let names = [name, name + ".new"]
        let flushes = names.compactMap { history.flush(of: $0, after: end)?.end }
        #expect(flushes.contains { $0 < proof.begin }, "\(facts)")
        marks.hit("proven")
    }

    private static func holds(
        _ write: WriteHistory.Write, _ kind: RecordKind, of commit: UInt64
    ) -> Bool {
        guard case .journalBlock(let entries) = write.content else { return false }
        return entries.contains { entry in
            switch entry {
            case .tombstone(let tombstone): kind == .tombstone && tombstone.commit == commit
            case .namespaceOperation(.create(let description)):
                kind == .namespaceOperation && UInt64(description.id.raw) == commit
            case .namespaceOperation(.drop(_, let number)):
                kind == .namespaceOperation && number == commit
            case .freed: false
            }
        }
    }

    @Test("MRK-5 a mark is written after the flush it speaks of, and is not itself flushed")
    func marksAreLate() throws {
        var count = 0
        try Self.forEachLife { history, facts in
            for write in history.writes {
                guard case .mark(let mark) = write.content else { continue }
                for (commit, commitWrite) in history.commits
                where commit.commit <= mark.syncedCommit {
                    let end = try #require(commitWrite.end)
                    let flush = try #require(
                        history.flush(of: commitWrite.file, after: end),
                        "\(facts) commit \(commit.commit)")
                    #expect(flush.end < write.begin, "\(facts) commit \(commit.commit)")
                    count += 1
                }
            }
            // The superblock is flushed by its making, and at once when a store is opened.
            let marksBegin = history.writes.first {
                if case .mark = $0.content { true } else { false }
            }
            let flushes = history.effects.indices.filter {
                history.effects[$0].file == StoreFiles.superblock
                    && history.effects[$0].operation == .flush
                    && history.effects[$0].phase == .begins
            }
            let first = try #require(marksBegin)
            let begun = first.begin
            #expect(flushes.count { $0 > begun } == 2, "\(facts): two openings, each one flush")
        }
        #expect(count > 1_000)
    }

    @Test("DIR-4 what is replaced whole is written as a draft, flushed, renamed, and flushed so")
    func drafts() throws {
        let marks = Marks()
        let names = [StoreFiles.checkpoint, StoreFiles.heat] + StoreFiles.journals
        try Self.forEachLife { history, facts in
            let effects = history.effects
            for (index, effect) in effects.enumerated()
            where effect.operation == .rename && effect.phase == .ends {
                let name = String(effect.file.dropLast(".new".count))
                guard names.contains(name) else { continue }
                let isDrafts = { (other: Effect) in other.file == effect.file }
                let written = effects[..<index].lastIndex {
                    isDrafts($0) && $0.operation == .write
                }
                let write = try #require(written)
                let flush = try #require(history.flush(of: effect.file, after: write))
                #expect(flush.end < index, "\(facts) \(name)")
                let directory = effects[index...].firstIndex {
                    $0.operation == .flushDirectory && $0.file.isEmpty && $0.phase == .ends
                }
                let next = effects[(index + 1)...].firstIndex {
                    isDrafts($0) && $0.operation != .rename
                }
                let flushed = try #require(directory)
                #expect(flushed < next ?? .max, "\(facts) \(name)")
                marks.hit(name)
            }
            // Under their own names checkpoint and heat are never written.
            #expect(
                !effects.contains {
                    [StoreFiles.checkpoint, StoreFiles.heat].contains($0.file)
                        && $0.operation == .write
                }, "\(facts)")
        }
        #expect(marks.missing(of: names, atLeast: 5) == [])
    }

    @Test("MED-1 every transfer to the medium is of whole units, at a unit")
    func alignment() {
        Self.forEachLife { history, facts in
            #expect(
                history.effects.filter { $0.operation == .write }.allSatisfy {
                    $0.offset % UInt64(StoreBytes.unit) == 0
                        && $0.byteCount % StoreBytes.unit == 0
                }, "\(facts)")
        }
    }

    @Test("COM-18 a member is named again when an earlier commit whose use stands names it")
    func namedAgain() throws {
        let marks = Marks()
        Self.forEachLife { history, facts in
            var payloads: [UInt64: [UInt64: PayloadRecord]] = [:]
            var useOfSegment: [SegmentID: UInt64] = [:]
            var ended: Set<UInt64> = []
            /// What a commit has named: the place, as use and offset, and the variant there.
            var named: [Name: Set<Place>] = [:]
            var placesNamed: Set<Place> = []
            for write in history.writes {
                switch write.content {
                case .segmentHeader(let header):
                    useOfSegment[header.segment] = header.useSequence
                case .record(let prefix, let use, let payload):
                    payloads[use, default: [:]][prefix.location.offset] = payload
                case .journalBlock(let entries):
                    for case .freed(let freed) in entries { ended.insert(freed.useSequence) }
                case .commit(let commit):
                    for member in commit.members
                    where member.kind == RecordKind.payload.rawValue && !member.isAbandoned {
                        let use = useOfSegment[member.location.segment]!
                        let place = Place(use: use, offset: member.location.offset)
                        guard let payload = payloads[use]?[place.offset] else {
                            Issue.record("\(facts) commit \(commit.commit): no record at \(place)")
                            continue
                        }
                        let name = Name(payload)
                        let standing = (named[name] ?? []).filter { !ended.contains($0.use) }
                        let isSamePlace = placesNamed.contains(place)
                        if isSamePlace { marks.hit("at its place") }
                        if member.isAgain && !isSamePlace { marks.hit("copied") }
                        #expect(
                            member.isAgain || !isSamePlace,
                            "\(facts) commit \(commit.commit): \(place) is named again unsaid")
                        #expect(
                            !member.isAgain || !standing.isEmpty,
                            "\(facts) commit \(commit.commit): nothing that stands named \(place)")
                        named[name, default: []].insert(place)
                        placesNamed.insert(place)
                    }
                default: break
                }
            }
        }
        #expect(marks.missing(of: ["at its place", "copied"]) == [], "\(marks.summary)")
    }

    private struct Place: Hashable {
        let use: UInt64
        let offset: UInt64
    }
    private struct Name: Hashable {
        let namespace: NamespaceID
        let key: ChunkKey
        let variant: VariantID
        let index: UInt16
        init(_ record: PayloadRecord) {
            (namespace, key) = (record.namespace, record.key)
            (variant, index) = (record.variant, record.recordIndex)
        }
    }
}
