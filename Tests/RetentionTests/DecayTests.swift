// Counts that halve with time: `lfu` and `cache-craft`.

import ChunkFormat
import Retention
import Testing

@Suite("Decayed counts")
struct DecayTests {
    @Test("halve in a half-life and grow by one a use")
    func formula() {
        let policy = LFUPolicy(halfLifeSeconds: 100)
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        #expect(row.score == 1 && row.useCount == 0)
        policy.use(&row, facts: facts(), fixCost: 0, at: 100)
        #expect(row.score == 1.5)
        policy.use(&row, facts: facts(), fixCost: 0, at: 300)
        #expect(row.score == 1.375)
    }

    @Test("compare as they would, both decayed to any one moment")
    func order() {
        let policy = LFUPolicy(halfLifeSeconds: 100)
        // 8 at second 0 is 2 at second 200.
        let old = HeatRow(useCount: 8, lastUseSeconds: 0, score: 8, lastFixCost: 0)
        let same = HeatRow(useCount: 2, lastUseSeconds: 200, score: 2, lastFixCost: 0)
        let better = HeatRow(useCount: 3, lastUseSeconds: 200, score: 2.01, lastFixCost: 0)
        #expect(policy.merit(of: old, facts: facts()) == policy.merit(of: same, facts: facts()))
        #expect(policy.merit(of: better, facts: facts()) > policy.merit(of: old, facts: facts()))
        // A year later nothing has become equal by underflow.
        let halfHour = LFUPolicy(halfLifeSeconds: 1_800)
        let left = HeatRow(useCount: 1, lastUseSeconds: 5, score: 1, lastFixCost: 0)
        let right = HeatRow(useCount: 1, lastUseSeconds: 6, score: 1, lastFixCost: 0)
        #expect(
            halfHour.merit(of: right, facts: facts()) > halfHour.merit(of: left, facts: facts()))
    }

    @Test("settle instead of overflowing or standing still, at ten uses a second for weeks")
    func equilibrium() {
        let policy = CacheCraftPolicy(halfLifeSeconds: 86_400)
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        let uses = 20 * 86_400
        for use in 0..<uses {
            policy.use(&row, facts: facts(), fixCost: 0, at: UInt32(use))
        }
        // Weight 20 a second: 20 · halfLife / ln 2.
        let expected = 20 * 86_400 / 0.693_147
        #expect(abs(Double(row.score) / expected - 1) < 0.02)
        // Left alone, it loses to a newcomer in due time: log2 of it is 21.2 half-lives.
        let soon = policy.row(ofNew: 2, facts: facts(), at: UInt32(uses) + 20 * 86_400)
        let late = policy.row(ofNew: 2, facts: facts(), at: UInt32(uses) + 22 * 86_400)
        let merit = policy.merit(of: row, facts: facts())
        #expect(policy.merit(of: soon, facts: facts()) < merit)
        #expect(policy.merit(of: late, facts: facts()) > merit)
    }

    @Test("weigh a use by what it repaired, never above 1/ε")
    func cacheCraft() {
        let policy = CacheCraftPolicy(halfLifeSeconds: 1_000)
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        policy.use(&row, facts: facts(), fixCost: 0.5, at: 0)
        #expect(row.score == 3 && row.lastFixCost == 0.5)
        policy.use(&row, facts: facts(), fixCost: 0, at: 0)
        #expect(row.score == 23)
        policy.use(&row, facts: facts(), fixCost: 7, at: 0)
        #expect(row.score == 24 && row.lastFixCost == 1)
        policy.use(&row, facts: facts(), fixCost: .nan, at: 1_000)
        #expect(row.score == 13)
    }

    @Test(
        "refuse no half-life, they take the nearest that means something", arguments: [0, -5, .nan])
    func absurdHalfLife(seconds: Double) {
        let policy = LFUPolicy(halfLifeSeconds: seconds)
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        policy.use(&row, facts: facts(), fixCost: 0, at: 1_000)
        #expect(policy.merit(of: row, facts: facts()).isFinite)
    }
}
