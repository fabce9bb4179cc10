// The default policy.

import ChunkFormat
import Primitives
import Testing

@testable import Retention

@Suite("Recall")
struct RecallTests {
    @Test("counts by a clock that a store's own use moves")
    func halfLife() {
        let policy = RecallPolicy(ghostSlots: 64, usesPerEntry: 10)
        let rows = (0..<100 as Range<UInt64>).map { policy.row(ofNew: $0, facts: facts(), at: 0) }
        let start = policy.merit(of: policy.row(ofNew: 500, facts: facts(), at: 0), facts: facts())
        var hot = rows[0]
        // 101 entries, so 1,010 uses halve a count; seconds do not matter.
        for _ in 0..<1_010 { policy.use(&hot, facts: facts(), fixCost: 0, at: 0) }
        let later = policy.merit(of: policy.row(ofNew: 501, facts: facts(), at: 0), facts: facts())
        #expect(abs(later - start - 1) < 0.01)
        // Σ 2^(−i/1010) over 1,010 uses: 729.
        #expect(abs(policy.merit(of: hot, facts: facts()) - later - 9.51) < 0.05)
    }

    @Test("finds a forgotten key's past")
    func ghost() throws {
        let policy = RecallPolicy(ghostSlots: 1_024)
        var row = policy.row(ofNew: 7, facts: facts(), at: 0)
        for _ in 0..<15 { policy.use(&row, facts: facts(), fixCost: 0, at: 0) }
        policy.forget(row, keyHash: 7, facts: facts(), because: .evicted)
        let back = policy.row(ofNew: 7, facts: facts(), at: 1)
        let other = policy.row(ofNew: 8, facts: facts(), at: 1)
        let advantage =
            policy.merit(of: back, facts: facts()) - policy.merit(of: other, facts: facts())
        // Sixteen sights and one more, a little decayed.
        #expect(advantage > 3.9 && advantage < 4.1)
        // The uses that are remembered.
        #expect(back.useCount == 16 && other.useCount == 0)
    }

    @Test("weighs cost, bytes and what repair leaves")
    func gain() {
        let policy = RecallPolicy(ghostSlots: 64)
        var row = policy.row(ofNew: 1, facts: facts(), at: 0)
        let merit = policy.merit(of: row, facts: facts())
        #expect(policy.merit(of: row, facts: facts(cost: 512)) - merit == 1)
        #expect(policy.merit(of: row, facts: facts(megabytes: 64)) - merit == -1)
        policy.use(&row, facts: facts(), fixCost: 0, at: 0)
        let whole = policy.merit(of: row, facts: facts())
        row.lastFixCost = 0.75
        #expect(abs(policy.merit(of: row, facts: facts()) - whole + 2) < 1e-9)
        row.lastFixCost = 1
        #expect(policy.merit(of: row, facts: facts()).isFinite)
    }

    @Test("does not let a scan through")
    func scan() {
        var recall = ToyStore(RecallPolicy(ghostSlots: 1_024), entryCountMax: 20)
        var lru = ToyStore(LRUPolicy(), entryCountMax: 20)
        for second in 0..<4_000 as Range<UInt32> {
            for key in [
                UInt64(second % 15), 1_000 + UInt64(second) * 2, 1_001 + UInt64(second) * 2,
            ] {
                recall.ask(key, at: second)
                lru.ask(key, at: second)
            }
        }
        #expect(lru.hitCount == 0)
        #expect(recall.hitCount > 3_900)
    }

    @Test("keeps counting for years, and never past what a Float holds")
    func longLife() {
        let policy = RecallPolicy(ghostSlots: 64, usesPerEntry: 1)
        var hot = policy.row(ofNew: 1, facts: facts(), at: 0)
        var cold = policy.row(ofNew: 2, facts: facts(), at: 0)
        // 31,000 half-lives of a store of 64 entries: the folded clock goes round thirty times.
        for use in 0..<2_000_000 as Range<UInt32> {
            policy.use(&hot, facts: facts(), fixCost: 0, at: use)
            if use % 10 == 0 { policy.use(&cold, facts: facts(), fixCost: 0, at: use) }
        }
        let advantage =
            policy.merit(of: hot, facts: facts()) - policy.merit(of: cold, facts: facts())
        #expect(advantage > 2.5 && advantage < 3.6, "\(advantage)")
    }
}

@Suite("Newcomers")
struct NewcomerTests {
    @Test(
        "are worth as much as the least of what is kept, where age is all",
        arguments: ["lru", "gdsf", "s3-fifo"])
    func ages(name: String) {
        var store = ToyStore(policy(name), entryCountMax: 20)
        var generator = SeededGenerator(seed: 6)
        for second in 0..<3_000 as Range<UInt32> {
            store.ask(.random(in: 0..<100, using: &generator), at: second)
        }
        let lowest = store.entries.map { store.policy.worth(of: $0.row, facts: $0.facts) }.min()
        let fresh = store.policy.row(ofNew: 1_000, facts: facts(), at: 3_000)
        #expect(store.policy.worth(of: fresh, facts: facts()) >= lowest ?? 0)
    }
}

@Suite("The ghost")
struct GhostTests {
    @Test("remembers, forgets the oldest, and never grows")
    func bounded() {
        let ghost = GhostTable(slotCount: 1_024)
        for key in 0..<10_000 as Range<UInt64> { ghost.remember(key, rank: UInt32(key)) }
        let known = (0..<10_000 as Range<UInt64>).filter { ghost.recall($0) != nil }
        #expect(known.count <= 1_024 && known.count > 950)
        #expect(known.allSatisfy { ghost.recall($0) == UInt32($0) })
        #expect(known.count { $0 >= 9_000 } > 600)
        #expect(ghost.take(known[0]) != nil)
        #expect(ghost.take(known[0]) == nil)
    }

    @Test("ages across the wrap of its ranks")
    func wraps() {
        let ghost = GhostTable(slotCount: 8)
        for key in 0..<8 as Range<UInt64> { ghost.remember(key, rank: .max - 8 + UInt32(key)) }
        for key in 8..<12 as Range<UInt64> { ghost.remember(key, rank: UInt32(key) - 8) }
        #expect((0..<4 as Range<UInt64>).allSatisfy { ghost.recall($0) == nil })
        #expect((4..<12 as Range<UInt64>).allSatisfy { ghost.recall($0) != nil })
    }

    @Test("knows no key that it was not told")
    func strangers() {
        let ghost = GhostTable(slotCount: 4_096)
        for key in 0..<4_096 as Range<UInt64> { ghost.remember(key, rank: 1) }
        #expect((100_000..<200_000 as Range<UInt64>).allSatisfy { ghost.recall($0) == nil })
    }

    @Test("replaces what it kept for a key")
    func replaces() {
        let ghost = GhostTable(slotCount: 8)
        for rank in 1...100 as ClosedRange<UInt32> { ghost.remember(5, rank: rank) }
        ghost.remember(6, rank: 100)
        #expect(ghost.recall(5) == 100 && ghost.recall(6) == 100)
    }
}
