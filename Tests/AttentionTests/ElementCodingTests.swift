// Element types: exact one way, rounded to nearest the other.

import KVModel
import Testing

@testable import Attention

@Suite("Element coding")
struct ElementCodingTests {
    private func decode(_ bytes: [UInt8], _ type: ElementType) -> [Float] {
        type.decode(bytes, 0..<bytes.count)
    }

    @Test("every half-precision number")
    func halves() {
        var bytes: [UInt8] = []
        for bits in UInt16.min...UInt16.max {
            bytes += [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
        }
        let numbers = decode(bytes, .float16)
        var wrong = 0
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let found = numbers[Int(bits)]
            let same =
                expected.isNaN ? found.isNaN : found.bitPattern == expected.bitPattern
            if !same { wrong += 1 }
        }
        #expect(wrong == 0)
        let finite = numbers.map { $0.isNaN ? 0 : $0 }
        #expect(decode(ElementType.float16.encode(finite.span), .float16) == finite)
    }

    @Test("bfloat16 rounds to nearest, ties to even, and keeps NaN")
    func brain() {
        func roundTrip(_ number: Float) -> Float {
            let numbers = [number]
            return decode(ElementType.bfloat16.encode(numbers.span), .bfloat16)[0]
        }
        #expect(roundTrip(1) == 1)
        #expect(roundTrip(1 + 0x1p-8) == 1)  // a tie, down to even
        #expect(roundTrip(1 + 0x3p-8) == 1 + 0x1p-6)  // a tie, up to even
        #expect(roundTrip(1 + 0x1p-8 + 0x1p-20) == 1 + 0x1p-7)
        #expect(roundTrip(-.infinity) == -.infinity)
        #expect(roundTrip(.greatestFiniteMagnitude) == .infinity)
        #expect(roundTrip(Float(bitPattern: 0x7F80_0001)).isNaN)
        #expect(roundTrip(-0.0).sign == .minus)
    }

    @Test("planes through bytes and back", arguments: [ElementType.float32, .float16, .bfloat16])
    func planes(type: ElementType) throws {
        let planes = try randomModel().prefill(randomTokens(5, .tiny)).cache.planes
        var back = KVPlanes(geometry: planes.geometry, tokenCount: 5)
        for layer in 0..<3 {
            for kind in PlaneKind.allCases {
                let bytes = try planes.encoded(kind, layer: layer, as: type)
                #expect(bytes.count == 5 * 16 * type.byteCount)
                try back.decode(bytes, as: type, into: kind, layer: layer)
            }
        }
        let limit: Float = type == .float32 ? 0 : type == .float16 ? 1e-3 : 8e-3
        for layer in 0..<3 {
            #expect(relativeError(back.layers[layer].keys, planes.layers[layer].keys) <= limit)
        }
        if type == .float32 { #expect(back == planes) }
        let part = planes.rows(2..<4)
        #expect(part.tokenCount == 2)
        #expect(part.layers[1].values == Array(planes.layers[1].values[32..<64]))
        #expect(planes.squaredDistances(to: planes, layer: 1, tensor: .values) == [0, 0, 0, 0, 0])
    }
}
