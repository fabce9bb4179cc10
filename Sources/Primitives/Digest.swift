// Two digests, two jobs (CONTRACT 2.7): XXH3-128 against accidents, for payload; HMAC-SHA-256
// truncated to 128 bits wherever a tenant could gain from a forgery. Neither is ever an identity.

import Crypto
import CXXHash

/// 16 bytes as they stand in a digest slot.
public struct Digest128: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static let zero = Self(high: 0, low: 0)

    /// XXH3-128 of the bytes, seed 0. *Complexity:* O(n), about the speed of memory.
    public init(hashing bytes: UnsafeRawBufferPointer) {
        // SAFETY: the base address and the count come from one buffer; XXH3 only reads it.
        let hash = unsafe cxxhash_digest(bytes.baseAddress, bytes.count)
        self.init(high: hash.high64, low: hash.low64)
    }

    public init(hashing bytes: [UInt8]) {
        self = unsafe bytes.withUnsafeBytes { unsafe Digest128(hashing: $0) }
    }

    /// 32 hexadecimal digits, the most significant first.
    public var description: String { hexadecimal(high) + hexadecimal(low) }

    /// Compares without a data-dependent branch, for seals.
    public func isEqualInConstantTime(to other: Self) -> Bool {
        (high ^ other.high) | (low ^ other.low) == 0
    }
}

/// The key of the seals of one segment use or of one file; made from the store's secret.
public struct SealKey: Sendable {
    private let key: SymmetricKey

    /// The key for `salt` under `secret`: HMAC-SHA-256(secret, label ‖ salt).
    public init(secret: [UInt8], label: String, salt: [UInt8]) {
        var mac = HMAC<SHA256>(key: SymmetricKey(data: secret))
        mac.update(data: Array(label.utf8))
        mac.update(data: salt)
        key = SymmetricKey(data: Array(mac.finalize()))
    }

    /// HMAC-SHA-256 of `location ‖ bytes`, the first 16 bytes, big-endian.
    public func seal(location: [UInt8], bytes: some Sequence<UInt8>) -> Digest128 {
        seal(location: location, bytes: Array(bytes))
    }

    public func seal(location: [UInt8], bytes: [UInt8]) -> Digest128 {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: location)
        mac.update(data: bytes)
        let code = Array(mac.finalize())
        return Digest128(high: bigEndian(code, at: 0), low: bigEndian(code, at: 8))
    }
}

/// SHA-256, for identities.
public func sha256(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

/// Eight bytes of `bytes` from `start` as a big-endian number. Traps when they are not there.
func bigEndian(_ bytes: [UInt8], at start: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in start..<start + 8 { value = value << 8 | UInt64(bytes[index]) }
    return value
}

/// 16 lowercase hexadecimal digits.
public func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// Lowercase hexadecimal digits, two a byte.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes {
        if byte < 16 { text += "0" }
        text += String(byte, radix: 16)
    }
    return text
}
