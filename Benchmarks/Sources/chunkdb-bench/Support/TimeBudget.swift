// A verb that was given a time begins no round that would end after it, judged by the longest round
// so far. One round is always run: a report without numbers would answer nothing.

final class TimeBudget {
    private let end: UInt64?
    /// Where rounds were left out: how many were run, and of how many.
    private(set) var cuts: [(done: Int, planned: Int)] = []

    /// `nil` is all the time there is.
    init(seconds: Double?) {
        end = seconds.map { Clocks.now + UInt64($0 * 1e9) }
    }

    /// Rounds from `first` on, below 0 for those that are not counted. They end when `share` of the
    /// time that is left now is over.
    func rounds(_ count: Int, from first: Int = 0, share: Double = 1) -> Rounds {
        let now = Clocks.now
        let end = end.map { now + UInt64(Double($0 > now ? $0 - now : 0) * share) }
        return Rounds(next: first, count: count, end: end, budget: self)
    }

    struct Rounds: Sequence, IteratorProtocol {
        private var round: Int
        private let count: Int
        private let end: UInt64?
        private let budget: TimeBudget
        private var began: UInt64?
        private var longest: UInt64 = 0

        fileprivate init(next: Int, count: Int, end: UInt64?, budget: TimeBudget) {
            (round, self.count, self.end, self.budget) = (next, count, end, budget)
        }

        mutating func next() -> Int? {
            guard round < count else { return nil }
            let now = Clocks.now
            if let began { longest = Swift.max(longest, now - began) }
            if let end, round > 0, now + longest > end {
                budget.cuts.append((round, count))
                round = count
                return nil
            }
            began = now
            defer { round += 1 }
            return round
        }
    }

    /// For a report's notes; `nil` when all rounds were run.
    var note: String? {
        guard !cuts.isEmpty else { return nil }
        let rounds = cuts.map { "\($0.done) of \($0.planned)" }.joined(separator: ", ")
        return "the time given was over after so many rounds: \(rounds)"
    }
}
