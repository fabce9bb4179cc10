// Where everything lies in a node. The only home of node offsets.
//
// Bytes, for the 40-byte key (in brackets the 16-byte key); release capacities.
//
//   header, both kinds                         leaf, 64 slots
//     0  version word                          128 (64)   prefix[64]
//     8  count 16 | level 8 | flags 8 |        640 (576)  record[64] of 56 (32) bytes:
//        next node 32                                     rest of key, then value
//    16  low fence, prefix                     4224 (2624) bytes in all
//    24  high fence, prefix
//    32  bitmap of used slots                  branch, 64 slots
//    40 (40) low fence, rest                   128 (64)   prefix[64]
//    72 (48) high fence, rest                  640 (576)  child[64]       32-bit node index
//   128 (64) end                               896 (832)  rest[64] of 32 (8) bytes
//                                              2944 (1344) bytes in all
//
// The first line holds all that a visit decides on: version, count, next, bitmap, and both fences
// as far as an uncontested comparison needs them. A branch reads `rest` only when two separators
// tie in the prefix, so routing touches 12 bytes per child however long the key is.

enum NodeOffset {
    static let version = 0
    static let meta = 8
    static let lowPrefix = 16
    static let highPrefix = 24
    static let bitmap = 32
    static let lowRest = 40
}

enum NodeLayout<Key: KeyWords> {
    #if DEBUG
        // The smallest world in which every split, merge and growth still happens.
        @inline(__always) static var capacity: Int { 4 }
    #else
        // The used slots are one bitmap word, hence at most 64.
        @inline(__always) static var capacity: Int { 64 }
    #endif

    @inline(__always) static var valueWords: Int { 3 }

    @inline(__always) static var highRest: Int { NodeOffset.lowRest &+ 8 &* Key.restWords }
    @inline(__always) static var headerBytes: Int { wholeLines(highRest &+ 8 &* Key.restWords) }
    @inline(__always) static var prefixes: Int { headerBytes }

    @inline(__always) static var records: Int { prefixes &+ 8 &* capacity }
    @inline(__always) static var recordBytes: Int { 8 &* (Key.restWords &+ valueWords) }
    @inline(__always) static var leafBytes: Int {
        wholeLines(records &+ recordBytes &* capacity)
    }

    @inline(__always) static var children: Int { prefixes &+ 8 &* capacity }
    @inline(__always) static var separators: Int { children &+ wholeWords(4 &* capacity) }
    @inline(__always) static var branchBytes: Int {
        wholeLines(separators &+ 8 &* Key.restWords &* capacity)
    }

    /// Rounded up to cache lines.
    @inline(__always) static func wholeLines(_ bytes: Int) -> Int { (bytes &+ 63) & ~63 }
    @inline(__always) static func wholeWords(_ bytes: Int) -> Int { (bytes &+ 7) & ~7 }
}

/// A node's index in its pool; zero is no node.
typealias NodeIndex = UInt32

/// The header's second word: count, level, flags and right link, read in one load so that they
/// belong together.
struct NodeMeta {
    var raw: UInt64

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(count: Int, level: Int, unbounded: Bool, next: NodeIndex) {
        raw =
            UInt64(truncatingIfNeeded: count) & 0xFFFF
            | (UInt64(truncatingIfNeeded: level) & 0xFF) << 16
            | (unbounded ? 1 << 24 : 0)
            | UInt64(next) << 32
    }

    @inline(__always) var count: Int {
        get { Int(truncatingIfNeeded: raw & 0xFFFF) }
        set { raw = raw & ~0xFFFF | UInt64(truncatingIfNeeded: newValue) & 0xFFFF }
    }
    @inline(__always) var level: Int { Int(truncatingIfNeeded: raw >> 16 & 0xFF) }
    /// No high fence: the last node of its level. A flag, so that the all-ones key can be stored.
    @inline(__always) var unbounded: Bool { raw & 1 << 24 != 0 }
    @inline(__always) var next: NodeIndex { NodeIndex(truncatingIfNeeded: raw >> 32) }
}
