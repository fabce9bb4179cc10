// Random lives of a log in which uses end in any order: what the facts say, condensed or not,
// against a list of commits.

import ChunkFormat
import Primitives
import StoreTestSupport
import Testing

@testable import SegmentLog

@Suite("What ended uses say")
struct FreedUsesTests {
    /// Commits of a log, each in a use; some skip numbers and what was not proven before them.
    private struct History {
        var facts: [FreedUse] = []
        /// Living commits, ascending, and what each builds on.
        var previous: [UInt64: UInt64] = [:]
        var living: [UInt64] = []
    }

    private func history(seed: UInt64) -> History {
        var generator = SeededGenerator(seed: seed)
        var history = History()
        var (commit, last, use) = (UInt64(1), UInt64(0), UInt64(0))
        var uses: [(use: UInt64, segment: SegmentID, commits: [UInt64])] = []
        var freeSegments: [SegmentID] = []
        for _ in 0..<40 {
            use += 1
            let segment = freeSegments.popLast() ?? SegmentID(UInt32(use))
            var commits: [UInt64] = []
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                commit += UInt64.random(in: 0...2, using: &generator)
                history.previous[commit] = last
                commits.append(commit)
                // Some are not proven when the log is opened again: the next builds on an older.
                if Int.random(in: 0..<6, using: &generator) > 0 { last = commit }
                commit += 1
            }
            uses.append((use, segment, commits))
            while uses.count > 1, Int.random(in: 0..<3, using: &generator) == 0 {
                let ended = uses.remove(
                    at: Int.random(in: 0..<uses.count - 1, using: &generator))
                history.facts.append(
                    FreedUse(
                        segment: ended.segment, useSequence: ended.use,
                        firstCommit: ended.commits.first ?? 0, lastCommit: ended.commits.last ?? 0,
                        previousCommit: ended.commits.first.map { history.previous[$0]! } ?? 0,
                        commit: commit - 1))
                freeSegments.append(ended.segment)
            }
        }
        history.living = uses.flatMap(\.commits).sorted()
        return history
    }

    @Test("JRN-12 the walk from the newest commit meets the living ones, whatever has ended")
    func walks() {
        for seed in 0..<400 as Range<UInt64> {
            let history = history(seed: seed)
            let all = FreedUses(history.facts)
            let condensed = FreedUses(all.condensed)
            // Facts of one journal and of the other may be of before and after (JRN-14).
            let mixed = FreedUses(history.facts + all.condensed)
            guard let newest = history.living.last else { continue }
            for uses in [all, condensed, mixed] {
                var found: [UInt64] = []
                var commit = newest
                while commit > 0 {
                    found.append(commit)
                    commit = uses.living(history.previous[commit]!)
                }
                // Those that a later one builds on, living or ended.
                var expected: [UInt64] = []
                var step = newest
                while step > 0 {
                    if history.living.contains(step) { expected.append(step) }
                    step = history.previous[step]!
                }
                #expect(found == expected, "seed \(seed)")
                #expect(uses.lastCommit == all.lastCommit && uses.commit == all.commit)
                #expect(uses.commits == all.commits, "seed \(seed)")
            }
            #expect(Set(all.condensed) == Set(condensed.condensed), "seed \(seed): stable")
            let segments = Set(history.facts.map(\.segment)).count
            #expect(all.condensed.count <= segments + history.living.count + 1)
            for use in all.condensed {
                #expect(use.firstCommit <= use.lastCommit && use.lastCommit <= use.commit)
            }
        }
    }

    @Test("JRN-10 JRN-11 JRN-14 of facts of one segment that differ each is true, in any order")
    func differingFacts() {
        let fact = { (use: UInt64, commit: UInt64) in
            FreedUse(
                segment: SegmentID(3), useSequence: use, firstCommit: use == 2 ? 4 : 0,
                lastCommit: use == 2 ? 6 : 0, previousCommit: use == 2 ? 3 : 0, commit: commit)
        }
        // Two ends of one use; an older use's that names a newer commit than the newest's.
        for pair in [[fact(2, 8), fact(2, 11)], [fact(1, 11), fact(2, 8)]] {
            for facts in [pair, pair.reversed()] {
                let uses = FreedUses(facts)
                for uses in [uses, FreedUses(uses.condensed), FreedUses(uses.condensed + facts)] {
                    #expect(uses.hasEnded(SegmentID(3), commit: 11))
                    #expect(!uses.hasEnded(SegmentID(3), commit: 12))
                    #expect(uses.commits == [SegmentID(3): 11] && uses.commit == 11)
                    #expect(uses.hasEnded(SegmentID(3), checkpointedUse: 2))
                    #expect(!uses.hasEnded(SegmentID(3), checkpointedUse: 3))
                    #expect(uses.living(6) == 3)
                }
                #expect(uses.condensed.count == 1)
            }
        }
    }

    @Test("JRN-12 ranges that overlap, or build on each other, are one with the smallest previous")
    func overlappingRanges() {
        let fact = { (first: UInt64, last: UInt64, previous: UInt64) in
            FreedUse(
                segment: SegmentID(UInt32(first)), useSequence: first, firstCommit: first,
                lastCommit: last, previousCommit: previous, commit: 40)
        }
        // The second overlaps the first; the fourth builds on them, over the third.
        let facts = [fact(5, 8, 3), fact(7, 12, 2), fact(20, 22, 15), fact(30, 33, 6)]
        for count in 2...4 {
            for facts in [Array(facts.prefix(count)), facts.prefix(count).reversed()] {
                let uses = FreedUses(facts)
                for uses in [uses, FreedUses(uses.condensed)] {
                    for commit in 5...12 as ClosedRange<UInt64> {
                        #expect(uses.living(commit) == 2, "commit \(commit)")
                    }
                    #expect(uses.living(4) == 4)
                    #expect(uses.living(21) == (count == 2 ? 21 : count == 3 ? 15 : 2))
                    #expect(uses.living(33) == (count == 4 ? 2 : 33))
                }
            }
        }
    }

    @Test("JRN-14 a removal is a fact until nothing older is left")
    func needed() {
        let key = ChunkKey(words: (1, 2, 3, 4))
        let removal = JournalEntry.tombstone(
            Tombstone(namespace: NamespaceID(1), key: key, variant: nil, commit: 9))
        let begin = FreedUse(
            segment: SegmentID(0), useSequence: 1, firstCommit: 1, lastCommit: 12,
            previousCommit: 0, commit: 20)
        let middle = FreedUse(
            segment: SegmentID(1), useSequence: 2, firstCommit: 7, lastCommit: 12,
            previousCommit: 6, commit: 20)
        let facts: (FreedUse) -> Set<JournalEntry> = { [removal, .freed($0)] }
        // Older commits still count, or an older checkpoint still knows the key.
        #expect(
            facts(middle).needed(facts(middle).freedUses, checkpointedCommit: 30).contains(removal))
        #expect(
            facts(begin).needed(facts(begin).freedUses, checkpointedCommit: 8).contains(removal))
        #expect(
            !facts(begin).needed(facts(begin).freedUses, checkpointedCommit: 9).contains(removal))
    }
}
