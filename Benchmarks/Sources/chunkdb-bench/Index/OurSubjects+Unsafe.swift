// Our index in its two shapes.

import BSkiplist

final class SlimSubject: IndexSubject {
    let kind = IndexSubjectKind.slim
    private let index: SlimBSkiplist

    init(in arena: NodeArena, seed: UInt64) {
        index = SlimBSkiplist(arena: arena, seed: seed)
    }

    @inline(__always)
    private func key(_ name: EntryName) -> SlimIndexKey { SlimIndexKey(name.high, name.low) }

    func insert(_ name: EntryName, _ number: UInt64) -> Bool {
        index.insert(key(name), IndexValue(number, 0, 0))
    }
    func lookup(_ name: EntryName) -> UInt64? { index.lookup(key(name))?.v0 }
    func remove(_ name: EntryName) -> Bool? { index.remove(key(name)) != nil }
    func scan(from name: EntryName, limit: Int, sum: inout UInt64) -> Int? {
        var (seen, total) = (0, UInt64(0))
        index.scan(from: key(name), expecting: limit) { _, value in
            total &+= value.v0
            seen += 1
            return seen < limit
        }
        sum &+= total
        return seen
    }
    func lookup(batch names: [EntryName], _ check: (Int, UInt64) -> Bool) -> Bool {
        unsafe withUnsafeTemporaryAllocation(of: SlimIndexKey.self, capacity: names.count) { keys in
            unsafe withUnsafeTemporaryAllocation(of: IndexValue?.self, capacity: names.count) {
                found in
                for (place, name) in names.enumerated() { unsafe keys[place] = key(name) }
                // SAFETY: both hold as many as there are names, and live until the closure ends.
                unsafe index.lookup(batch: UnsafeBufferPointer(keys), into: found)
                for place in names.indices {
                    guard let value = unsafe found[place], check(place, value.v0) else {
                        return false
                    }
                }
                return true
            }
        }
    }
    func run(_ share: IndexShare) -> IndexShare.Answer { share.run(on: self) }
    var nodeBytes: Int? { index.allocatedBytes }
    var facts: [String: Double] { index.statistics().facts }
}

/// The engine's own shape: a name is spread over the 32 bytes of a chunk key and the variant.
final class FullSubject: IndexSubject {
    let kind = IndexSubjectKind.full
    private let index: BSkiplist

    init(in arena: NodeArena, seed: UInt64) { index = BSkiplist(arena: arena, seed: seed) }

    @inline(__always)
    private func key(_ name: EntryName) -> IndexKey {
        IndexKey(name.high, ~name.high, name.high, 0, name.low)
    }

    func insert(_ name: EntryName, _ number: UInt64) -> Bool {
        index.insert(key(name), IndexValue(number, 0, 0))
    }
    func lookup(_ name: EntryName) -> UInt64? { index.lookup(key(name))?.v0 }
    func remove(_ name: EntryName) -> Bool? { index.remove(key(name)) != nil }
    func scan(from name: EntryName, limit: Int, sum: inout UInt64) -> Int? {
        var (seen, total) = (0, UInt64(0))
        index.scan(from: key(name), expecting: limit) { _, value in
            total &+= value.v0
            seen += 1
            return seen < limit
        }
        sum &+= total
        return seen
    }
    func lookup(batch names: [EntryName], _ check: (Int, UInt64) -> Bool) -> Bool {
        unsafe withUnsafeTemporaryAllocation(of: IndexKey.self, capacity: names.count) { keys in
            unsafe withUnsafeTemporaryAllocation(of: IndexValue?.self, capacity: names.count) {
                found in
                for (place, name) in names.enumerated() { unsafe keys[place] = key(name) }
                // SAFETY: both hold as many as there are names, and live until the closure ends.
                unsafe index.lookup(batch: UnsafeBufferPointer(keys), into: found)
                for place in names.indices {
                    guard let value = unsafe found[place], check(place, value.v0) else {
                        return false
                    }
                }
                return true
            }
        }
    }
    func run(_ share: IndexShare) -> IndexShare.Answer { share.run(on: self) }
    var nodeBytes: Int? { index.allocatedBytes }
    var facts: [String: Double] { index.statistics().facts }
}

extension IndexStatistics {
    fileprivate var facts: [String: Double] {
        [
            "leafFill": leafFill, "levelCount": Double(levels), "restartCount": Double(restarts),
        ]
    }
}
