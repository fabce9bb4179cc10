// S-7: bytes that say they are much more than they are.

import Codecs
import KVModel
import Primitives
import Testing

@Suite("S-7: decompression bombs")
struct BombTests {
    @Test("COD-2 COD-3 no extent promises more than 255 times its own length")
    func promises() {
        for (rawBytes, storedBytes) in [
            (1 << 32, 4_096), (1 << 32, 16_842_751), (256 << 10, 1 << 10), (.max - 3, .max / 300),
        ] as [(UInt64, UInt64)] {
            #expect(throws: CodecError.self, "\(rawBytes) of \(storedBytes)") {
                try BytePlanes(parameters: 0x1404, rawBytes: rawBytes, storedBytes: storedBytes)
            }
        }
        // The row passes, the table does not: one block has all the bytes, the other none.
        let planes = BytePlanes(.int8, blockShift: 12)
        let stored: [UInt8] = [16, 0, 0, 0, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 17)
        #expect(throws: CodecError.self) {
            try planes.decode(stored, rawBytes: 4_097 + 256)
        }
    }

    @Test("COD-5 LZ4 that goes on and on stops at the end of its plane")
    func endless() throws {
        let planes = BytePlanes(.bfloat16, blockShift: 20)
        // A literal, and a match that repeats it for as long as 5,000 bytes of 255 say.
        let bomb: [UInt8] = [0x1F, 7, 1, 0] + [UInt8](repeating: 255, count: 5_000)
        func stored(_ plane: [UInt8]) -> [UInt8] {
            let length = (0..<4).map { UInt8(truncatingIfNeeded: plane.count >> (8 * $0)) }
            return length + length + plane + plane
        }
        for rawBytes in [1 << 20, 1_000_000, 400_000, 10_016] {
            #expect(throws: CodecError.self, "\(rawBytes)") {
                try planes.decode(stored(bomb + [0]), rawBytes: rawBytes)
            }
            #expect(throws: CodecError.self, "\(rawBytes)") {
                try planes.decode(stored(bomb + [0, 0x50, 1, 2, 3, 4, 5]), rawBytes: rawBytes)
            }
        }
        // One with an end, where it belongs: good, though it grew more than 250 times.
        let one = BytePlanes(.int8, blockShift: 20)
        let short: [UInt8] = [0x1F, 7, 1, 0] + [UInt8](repeating: 255, count: 4_000) + [0]
        let rest: [UInt8] = [0x50, 1, 2, 3, 4, 5]
        let raw = [UInt8](repeating: 7, count: 1 + 19 + 4_000 * 255) + [1, 2, 3, 4, 5]
        let length = short.count + rest.count
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + short + rest
        #expect(try one.decode(bytes, rawBytes: raw.count) == raw)
    }
}
