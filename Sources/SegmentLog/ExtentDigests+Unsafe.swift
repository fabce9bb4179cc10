// The digest grid of extents (format-spec 05): it restarts at every extent, and covers padding.

import ChunkFormat
import Primitives

public enum ExtentDigests {
    /// Digests of an extent's padded bytes, one per block of the grid.
    public static func make(_ bytes: UnsafeRawBufferPointer, blockBytes: Int) -> [Digest128] {
        stride(from: 0, to: bytes.count, by: blockBytes).map { start in
            // SAFETY: the range is cut to the buffer.
            unsafe Digest128(
                hashing: UnsafeRawBufferPointer(
                    rebasing: bytes[start..<min(start + blockBytes, bytes.count)]))
        }
    }

    /// Compares bytes that begin at `blockOffset` of the extent, a multiple of the grid, with their
    /// slots; `nil` when all agree. *Complexity:* O(n), the speed of XXH3.
    public static func check(
        _ bytes: UnsafeRawBufferPointer, blockOffset: Int, of extent: ExtentRow,
        in record: PayloadRecord
    ) -> FormatError? {
        let blockBytes = record.digestBlockBytes
        precondition(blockOffset.isMultiple(of: blockBytes))
        var slot = Int(extent.firstDigestSlot) + blockOffset / blockBytes
        for start in stride(from: 0, to: bytes.count, by: blockBytes) {
            // SAFETY: the range is cut to the buffer.
            let found = unsafe Digest128(
                hashing: UnsafeRawBufferPointer(
                    rebasing: bytes[start..<min(start + blockBytes, bytes.count)]))
            let expected = slot < record.digests.count ? record.digests[slot] : .zero
            if found != expected {
                return FormatError(
                    .corrupt, structure: "extent",
                    field: "layer \(extent.layer) \(extent.kind) byte \(blockOffset + start)",
                    clause: "DIG-2", expected: "\(expected)", found: "\(found)")
            }
            slot += 1
        }
        return nil
    }

    public static func truncated(_ extent: ExtentRow, expected: Int, found: Int) -> FormatError {
        FormatError(
            .truncated, structure: "extent", field: "layer \(extent.layer) \(extent.kind)",
            clause: "DIG-1", expected: "\(expected) bytes", found: "\(found)")
    }
}
