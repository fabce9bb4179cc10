// What a completion queue is asked for, and what it answers.

import BlockIO
import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import Synchronization

/// A call with the caller's own number.
public struct QueueRequest: Sendable {
    public enum Call: Sendable {
        /// `Namespace.contains`: answered at once, the disk is not asked.
        case exists(ChunkKey, variant: VariantID = .standalone)
        /// `Namespace.get`, into memory of the store's.
        case get(
            ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
            tokens: Range<Int>? = nil, verification: Verification = .verified)
        /// `Namespace.read`, into memory of the caller's, which comes back with the answer.
        case read(
            ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
            tokens: Range<Int>? = nil, into: QueueBuffer, verification: Verification = .verified)
        /// `Namespace.put`.
        case put(QueuePut)
    }

    public let id: UInt64
    public let namespace: Namespace
    public let call: Call

    public init(id: UInt64, _ namespace: Namespace, _ call: Call) {
        self.id = id
        self.namespace = namespace
        self.call = call
    }
}

/// A chunk to store; see `Namespace.put`.
public struct QueuePut: Sendable {
    public var key: ChunkKey
    public var tokens: [UInt32]
    /// Layer l's key and value planes.
    public var layers: [(keys: [UInt8], values: [UInt8])]
    public var context: PrefixContext = .standalone
    public var recompute: RecomputeMetadata?
    public var detail = VariantDetail()
    public var pinned = false
    public var replacing = false
    public var timeToLive: Duration?
    public var durability: Durability = .durable

    public init(
        _ key: ChunkKey, tokens: [UInt32], layers: [(keys: [UInt8], values: [UInt8])]
    ) {
        self.key = key
        self.tokens = tokens
        self.layers = layers
    }
}

/// Aligned memory that a caller hands in with a request. From `submit` to the answer it is the
/// request's: a second request for it is refused.
public final class QueueBuffer: @unchecked Sendable {
    // SAFETY: only the request that has it changes it, and nobody reads it then.
    fileprivate nonisolated(unsafe) var buffer: AlignedBuffer
    /// How many read it; `ofRequest` while a request has it.
    private let readerCount = Atomic(0)
    private static let ofRequest = -1
    public let byteCount: Int

    public init(_ buffer: consuming AlignedBuffer) {
        byteCount = buffer.byteCount
        unsafe self.buffer = buffer
    }

    /// Reads the bytes, before `submit` or after the answer, on as many threads as like: a caller
    /// that looks in between would read what is being written, so that is a trap.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var count = readerCount.load(ordering: .relaxed)
        while true {
            precondition(count != Self.ofRequest, "the buffer belongs to a request")
            let (isIn, found) = readerCount.weakCompareExchange(
                expected: count, desired: count + 1, ordering: .acquiring)
            if isIn { break }
            count = found
        }
        defer { readerCount.subtract(1, ordering: .releasing) }
        return try unsafe buffer.withBytes(body)
    }

    /// *Returns:* whether the caller's request has it now: nobody else does, and nobody reads it.
    fileprivate func take() -> Bool {
        readerCount.compareExchange(
            expected: 0, desired: Self.ofRequest, ordering: .acquiring
        ).exchanged
    }

    fileprivate func giveBack() { readerCount.store(0, ordering: .releasing) }
}

/// A chunk that `get` found. Owns the planes.
public final class QueueChunk: Sendable {
    public let data: ChunkData
    init(_ data: consuming ChunkData) { self.data = data }
}

/// The answer to one request.
public struct QueueCompletion: Sendable {
    public enum Answer: Sendable {
        /// `nil` is a miss.
        case entry(ChunkEntry?)
        /// `nil` is a miss.
        case chunk(QueueChunk?)
        /// Where the planes stand in the buffer; `nil` is a miss.
        case planes(PlaneMap?)
        case stored(CommitOutcome)
    }

    public let id: UInt64
    public let result: Result<Answer, StoreError>
}

extension QueueRequest {
    /// Carries the call out.
    func perform() async throws(StoreError) -> QueueCompletion.Answer {
        switch call {
        case .exists(let key, let variant):
            return .entry(namespace.contains(key, variant: variant))
        case .get(let key, let variant, let layers, let tokens, let verification):
            guard
                let data = try await namespace.get(
                    key, variant: variant, layers: layers, tokens: tokens,
                    verification: verification)
            else { return .chunk(nil) }
            return .chunk(QueueChunk(data))
        case .read(let key, let variant, let layers, let tokens, let target, let verification):
            guard target.take() else {
                throw .shape(
                    what: "buffer", expected: "one that nobody else has",
                    found: "one of another request's, or being read")
            }
            defer { target.giveBack() }
            return .planes(
                try await unsafe namespace.read(
                    key, variant: variant, layers: layers, tokens: tokens, into: &target.buffer,
                    verification: verification))
        case .put(let put):
            return .stored(
                try await namespace.put(
                    put.key, tokens: put.tokens, layers: put.layers, context: put.context,
                    recompute: put.recompute, detail: put.detail, pinned: put.pinned,
                    replacing: put.replacing, timeToLive: put.timeToLive,
                    durability: put.durability))
        }
    }
}
