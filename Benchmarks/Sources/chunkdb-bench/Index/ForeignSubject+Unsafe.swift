// Everybody else, behind the C door of CIndexPeers.

import CIndexPeers

@safe
final class ForeignSubject: IndexSubject, @unchecked Sendable {
    let kind: IndexSubjectKind
    private let peer: UnsafeMutableRawPointer

    /// Nil when the peer was not compiled in.
    init?(_ kind: IndexSubjectKind) {
        let number =
            switch kind {
            case .abslBTree: index_peer_absl_btree
            case .rocksDB: index_peer_rocksdb
            case .tbbMap: index_peer_tbb_map
            case .tbbUnordered: index_peer_tbb_unordered
            case .stdMap, .slim, .full: index_peer_std_map
            }
        guard let made = unsafe index_peer_create(Int32(number)) else { return nil }
        self.kind = kind
        unsafe peer = made
    }

    // SAFETY: nobody can be inside a peer that nobody holds.
    deinit { unsafe index_peer_destroy(peer) }

    @inline(__always)
    private func key(_ name: EntryName) -> index_peer_key {
        index_peer_key(high: name.high, low: name.low)
    }

    // SAFETY: `peer` lives as long as self, here and below.
    func insert(_ name: EntryName, _ number: UInt64) -> Bool {
        unsafe index_peer_insert(peer, key(name), .init(v0: number, v1: 0, v2: 0))
    }
    func lookup(_ name: EntryName) -> UInt64? {
        var value = index_peer_value()
        return unsafe index_peer_lookup(peer, key(name), &value) ? value.v0 : nil
    }
    func remove(_ name: EntryName) -> Bool? {
        let answer = unsafe index_peer_remove(peer, key(name))
        return answer < 0 ? nil : answer == 1
    }
    func scan(from name: EntryName, limit: Int, sum: inout UInt64) -> Int? {
        let seen = unsafe index_peer_scan(peer, key(name), Int32(limit), &sum)
        return seen < 0 ? nil : Int(seen)
    }
    func run(_ share: IndexShare) -> IndexShare.Answer { share.run(on: self) }
}

/// The time-stamp counter, and what it counts in.
enum Ticks {
    @inline(__always)
    static var now: UInt64 { index_peer_ticks() }

    static let nanosecondsPerTick: Double = {
        let (clock, ticks) = (Clocks.now, now)
        while Clocks.now - clock < 20_000_000 {}
        return Double(Clocks.now - clock) / Double(now - ticks)
    }()

    /// Between two readings with nothing in between; taken off every latency.
    static let cost: UInt64 = {
        let empty = (0..<1_001).map { _ in
            let start = now
            return now &- start
        }
        return empty.sorted()[500]
    }()
}
