// Which segments there are, for threads that read. The core adds; readers look up.

import BlockIO
import ChunkFormat
import Primitives
import Synchronization

/// An open segment use.
public final class SegmentHandle: Sendable {
    public let header: SegmentHeader
    public let file: FileID
    /// The key of this use's record seals.
    public let recordKey: SealKey

    public init(header: SegmentHeader, file: FileID, recordKey: SealKey) {
        self.header = header
        self.file = file
        self.recordKey = recordKey
    }

    public var id: SegmentID { header.segment }
    public var fileName: String { StoreFiles.segment(header.segment) }
}

public final class SegmentTable: Sendable {
    private let handles = Mutex<[SegmentID: SegmentHandle]>([:])

    public init() {}

    public subscript(id: SegmentID) -> SegmentHandle? {
        handles.withLock { $0[id] }
    }

    /// In order of their numbers.
    public var all: [SegmentHandle] {
        handles.withLock { $0.values.sorted { $0.id < $1.id } }
    }

    func insert(_ handle: SegmentHandle) {
        handles.withLock { $0[handle.id] = handle }
    }
}
