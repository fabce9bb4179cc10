// Rotating rows of heads. Realigning a key from position p to position q is one rotation by
// q − p: rotations in a plane add, so the key never passes through its unrotated form.

import KVModel

extension RotaryTable {
    /// Rotates every head of one row by the angles at `entry`.
    func rotate(
        _ row: UnsafeMutablePointer<Float>, headCount: Int, headDimension: Int, entry: Int,
        pairing: RotaryPairing
    ) {
        // SAFETY: the row has `headCount · headDimension` numbers, and 2 · pairCount is at most
        // headDimension (checked when the configuration was).
        unsafe cosines.withUnsafeBufferPointer { cosines in
            unsafe sines.withUnsafeBufferPointer { sines in
                let base = entry * pairCount
                precondition(entry >= 0 && base + pairCount <= cosines.count)
                for head in 0..<headCount {
                    let start = unsafe row + head * headDimension
                    var pair = 0
                    while pair < pairCount {
                        let (first, second) =
                            pairing == .halves
                            ? (pair, pair &+ pairCount) : (2 &* pair, 2 &* pair &+ 1)
                        let cosine = unsafe cosines[base &+ pair]
                        let sine = unsafe sines[base &+ pair]
                        let x = unsafe start[first]
                        let y = unsafe start[second]
                        unsafe start[first] = x * cosine - y * sine
                        unsafe start[second] = y * cosine + x * sine
                        pair &+= 1
                    }
                }
            }
        }
    }
}

/// Moves rotated keys from one base position to another, in one step and fp32 arithmetic.
///
/// `keys` are rows of `[kv head][dim]`; row i stood at `oldBase + i` and will stand at
/// `newBase + i`. Equal positions leave the bits alone. *Complexity:* O(numbers).
public func realign(
    _ keys: inout [Float], geometry: LayerGeometry, rotary: RotaryEmbedding, from oldBase: Int,
    to newBase: Int
) {
    precondition(keys.count.isMultiple(of: geometry.rowElementCount), "keys must be whole rows")
    precondition(rotary.dimension <= geometry.headDimension, "rotary dimension exceeds the head")
    if oldBase == newBase { return }
    let table = RotaryTable(RotaryFrequencies(rotary), shifts: [newBase - oldBase])
    let rowCount = keys.count / geometry.rowElementCount
    // SAFETY: rows lie one after the other in `keys`.
    unsafe keys.withUnsafeMutableBufferPointer { buffer in
        for row in 0..<rowCount {
            unsafe table.rotate(
                buffer.baseAddress! + row * geometry.rowElementCount,
                headCount: geometry.kvHeadCount, headDimension: geometry.headDimension, entry: 0,
                pairing: rotary.pairing)
        }
    }
}
