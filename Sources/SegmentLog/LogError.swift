import BlockIO
import ChunkFormat
import Primitives

/// The log's trouble: what, where, and what the caller can do about it.
public enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// A structure on disk is not what format-spec says.
    case format(FormatError, file: String, offset: UInt64)
    /// No store stands in this directory.
    case notAStore(directory: String)
    /// A store, or something else, stands in this directory already.
    case alreadyExists(directory: String)
    /// Fewer than two copies of the superblock agree.
    case superblockDamaged(copies: [String])
    /// The store's budget is reached; nothing was written.
    case capacityExceeded(neededBytes: UInt64, availableBytes: UInt64)
    /// One record is larger than a segment can hold; the segment size is set at creation.
    case recordTooLarge(recordBytes: UInt64, maximumBytes: UInt64)
    /// One commit names only so many records (COM-4).
    case batchTooLarge(recordCount: Int, maximum: Int)
    /// An earlier write failed; reads go on, close and reopen is the way out (CONTRACT O-4).
    case degraded(reason: String)
    case closed
    /// The format version cannot express it.
    case unsupported(String)

    public var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .format(let error, let file, let offset): "\(file) at byte \(offset): \(error)"
        case .notAStore(let directory): "\(directory): no store here; create one first"
        case .alreadyExists(let directory): "\(directory): not empty; choose another directory"
        case .superblockDamaged(let copies):
            "superblock: fewer than two of four copies agree (\(copies.joined(separator: "; ")))"
        case .capacityExceeded(let needed, let available):
            "capacity exceeded: \(ByteCount(needed)) needed, \(ByteCount(available)) available; "
                + "remove chunks or raise the capacity"
        case .recordTooLarge(let bytes, let maximum):
            "a record of \(ByteCount(bytes)) exceeds the \(ByteCount(maximum)) of a segment; "
                + "create the store with larger segments"
        case .batchTooLarge(let count, let maximum):
            "a batch of \(count) records; one commit names at most \(maximum): split it"
        case .degraded(let reason): "the store takes no writes since: \(reason); reopen it"
        case .closed: "the store is closed"
        case .unsupported(let what): "not supported: \(what)"
        }
    }
}
