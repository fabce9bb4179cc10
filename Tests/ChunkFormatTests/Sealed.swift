import KVModel
import Primitives
import Testing

@testable import ChunkFormat

/// A sealed structure that can be damaged and sealed again, as only someone with the secret could,
/// so that the checks behind the seal are reached.
struct Sealed {
    var bytes: [UInt8]
    let sealOffset: Int
    let key: SealKey
    let location: [UInt8]
    let decode: ([UInt8]) throws(FormatError) -> Void

    func resealed() -> Sealed {
        var copy = self
        for index in 0..<16 { copy.bytes[sealOffset + index] = 0 }
        let seal = key.seal(location: location, bytes: copy.bytes)
        let slot = bigEndianBytes(seal.high) + bigEndianBytes(seal.low)
        copy.bytes.replaceSubrange(sealOffset..<sealOffset + 16, with: slot)
        return copy
    }

    /// With `value` in the low bytes of a field.
    func with(_ field: Field, _ value: UInt64, at base: Int = 0) -> Sealed {
        var copy = self
        for index in 0..<field.type.byteCount {
            copy.bytes[base + field.offset + index] =
                index < 8 ? UInt8(truncatingIfNeeded: value >> (index * 8)) : 0
        }
        return copy
    }

    /// The clause that the decoder cites; `nil` when it decodes.
    var clause: String? {
        do throws(FormatError) {
            try decode(bytes)
            return nil
        } catch {
            return error.clause
        }
    }
}

/// A field of a layout, given another value, and the clause that must object.
struct Refusal: Sendable, CustomTestStringConvertible {
    let field: String
    let value: UInt64
    let clause: String
    var base = 0
    var testDescription: String { "\(clause): \(field) = \(value)" }

    func expect(_ structure: Sealed, _ layout: Layout) {
        let damaged = structure.with(layout[field], value, at: base)
        #expect(damaged.clause != nil, "\(testDescription): under the old seal")
        #expect(damaged.resealed().clause == clause, "\(testDescription)")
    }
}
