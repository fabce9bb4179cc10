import Primitives

enum PlaneDigests {
    /// Digests of a plane followed by zeros up to `padded` bytes, one per block of the grid. Only
    /// the last blocks, which hold padding, are copied.
    static func make(_ plane: [UInt8], paddedTo padded: Int, blockBytes: Int) -> [Digest128] {
        let wholeBlocks = plane.count / blockBytes
        var digests: [Digest128] = unsafe plane.withUnsafeBytes { bytes in
            (0..<wholeBlocks).map { block in
                // SAFETY: whole blocks lie inside the plane.
                unsafe Digest128(
                    hashing: UnsafeRawBufferPointer(
                        rebasing: bytes[block * blockBytes..<(block + 1) * blockBytes]))
            }
        }
        var start = wholeBlocks * blockBytes
        while start < padded {
            let end = min(start + blockBytes, padded)
            let rows = start < plane.count ? Array(plane[start...]) : []
            digests.append(
                Digest128(hashing: rows + [UInt8](repeating: 0, count: end - start - rows.count)))
            start = end
        }
        return digests
    }
}
