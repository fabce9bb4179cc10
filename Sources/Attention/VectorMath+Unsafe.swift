// Elementwise arithmetic, eight lanes at a time. Each lane depends on its own inputs only, so a
// row's result does not depend on where its numbers fall in a vector.

typealias Lanes = SIMD8<Float>

/// eˣ within about two units in the last place for |x| ≤ 87; inputs beyond are clamped. The method
/// is Cephes' `expf`: reduce by multiples of ln 2, a polynomial, then scale the exponent field.
@inline(__always)
func exponential(_ input: Lanes) -> Lanes {
    let high = Lanes(repeating: 88)
    let low = Lanes(repeating: -87)
    var x = input.replacing(with: high, where: input .> high)
    x = x.replacing(with: low, where: x .< low)
    // Adding 1.5 · 2²³ leaves the rounded quotient in the low mantissa bits.
    let magic = Lanes(repeating: 12_582_912)
    let shifted = x * Lanes(repeating: 1.442_695_04) + magic
    let quotient = shifted - magic
    x -= quotient * Lanes(repeating: 0.693_359_375)
    x -= quotient * Lanes(repeating: -2.121_944_4e-4)
    var y = Lanes(repeating: 1.987_569_15e-4)
    y = y * x + Lanes(repeating: 1.398_199_95e-3)
    y = y * x + Lanes(repeating: 8.333_452e-3)
    y = y * x + Lanes(repeating: 4.166_579_6e-2)
    y = y * x + Lanes(repeating: 0.166_666_65)
    y = y * x + Lanes(repeating: 0.5)
    y = y * x * x + x + Lanes(repeating: 1)
    // The magic number's own bits leave the field when shifted; 127 is the exponent's bias.
    let exponent = unsafe unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &+ 127
    return unsafe y * unsafeBitCast(exponent &<< 23, to: Lanes.self)
}

/// x · sigmoid(x).
@inline(__always)
func sigmoidLinearUnit(_ x: Lanes) -> Lanes { x / (exponential(-x) + Lanes(repeating: 1)) }

/// Up to eight numbers from `source`; missing lanes are zero.
@inline(__always)
func load(_ source: UnsafePointer<Float>, count: Int = 8) -> Lanes {
    // SAFETY: the caller has `count` numbers at `source`.
    if count >= 8 { return unsafe UnsafeRawPointer(source).loadUnaligned(as: Lanes.self) }
    var lanes = Lanes.zero
    for lane in 0..<count { lanes[lane] = unsafe source[lane] }
    return lanes
}

@inline(__always)
func store(_ lanes: Lanes, to target: UnsafeMutablePointer<Float>, count: Int = 8) {
    // SAFETY: the caller has room for `count` numbers at `target`.
    if count >= 8 {
        unsafe UnsafeMutableRawPointer(target).storeBytes(of: lanes, as: Lanes.self)
    } else {
        for lane in 0..<count { unsafe target[lane] = lanes[lane] }
    }
}

/// RMSNorm of one row: x / √(mean(x²) + ε) · weight.
func normalize(
    _ row: UnsafePointer<Float>, weight: UnsafePointer<Float>, count: Int, epsilon: Float,
    into target: UnsafeMutablePointer<Float>
) {
    // SAFETY: all three have `count` numbers.
    var squares = Lanes.zero
    var index = 0
    while index < count {
        let x = unsafe load(row + index, count: count - index)
        squares += x * x
        index += 8
    }
    let scale = 1 / (squares.sum() / Float(count) + epsilon).squareRoot()
    index = 0
    while index < count {
        let left = count - index
        let x = unsafe load(row + index, count: left) * scale
        unsafe store(x * load(weight + index, count: left), to: target + index, count: left)
        index += 8
    }
}

/// gate ← silu(gate) · up.
func gateUnits(
    _ gate: UnsafeMutablePointer<Float>, up: UnsafePointer<Float>, count: Int
) {
    // SAFETY: both have `count` numbers.
    var index = 0
    while index < count {
        let left = count - index
        let x = unsafe sigmoidLinearUnit(load(gate + index, count: left))
        unsafe store(x * load(up + index, count: left), to: gate + index, count: left)
        index += 8
    }
}

/// target ← target + source.
func add(
    _ source: UnsafePointer<Float>, count: Int, to target: UnsafeMutablePointer<Float>
) {
    // SAFETY: both have `count` numbers.
    var index = 0
    while index < count {
        let left = count - index
        let sum = unsafe load(target + index, count: left) + load(source + index, count: left)
        unsafe store(sum, to: target + index, count: left)
        index += 8
    }
}

/// Turns one row of scores into unnormalized weights: e^(scale · (s − max)) inside `visible`, zero
/// elsewhere in `first..<padded`. Returns their sum. `first` and `padded` are multiples of eight.
func exponentiate(
    _ scores: UnsafeMutablePointer<Float>, visible: Range<Int>, first: Int, padded: Int,
    scale: Float
) -> Float {
    // SAFETY: `scores` has `padded` numbers; every range below lies within.
    for index in first..<visible.lowerBound { unsafe scores[index] = -.infinity }
    for index in visible.upperBound..<padded { unsafe scores[index] = -.infinity }
    var top = Lanes(repeating: -.infinity)
    for index in stride(from: first, to: padded, by: 8) {
        let x = unsafe load(scores + index)
        top = top.replacing(with: x, where: x .> top)
    }
    let highest = Lanes(repeating: top.max())
    for index in stride(from: first, to: padded, by: 8) {
        let x = unsafe load(scores + index)
        unsafe store(exponential((x - highest) * scale), to: scores + index)
    }
    for index in first..<visible.lowerBound { unsafe scores[index] = 0 }
    for index in visible.upperBound..<padded { unsafe scores[index] = 0 }
    var sum = Lanes.zero
    for index in stride(from: first, to: padded, by: 8) { unsafe sum += load(scores + index) }
    return sum.sum()
}
