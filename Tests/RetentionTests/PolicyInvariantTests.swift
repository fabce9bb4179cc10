// What holds for every policy, so that an engine may rely on it without knowing which one it has.

import ChunkFormat
import Primitives
import Retention
import Testing

@Suite("Every retention policy")
struct PolicyInvariantTests {
    @Test("never calls anything not a number, whatever a row's bits are", arguments: names)
    func anyBits(name: String) {
        let policy = policy(name)
        var generator = SeededGenerator(seed: 1)
        var rows = (0..<20_000).map { _ in
            HeatRow(
                useCount: .random(in: 0 ... .max, using: &generator),
                lastUseSeconds: .random(in: 0 ... .max, using: &generator),
                score: Float(bitPattern: .random(in: 0 ... .max, using: &generator)),
                lastFixCost: Float(bitPattern: .random(in: 0 ... .max, using: &generator)))
        }
        for score: Float in [.nan, .infinity, -.infinity, -1, 0, .greatestFiniteMagnitude] {
            rows.append(HeatRow(useCount: 1, lastUseSeconds: 1, score: score, lastFixCost: score))
        }
        for row in rows {
            var row = row
            for facts in [facts(), facts(megabytes: 0, cost: 0), facts(cost: .nan)] {
                let merit = policy.merit(of: row, facts: facts)
                #expect(abs(merit) < 0x1p43)
                policy.use(&row, facts: facts, fixCost: row.lastFixCost, at: row.useCount)
                #expect(abs(policy.merit(of: row, facts: facts)) < 0x1p43)
                #expect(row.lastFixCost >= 0 && row.lastFixCost <= 1)
                #expect(row.score.isFinite)
            }
        }
        for row in rows { policy.recover(row) }
        let fresh = policy.row(ofNew: 1, facts: facts(), at: 1)
        #expect(abs(policy.merit(of: fresh, facts: facts())) < 0x1p43)
    }

    @Test("keeps a worth still while its row is not used", arguments: names)
    func standing(name: String) {
        let policy = policy(name)
        var store = ToyStore(policy, entryCountMax: 64)
        var generator = SeededGenerator(seed: 2)
        let row = policy.row(ofNew: 99, facts: facts(), at: 0)
        let worth = policy.worth(of: row, facts: facts())
        for second in 0..<5_000 as Range<UInt32> {
            store.ask(.random(in: 0..<300, using: &generator), at: second)
        }
        #expect(policy.worth(of: row, facts: facts()) == worth)
    }

    @Test("never lowers a worth by a use like the last", arguments: names)
    func useHelps(name: String) {
        let policy = policy(name)
        var store = ToyStore(policy, entryCountMax: 16)
        var row = policy.row(ofNew: 99, facts: facts(), at: 0)
        var worth = policy.worth(of: row, facts: facts())
        for second in 1..<3_000 as Range<UInt32> {
            store.ask(UInt64(second), at: second)
            policy.use(&row, facts: facts(), fixCost: 0, at: second)
            let now = policy.worth(of: row, facts: facts())
            #expect(now >= worth)
            worth = now
        }
        #expect(row.useCount == 2_999 && row.lastUseSeconds == 2_999)
    }

