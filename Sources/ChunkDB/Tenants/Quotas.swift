// Whether a put may begin: what its namespace may have, and what may be pinned in the whole store.
// A namespace over its limit makes room among its own chunks; nobody else's are touched for it.

import ChunkFormat
import Primitives
import Retention
import SegmentLog

extension Namespace {
    /// Its own numbers. *Complexity:* O(1).
    public var statistics: NamespaceStatistics { usage.statistics }

    /// Makes room within the namespace's limits for a put, and counts it from now on.
    func admit(byteCount: UInt64, pinned: Bool) async throws(StoreError) -> PutTicket {
        try require(.variantSize, byteCount, options.variantSizeMax?.bytes)
        var attemptCount = 0
        while true {
            let statistics = usage.statistics
            let inFlight = statistics.inFlightBytes.saturatingAdd(byteCount)
            try require(.inFlight, inFlight, options.inFlightMax?.bytes)
            // What is stored was said by bytes on disk, which may claim anything.
            let bytes = statistics.storedBytes.saturatingAdd(inFlight)
            let entryCount = statistics.entryCount + statistics.inFlightCount + 1
            let excess = Excess(
                bytes: bytes.saturatingSubtract(options.limit?.bytes ?? .max),
                entryCount: options.entryCountMax.map { max(entryCount - $0, 0) } ?? 0)
            if excess == .none { break }
            // Those that overtake us again and again leave nothing to us.
            attemptCount += 1
            let hasGained = attemptCount < Self.attemptCountMax && core.options.evicts
            guard hasGained, try await evict(excess) else {
                try require(.bytes, bytes, options.limit?.bytes)
                try require(.entries, UInt64(entryCount), options.entryCountMax.map(UInt64.init))
                break
            }
        }
        if pinned { return try takePinned(byteCount) }
        return PutTicket(usage, core.pins, byteCount: byteCount, isPinned: false)
    }

    /// Counts bytes that are to be pinned, until the index names them.
    func takePinned(_ byteCount: UInt64) throws(StoreError) -> PutTicket {
        let stored = core.allNamespaces.reduce(UInt64(0)) { $0 &+ $1.statistics.pinnedBytes }
        let bound = options.writeClass == 0 ? core.pinnedBytesMax : 0
        if let needed = core.pins.take(byteCount, stored: stored, bound: bound) {
            throw .quotaExceeded(
                QuotaFacts(namespace: name, quota: .pinned, allowed: bound, needed: needed))
        }
        return PutTicket(usage, core.pins, byteCount: byteCount, isPinned: true)
    }

    private static var attemptCountMax: Int { 16 }

    private func require(_ quota: Quota, _ needed: UInt64, _ allowed: UInt64?) throws(StoreError) {
        guard let allowed, needed > allowed else { return }
        throw .quotaExceeded(
            QuotaFacts(namespace: name, quota: quota, allowed: allowed, needed: needed))
    }

    /// What others may take of it.
    var bytesOverShare: UInt64 {
        usage.statistics.storedBytes.saturatingSubtract(options.guaranteedShare.bytes)
    }
    /// Whether nothing is.
    var isWithinShare: Bool { options.guaranteedShare.bytes > 0 && bytesOverShare == 0 }
}

/// What a namespace has too much of.
struct Excess: Equatable {
    var bytes: UInt64
    var entryCount: Int
    static let none = Self(bytes: 0, entryCount: 0)
}

extension StoreCore {
    /// What can be kept from cleaning, or it finds nothing to free: three quarters of what puts may
    /// fill beside the segments that it keeps free and those that are leased.
    var keptBytesMax: UInt64 { keptBytesMax(of: log.superblock.capacityBytes) }

    /// The same under another capacity.
    func keptBytesMax(of capacity: UInt64) -> UInt64 {
        Self.keptBytesMax(
            capacity: capacity, segment: log.superblock.segmentBytes,
            leased: min(options.leasedCapacity?.bytes ?? .max, capacity / 4))
    }

    static func keptBytesMax(capacity: UInt64, segment: UInt64, leased: UInt64) -> UInt64 {
        // Capacities and sizes may be anybody's.
        let ahead: UInt64 =
            capacity / 4 < segment ? 0 : capacity / 12 < segment ? 2 : 3
        return capacity.saturatingSubtract(ahead.saturatingMultiply(segment))
            .saturatingSubtract(leased) / 4 * 3
    }

    var guaranteedBytes: UInt64 {
        options.namespaces.values.reduce(0) { $0 &+ $1.guaranteedShare.bytes }
    }

    var confinedBytes: UInt64 {
        options.writeClasses.reduce(0) { $0.saturatingAdd($1.capacity.bytes) }
    }

    /// What may be pinned.
    var pinnedBytesMax: UInt64 {
        let rest = keptBytesMax.saturatingSubtract(guaranteedBytes.saturatingAdd(confinedBytes))
        return min(options.pinnedCapacity?.bytes ?? rest, rest)
    }

    /// *Throws:* `.shape` for quotas that contradict each other or the capacity.
    func requireSoundQuotas() throws(StoreError) {
        let classIDs = try soundClassIDs()
        var sum: UInt64 = 0
        for (name, options) in options.namespaces.sorted(by: { $0.key < $1.key }) {
            let share = options.guaranteedShare.bytes
            if let limit = options.limit?.bytes, limit < share {
                throw .shape(
                    what: "guaranteed share of namespace \(name)",
                    expected: "at most its limit, \(limit) bytes", found: "\(share)")
            }
            for (what, count) in [
                ("entries", options.entryCountMax), ("variants a chunk", options.variantsPerChunk),
            ] {
                guard let count, count < 1 else { continue }
                throw .shape(
                    what: "\(what) of namespace \(name)", expected: "at least 1", found: "\(count)")
            }
            if let timeToLive = options.timeToLive, timeToLive <= .zero {
                throw .shape(
                    what: "time to live of namespace \(name)", expected: "more than 0",
                    found: "\(timeToLive)")
            }
            sum = sum.saturatingAdd(share)
            guard options.writeClass != 0 else { continue }
            guard classIDs.contains(options.writeClass), share == 0 else {
                throw .shape(
                    what: "write class of namespace \(name)",
                    expected: "one of \(classIDs), and no guaranteed share",
                    found: "\(options.writeClass), and a share of \(share)")
            }
        }
        let kept = sum.saturatingAdd(options.pinnedCapacity?.bytes ?? 0)
            .saturatingAdd(confinedBytes)
        guard kept <= keptBytesMax else {
            throw .shape(
                what: "guaranteed shares, pinned capacity and write classes together",
                expected: "at most \(keptBytesMax) bytes, which leaves room to clean",
                found: "\(kept)")
        }
    }

    private func soundClassIDs() throws(StoreError) -> [UInt16] {
        let (classes, segment) = (options.writeClasses, log.superblock.segmentBytes)
        let ids = classes.map(\.id).sorted()
        guard !ids.contains(0), Set(ids).count == ids.count else {
            throw .shape(what: "write classes", expected: "ids above 0, each once", found: "\(ids)")
        }
        for writeClass in classes where writeClass.capacity.bytes < 2 * segment {
            throw .shape(
                what: "capacity of write class \(writeClass.id)",
                expected: "at least two segments of \(segment) bytes",
                found: "\(writeClass.capacity.bytes)")
        }
        return ids
    }
}
