// The one encoder of identities. Every field is typed and length-prefixed, so that two different
// lists of fields never give the same bytes (PRODUCT D1, CONTRACT S-2).

/// Collects typed fields and ends in SHA-256.
public struct IdentityHasher {
    private var bytes: [UInt8] = []

    /// Opens an identity of the given domain, for example `chunkdb.chunk-key.v1`.
    public init(domain: String) { append(text: domain) }

    public mutating func append(text: String) { append(type: 1, Array(text.utf8)) }
    public mutating func append(bytes: [UInt8]) { append(type: 2, bytes) }
    public mutating func append(number: UInt64) { append(type: 3, bigEndianBytes(number)) }
    /// Token ids as little-endian u32.
    public mutating func append(tokens: [UInt32]) {
        append(type: 4, length: tokens.count * 4)
        bytes.reserveCapacity(bytes.count + tokens.count * 4)
        for token in tokens {
            bytes.append(UInt8(truncatingIfNeeded: token))
            bytes.append(UInt8(truncatingIfNeeded: token >> 8))
            bytes.append(UInt8(truncatingIfNeeded: token >> 16))
            bytes.append(UInt8(truncatingIfNeeded: token >> 24))
        }
    }

    private mutating func append(type: UInt8, _ field: [UInt8]) {
        append(type: type, length: field.count)
        bytes += field
    }
    private mutating func append(type: UInt8, length: Int) {
        bytes.append(type)
        bytes += bigEndianBytes(UInt64(length))
    }

    /// All 32 bytes.
    public consuming func finalize() -> [UInt8] { sha256(bytes) }
}
