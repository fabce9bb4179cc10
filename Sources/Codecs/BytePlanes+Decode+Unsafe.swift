import CLZ4
import CShims

extension BytePlanes {
    /// All raw bytes of a stored extent. *Throws:* as below.
    public func decode(_ stored: [UInt8], rawBytes: Int) throws(CodecError) -> [UInt8] {
        var raw = [UInt8](repeating: 0, count: rawBytes)
        var span = raw.mutableSpan
        try unsafe stored.span.withUnsafeBytes { stored throws(CodecError) in
            try unsafe span.withUnsafeMutableBytes { target throws(CodecError) in
                try unsafe decode(
                    stored, rawBytes: rawBytes, blocks: 0..<blockCount(rawBytes: rawBytes),
                    into: target)
            }
        }
        return raw
    }

    /// Decodes some blocks of an extent to the front of `target`. The whole table is checked, the
    /// other blocks are not looked at.
    ///
    /// - Parameters:
    ///   - stored: the extent without padding.
    ///   - rawBytes: of the whole extent.
    ///   - blocks: of the extent.
    ///   - target: at least as long as those blocks; undefined when this throws.
    /// *Throws:* when the bytes are not what the codec makes; never a trap.
    /// *Complexity:* O(n) of those blocks, the speed of LZ4.
    public func decode(
        _ stored: UnsafeRawBufferPointer, rawBytes: Int, blocks: Range<Int>,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        precondition(blocks.lowerBound >= 0 && blocks.upperBound <= blockCount(rawBytes: rawBytes))
        precondition(
            min(blocks.upperBound << blockShift, rawBytes) - blocks.lowerBound << blockShift
                <= target.count)
        try unsafe walk(stored, rawBytes: rawBytes) { block in
            // SAFETY: the target was checked to be long enough for these blocks.
            blocks.contains(block)
                ? unsafe target.baseAddress! + (block - blocks.lowerBound) << blockShift : nil
        }
    }

    /// Decodes all of an extent, and keeps nothing of it. *Throws:* as `decode`.
    public func check(_ stored: [UInt8], rawBytes: Int) throws(CodecError) {
        let target = UnsafeMutableRawPointer.allocate(
            byteCount: min(blockBytes, rawBytes), alignment: 64)
        // SAFETY: as long as the longest block; not used behind this call.
        defer { unsafe target.deallocate() }
        try unsafe stored.span.withUnsafeBytes { stored throws(CodecError) in
            try unsafe walk(stored, rawBytes: rawBytes) { _ in unsafe target }
        }
    }

    /// Goes through the table, and decodes each block to where `target` says, if anywhere.
    private func walk(
        _ stored: UnsafeRawBufferPointer, rawBytes: Int,
        _ target: (Int) -> UnsafeMutableRawPointer?
    ) throws(CodecError) {
        let tableBytes = tableBytes(rawBytes: rawBytes)
        guard tableBytes <= stored.count else {
            throw CodecError(
                "table", "COD-4", "\(tableBytes) bytes", "an extent of \(stored.count)")
        }
        let scratch = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(blockBytes, rawBytes), alignment: 64)
        // SAFETY: made here, and not used behind this call.
        defer { unsafe scratch.deallocate() }
        let noPlane = unsafe scratch.baseAddress!.assumingMemoryBound(to: UInt8.self)
        var start = tableBytes
        for block in 0..<blockCount(rawBytes: rawBytes) {
            let planeBytes = planeBytes(block: block, rawBytes: rawBytes)
            let place = unsafe target(block)
            var planes = unsafe FourPlanes(repeating: UnsafePointer(noPlane))
            for plane in 0..<elementBytes {
                let length = try unsafe self.length(
                    stored, block, plane, planeBytes, room: stored.count - start)
                if unsafe place != nil {
                    // SAFETY: `length` bytes from `start` on are inside, as was checked.
                    let bytes = unsafe UnsafeRawBufferPointer(
                        rebasing: stored[start..<start + length])
                    unsafe planes[plane] = try Self.expand(
                        bytes, planeBytes, in: scratch.baseAddress! + plane * planeBytes,
                        (block, plane))
                }
                start += length
            }
            if let place = unsafe place { unsafe join(planes, planeBytes, into: place) }
        }
        guard start == stored.count else {
            throw CodecError("table", "COD-4", "lengths up to \(stored.count)", "\(start)")
        }
    }

    /// Of a plane, from the table, which was checked to be there.
    private func length(
        _ stored: UnsafeRawBufferPointer, _ block: Int, _ plane: Int, _ planeBytes: Int, room: Int
    ) throws(CodecError) -> Int {
        // SAFETY: inside the table.
        let length = unsafe Int(
            UInt32(
                littleEndian: stored.loadUnaligned(
                    fromByteOffset: (block * elementBytes + plane) * 4, as: UInt32.self)))
        guard length <= planeBytes, length > 0, length * Self.expansionMax >= planeBytes else {
            throw CodecError(
                "block \(block), plane \(plane)", "COD-3",
                "a length that gives \(planeBytes) bytes", "\(length)")
        }
        guard length <= room else {
            throw CodecError(
                "block \(block), plane \(plane)", "COD-4", "at most the \(room) bytes left",
                "\(length)")
        }
        return length
    }

    /// Those of a block, as many as its numbers have bytes.
    private typealias FourPlanes = InlineArray<4, UnsafePointer<UInt8>>

    /// Where the raw bytes of a plane are: in the extent itself, or in `scratch`.
    private static func expand(
        _ bytes: UnsafeRawBufferPointer, _ planeBytes: Int, in scratch: UnsafeMutableRawPointer,
        _ place: (block: Int, plane: Int)
    ) throws(CodecError) -> UnsafePointer<UInt8> {
        let source = bytes.baseAddress!
        if bytes.count == planeBytes { return unsafe source.assumingMemoryBound(to: UInt8.self) }
        // SAFETY: LZ4 reads `bytes` alone and writes at most `planeBytes`, whatever the bytes are.
        let found = unsafe LZ4_decompress_safe(
            source.assumingMemoryBound(to: CChar.self),
            scratch.assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(planeBytes))
        guard found == planeBytes else {
            throw CodecError(
                "block \(place.block), plane \(place.plane)", "COD-5",
                "an LZ4 block of \(planeBytes) bytes",
                found < 0 ? "another thing" : "\(found)")
        }
        return unsafe UnsafePointer(scratch.assumingMemoryBound(to: UInt8.self))
    }

    private func join(
        _ planes: borrowing FourPlanes, _ planeBytes: Int, into target: UnsafeMutableRawPointer
    ) {
        let target = unsafe target.assumingMemoryBound(to: UInt8.self)
        // SAFETY: each plane has `planeBytes` bytes, and the target as many numbers' room.
        switch elementBytes {
        case 2: unsafe cshims_join2(planes[0], planes[1], planeBytes, target)
        case 4: unsafe cshims_join4(planes[0], planes[1], planes[2], planes[3], planeBytes, target)
        default: unsafe target.update(from: planes[0], count: planeBytes)
        }
    }
}
