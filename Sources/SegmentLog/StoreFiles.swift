// The store's directory (PRODUCT D12a, format-spec 01). Every name is made here, from numbers.

import BlockIO
import ChunkFormat
import Primitives

public enum StoreFiles {
    public static let superblock = "superblock"
    public static let superblockDraft = "superblock.new"
    public static let journals = ["journal-0", "journal-1"]
    public static let journalDrafts = ["journal-0.new", "journal-1.new"]
    public static let checkpoint = "checkpoint"
    public static let checkpointDraft = "checkpoint.new"
    public static let heat = "heat"
    public static let heatDraft = "heat.new"
    public static let segments = "segments"

    public static func segment(_ id: SegmentID) -> String { "\(segments)/\(id)" }

    /// The number in a segment's file name; `nil` for a name that is not ours.
    public static func segmentID(fileName: String) -> SegmentID? {
        guard fileName.utf8.count >= 8, let raw = UInt32(fileName),
            SegmentID(raw).description == fileName
        else { return nil }
        return SegmentID(raw)
    }
}

/// Reads and writes of small structures: through a buffer of the disk's, as plain bytes.
extension Disk {
    /// `byteCount` bytes from `offset`, or fewer at the file's end. Both are multiples of U.
    /// With a hold, cancelling ends the wait, and the hold stays with the request.
    public func readBytes(
        _ file: FileID, at offset: UInt64, byteCount: Int, hold: SegmentHold? = nil
    ) async throws(DiskError) -> [UInt8] {
        let buffer = makeBuffer(byteCount: aligned(byteCount, to: traits.alignment))
        let slice = hold.map { buffer.slice.holding($0) } ?? buffer.slice
        let count = try await readToEnd(
            file, at: offset, into: slice, untilCancelled: hold != nil)
        return unsafe buffer.withBytes { unsafe Array($0.prefix(min(count, byteCount))) }
    }

    /// As `read`, but a read that ends early inside the file is an error. Recovery takes the end of
    /// a file for the end of what was written: a short count there must not pass for it (N-6).
    func readToEnd(
        _ file: FileID, at offset: UInt64, into slice: IOSlice, untilCancelled: Bool = false
    ) async throws(DiskError) -> Int {
        let count =
            untilCancelled
            ? try await readUntilCancelled(file, at: offset, into: slice)
            : try await read(file, at: offset, into: slice)
        if count == slice.byteCount { return count }
        let end = try await byteCount(of: file)
        guard end <= offset + UInt64(count) else {
            throw DiskError(
                code: .failed, operation: "read, short inside the file,",
                file: "file \(file.raw)", offset: offset)
        }
        return count
    }

    /// Writes whole units. *Durability:* none before a flush.
    public func writeBytes(_ file: FileID, at offset: UInt64, _ bytes: [UInt8])
        async throws(DiskError)
    {
        var buffer = makeBuffer(byteCount: bytes.count)
        unsafe buffer.withMutableBytes { unsafe $0.copyBytes(from: bytes) }
        try await write(
            file, at: offset, from: buffer.slice.slice(offset: 0, byteCount: bytes.count))
    }
}
