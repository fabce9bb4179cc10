// Reading records, for the engine and for the shell: a header region is opened, that is compared
// with its place, its seal and its commit, before anything in it is believed.

import BlockIO
import ChunkFormat
import Primitives

public struct RecordReader: Sendable {
    public let disk: any Disk
    public let segments: SegmentTable

    public init(disk: any Disk, segments: SegmentTable) {
        self.disk = disk
        self.segments = segments
    }

    /// The handle of a record's segment. *Throws:* when no such segment is open.
    public func handle(_ location: RecordLocation) throws(LogError) -> SegmentHandle {
        guard let handle = segments[location.segment] else {
            throw .format(
                FormatError(
                    .corrupt, structure: "recordLocation", field: "segment", clause: "REC-2",
                    expected: "a segment of this store", found: "\(location.segment)"),
                file: StoreFiles.segment(location.segment), offset: location.offset)
        }
        return handle
    }

    /// Reads and opens a header region of `headerBytes`. *Complexity:* one read.
    /// With a hold it is read from that use, and cancelling the caller's task ends the wait: a disk
    /// error says so.
    public func header(
        at location: RecordLocation, headerBytes: UInt32, hold: SegmentHold? = nil
    ) async throws(LogError) -> (bytes: [UInt8], prefix: RecordPrefix, seal: Digest128) {
        let handle = if let hold { hold.handle } else { try handle(location) }
        let unit = handle.header.alignmentUnit
        guard location.offset.isMultiple(of: UInt64(unit)), headerBytes.isMultiple(of: unit),
            headerBytes <= RecordPrefix.headerBytesMax
        else {
            throw .format(
                FormatError(
                    .corrupt, structure: "recordLocation", field: "offset", clause: "REC-2",
                    expected: "whole units", found: "\(location), \(headerBytes) bytes"),
                file: handle.fileName, offset: location.offset)
        }
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try await disk.readBytes(
                handle.file, at: location.offset, byteCount: Int(headerBytes), hold: hold)
        } catch {
            throw .disk(error)
        }
        do throws(FormatError) {
            let (prefix, seal) = try RecordPrefix.open(
                bytes, at: location, unit: handle.header.alignmentUnit, key: handle.recordKey)
            guard prefix.headerBytes == headerBytes else {
                throw FormatError(
                    .corrupt, structure: "recordPrefix", field: "headerBytes", clause: "REC-3",
                    expected: "\(headerBytes), as the record was named",
                    found: "\(prefix.headerBytes)")
            }
            return (bytes, prefix, seal)
        } catch {
            throw .format(error, file: handle.fileName, offset: location.offset)
        }
    }

    /// Reads the payload record at `location`; `hold` as for `header`.
    public func payload(
        at location: RecordLocation, headerBytes: UInt32, hold: SegmentHold? = nil
    ) async throws(LogError) -> (record: PayloadRecord, seal: Digest128) {
        let (bytes, prefix, seal) = try await header(
            at: location, headerBytes: headerBytes, hold: hold)
        let handle = if let hold { hold.handle } else { try handle(location) }
        do throws(FormatError) {
            guard prefix.kind == RecordKind.payload.rawValue else {
                throw FormatError(
                    .corrupt, structure: "recordPrefix", field: "kind", clause: "REC-6",
                    expected: "payload", found: "\(prefix.kind)")
            }
            let record = try PayloadRecord(
                decoding: bytes, prefix: prefix, unit: handle.header.alignmentUnit)
            return (record, seal)
        } catch {
            throw .format(error, file: handle.fileName, offset: location.offset)
        }
    }

    /// Reads the payload of a record and compares every block with its digest.
    /// *Complexity:* reads the whole record, a piece at a time.
    public func verifyPayload(_ record: PayloadRecord) async throws(LogError) {
        try await forEachPiece(of: record) { _, _ in }
    }

    /// Hands over the payload of a record, piece by piece, each verified.
    /// - Parameter body: takes the bytes, and where they stand from the record's first byte on.
    func forEachPiece(
        of record: PayloadRecord,
        _ body: (_ piece: IOSlice, _ offset: UInt64) async throws(LogError) -> Void
    ) async throws(LogError) {
        let handle = try handle(record.prefix.location)
        let unit = handle.header.alignmentUnit
        for extent in record.extents {
            let padded = Int(extent.paddedBytes(unit: unit))
            for start in stride(from: 0, to: padded, by: Self.pieceBytes) {
                let range = start..<min(start + Self.pieceBytes, padded)
                let piece = try await read(extent, range, of: record, handle)
                try await body(piece, extent.offset + UInt64(start))
            }
        }
    }

    /// A multiple of every digest block size, so that a piece begins on the grid.
    private static let pieceBytes = 4 << 20

    private func read(
        _ extent: ExtentRow, _ range: Range<Int>, of record: PayloadRecord, _ handle: SegmentHandle
    ) async throws(LogError) -> IOSlice {
        let offset = record.prefix.location.offset + extent.offset + UInt64(range.lowerBound)
        let buffer = disk.makeReadBuffer(byteCount: range.count)
        let slice = buffer.slice.slice(offset: 0, byteCount: range.count)
        let count: Int
        do throws(DiskError) {
            count = try await disk.readToEnd(handle.file, at: offset, into: slice)
        } catch {
            throw .disk(error)
        }
        let damage = unsafe buffer.withBytes { bytes -> FormatError? in
            guard count == range.count else {
                return ExtentDigests.truncated(extent, expected: range.count, found: count)
            }
            return unsafe ExtentDigests.check(
                UnsafeRawBufferPointer(rebasing: bytes[..<range.count]),
                blockOffset: range.lowerBound, of: extent, in: record)
        }
        if let damage { throw .format(damage, file: handle.fileName, offset: offset) }
        return slice
    }
}
