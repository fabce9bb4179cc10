import Codecs
import KVModel
import Primitives
import Testing

/// Byte planes there and back, and everything that is not what the encoder makes.
@Suite("Byte planes") struct BytePlanesTests {
    static let types = [ElementType.float32, .float16, .bfloat16, .int8]

    static func form(_ planes: BytePlanes, _ raw: [UInt8], _ stored: [UInt8])
        throws(CodecError) -> BytePlanes
    {
        try BytePlanes(
            parameters: planes.parameters, rawBytes: UInt64(raw.count),
            storedBytes: UInt64(stored.count))
    }

    @Test("COD-1 COD-4 COD-5 give back what they were made of", arguments: types)
    func roundTrip(_ type: ElementType) throws {
        var generator = SeededGenerator(seed: 11)
        for round in 0..<120 {
            let shift = Int.random(in: 12...16, using: &generator)
            let planes = BytePlanes(type, blockShift: shift)
            let count = [
                1, 2, 15, 16, 17, 4_096 / type.byteCount,
                Int.random(in: 1...60_000, using: &generator),
            ][round % 7]
            let raw = Samples.numbers(count, type, &generator)
            let stored = planes.encode(raw)
            #expect(try Self.form(planes, raw, stored) == planes)
            #expect(try planes.decode(stored, rawBytes: raw.count) == raw)
        }
    }

    @Test("COD-6 planes hold the numbers' bytes from the lowest on, blocks one after the other")
    func layout() throws {
        // Random bytes do not compress: every plane stands there as it is.
        var generator = SeededGenerator(seed: 3)
        let raw = (0..<2 * 4_096 + 8).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let stored = BytePlanes(.float32, blockShift: 12).encode(raw)
        #expect(stored.count == raw.count + 3 * 4 * 4)
        func number(_ at: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(stored[at + $1]) << ($1 * 8) }
        }
        #expect(
            (0..<12).map { number($0 * 4) } == Array(repeating: 1_024, count: 8) + [2, 2, 2, 2])
        let blocks = Array(stored[48...])
        #expect((0..<4).map { blocks[$0 * 1_024] } == Array(raw[..<4]))
        #expect(blocks[4_096 + 1_024 + 1] == raw[4_096 + 4 + 1])
        #expect(Array(blocks[8_192...]) == [0, 4, 1, 5, 2, 6, 3, 7].map { raw[8_192 + $0] })
    }

    @Test("COD-7 no extent grows by more than its table", arguments: types)
    func expansion(_ type: ElementType) {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<60 {
            let planes = BytePlanes(type, blockShift: Int.random(in: 12...20, using: &generator))
            let count = Int.random(in: 1...40_000, using: &generator)
            let raw = (0..<count * type.byteCount).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let stored = planes.encode(raw)
            let blocks = (raw.count + planes.blockBytes - 1) / planes.blockBytes
            #expect(stored.count <= raw.count + 4 * type.byteCount * blocks)
        }
    }

    @Test("take less than three quarters of what numbers of like size take")
    func gain() {
        var generator = SeededGenerator(seed: 8)
        let raw = Samples.numbers(32_768, .bfloat16, &generator)
        let stored = BytePlanes(.bfloat16, blockShift: 16).encode(raw)
        #expect(stored.count < raw.count * 3 / 4)
    }

    @Test("decode any blocks without the others", arguments: types)
    func blocks(_ type: ElementType) throws {
        var generator = SeededGenerator(seed: 13)
        let planes = BytePlanes(type, blockShift: 12)
        let raw = Samples.numbers(30_001 / type.byteCount, type, &generator)
        let stored = planes.encode(raw)
        for first in 0..<8 {
            for end in first...8 {
                let range = first * 4_096..<min(end * 4_096, raw.count)
                var part = [UInt8](repeating: 7, count: range.count)
                try stored.withUnsafeBytes { stored in
                    try part.withUnsafeMutableBytes {
                        try planes.decode(
                            stored, rawBytes: raw.count, blocks: first..<end, into: $0)
                    }
                }
                #expect(part == Array(raw[range]))
            }
        }
    }

    @Test("COD-1 COD-2 refuse extents that no encoder makes")
    func forms() {
        func clause(_ parameters: UInt64, _ raw: UInt64 = 4_096, _ stored: UInt64 = 4_096)
            -> String?
        {
            do throws(CodecError) {
                _ = try BytePlanes(parameters: parameters, rawBytes: raw, storedBytes: stored)
                return nil
            } catch {
                return error.clause
            }
        }
        for good in [0x1001, 0x0C02, 0x1404] as [UInt64] { #expect(clause(good) == nil) }
        for bad in [0, 0x1003, 0x1000, 0x0B02, 0x1502, 0x1_1002, 1 << 63 | 0x1002] as [UInt64] {
            #expect(clause(bad) == "COD-1")
        }
        #expect(clause(0x1002, 4_095) == "COD-2")
        #expect(clause(0x1004, 4_098) == "COD-2")
        #expect(clause(0x1004, 0) == "COD-2")
        #expect(clause(0x1004, 1 << 32, 1 << 20) == "COD-2")
        #expect(clause(0x1004, 255 << 10, 1 << 10) == nil)
    }

    @Test("COD-3 COD-4 refuse tables that do not add up")
    func tables() {
        var generator = SeededGenerator(seed: 17)
        let planes = BytePlanes(.bfloat16, blockShift: 12)
        let raw = Samples.numbers(5_000, .bfloat16, &generator)
        let stored = planes.encode(raw)
        func clause(_ bytes: [UInt8]) -> String? {
            do throws(CodecError) {
                _ = try planes.decode(bytes, rawBytes: raw.count)
                return nil
            } catch {
                return error.clause
            }
        }
        #expect(clause(stored) == nil)
        #expect(clause(stored + [0]) == "COD-4")
        #expect(clause(Array(stored.dropLast())) == "COD-4")
        #expect(clause(Array(stored.prefix(23))) == "COD-4")
        for (length, expected) in [
            (0, "COD-3"), (8, "COD-3"), (2_049, "COD-3"), (1 << 31, "COD-3"), (2_047, nil),
        ] as [(Int, String?)] {
            var bytes = stored
            for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
            if let expected {
                #expect(clause(bytes) == expected, "\(length)")
            } else {
                #expect(clause(bytes) != nil, "\(length)")
            }
        }
    }

    @Test("COD-5 refuse planes that give fewer or more bytes than they should")
    func planesOfAnotherLength() throws {
        // One block of one plane: a token of 15 literals and more, by hand.
        let planes = BytePlanes(.int8, blockShift: 12)
        func stored(_ plane: [UInt8]) -> [UInt8] {
            (0..<4).map { UInt8(truncatingIfNeeded: plane.count >> (8 * $0)) } + plane
        }
        // One literal, a match of 18 of distance 1, five literals.
        let block: [UInt8] = [0x1E, 9, 1, 0, 0x50, 1, 2, 3, 4, 5]
        let raw = [UInt8](repeating: 9, count: 19) + [1, 2, 3, 4, 5]
        #expect(try planes.decode(stored(block), rawBytes: raw.count) == raw)
        for count in [raw.count - 1, raw.count + 1, 200] {
            #expect(throws: CodecError.self, "\(count)") {
                try planes.decode(stored(block), rawBytes: count)
            }
        }
        // A match that begins before the block does.
        #expect(throws: CodecError.self) {
            try planes.decode(stored([0x1E, 9, 2, 0, 0x50, 1, 2, 3, 4, 5]), rawBytes: raw.count)
        }
    }
}
