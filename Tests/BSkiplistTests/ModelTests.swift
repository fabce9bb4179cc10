// The index against the sorted array: every order of small lists, and long random ones.

import BSkiplist
import Testing

@Suite("Against a sorted array")
struct ModelTests {
    /// Keys that tie in the prefix, tie in all but the last word, and do not tie.
    static let smallKeys = [
        IndexKey(5, 0, 0, 0, 0), IndexKey(5, 0, 0, 0, 1), IndexKey(5, 1, 0, 0, 0),
        IndexKey(7, 0, 0, 0, 0), IndexKey(0, 0, 0, 0, 0), IndexKey(.max, .max, .max, .max, .max),
        IndexKey(4, 9, 9, 9, 9),
    ]

    /// Calls `body` with every order of `items`.
    static func permute<Item>(_ items: [Item], _ body: ([Item]) -> Void) {
        var items = items
        func descend(_ depth: Int) {
            if depth == items.count { return body(items) }
            for other in depth..<items.count {
                items.swapAt(depth, other)
                descend(depth + 1)
                items.swapAt(depth, other)
            }
        }
        descend(0)
    }

    @Test("Every order of small operation lists", arguments: [0, 1, 2])
    func everyOrder(list: Int) {
        let keys = Self.smallKeys
        func value(_ number: UInt64) -> IndexValue { IndexValue(number, ~number, 7) }
        let lists: [[Operation]] = [
            (0..<7).map { .insert(keys[$0], value(UInt64($0))) },
            (0..<5).map { .insert(keys[$0], value(UInt64($0))) }
                + [.remove(keys[1]), .upsert(keys[3], value(99))],
            [
                .insert(keys[0], value(1)), .insert(keys[1], value(2)), .remove(keys[0]),
                .upsert(keys[0], value(3)), .remove(keys[1]), .insert(keys[5], value(4)),
                .lookup(keys[0]),
            ],
        ]
        var wrong = 0
        Self.permute(lists[list]) { operations in
            var pair = Pair(arena: sharedArena, seed: 3)
            // Two leaves and a branch to begin with, so that the list meets fences.
            for number in 0..<6 as Range<UInt64> {
                _ = pair.apply(.insert(IndexKey(5, 0, 0, 1, number), value(number)))
            }
            for operation in operations where !pair.apply(operation) { wrong += 1 }
            if !pair.scanAgrees(from: .zero) || !pair.index.checkInvariants().isEmpty { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test("Every order of removing what was inserted in every rotation")
    func everyRemovalOrder() {
        var wrong = 0
        Self.permute(Array(Self.smallKeys.prefix(6))) { order in
            var pair = Pair(arena: sharedArena)
            for (number, key) in Self.smallKeys.enumerated() {
                _ = pair.apply(.insert(key, IndexValue(UInt64(number), 0, 0)))
            }
            for key in order {
                if !pair.apply(.remove(key)) || !pair.scanAgrees(from: .zero) { wrong += 1 }
            }
            if !pair.index.checkInvariants().isEmpty { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    enum Keys: String, CaseIterable {
        case uniform, dense, onePrefix, variants, extremes
    }

    static func key(_ kind: Keys, _ random: inout Seeded) -> IndexKey {
        switch kind {
        case .uniform:
            IndexKey(random.next() & 0xFFF << 52, random.next() & 1, 0, 0, 0)
        case .dense:
            IndexKey(random.next() % 300, 0, 0, 0, 0)
        case .onePrefix:
            IndexKey(42, random.next() % 40, random.next() % 8, 0, 0)
        case .variants:
            IndexKey(1, 2, 3, 4, random.next() % 1000)
        case .extremes:
            IndexKey(
                random.next() & 1 == 0 ? 0 : .max,
                random.next() & 1 == 0 ? 0 : .max,
                random.next() & 1 == 0 ? 0 : .max,
                random.next() & 1 == 0 ? 0 : .max,
                [0, 1, .max - 1, .max][Int(random.next() % 4)]
            )
        }
    }

    @Test("Long random scripts", arguments: Keys.allCases, [1, 2, 3] as [UInt64])
    func randomScripts(kind: Keys, seed: UInt64) {
        var random = Seeded(seed)
        var pair = Pair(arena: sharedArena, seed: seed)
        let note = "\(kind) seed \(seed)"
        for step in 0..<6_000 {
            // Phases of growth and of shrinking, so that splits and merges both pile up.
            let removals: UInt64 = step / 1_000 % 2 == 0 ? 20 : 65
            let key = Self.key(kind, &random)
            let value = IndexValue(random.next(), UInt64(step), 0)
            let dice = random.next() % 100
            let agreed =
                if dice < removals { pair.apply(.remove(key)) } else if dice < 85 {
                    pair.apply(.insert(key, value))
                } else if dice < 95 { pair.apply(.upsert(key, value)) } else {
                    pair.apply(.lookup(key))
                }
            if !agreed {
                Issue.record("\(note): step \(step) disagrees")
                return
            }
            if step % 97 == 0 {
                #expect(pair.scanAgrees(from: key, limit: 20), "\(note): step \(step)")
            }
            if step % 1_000 == 999 { pair.checkAll("\(note): step \(step)") }
        }
    }
}
