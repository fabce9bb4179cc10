// One caller of a store under test: does random operations and notes what it was told, and when.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives

struct StoreCaller {
    struct Note: Sendable {
        let owner: UInt64
        let operation: Recorded
    }

    /// One layer, one token: every put is three blocks.
    static let binding = smallBinding(layers: 1)

    let space: Namespace
    let clock: HistoryTests.Clock
    let number: Int
    let owners: [UInt64]
    /// Whether errors are planned. Then an accepted put may be withdrawn behind the caller's back
    /// (CONTRACT 2.3), which is a removal that nobody called.
    let expectsFailure: Bool
    private var random: Seeded
    private(set) var notes: [Note] = []
    private var putCount: UInt64 = 0
    private var hasFailed = false

    init(
        space: Namespace, clock: HistoryTests.Clock, number: Int, seed: UInt64,
        owners: some Sequence<UInt64>, expectsFailure: Bool
    ) {
        self.space = space
        self.clock = clock
        self.number = number
        self.owners = Array(owners)
        self.expectsFailure = expectsFailure
        random = Seeded(seed << 8 | UInt64(number))
    }

    private func tokens(_ owner: UInt64) -> [UInt32] { [UInt32(owner)] }

    /// A caller stops at its first error: the rest of a degraded store's answers tells nothing.
    mutating func live(_ operations: Int) async {
        for _ in 0..<operations where !hasFailed {
            let owner = owners[Int(random.next() % UInt64(owners.count))]
            let durability = Durability.allCases[Int(random.next() % 3)]
            switch random.next() % 16 {
            case 0..<6: await put(owner, durability)
            case 6..<10: await remove(owner, durability, onlyOne: random.next() % 2 == 0)
            case 10: contains(owner)
            default: await get(owner)
            }
        }
    }

    private mutating func note(
        _ owner: UInt64, _ kind: Recorded.Kind, _ called: Int, _ answer: UInt64?
    ) {
        notes.append(
            Note(
                owner: owner,
                operation: Recorded(
                    kind: kind, answer: answer, called: called, returned: clock.tick())))
    }

    private mutating func noteFailure(_ owner: UInt64, _ kind: Recorded.Kind, _ called: Int) {
        hasFailed = true
        notes.append(
            Note(
                owner: owner,
                operation: Recorded(kind: kind, answer: nil, called: called, returned: nil)))
    }

    private mutating func put(_ owner: UInt64, _ durability: Durability) async {
        putCount += 1
        // Unique in the history and never 0.
        let version = UInt64(number + 1) << 32 | putCount
        let tokens = tokens(owner)
        let byteCount = Self.binding.rowBytes(layer: 0)
        let called = clock.tick()
        do {
            let outcome = try await space.put(
                space.key(tokens: tokens), tokens: tokens,
                layers: [
                    (
                        Self.words(version, byteCount: byteCount),
                        Self.words(~version, byteCount: byteCount)
                    )
                ], durability: durability)
            note(owner, .insert(version), called, outcome == .committed ? 1 : 0)
            if expectsFailure, durability == .accepted {
                let withdrawal = Recorded(
                    kind: .erase, answer: nil, called: called, returned: nil)
                notes.append(Note(owner: owner, operation: withdrawal))
            }
        } catch {
            noteFailure(owner, .insert(version), called)
        }
    }

    private mutating func remove(_ owner: UInt64, _ durability: Durability, onlyOne: Bool) async {
        let called = clock.tick()
        do {
            try await space.remove(
                space.key(tokens: tokens(owner)), variant: onlyOne ? .standalone : nil,
                durability: durability)
            note(owner, .erase, called, nil)
        } catch {
            noteFailure(owner, .erase, called)
        }
    }

    private mutating func contains(_ owner: UInt64) {
        let called = clock.tick()
        let isThere = space.contains(space.key(tokens: tokens(owner))) != nil
        note(owner, .contains, called, isThere ? 1 : 0)
    }

    mutating func get(_ owner: UInt64) async {
        let called = clock.tick()
        do {
            guard let data = try await space.get(space.key(tokens: tokens(owner))) else {
                note(owner, .lookup, called, 0)
                return
            }
            note(owner, .lookup, called, Self.version(of: data))
        } catch {
            noteFailure(owner, .lookup, called)
        }
    }

    private static func words(_ word: UInt64, byteCount: Int) -> [UInt8] {
        let one = bigEndianBytes(word)
        return (0..<byteCount / 8).flatMap { _ in one }
    }

    /// The version whose bytes these are; a mixture becomes one that was never written.
    private static func version(of data: borrowing ChunkData) -> UInt64 {
        let keys = data.plane(layer: 0, .keys)
        let word = keys.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let isWhole =
            keys == words(word, byteCount: keys.count)
            && data.plane(layer: 0, .values) == words(~word, byteCount: keys.count)
        return isWhole ? word : .max
    }
}
