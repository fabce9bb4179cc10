// C = A · B over panels: eight columns of B side by side, row after row. Weights, packed keys and
// padded values all have that shape, so one kernel serves projections, scores and weighted sums.
//
//     A: rows × depth, row-major, stride `aStride`
//     B: panel p, step k → eight numbers at b + p · panelStride + k · stepStride
//     C: rows × columns, row-major, stride `cStride`
//
// Invariant: an element of C is the sum of its products in the order of k, in one accumulator,
// multiply and add rounded apart. It therefore does not depend on how many rows are computed
// together, on tile shapes or on the build (debug builds sum in scalars, because unspecialized
// vectors are five times slower there): recomputing some rows gives the bits of computing all.

/// Depth of one pass over a panel: 16 KiB of B, half of a first-level cache.
private let depthBlock = 512

struct PanelLayout {
    var panelStride: Int
    var stepStride: Int
}

func multiply(
    _ a: UnsafePointer<Float>, aStride: Int, rowCount: Int,
    panels b: UnsafePointer<Float>, layout: PanelLayout, depth: Int, columnCount: Int,
    into c: UnsafeMutablePointer<Float>, cStride: Int
) {
    // SAFETY: the caller's strides and counts describe the three matrices above; every tile stays
    // inside them, and B's last panel is padded to eight columns.
    var start = 0
    repeat {
        let steps = min(depthBlock, depth - start)
        for column in stride(from: 0, to: columnCount, by: 8) {
            let panel = unsafe b + column / 8 * layout.panelStride + start * layout.stepStride
            let width = min(8, columnCount - column)
            for row in stride(from: 0, to: rowCount, by: 4) {
                unsafe tile(
                    a + row * aStride + start, aStride, min(4, rowCount - row),
                    panel, layout.stepStride, steps, continues: start > 0,
                    c + row * cStride + column, cStride, width)
            }
        }
        start += steps
    } while start < depth
}

@inline(__always)
private func tile(
    _ a: UnsafePointer<Float>, _ aStride: Int, _ rowCount: Int,
    _ b: UnsafePointer<Float>, _ step: Int, _ depth: Int, continues: Bool,
    _ c: UnsafeMutablePointer<Float>, _ cStride: Int, _ width: Int
) {
    #if DEBUG
        unsafe scalarTile(
            a, aStride, rowCount, b, step, depth, continues: continues, c, cStride, width)
    #else
        unsafe vectorTile(
            a, aStride, rowCount, b, step, depth, continues: continues, c, cStride, width)
    #endif
}

/// One tile in registers: four rows at once, or one by one.
func vectorTile(
    _ a: UnsafePointer<Float>, _ aStride: Int, _ rowCount: Int,
    _ b: UnsafePointer<Float>, _ step: Int, _ depth: Int, continues: Bool,
    _ c: UnsafeMutablePointer<Float>, _ cStride: Int, _ width: Int
) {
    // SAFETY: as in `multiply`; `k` runs below `depth`.
    guard rowCount == 4 else {
        for row in 0..<rowCount {
            let a0 = unsafe a + row * aStride
            let target = unsafe c + row * cStride
            var sum = continues ? unsafe load(target, count: width) : Lanes.zero
            var panel = unsafe b
            var k = 0
            while k < depth {
                unsafe sum += load(panel) * a0[k]
                unsafe panel += step
                k &+= 1
            }
            unsafe store(sum, to: target, count: width)
        }
        return
    }
    let a0 = unsafe a
    let a1 = unsafe a + aStride
    let a2 = unsafe a1 + aStride
    let a3 = unsafe a2 + aStride
    var s0 = Lanes.zero
    var s1 = Lanes.zero
    var s2 = Lanes.zero
    var s3 = Lanes.zero
    if continues {
        s0 = unsafe load(c, count: width)
        s1 = unsafe load(c + cStride, count: width)
        s2 = unsafe load(c + 2 * cStride, count: width)
        s3 = unsafe load(c + 3 * cStride, count: width)
    }
    var panel = unsafe b
    var k = 0
    while k < depth {
        let lanes = unsafe load(panel)
        unsafe s0 += lanes * a0[k]
        unsafe s1 += lanes * a1[k]
        unsafe s2 += lanes * a2[k]
        unsafe s3 += lanes * a3[k]
        unsafe panel += step
        k &+= 1
    }
    unsafe store(s0, to: c, count: width)
    unsafe store(s1, to: c + cStride, count: width)
    unsafe store(s2, to: c + 2 * cStride, count: width)
    unsafe store(s3, to: c + 3 * cStride, count: width)
}

/// The same sums one number at a time.
func scalarTile(
    _ a: UnsafePointer<Float>, _ aStride: Int, _ rowCount: Int,
    _ b: UnsafePointer<Float>, _ step: Int, _ depth: Int, continues: Bool,
    _ c: UnsafeMutablePointer<Float>, _ cStride: Int, _ width: Int
) {
    // SAFETY: as in `multiply`.
    var row = 0
    while row < rowCount {
        let source = unsafe a + row * aStride
        var column = 0
        while column < width {
            let target = unsafe c + row * cStride + column
            var sum: Float = continues ? unsafe target.pointee : 0
            var k = 0
            while k < depth {
                unsafe sum += source[k] * b[k &* step &+ column]
                k &+= 1
            }
            unsafe target.pointee = sum
            column &+= 1
        }
        row &+= 1
    }
}