    @Test("forgets surplus before the last variant of any chunk", arguments: names)
    func surplus(name: String) {
        let policy = policy(name)
        var store = ToyStore(policy, entryCountMax: 32)
        let plain = policy.row(ofNew: 1, facts: facts(), at: 0)
        var rich = policy.row(ofNew: 2, facts: facts(isSurplus: true), at: 0)
        for second in 0..<2_000 as Range<UInt32> {
            store.ask(UInt64(second) % 200 + 10, at: second * 1_000_000)
            policy.use(&rich, facts: facts(isSurplus: true), fixCost: 0, at: second * 1_000_000)
        }
        let richFacts = facts(megabytes: 1, cost: 1e9, isSurplus: true)
        #expect(
            policy.worth(of: rich, facts: richFacts) < policy.worth(of: plain, facts: facts()))
        // Among surplus the merit still counts.
        let poor = policy.row(ofNew: 3, facts: facts(isSurplus: true), at: 0)
        #expect(
            policy.worth(of: rich, facts: richFacts)
                >= policy.worth(of: poor, facts: facts(isSurplus: true)))
    }

    @Test("gives the same answers twice", arguments: names)
    func deterministic(name: String) {
        func life() -> [HeatRow] {
            var store = ToyStore(policy(name), entryCountMax: 50)
            var generator = SeededGenerator(seed: 3)
            for second in 0..<4_000 as Range<UInt32> {
                let key = UInt64.random(in: 0..<400, using: &generator)
                store.ask(
                    key, facts: facts(megabytes: key % 7 + 1), fixCost: Float(key % 3) / 4,
                    at: second)
            }
            return store.entries.map(\.row)
        }
        #expect(life() == life())
    }

    @Test(
        "keeps what is used over what is not, after thirty years as on the first day",
        arguments: names)
    func years(name: String) throws {
        let year: UInt32 = 365 * 86_400
        var store = ToyStore(policy(name), entryCountMax: 8)
        // Four chunks used daily, one-time chunks beside them: six puts a day.
        for day in 0..<30 * 365 as Range<UInt32> {
            let noon = day * 86_400 + 43_200
            for key in 0..<4 as Range<UInt64> { store.ask(key, at: noon) }
            for some in 0..<6 as Range<UInt64> {
                store.ask(1_000 + UInt64(day) * 6 + some, at: noon + 3_600 * UInt32(some + 1))
            }
            for key in 0..<4 as Range<UInt64> { store.ask(key, at: noon + 30_000) }
        }
        #expect(store.entries.count == 8)
        let kept = (0..<4 as Range<UInt64>).filter { store[$0] != nil }
        // LRU is the one that six one-time chunks a day can push out, and they do each day.
        #expect(kept.count == 4)
        for entry in store.entries {
            #expect(entry.row.score.isFinite)
            #expect(entry.row.lastUseSeconds > 29 * year)
        }
    }

    @Test("counts no time when the clock jumps back", arguments: names)
    func clockBack(name: String) {
        let policy = policy(name)
        var row = policy.row(ofNew: 1, facts: facts(), at: 1_000_000)
        policy.use(&row, facts: facts(), fixCost: 1, at: 1_000_000)
        let before = row
        policy.use(&row, facts: facts(), fixCost: 1, at: 10)
        #expect(row.lastUseSeconds == 10)
        if name == "lfu" || name == "cache-craft" { #expect(row.score == before.score + 1) }
        #expect(policy.merit(of: row, facts: facts()).isFinite)
        policy.use(&row, facts: facts(), fixCost: 1, at: .max)
        #expect(policy.merit(of: row, facts: facts()).isFinite)
    }

    @Test("works from several threads at once", arguments: names)
    func threads(name: String) async {
        let policy = policy(name)
        let worst = await withTaskGroup(of: Double.self) { group in
            for worker in 0..<4 as Range<UInt64> {
                group.addTask {
                    var store = ToyStore(policy, entryCountMax: 20)
                    for second in 0..<3_000 as Range<UInt32> {
                        store.ask(worker << 32 | UInt64(second) % 37, at: second)
                    }
                    return store.entries.map { policy.worth(of: $0.row, facts: $0.facts) }
                        .min() ?? 0
                }
            }
            return await group.reduce(.infinity, min)
        }
        #expect(worst.isFinite)
    }

    @Test("adopts a row that another policy wrote", arguments: names)
    func adoption(name: String) {
        let policy = policy(name)
        let foreign = HeatRow(useCount: 7, lastUseSeconds: 500, score: -3, lastFixCost: 0.5)
        let row = policy.adopted(foreign, keyHash: 1, facts: facts(), at: 400)
        #expect(row.useCount == 7 && row.lastFixCost == 0.5)
        // A row from the future was written under another clock.
        #expect(row.lastUseSeconds == 400)
        #expect(policy.merit(of: row, facts: facts()).isFinite)
    }

    static let names = RetentionPolicies.names
}
