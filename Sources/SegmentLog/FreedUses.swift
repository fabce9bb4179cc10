// What the journals say of uses that have ended (format-spec JRN-9 to JRN-12): which commits are
// missing because they were no longer needed, and which places hold something else by now.

import ChunkFormat
import Primitives

struct FreedUses {
    /// The newest of each segment, with the newest commit that any fact of the segment names: each
    /// of them is true (JRN-11), also if two of one use should differ.
    private var ofSegment: [SegmentID: FreedUse] = [:]
    /// Commits of ended uses, ascending: runs that build on each other are one.
    private var runs: [Run] = []
    /// The newest commit of any use that has ended.
    private(set) var lastCommit: UInt64 = 0
    /// Everything up to this one was flushed before a use was ended.
    private(set) var commit: UInt64 = 0
    private(set) var useSequence: UInt64 = 0

    private struct Run {
        let first: UInt64
        let last: UInt64
        let previous: UInt64
        /// The fact that speaks of the last one.
        let newest: FreedUse
    }

    init(_ uses: [FreedUse] = []) {
        for use in uses {
            let known = ofSegment[use.segment] ?? use
            var newest = use.useSequence > known.useSequence ? use : known
            newest.commit = max(use.commit, known.commit)
            ofSegment[use.segment] = newest
            lastCommit = max(lastCommit, use.lastCommit)
            commit = max(commit, use.commit)
            useSequence = max(useSequence, use.useSequence)
        }
        for use in uses.filter({ $0.firstCommit > 0 }).sorted(by: Self.isOrdered) {
            // Whatever it overlaps, or builds on, is one run with it, and with what lies between.
            var place = runs.count
            if let run = runs.last, use.firstCommit <= run.last { place -= 1 }
            place = min(place, index(holding: use.previousCommit) ?? place)
            guard place < runs.count, let last = runs.last else {
                runs.append(
                    Run(
                        first: use.firstCommit, last: use.lastCommit,
                        previous: use.previousCommit, newest: use))
                continue
            }
            let merged = Run(
                first: runs[place].first, last: max(last.last, use.lastCommit),
                previous: min(use.previousCommit, runs[place...].map(\.previous).min()!),
                newest: use.lastCommit > last.last ? use : last.newest)
            runs.replaceSubrange(place..., with: [merged])
        }
    }

    private static func isOrdered(_ left: FreedUse, _ right: FreedUse) -> Bool {
        (left.firstCommit, left.lastCommit) < (right.firstCommit, right.lastCommit)
    }

    /// The same, in as few facts as there are segments and gaps between the runs.
    var condensed: [FreedUse] {
        var facts = ofSegment
        for use in facts.values {
            facts[use.segment]!.firstCommit = 0
            facts[use.segment]!.lastCommit = 0
            facts[use.segment]!.previousCommit = 0
        }
        var others: [FreedUse] = []
        for run in runs {
            var use = run.newest
            (use.firstCommit, use.lastCommit, use.previousCommit) =
                (run.first, run.last, run.previous)
            if let newest = facts[use.segment], newest.useSequence == use.useSequence {
                use.commit = newest.commit
                facts[use.segment] = use
            } else {
                others.append(use)
            }
        }
        return facts.values + others
    }

    /// No commit up to this one is needed by anything: the log's own begin has ended.
    var endedPrefix: UInt64 {
        runs.first.map { $0.previous == 0 ? $0.last : 0 } ?? 0
    }

    /// Of each segment: up to this one, commits named there what is gone.
    var commits: [SegmentID: UInt64] { ofSegment.mapValues(\.commit) }

    subscript(segment: SegmentID) -> FreedUse? { ofSegment[segment] }

    /// The commit itself or, when the use that held it has ended, the one that the first of that
    /// use built on, and so on. *Complexity:* logarithmic for each use that is stepped over.
    func living(_ commit: UInt64) -> UInt64 {
        var commit = commit
        while commit > 0, let place = index(holding: commit) { commit = runs[place].previous }
        return commit
    }

    private func index(holding commit: UInt64) -> Int? {
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].first <= commit { low = middle + 1 } else { high = middle }
        }
        return low > 0 && runs[low - 1].last >= commit ? low - 1 : nil
    }

    /// Whether a record that a commit named at this place went with a use that has ended.
    func hasEnded(_ segment: SegmentID, commit: UInt64) -> Bool {
        ofSegment[segment].map { $0.commit >= commit } ?? false
    }

    /// Whether a checkpoint's entry there went with its use: the use of the segment's row, or, if
    /// it has none, one that began after the rows were written; what lives was named since.
    func hasEnded(_ segment: SegmentID, checkpointedUse: UInt64?) -> Bool {
        guard let freed = ofSegment[segment] else { return false }
        return checkpointedUse.map { $0 <= freed.useSequence } ?? true
    }
}
