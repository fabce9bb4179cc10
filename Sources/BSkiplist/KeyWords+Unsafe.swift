// How a key looks to a node: a prefix word that routes, and the rest, stored elsewhere in the node.
//
// Generic so that the 40-byte and the 16-byte key share one implementation; every use inside the
// module is specialised, so the protocol costs nothing at run time.

import Synchronization

/// A run of 64-bit words in a node that a writer may be changing.
///
/// Loads and stores are relaxed atomics (plain moves in machine code), so a torn *word* cannot be
/// seen; a torn *record* is discarded by the version check. The locked-reads build reads plainly,
/// so that the thread sanitizer may judge whether the locks suffice.
@safe
struct NodeWords {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    // SAFETY: every base comes from `Node`, whose offsets are inside one node of a mapping that is
    // never unmapped while an index or its arena lives; all offsets are multiples of eight.
    @inline(__always)
    subscript(index: Int) -> UInt64 {
        get {
            #if LOCKED_READS
                unsafe base.load(fromByteOffset: index &* 8, as: UInt64.self)
            #else
                unsafe (base + index &* 8).assumingMemoryBound(to: Atomic<UInt64>.self)
                    .pointee.load(ordering: .relaxed)
            #endif
        }
        nonmutating set {
            #if LOCKED_READS
                unsafe base.storeBytes(of: newValue, toByteOffset: index &* 8, as: UInt64.self)
            #else
                unsafe (base + index &* 8).assumingMemoryBound(to: Atomic<UInt64>.self)
                    .pointee.store(newValue, ordering: .relaxed)
            #endif
        }
    }

    @inline(__always)
    func advanced(by words: Int) -> NodeWords { unsafe NodeWords(base + words &* 8) }
}

protocol KeyWords: Hashable, Comparable, Sendable {
    /// Words after the prefix.
    static var restWords: Int { get }
    /// The least key: every word zero. As a lower fence it stands for "no bound".
    static var least: Self { get }

    var prefix: UInt64 { get }
    init(prefix: UInt64, rest: NodeWords)
    func storeRest(_ rest: NodeWords)
    func restEquals(_ rest: NodeWords) -> Bool
    /// The least key greater than this one; nil for the greatest.
    var successor: Self? { get }
    /// Height in the tower sense: how many levels up this key would head a node.
    func towerHeight(seed: UInt64) -> Int
}

extension IndexKey: KeyWords {
    @inline(__always) static var restWords: Int { 4 }
    @inline(__always) static var least: IndexKey { IndexKey(0, 0, 0, 0, 0) }
    @inline(__always) var prefix: UInt64 { w0 }

    @inline(__always)
    init(prefix: UInt64, rest: NodeWords) {
        self.init(prefix, rest[0], rest[1], rest[2], rest[3])
    }

    @inline(__always)
    func storeRest(_ rest: NodeWords) {
        rest[0] = w1
        rest[1] = w2
        rest[2] = w3
        rest[3] = w4
    }

    @inline(__always)
    func restEquals(_ rest: NodeWords) -> Bool {
        (rest[0] ^ w1) | (rest[1] ^ w2) | (rest[2] ^ w3) | (rest[3] ^ w4) == 0
    }

    var successor: IndexKey? {
        var next = self
        next.w4 &+= 1
        if next.w4 != 0 { return next }
        next.w3 &+= 1
        if next.w3 != 0 { return next }
        next.w2 &+= 1
        if next.w2 != 0 { return next }
        next.w1 &+= 1
        if next.w1 != 0 { return next }
        next.w0 &+= 1
        return next.w0 != 0 ? next : nil
    }

    /// All words enter the mix: else all variants of a tall chunk key would be tall.
    func towerHeight(seed: UInt64) -> Int {
        mixedHeight(mixedHeight(seed, w0, w1), mixedHeight(w2, w3, w4), 0).leadingZeroBitCount
    }
}

extension SlimIndexKey: KeyWords {
    @inline(__always) static var restWords: Int { 1 }
    @inline(__always) static var least: SlimIndexKey { SlimIndexKey(0, 0) }
    @inline(__always) var prefix: UInt64 { w0 }

    @inline(__always)
    init(prefix: UInt64, rest: NodeWords) { self.init(prefix, rest[0]) }

    @inline(__always)
    func storeRest(_ rest: NodeWords) { rest[0] = w1 }

    @inline(__always)
    func restEquals(_ rest: NodeWords) -> Bool { rest[0] == w1 }

    var successor: SlimIndexKey? {
        if w1 != .max { return SlimIndexKey(w0, w1 &+ 1) }
        return w0 != .max ? SlimIndexKey(w0 &+ 1, 0) : nil
    }

    func towerHeight(seed: UInt64) -> Int {
        mixedHeight(seed, w0, w1).leadingZeroBitCount
    }
}

/// Three words to one by multiply-and-fold; as even as a height needs, and cheap.
@inline(__always)
private func mixedHeight(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
    let first = (a ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: b ^ 0xD6E8_FEB8_6659_FD93)
    let folded = first.high ^ first.low ^ c
    let second = (folded ^ (folded >> 32)).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    return second.high ^ second.low
}
