import CLZ4
import CShims

extension BytePlanes {
    /// The stored form of `raw`, whole numbers: at most `tableBytes` longer.
    /// *Complexity:* O(n), the speed of LZ4.
    public func encode(_ raw: [UInt8]) -> [UInt8] {
        unsafe raw.withUnsafeBytes { unsafe encode($0) }
    }

    /// As above. *Precondition:* at least one number, whole ones, less than 4 GiB.
    public func encode(_ raw: UnsafeRawBufferPointer) -> [UInt8] {
        precondition(raw.count > 0 && raw.count.isMultiple(of: elementBytes))
        precondition(raw.count <= Int(UInt32.max))
        let tableBytes = tableBytes(rawBytes: raw.count)
        let scratch = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(blockBytes, raw.count), alignment: 64)
        // SAFETY: made here, and not used behind this call.
        defer { unsafe scratch.deallocate() }
        return unsafe [UInt8](unsafeUninitializedCapacity: tableBytes + raw.count) {
            target, count in
            // SAFETY: every entry of the table is written below; each plane takes at most its raw
            // bytes, so that all of them fit behind it.
            let stored = UnsafeMutableRawBufferPointer(target)
            var end = tableBytes
            var entry = 0
            for block in 0..<blockCount(rawBytes: raw.count) {
                let planeBytes = planeBytes(block: block, rawBytes: raw.count)
                let source = unsafe raw.baseAddress! + block << blockShift
                unsafe split(source, planeBytes, into: scratch.baseAddress!)
                for plane in 0..<elementBytes {
                    let byteCount = unsafe Self.compress(
                        scratch.baseAddress! + plane * planeBytes, planeBytes,
                        into: stored.baseAddress! + end)
                    unsafe stored.storeBytes(
                        of: UInt32(byteCount).littleEndian, toByteOffset: entry, as: UInt32.self)
                    entry += 4
                    end += byteCount
                }
            }
            count = end
        }
    }

    /// One plane of each byte of the numbers, one behind the other.
    private func split(
        _ source: UnsafeRawPointer, _ planeBytes: Int, into planes: UnsafeMutableRawPointer
    ) {
        let planes = unsafe planes.assumingMemoryBound(to: UInt8.self)
        let source = unsafe source.assumingMemoryBound(to: UInt8.self)
        // SAFETY: `planeBytes` numbers are there, and room for as many planes as they have bytes.
        switch elementBytes {
        case 2: unsafe cshims_split2(source, planeBytes, planes, planes + planeBytes)
        case 4: unsafe cshims_split4(source, planeBytes, planes)
        default: unsafe planes.update(from: source, count: planeBytes)
        }
    }

    /// *Returns:* the bytes it took; as many as there were when it stands there as it is.
    private static func compress(
        _ plane: UnsafeRawPointer, _ byteCount: Int, into target: UnsafeMutableRawPointer
    ) -> Int {
        let limit = byteCount - max(byteCount / planeGainDivisor, 1)
        // SAFETY: LZ4 writes at most `limit` bytes, for which there is room, and gives 0 when that
        // is not enough.
        let length = unsafe LZ4_compress_default(
            plane.assumingMemoryBound(to: CChar.self), target.assumingMemoryBound(to: CChar.self),
            Int32(byteCount), Int32(limit))
        if length > 0 { return Int(length) }
        unsafe target.copyMemory(from: plane, byteCount: byteCount)
        return byteCount
    }
}
