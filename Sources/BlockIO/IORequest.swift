// One transfer. Engines continue short and interrupted transfers themselves, from the last U
// boundary that was reached, so a completion sees all bytes, the end of the file, or an error.

import Primitives

/// Where a transfer's bytes come from or go to: an address that this module and the log never
/// dereference. `owner` keeps the memory alive until the completion.
public struct IOSlice: @unchecked Sendable {
    // SAFETY: `address` is a number here; only a kernel or an engine copies through it, between
    // submit and completion, while `owner` holds the memory.
    public let address: UInt
    public let byteCount: Int
    /// The index of the registered region that contains it; `nil` for unregistered memory.
    public let registration: UInt16?
    public let owner: AnyObject?

    public init(address: UInt, byteCount: Int, registration: UInt16? = nil, owner: AnyObject?) {
        self.address = address
        self.byteCount = byteCount
        self.registration = registration
        self.owner = owner
    }

    /// `byteCount` bytes from `offset`. Traps when they are not inside.
    public func slice(offset: Int, byteCount: Int) -> IOSlice {
        precondition(offset >= 0 && byteCount >= 0 && offset + byteCount <= self.byteCount)
        return IOSlice(
            address: address + UInt(offset), byteCount: byteCount, registration: registration,
            owner: owner)
    }

    /// Whether a transfer of this unit can end here.
    public func isAligned(to unit: Int) -> Bool {
        byteCount % unit == 0 && address % UInt(unit) == 0
    }

    /// The same memory; what it is held with lives on until the completion too.
    public func holding(_ object: AnyObject) -> IOSlice {
        IOSlice(
            address: address, byteCount: byteCount, registration: registration,
            owner: Both(first: owner, second: object))
    }

    private final class Both {
        let first: AnyObject?
        let second: AnyObject
        init(first: AnyObject?, second: AnyObject) { (self.first, self.second) = (first, second) }
    }
}

public enum IOOperation: Sendable, Equatable {
    case read
    case write
    /// Makes the file's completed writes durable (fdatasync); offset and slice are ignored.
    case flush
}

/// A transfer or a flush, with what to do at its end.
public struct IORequest: Sendable {
    public typealias Completion = @Sendable (Result<Int, DiskError>) -> Void

    public let operation: IOOperation
    public let file: FileID
    public let offset: UInt64
    /// Where the bytes come from or go to; of a read to several places, the first.
    public let slice: IOSlice
    /// The places behind the first, in the order of the file.
    public let furtherSlices: [IOSlice]
    /// Of all places.
    public let byteCount: Int
    public let lane: IOLane
    /// The bytes transferred. A write has all of them; a read has fewer only at the file's end.
    public let completion: Completion

    /// What is no larger is urgent, unless its caller says otherwise.
    public static let urgentBytesMax = 256 << 10

    /// Places that one read may have.
    public static let slicesMax = 8

    /// - Parameters:
    ///   - furtherSlices: where a read goes on when `slice` is full, so that neighbours on disk are
    ///     one request though they are none in memory; each of whole units. Traps for more than
    ///     `slicesMax` places, and for writes.
    ///   - lane: `nil` is by the size.
    public init(
        _ operation: IOOperation, file: FileID, offset: UInt64, slice: IOSlice,
        furtherSlices: [IOSlice] = [], lane: IOLane? = nil, completion: @escaping Completion
    ) {
        precondition(
            furtherSlices.isEmpty
                || operation == .read && furtherSlices.count < Self.slicesMax,
            "\(operation) with \(1 + furtherSlices.count) places")
        byteCount = furtherSlices.reduce(slice.byteCount) { $0 + $1.byteCount }
        self.furtherSlices = furtherSlices
        self.lane = lane ?? (byteCount <= Self.urgentBytesMax ? .urgent : .bulk)
        self.operation = operation
        self.file = file
        self.offset = offset
        self.slice = slice
        self.completion = completion
    }
}

extension IORequest {
    /// All places, in the order of the file.
    public var slices: [IOSlice] { [slice] + furtherSlices }

    /// The places of a part of the transfer; inside.
    func slices(from start: Int, byteCount: Int) -> [IOSlice] {
        if furtherSlices.isEmpty { return [slice.slice(offset: start, byteCount: byteCount)] }
        var (found, skipped, left) = ([IOSlice](), start, byteCount)
        for place in slices where left > 0 {
            if skipped >= place.byteCount {
                skipped -= place.byteCount
                continue
            }
            let count = min(place.byteCount - skipped, left)
            found.append(place.slice(offset: skipped, byteCount: count))
            (skipped, left) = (0, left - count)
        }
        return found
    }
}

// The async twins. The caller's frame keeps the slice's owner until the completion has been seen:
// a cancelled task still waits here (CONTRACT X-1), except where the name says otherwise. They stay
// on the caller's executor.
extension Disk {
    /// As `read`, except that cancelling the caller's task ends the wait. The memory belongs to the
    /// request until its completion: whoever is cancelled must not touch it again.
    /// *Throws:* also `.cancelled`.
    public nonisolated(nonsending) func readUntilCancelled(
        _ file: FileID, at offset: UInt64, into slice: IOSlice
    ) async throws(DiskError) -> Int {
        let outcome = OneShot<Result<Int, DiskError>>()
        submit(
            IORequest(.read, file: file, offset: offset, slice: slice, completion: outcome.give))
        guard let result = await outcome.value() else {
            throw DiskError(
                code: .cancelled, operation: "read", file: "file \(file.raw)", offset: offset)
        }
        return try result.get()
    }

    /// Reads into `slice`. *Returns:* the bytes read, fewer than asked only at the file's end.
    public nonisolated(nonsending) func read(
        _ file: FileID, at offset: UInt64, into slice: IOSlice
    ) async throws(DiskError) -> Int {
        try await perform(.read, file, offset, slice)
    }

    /// Writes all of `slice`. *Durability:* none before a flush.
    public nonisolated(nonsending) func write(
        _ file: FileID, at offset: UInt64, from slice: IOSlice
    ) async throws(DiskError) {
        _ = try await perform(.write, file, offset, slice)
    }

    /// *Durability:* every write of the file whose completion was seen before this call.
    public nonisolated(nonsending) func flush(_ file: FileID) async throws(DiskError) {
        _ = try await perform(.flush, file, 0, IOSlice(address: 0, byteCount: 0, owner: nil))
    }

    private nonisolated(nonsending) func perform(
        _ operation: IOOperation, _ file: FileID, _ offset: UInt64, _ slice: IOSlice
    ) async throws(DiskError) -> Int {
        let result: Result<Int, DiskError> = await withCheckedContinuation { continuation in
            submit(
                IORequest(operation, file: file, offset: offset, slice: slice) {
                    continuation.resume(returning: $0)
                })
        }
        return try result.get()
    }
}
