// Chunks that stay readable for a while, whatever becomes of their names: through eviction,
// removal, cleaning and the dropping of their namespace. A lease holds the segment uses that the
// chunk stands in; while it does, they are not written over. That is dear, a segment for a chunk,
// so leases have an end, and a bound.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog
import Synchronization

/// A hold on a chunk's bytes until a time that was said beforehand. Ends with its last name, too.
public final class Lease: Sendable {
    public let entry: ChunkEntry
    public let tokenCount: Int
    public let metadata: ChunkMetadata
    private let namespace: Namespace
    private let number: UInt64

    fileprivate init(_ namespace: Namespace, _ chunk: LocatedChunk, _ number: UInt64) {
        self.namespace = namespace
        self.number = number
        entry = chunk.entry
        tokenCount = chunk.tokenCount
        metadata = chunk.metadata
    }

    deinit { end() }

    /// The planes, as `Namespace.get` gives them; the chunk may be gone for everybody else.
    /// *Throws:* also `.leaseEnded`.
    public func get(
        layers: Range<Int>? = nil, tokens: Range<Int>? = nil,
        verification: Verification = .verified
    ) async throws(StoreError) -> ChunkData {
        let core = namespace.core
        guard let chunk = core.leases.chunk(number, at: core.now) else { throw .leaseEnded }
        return try await namespace.get(chunk, layers, tokens, verification)
    }

    public var hasEnded: Bool {
        namespace.core.leases.chunk(number, at: namespace.core.now) == nil
    }

    /// Lets go of the bytes before the time is over. Idempotent.
    public func end() { namespace.core.leases.end(number) }
}

extension Namespace {
    /// Keeps a stored variant's bytes readable for `duration`, by a clock that never jumps; `nil`
    /// is a miss. A process that ends ends its leases.
    ///
    /// *Throws:* `.quotaExceeded` when leases would hold more than `StoreOptions.leasedCapacity`;
    /// others' leases are not touched (CONTRACT E-2). `.shape` when the duration is not positive.
    public func lease(
        _ key: ChunkKey, variant: VariantID = .standalone, for duration: Duration
    ) async throws(StoreError) -> Lease? {
        let (seconds, attoseconds) = duration.components
        guard duration > .zero else {
            throw .shape(what: "time of a lease", expected: "more than 0", found: "\(duration)")
        }
        guard let chunk = try await locate(key, variant: variant) else { return nil }
        let end = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (endsAt, isNever) = core.now.addingReportingOverflow(
            (end.overflow ? .max / 2 : end.partialValue) + UInt64(attoseconds / 1_000_000_000))
        let bound = core.leasedBytesMax
        switch core.leases.add(chunk, endsAt: isNever ? .max : endsAt, now: core.now, bound) {
        case .success(let number): return Lease(self, chunk, number)
        case .failure(let excess):
            throw .quotaExceeded(
                QuotaFacts(
                    namespace: name, quota: .leased, allowed: bound, needed: excess.neededBytes))
        }
    }
}

/// What is leased, in the whole store.
final class LeaseTable: Sendable {
    private struct Entry {
        let endsAt: UInt64
        let chunk: LocatedChunk
    }
    private struct State {
        var next: UInt64 = 0
        var entries: [UInt64: Entry] = [:]
    }
    private let state = Mutex(State())

    struct Excess: Error {
        let neededBytes: UInt64
    }

    func add(_ chunk: LocatedChunk, endsAt: UInt64, now: UInt64, _ bound: UInt64)
        -> Result<UInt64, Excess>
    {
        endOver(at: now)
        return state.withLock { state in
            var uses: [ObjectIdentifier: UInt64] = [:]
            for chunk in state.entries.values.map(\.chunk) + [chunk] {
                for extent in chunk.extents {
                    uses[ObjectIdentifier(extent.handle)] = extent.handle.header.segmentBytes
                }
            }
            let needed = uses.values.reduce(0, &+)
            guard needed <= bound else { return .failure(Excess(neededBytes: needed)) }
            state.next += 1
            state.entries[state.next] = Entry(endsAt: endsAt, chunk: chunk)
            return .success(state.next)
        }
    }

    func chunk(_ number: UInt64, at now: UInt64) -> LocatedChunk? {
        state.withLock { $0.entries[number] }.flatMap { $0.endsAt > now ? $0.chunk : nil }
    }

    func end(_ number: UInt64) {
        // Let go of outside the lock.
        let entry = state.withLock { $0.entries.removeValue(forKey: number) }
        withExtendedLifetime(entry) {}
    }

    /// Lets go of what is no longer anybody's. *Returns:* whether there was any.
    @discardableResult
    func endOver(at now: UInt64) -> Bool {
        let over = state.withLock { state in
            let over = state.entries.filter { $0.value.endsAt <= now }
            for number in over.keys { state.entries[number] = nil }
            return over
        }
        return !over.isEmpty
    }

    func endAll() { state.withLock { $0.entries = [:] } }
}

extension StoreCore {
    var now: UInt64 { environment.clock.monotonicNanoseconds }

    /// Bytes of segments that leases may hold.
    fileprivate var leasedBytesMax: UInt64 {
        min(options.leasedCapacity?.bytes ?? .max, log.superblock.capacityBytes / 4)
    }
}
