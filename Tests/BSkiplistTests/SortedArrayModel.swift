// What the index must agree with: a sorted array, too simple to be wrong.

import BSkiplist
import Testing

struct SortedArrayModel {
    private(set) var entries: [(key: IndexKey, value: IndexValue)] = []

    private func slot(of key: IndexKey) -> (slot: Int, found: Bool) {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return (low, low < entries.count && entries[low].key == key)
    }

    func lookup(_ key: IndexKey) -> IndexValue? {
        let (slot, found) = slot(of: key)
        return found ? entries[slot].value : nil
    }

    mutating func insert(_ key: IndexKey, _ value: IndexValue) -> Bool {
        let (slot, found) = slot(of: key)
        if !found { entries.insert((key, value), at: slot) }
        return !found
    }

    mutating func upsert(_ key: IndexKey, _ value: IndexValue) -> IndexValue? {
        let (slot, found) = slot(of: key)
        guard found else {
            entries.insert((key, value), at: slot)
            return nil
        }
        defer { entries[slot].value = value }
        return entries[slot].value
    }

    mutating func remove(_ key: IndexKey) -> IndexValue? {
        let (slot, found) = slot(of: key)
        return found ? entries.remove(at: slot).value : nil
    }

    func from(_ key: IndexKey) -> ArraySlice<(key: IndexKey, value: IndexValue)> {
        entries[slot(of: key).slot...]
    }
}

enum Operation: Equatable {
    case insert(IndexKey, IndexValue)
    case upsert(IndexKey, IndexValue)
    case remove(IndexKey)
    case lookup(IndexKey)
}

/// The index and the model, moved together.
struct Pair {
    let index: BSkiplist
    var model = SortedArrayModel()

    init(arena: NodeArena, seed: UInt64 = 1) { index = BSkiplist(arena: arena, seed: seed) }

    /// Whether both gave the same answer.
    mutating func apply(_ operation: Operation) -> Bool {
        switch operation {
        case .insert(let key, let value):
            index.insert(key, value) == model.insert(key, value)
        case .upsert(let key, let value):
            index.upsert(key, value) == model.upsert(key, value)
        case .remove(let key):
            index.remove(key) == model.remove(key)
        case .lookup(let key):
            index.lookup(key) == model.lookup(key)
        }
    }

    /// Whether a scan from `key` of at most `limit` gives what the model holds.
    func scanAgrees(from key: IndexKey, limit: Int = .max) -> Bool {
        var expected = model.from(key).prefix(limit)
        var agrees = true
        var seen = 0
        index.scan(from: key) { key, value in
            guard let next = expected.popFirst(), next.key == key, next.value == value else {
                agrees = false
                return false
            }
            seen += 1
            return seen < limit
        }
        return agrees && expected.isEmpty
    }

    func checkAll(_ note: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(index.count == model.entries.count, "\(note)", sourceLocation: sourceLocation)
        #expect(scanAgrees(from: .zero), "\(note): scan", sourceLocation: sourceLocation)
        let faults = index.checkInvariants()
        #expect(faults.prefix(3) == [], "\(note)", sourceLocation: sourceLocation)
    }
}

extension IndexKey {
    static let zero = IndexKey(0, 0, 0, 0, 0)
    static let ones = IndexKey(.max, .max, .max, .max, .max)
}

/// SplitMix64, here so that these tests depend on nothing but the index.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// One arena for all tests: sharing is the ordinary case, and nodes then come used.
let sharedArena = NodeArena()
