// Who is measured: our index in both shapes and other people's, all asked in the same words.

import BSkiplist

/// The 16 bytes that name an entry; each subject makes a key of its own shape of them.
struct EntryName {
    var high: UInt64
    var low: UInt64
}

protocol IndexSubject: AnyObject, Sendable {
    var kind: IndexSubjectKind { get }
    /// False when the key was there.
    func insert(_ name: EntryName, _ number: UInt64) -> Bool
    func lookup(_ name: EntryName) -> UInt64?
    /// Nil when the subject has no removal that may run beside other operations.
    func remove(_ name: EntryName) -> Bool?
    /// Entries seen, at most `limit`; nil when the subject has no order.
    func scan(from name: EntryName, limit: Int, sum: inout UInt64) -> Int?
    /// Calls `check` with each number found, in the names' order; false when one was not.
    func lookup(batch names: [EntryName], _ check: (Int, UInt64) -> Bool) -> Bool
    /// One thread's share of a window. Each class forwards to `IndexShare.run`, so that the loop is
    /// compiled for it and costs no dynamic call.
    func run(_ share: IndexShare) -> IndexShare.Answer
    /// Bytes of its nodes, where it counts them; the others are weighed from outside.
    var nodeBytes: Int? { get }
    var facts: [String: Double] { get }
}

extension IndexSubject {
    /// Those who offer no batches are asked one by one.
    func lookup(batch names: [EntryName], _ check: (Int, UInt64) -> Bool) -> Bool {
        for (place, name) in names.enumerated() {
            guard let number = lookup(name), check(place, number) else { return false }
        }
        return true
    }
    var nodeBytes: Int? { nil }
    var facts: [String: Double] { [:] }
}

/// Ours come first; ratios are taken to `slim`, which has the peers' key and value sizes.
enum IndexSubjectKind: String, CaseIterable, Sendable {
    case slim = "chunkdb 16/24"
    case full = "chunkdb 40/24"
    case abslBTree = "absl btree ×64"
    case rocksDB = "rocksdb memtable"
    case tbbMap = "tbb map"
    case tbbUnordered = "tbb unordered"
    case stdMap = "std map + lock"

    /// Nil when it was not compiled in.
    func make(in arena: NodeArena, seed: UInt64) -> (any IndexSubject)? {
        switch self {
        case .slim: SlimSubject(in: arena, seed: seed)
        case .full: FullSubject(in: arena, seed: seed)
        case .abslBTree, .rocksDB, .tbbMap, .tbbUnordered, .stdMap: ForeignSubject(self)
        }
    }
}
