// Which segment uses there are, for threads that read, and who still needs one. The core adds and
// ends uses; others take holds.
//
// A use that was ended takes no new holds, and its file is not written over while it has any
// (CONTRACT G-3, N-9). Who takes a hold first and then finds that the index still names a place in
// the segment may read there: the core ends a use only after the index names nothing in it.

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

    private struct Holds {
        var readerCount = 0
        var writerCount = 0
        var hasEnded = false
    }
    private let holds = Mutex(Holds())

    public init(header: SegmentHeader, file: FileID, recordKey: SealKey) {
        self.header = header
        self.file = file
        self.recordKey = recordKey
    }

    public var id: SegmentID { header.segment }
    public var fileName: String { StoreFiles.segment(header.segment) }

    /// `nil` when the use has ended.
    func hold(_ purpose: SegmentHold.Purpose) -> SegmentHold? {
        let isHeld = holds.withLock { holds in
            if holds.hasEnded { return false }
            switch purpose {
            case .reading: holds.readerCount += 1
            case .writing: holds.writerCount += 1
            }
            return true
        }
        return isHeld ? SegmentHold(self, purpose) : nil
    }

    fileprivate func release(_ purpose: SegmentHold.Purpose) {
        holds.withLock { holds in
            switch purpose {
            case .reading: holds.readerCount -= 1
            case .writing: holds.writerCount -= 1
            }
        }
    }

    /// Whether places in it are reserved, for records that no commit has named yet.
    var hasWriters: Bool { holds.withLock { $0.writerCount > 0 } }
    var isHeld: Bool { holds.withLock { $0.readerCount + $0.writerCount > 0 } }
    func end() { holds.withLock { $0.hasEnded = true } }
}

/// Keeps a segment use from being written over for as long as it lives.
public final class SegmentHold: Sendable {
    public enum Purpose: Sendable {
        case reading
        case writing
    }
    public let handle: SegmentHandle
    private let purpose: Purpose

    fileprivate init(_ handle: SegmentHandle, _ purpose: Purpose) {
        (self.handle, self.purpose) = (handle, purpose)
    }

    deinit { handle.release(purpose) }
}

public final class SegmentTable: Sendable {
    private let handles = Mutex<[SegmentID: SegmentHandle]>([:])

    public init() {}

    public subscript(id: SegmentID) -> SegmentHandle? {
        handles.withLock { $0[id] }
    }

    /// A hold on the current use of a segment; `nil` when it has none.
    public func hold(_ id: SegmentID) -> SegmentHold? { self[id]?.hold(.reading) }

    /// In order of their numbers.
    public var all: [SegmentHandle] {
        handles.withLock { $0.values.sorted { $0.id < $1.id } }
    }

    func insert(_ handle: SegmentHandle) {
        handles.withLock { $0[handle.id] = handle }
    }

    func remove(_ id: SegmentID) {
        handles.withLock { _ = $0.removeValue(forKey: id) }
    }
}
