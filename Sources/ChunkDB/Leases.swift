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
        try core.gate.enter()
        defer { core.gate.leave() }
        guard let chunk = try await locate(key, variant: variant) else { return nil }
        let endsAt = core.now.saturatingAdd(
            UInt64(clamping: seconds).saturatingMultiply(1_000_000_000)
                .saturatingAdd(UInt64(attoseconds / 1_000_000_000)))
        let bound = core.leasedBytesMax
        switch core.leases.add(chunk, endsAt: endsAt, now: core.now, bound) {
        case .success(let number): return Lease(self, chunk, number)
        case .failure(let excess):
            throw .quotaExceeded(
                QuotaFacts(
                    namespace: name, quota: excess.quota, allowed: excess.allowed,
                    needed: excess.needed))
        }
    }
}

/// What is leased, in the whole store.
final class LeaseTable: Sendable {
    private struct Entry {
        let endsAt: UInt64
        let chunk: LocatedChunk
        /// The segment uses that the chunk stands in, and their bytes.
        let uses: [ObjectIdentifier: UInt64]
    }
    private struct State {
        var next: UInt64 = 0
        var entries: [UInt64: Entry] = [:]
        /// Leases of each segment use, and what all of those take.
        var leaseCounts: [ObjectIdentifier: Int] = [:]
        var heldBytes: UInt64 = 0

        mutating func remove(_ number: UInt64) -> Entry? {
            guard let entry = entries.removeValue(forKey: number) else { return nil }
            for (use, byteCount) in entry.uses {
                leaseCounts[use]! -= 1
                if leaseCounts[use] == 0 {
                    leaseCounts[use] = nil
                    heldBytes -= byteCount
                }
            }
            return entry
        }
    }
    private let state = Mutex(State())

    /// Of one store at once.
    static let countMax = 65_536

    struct Excess: Error {
        let quota: Quota
        let allowed: UInt64
        let needed: UInt64
    }

    func add(_ chunk: LocatedChunk, endsAt: UInt64, now: UInt64, _ bound: UInt64)
        -> Result<UInt64, Excess>
    {
        endOver(at: now)
        var uses: [ObjectIdentifier: UInt64] = [:]
        for extent in chunk.extents {
            uses[ObjectIdentifier(extent.handle)] = extent.handle.header.segmentBytes
        }
        return state.withLock { state in
            guard state.entries.count < Self.countMax else {
                let countMax = UInt64(Self.countMax)
                return .failure(
                    Excess(quota: .leases, allowed: countMax, needed: countMax + 1))
            }
            let needed = uses.filter { state.leaseCounts[$0.key] == nil }
                .reduce(state.heldBytes) { $0 + $1.value }
            guard needed <= bound else {
                return .failure(Excess(quota: .leased, allowed: bound, needed: needed))
            }
            for use in uses.keys { state.leaseCounts[use, default: 0] += 1 }
            state.heldBytes = needed
            state.next += 1
            state.entries[state.next] = Entry(endsAt: endsAt, chunk: chunk, uses: uses)
            return .success(state.next)
        }
    }

    func chunk(_ number: UInt64, at now: UInt64) -> LocatedChunk? {
        state.withLock { $0.entries[number] }.flatMap { $0.endsAt > now ? $0.chunk : nil }
    }

    func end(_ number: UInt64) {
        // Let go of outside the lock.
        let entry = state.withLock { $0.remove(number) }
        withExtendedLifetime(entry) {}
    }

    /// Lets go of what is no longer anybody's. *Returns:* whether there was any.
    @discardableResult
    func endOver(at now: UInt64) -> Bool {
        let over = state.withLock { state in
            state.entries.filter { $0.value.endsAt <= now }.keys.compactMap { state.remove($0) }
        }
        return !over.isEmpty
    }

    func endAll() { endOver(at: .max) }
}

extension StoreCore {
    var now: UInt64 { environment.clock.monotonicNanoseconds }

    /// Bytes of segments that leases may hold.
    var leasedBytesMax: UInt64 {
        min(options.leasedCapacity?.bytes ?? .max, log.superblock.capacityBytes / 4)
    }
}
