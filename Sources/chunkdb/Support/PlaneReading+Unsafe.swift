import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

extension StoreView {
    /// The stored bytes of one extent, compared with their digests; padding is checked and cut off.
    func plane(_ extent: ExtentRow, of record: PayloadRecord) async throws(LogError) -> [UInt8] {
        let handle = try reader.handle(record.prefix.location)
        let offset = record.prefix.location.offset + extent.offset
        let padded = Int(extent.paddedBytes(unit: handle.header.alignmentUnit))
        let buffer = disk.makeBuffer(byteCount: padded)
        let count: Int
        do throws(DiskError) {
            count = try await disk.read(
                handle.file, at: offset, into: buffer.slice.slice(offset: 0, byteCount: padded))
        } catch {
            throw .disk(error)
        }
        let result = unsafe buffer.withBytes { bytes -> Result<[UInt8], FormatError> in
            guard count == padded else {
                return .failure(
                    ExtentDigests.truncated(extent, expected: padded, found: count))
            }
            // SAFETY: the buffer has at least `padded` bytes, and the row was checked when it was
            // decoded: `storedBytes` is at most `padded`.
            let damage = unsafe ExtentDigests.check(
                UnsafeRawBufferPointer(rebasing: bytes[..<padded]), blockOffset: 0, of: extent,
                in: record)
            if let damage { return .failure(damage) }
            return .success(unsafe Array(bytes[..<Int(extent.storedBytes)]))
        }
        switch result {
        case .success(let bytes): return bytes
        case .failure(let damage):
            throw .format(damage, file: handle.fileName, offset: offset)
        }
    }
}
