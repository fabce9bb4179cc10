// Recorded histories of the index under eight threads, judged by the checker.
//
// Eight keys that tie in the prefix, on nodes of four slots: every history is full of splits and
// merges. A hook yields the processor now and then inside operations. CHUNKDB_LIN_HISTORIES sets
// how many histories.

import BSkiplist
import Foundation
import Synchronization
import Testing

@Suite("Histories")
struct HistoryTests {
    static let threads = 8
    static let operations = 200
    static let keys = (0..<8 as Range<UInt64>).map { IndexKey(6, $0 / 4, 0, 0, $0) }

    static var histories: Int {
        ProcessInfo.processInfo.environment["CHUNKDB_LIN_HISTORIES"].flatMap(Int.init) ?? 500
    }

    final class Clock: Sendable {
        private let ticks = Atomic<Int>(0)
        func tick() -> Int { ticks.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
    }

    typealias Note = (key: Int, operation: Recorded)

    /// One thread's part of a history.
    static func work(on index: BSkiplist, clock: Clock, thread: Int, seed: UInt64) -> [Note] {
        var random = Seeded(seed)
        var notes: [Note] = []
        notes.reserveCapacity(operations * 2)
        for number in 0..<operations {
            let choice = Int(random.next() % 8)
            let key = keys[choice]
            // Unique in the history and never 0.
            let new = UInt64(thread + 1) << 32 | UInt64(number)
            let value = IndexValue(new, ~new, new)
            let called = clock.tick()
            var kind = Recorded.Kind.lookup
            var answer: IndexValue?
            switch random.next() % 16 {
            case 0..<4:
                answer = index.lookup(key)
            case 4..<7:
                kind = .insert(new)
                answer = index.insert(key, value) ? IndexValue(1, ~1, 1) : nil
            case 7..<9:
                kind = .upsert(new)
                answer = index.upsert(key, value)
            case 9..<14:
                kind = .remove
                answer = index.remove(key)
            case 14:
                let found = index.lookup(batch: keys)
                notes += note(found, called, clock.tick())
                continue
            default:
                // A scan sees each key's value of some moment during the scan: as many lookups.
                var found = [IndexValue?](repeating: nil, count: keys.count)
                index.scan(from: .init(0, 0, 0, 0, 0)) { key, value in
                    found[Int(key.w4)] = value
                    return true
                }
                notes += note(found, called, clock.tick())
                continue
            }
            let recorded = Recorded(
                kind: kind,
                answer: whole(answer),
                called: called,
                returned: clock.tick()
            )
            notes.append((choice, recorded))
        }
        return notes
    }

    /// A value's first word; a torn value becomes one that was never written.
    static func whole(_ value: IndexValue?) -> UInt64 {
        guard let value else { return 0 }
        return value.v1 == ~value.v0 && value.v2 == value.v0 ? value.v0 : .max
    }

    static func note(_ found: [IndexValue?], _ called: Int, _ returned: Int) -> [Note] {
        found.enumerated().map { key, value in
            (key, Recorded(kind: .lookup, answer: whole(value), called: called, returned: returned))
        }
    }

    @Test("Eight threads on eight keys are linearizable")
    func histories() {
        let arena = NodeArena()
        for history in 0..<Self.histories {
            let seed = UInt64(history)
            let index = BSkiplist(arena: arena, seed: seed)
            // Neighbours on both sides, so that the keys' leaves have someone to merge with.
            for number in 0..<12 as Range<UInt64> {
                let prefix: UInt64 = number < 6 ? 1 : 9
                if history % 2 == 0 {
                    _ = index.insert(IndexKey(prefix, 0, 0, 0, number % 8), IndexValue(0, 0, 0))
                }
            }
            if history % 2 == 0 { Self.clearNeighbours(of: index) }
            #if DEBUG
                let turns = Atomic<UInt64>(seed)
                let turn = Turn(turns)
                index.setInterleavingHook { _ in turn.next() }
            #endif
            let clock = Clock()
            let collected = Collected<Note>()
            runThreads(Self.threads) { thread in
                collected.add(
                    Self.work(
                        on: index,
                        clock: clock,
                        thread: thread,
                        seed: seed << 8 | UInt64(thread)
                    )
                )
            }
            var perKey: [[Recorded]] = Array(repeating: [], count: Self.keys.count)
            for note in collected.take() { perKey[note.key].append(note.operation) }
            for (key, recorded) in perKey.enumerated() where !Linearizability.holds(recorded) {
                Issue.record("history \(history), key \(key): not linearizable")
                return
            }
            let faults = index.checkInvariants().prefix(3)
            #expect(faults == [], "history \(history)")
        }
    }

    /// The scan above expects the eight keys only; the neighbours leave their nodes behind.
    private static func clearNeighbours(of index: BSkiplist) {
        for prefix in [1, 9] as [UInt64] {
            for number in 0..<8 as Range<UInt64> {
                _ = index.remove(IndexKey(prefix, 0, 0, 0, number))
            }
        }
    }

    /// Yields at every few points, in a pattern of its own for each history.
    private final class Turn: Sendable {
        private let state: Atomic<UInt64>
        init(_ state: consuming Atomic<UInt64>) { self.state = state }
        func next() {
            let word = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
            if (word >> 40) % 5 == 0 { sched_yield() }
        }
    }
}
