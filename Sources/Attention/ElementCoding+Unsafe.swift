// Numbers as the store holds them: little-endian fp32, fp16 or bf16. Decoding is exact; encoding
// rounds to nearest, ties to even, and keeps NaN a NaN. Integer and 8-bit types need scales from a
// sidecar and are decoded elsewhere (Codecs).

import KVModel

extension ElementType {
    /// Whether a number of this type stands for itself, without a scale.
    public var isPlainFloat: Bool {
        switch self {
        case .float32, .float16, .bfloat16: true
        case .int8, .float8E4M3: false
        }
    }

    /// Decodes `bytes` into `numbers`, from number `start` on. Traps when they do not fit: sizes
    /// are checked where they come in.
    func decode(_ bytes: RawSpan, into numbers: inout [Float], at start: Int) {
        let count = bytes.byteCount / byteCount
        precondition(start >= 0 && start + count <= numbers.count, "the numbers do not fit")
        // SAFETY: `count` numbers fit behind `start` and are `count · byteCount` bytes long.
        unsafe numbers.withUnsafeMutableBufferPointer { numbers in
            unsafe bytes.withUnsafeBytes { bytes in
                guard count > 0 else { return }
                unsafe decode(
                    bytes.baseAddress!, count: count, into: numbers.baseAddress! + start)
            }
        }
    }

    /// `count` numbers out of the bytes at `range` of a file in memory.
    func decode(_ file: [UInt8], _ range: Range<Int>) -> [Float] {
        var numbers = [Float](repeating: 0, count: range.count / byteCount)
        // SAFETY: bytes have no padding; `extracting` checks the range.
        let bytes = unsafe file.span.bytes.extracting(range)
        decode(bytes, into: &numbers, at: 0)
        return numbers
    }

    private func decode(
        _ source: UnsafeRawPointer, count: Int, into target: UnsafeMutablePointer<Float>
    ) {
        // SAFETY: as above; whole vectors first, then the rest one by one.
        if self == .float32 {
            unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
            return
        }
        var index = 0
        while index + 8 <= count {
            let bits = unsafe SIMD8<UInt32>(
                truncatingIfNeeded: (source + index * 2).loadUnaligned(as: SIMD8<UInt16>.self))
            unsafe store(self == .float16 ? widenHalf(bits) : widenBrain(bits), to: target + index)
            index += 8
        }
        while index < count {
            let bits = unsafe SIMD8<UInt32>(
                repeating: UInt32((source + index * 2).loadUnaligned(as: UInt16.self)))
            unsafe target[index] = (self == .float16 ? widenHalf(bits) : widenBrain(bits))[0]
            index += 1
        }
    }

    /// Encodes `numbers` into `target`. Traps unless it is exactly as long as they need.
    func encode(_ numbers: Span<Float>, into target: inout MutableRawSpan) {
        precondition(target.byteCount == numbers.count * byteCount, "the bytes do not fit")
        // SAFETY: the target has room for every number.
        unsafe target.withUnsafeMutableBytes { bytes in
            guard !numbers.isEmpty else { return }
            let base = bytes.baseAddress!
            for index in numbers.indices {
                let number = numbers[index]
                switch self {
                case .float32:
                    unsafe (base + index * 4).storeBytes(of: number, as: Float.self)
                case .float16:
                    unsafe (base + index * 2).storeBytes(
                        of: Float16(number).bitPattern, as: UInt16.self)
                case .bfloat16:
                    unsafe (base + index * 2).storeBytes(of: brainBits(number), as: UInt16.self)
                case .int8, .float8E4M3: preconditionFailure("needs scales")
                }
            }
        }
    }

    /// The same as a new array.
    func encode(_ numbers: Span<Float>) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: numbers.count * byteCount)
        var span = bytes.mutableSpan
        // SAFETY: the span covers the array, which outlives it; bytes have no padding.
        var raw = unsafe span.mutableBytes
        encode(numbers, into: &raw)
        return bytes
    }
}

/// IEEE half to single: shift the fields into place and let a multiplication by 2¹¹² fix the
/// exponent bias, which is exact for subnormals too.
@inline(__always)
private func widenHalf(_ bits: SIMD8<UInt32>) -> Lanes {
    let magnitude = (bits & 0x7FFF) &<< 13
    let scaled = unsafe unsafeBitCast(magnitude, to: Lanes.self) * 0x1p112
    var result = unsafe unsafeBitCast(scaled, to: SIMD8<UInt32>.self)
    result.replace(with: magnitude | 0x7F80_0000, where: magnitude .>= (0x7C00 &<< 13))
    return unsafe unsafeBitCast(result | (bits & 0x8000) &<< 16, to: Lanes.self)
}

@inline(__always)
private func widenBrain(_ bits: SIMD8<UInt32>) -> Lanes {
    unsafe unsafeBitCast(bits &<< 16, to: Lanes.self)
}

private func brainBits(_ number: Float) -> UInt16 {
    let bits = number.bitPattern
    // A quiet bit, because the payload that made it a NaN may be in the half that is dropped.
    if number.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}
