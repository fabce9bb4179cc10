import BlockIO
import ChunkDB
import ChunkFormat
import Codecs
import Primitives
import SegmentLog

extension StoreView {
    /// The rows of one plane, compared with their digests and decoded.
    func plane(_ extent: ExtentRow, of record: PayloadRecord) async throws(LogError) -> [UInt8] {
        let stored = try await stored(extent, of: record)
        guard extent.codec == BytePlanes.codec else { return stored }
        do throws(CodecError) {
            return try BytePlanes(extent).decode(stored, rawBytes: Int(extent.rawBytes))
        } catch {
            throw damage(FormatError(error, extent), extent, of: record)
        }
    }

    /// Compares one extent with its digests, and decodes it if it is coded.
    func check(_ extent: ExtentRow, of record: PayloadRecord) async throws(LogError) {
        guard extent.codec == BytePlanes.codec, extent.isPlane else {
            var part = record
            part.extents = [extent]
            return try await reader.verifyPayload(part)
        }
        let stored = try await stored(extent, of: record)
        do throws(CodecError) {
            try BytePlanes(extent).check(stored, rawBytes: Int(extent.rawBytes))
        } catch {
            throw damage(FormatError(error, extent), extent, of: record)
        }
    }

    private func damage(_ cause: FormatError, _ extent: ExtentRow, of record: PayloadRecord)
        -> LogError
    {
        let place = record.prefix.location
        return .format(
            cause, file: StoreFiles.segment(place.segment), offset: place.offset &+ extent.offset)
    }

    /// Those of all records, in order.
    func sidecars(of stored: StoredVariant) async throws(LogError) -> [Sidecar] {
        var sidecars: [Sidecar] = []
        for record in stored.records.map(\.header) {
            for extent in record.extents where extent.isSidecar {
                sidecars.append(
                    Sidecar(
                        layer: Int(extent.layer),
                        type: UInt32(truncatingIfNeeded: extent.codecParameters),
                        bytes: try await self.stored(extent, of: record)))
            }
        }
        return sidecars
    }

    /// The stored bytes of one extent, compared with their digests; padding is checked and cut off.
    private func stored(_ extent: ExtentRow, of record: PayloadRecord) async throws(LogError)
        -> [UInt8]
    {
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

extension ExtentRow {
    var isPlane: Bool { kind == .keys || kind == .values }
    /// Rows that can be had: raw, or in a form that is known.
    var isKnownPlane: Bool {
        isPlane && (codec == 0 || codec == BytePlanes.codec && (try? BytePlanes(self)) != nil)
    }
    var isSidecar: Bool { kind == .sidecar && codec == 0 && codecParameters <= UInt32.max }
}

extension BytePlanes {
    init(_ extent: ExtentRow) throws(CodecError) {
        try self.init(
            parameters: extent.codecParameters, rawBytes: extent.rawBytes,
            storedBytes: extent.storedBytes)
    }
}

extension FormatError {
    fileprivate init(_ error: CodecError, _ extent: ExtentRow) {
        self.init(error, layer: extent.layer, kind: extent.kind)
    }
}
