// What the feed needs of the engine.

import BlockIO
import ChunkFormat
import SegmentLog

extension Namespace {
    /// The disk that located extents are read from.
    public var disk: any Disk { core.disk }

    /// Counts bytes that a feed verified.
    public var countVerified: @Sendable (Int) -> Void {
        { [core] byteCount in core.count { $0.verifiedBytes += UInt64(byteCount) } }
    }
}

extension LocatedExtent {
    /// The facts of a read that found the file ending early.
    public func truncated(found: Int) -> DamageFacts {
        facts(ExtentDigests.truncated(row, expected: paddedBytes, found: found))
    }
}
