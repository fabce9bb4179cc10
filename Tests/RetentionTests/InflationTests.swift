// What ages by what had to be forgotten: `gdsf` and `s3-fifo`, and the folded clock below them.

import ChunkFormat
import Primitives
import Testing

@testable import Retention

@Suite("Inflation")
struct InflationTests {
    @Test("is read back exactly within a period, on any day of any century")
    func folding() {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<10_000 {
            let now = Int64.random(in: -(1 << 40)...(1 << 52), using: &generator)
            let ago = Int64.random(in: 0..<WrappedSteps.period, using: &generator)
            let score = WrappedSteps.encode(now - ago)
            #expect(WrappedSteps.decode(score, notAfter: now) == now - ago)
            let near = ago / 2 - WrappedSteps.period / 4
            #expect(WrappedSteps.distance(from: now, to: WrappedSteps.encode(now + near)) == near)
        }
        // A row that slept a whole period reads as younger, never as from the future.
        let old = WrappedSteps.encode(1_000)
        let now = 1_000 + WrappedSteps.period + 5
        #expect(WrappedSteps.decode(old, notAfter: now) == 1_000 + WrappedSteps.period)
    }

    @Test("GDSF: H = L + frequency · cost / bytes")
    func gdsf() {
        let policy = GDSFPolicy(referenceCostPerByte: 256.0 / Double(32 << 20))
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        #expect(policy.merit(of: row, facts: facts()) == 1_024)
        #expect(policy.merit(of: row, facts: facts(cost: 512)) == 2_048)
        #expect(policy.merit(of: row, facts: facts(megabytes: 64)) == 512)
        policy.use(&row, facts: facts(), fixCost: 0, at: 1)
        #expect(policy.merit(of: row, facts: facts()) == 2_048)
        // What is forgotten lifts whatever comes or is used afterwards, and nothing else.
        policy.forget(row, keyHash: 1, merit: 5_000, because: .evicted)
        #expect(policy.merit(of: row, facts: facts()) == 2_048)
        let newer = policy.row(ofNew: 2, facts: facts(), at: 2)
        #expect(policy.merit(of: newer, facts: facts()) == 6_024)
        policy.forget(row, keyHash: 1, merit: 9_000, because: .removed)
        #expect(
            policy.merit(of: policy.row(ofNew: 3, facts: facts(), at: 3), facts: facts()) == 6_024)
    }

    @Test(
        "rises to the line of a round, not to what one segment took along",
        arguments: ["gdsf", "s3-fifo"])
    func line(name: String) {
        let policy = policy(name)
        var star = policy.row(ofNew: 1, facts: facts(), at: 0)
        for _ in 0..<50 { policy.use(&star, facts: facts(), fixCost: 0, at: 0) }
        let plain = policy.row(ofNew: 2, facts: facts(), at: 0)
        let line = policy.worth(of: plain, facts: facts())
        policy.forget(star, keyHash: 1, facts: facts(), because: .evicted, line: line)
        let later = policy.row(ofNew: 3, facts: facts(), at: 0)
        let gained = policy.worth(of: later, facts: facts()) - line
        #expect(gained > 0 && gained <= line + 6_554, "\(gained)")
    }

    @Test("GDSF tells a percent apart after a billion turnovers")
    func precision() {
        let policy = GDSFPolicy()
        // A billion turnovers of entries of 1,024 steps, in leaps; a Float that held L would tell
        // only multiples of 65,536 apart.
        for turn in 1...1_000 {
            policy.forget(
                HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0), keyHash: 0,
                merit: Double(turn) * 1.024e9, because: .evicted)
        }
        let row = policy.row(ofNew: 1, facts: facts(), at: 0)
        let merits = [1.00, 1.01, 1.02].map { policy.merit(of: row, facts: facts(cost: 256 * $0)) }
        #expect(merits[0] < merits[1] && merits[1] < merits[2])
        #expect(abs(merits[1] - merits[0] - 10.24) < 0.01)
        #expect(merits[0] == 1.024e12 + 1_024)
    }

    @Test("GDSF: whatever stands still is overtaken, however often it was used")
    func noImmortals() {
        let policy = GDSFPolicy()
        let star = HeatRow(useCount: .max, lastUseSeconds: 0, score: 0, lastFixCost: 0)
        let merit = policy.merit(of: star, facts: facts(megabytes: 1, cost: 1e12))
        var level = 0.0
        while level <= merit {
            level += 100_000
            policy.forget(star, keyHash: 0, merit: level, because: .evicted)
        }
        let fresh = policy.row(ofNew: 1, facts: facts(), at: 0)
        #expect(
            policy.merit(of: fresh, facts: facts())
                > policy.merit(of: star, facts: facts(megabytes: 1, cost: 1e12)))
    }

    @Test("is found again from the rows", arguments: ["gdsf", "s3-fifo", "recall"])
    func recovery(name: String) throws {
        var store = ToyStore(policy(name), entryCountMax: 200)
        var generator = SeededGenerator(seed: 5)
        for second in 0..<40_000 as Range<UInt32> {
            let key = UInt64.random(
                in: 0..<UInt64.random(in: 1..<2_000, using: &generator),
                using: &generator)
            store.ask(key, at: second)
        }
        let reopened = policy(name)
        for entry in store.entries.shuffled(using: &generator) { reopened.recover(entry.row) }
        // The old entries stand to each other as they did …
        let before = store.entries.map { store.policy.worth(of: $0.row, facts: $0.facts) }
        let after = store.entries.map { reopened.worth(of: $0.row, facts: $0.facts) }
        let shift = after[0] - before[0]
        for (old, new) in zip(before, after) { #expect(abs(new - old - shift) < 1e-3) }
        // … and a new one stands among them where it would have stood.
        let fresh = store.policy.row(ofNew: 1 << 40, facts: facts(), at: 40_000)
        let again = reopened.row(ofNew: 1 << 40, facts: facts(), at: 40_000)
        let rank = before.count { $0 < store.policy.worth(of: fresh, facts: facts()) }
        let rankAgain = after.count { $0 < reopened.worth(of: again, facts: facts()) }
        #expect(abs(rank - rankAgain) <= before.count / 10, "\(rank) became \(rankAgain)")
    }

    @Test("S3-FIFO demotes what was not used, and keeps what was for laps")
    func s3() {
        let policy = S3FIFOPolicy(ghostSlots: 1_024)
        var used = policy.row(ofNew: 1, facts: facts(), at: 0)
        policy.use(&used, facts: facts(), fixCost: 0, at: 0)
        let lap = policy.merit(of: used, facts: facts())
        // What is stored later but never used goes first, for as long as a lap lasts.
        policy.forget(used, keyHash: 9, merit: lap / 2, because: .evicted)
        let unused = policy.row(ofNew: 2, facts: facts(), at: 1)
        #expect(policy.merit(of: unused, facts: facts()) < lap)
        // At most four laps ahead, however often it is used.
        for _ in 0..<100 { policy.use(&used, facts: facts(), fixCost: 0, at: 0) }
        let most = policy.merit(of: used, facts: facts())
        #expect(most <= lap / 2 + 4 * 65_536)
        #expect(most > lap + 2 * 65_536)
    }

    @Test("S3-FIFO's ghost sends what comes back straight to main")
    func s3Ghost() {
        let policy = S3FIFOPolicy(ghostSlots: 1_024)
        let first = policy.row(ofNew: 7, facts: facts(), at: 0)
        policy.forget(first, keyHash: 7, facts: facts(), because: .evicted)
        let back = policy.row(ofNew: 7, facts: facts(), at: 1)
        let other = policy.row(ofNew: 8, facts: facts(), at: 1)
        #expect(
            policy.merit(of: back, facts: facts()) - policy.merit(of: other, facts: facts())
                > 50_000)
        // Removal is nobody's judgement, and leaves no ghost.
        policy.forget(other, keyHash: 8, facts: facts(), because: .removed)
        let again = policy.row(ofNew: 8, facts: facts(), at: 2)
        #expect(policy.merit(of: again, facts: facts()) == policy.merit(of: other, facts: facts()))
    }
}
