import KVModel
import Primitives

enum Samples {
    /// Numbers of like size, as attention's are: the same few exponents, mantissas at random.
    static func numbers(
        _ count: Int, _ type: ElementType, _ generator: inout SeededGenerator
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in 0..<count {
            let exponent = UInt8(0x3E) &+ UInt8(index / 7 % 3)
            let mantissa = UInt32.random(in: 0..<1 << 24, using: &generator)
            let low = (0..<type.byteCount - 1).map {
                UInt8(truncatingIfNeeded: mantissa >> (8 * UInt32($0)))
            }
            bytes += low + [exponent]
        }
        return bytes
    }
}
