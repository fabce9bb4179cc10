// Keys and values of the index: plain words, nothing else.
//
// A key is loaded big-endian from its bytes, so that the numeric order of the words, first word
// first, is the order of the bytes. The first word is the *prefix*: routing compares prefixes, and
// only a tie looks at the rest. The engine's key is a chunk key (32 bytes) and a variant (8 bytes).

/// A key of 40 bytes: five words, the first the most significant.
@frozen
public struct IndexKey: Hashable, Comparable, Sendable {
    public var w0: UInt64
    public var w1: UInt64
    public var w2: UInt64
    public var w3: UInt64
    public var w4: UInt64

    @inlinable
    public init(_ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, _ w4: UInt64) {
        self.w0 = w0
        self.w1 = w1
        self.w2 = w2
        self.w3 = w3
        self.w4 = w4
    }

    @inlinable
    public static func < (left: IndexKey, right: IndexKey) -> Bool {
        if left.w0 != right.w0 { return left.w0 < right.w0 }
        if left.w1 != right.w1 { return left.w1 < right.w1 }
        if left.w2 != right.w2 { return left.w2 < right.w2 }
        if left.w3 != right.w3 { return left.w3 < right.w3 }
        return left.w4 < right.w4
    }
}

/// A key of 16 bytes, for indexes over bare hashes: two words, the first the most significant.
@frozen
public struct SlimIndexKey: Hashable, Comparable, Sendable {
    public var w0: UInt64
    public var w1: UInt64

    @inlinable
    public init(_ w0: UInt64, _ w1: UInt64) {
        self.w0 = w0
        self.w1 = w1
    }

    @inlinable
    public static func < (left: SlimIndexKey, right: SlimIndexKey) -> Bool {
        left.w0 != right.w0 ? left.w0 < right.w0 : left.w1 < right.w1
    }
}

/// A value of 24 bytes: three words that the index stores and never interprets.
@frozen
public struct IndexValue: Equatable, Sendable {
    public var v0: UInt64
    public var v1: UInt64
    public var v2: UInt64

    @inlinable
    public init(_ v0: UInt64, _ v1: UInt64, _ v2: UInt64) {
        self.v0 = v0
        self.v1 = v1
        self.v2 = v2
    }
}
