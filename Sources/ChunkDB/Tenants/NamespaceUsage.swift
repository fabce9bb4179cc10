// What a namespace has and what was done with it. Bytes move with the index: what it names counts,
// from the step that names it to the one that forgets it; puts on their way count beside.

import ChunkFormat
import Primitives
import Synchronization

/// One tenant's own numbers, and nobody else's.
public struct NamespaceStatistics: Sendable, Equatable {
    public var entryCount = 0
    /// Bytes on disk of all variants, padding and headers included…
    public var storedBytes: UInt64 = 0
    /// …and of the pinned ones among them.
    public var pinnedBytes: UInt64 = 0
    /// Of puts that have begun and are not yet committed.
    public var inFlightBytes: UInt64 = 0
    public var inFlightCount = 0
    // Since the store was opened:
    public var putCount: UInt64 = 0
    /// Puts that admission turned away.
    public var declinedCount: UInt64 = 0
    /// Reads that found their chunk, and reads that did not.
    public var hitCount: UInt64 = 0
    public var missCount: UInt64 = 0
    public var evictedCount: UInt64 = 0
    public var evictedBytes: UInt64 = 0
    public var expiredCount: UInt64 = 0
}

final class NamespaceUsage: Sendable {
    private let state: Mutex<NamespaceStatistics>

    init(_ statistics: NamespaceStatistics = .init()) { state = Mutex(statistics) }

    var statistics: NamespaceStatistics { state.withLock { $0 } }

    func count(_ change: (inout NamespaceStatistics) -> Void) { state.withLock { change(&$0) } }

    func add(_ entry: CheckpointEntry) { state.withLock { $0.add(entry) } }
    func subtract(_ entry: CheckpointEntry) { state.withLock { $0.subtract(entry) } }
}

extension NamespaceStatistics {
    // A checkpoint may claim any size: sums wrap, and what was added is subtracted again.
    mutating func add(_ entry: CheckpointEntry) {
        entryCount += 1
        storedBytes &+= entry.variantDiskBytes
        if entry.isPinned { pinnedBytes &+= entry.variantDiskBytes }
    }

    fileprivate mutating func subtract(_ entry: CheckpointEntry) {
        entryCount -= 1
        storedBytes &-= entry.variantDiskBytes
        if entry.isPinned { pinnedBytes &-= entry.variantDiskBytes }
    }
}

/// The bytes of a put from its beginning until the index names them, or its writer is gone.
final class PutTicket: Sendable {
    private let usage: NamespaceUsage
    private let pins: PinnedBytes
    private let byteCount: UInt64
    private let isPinned: Bool
    private let hasEnded = Atomic(false)

    init(_ usage: NamespaceUsage, _ pins: PinnedBytes, byteCount: UInt64, isPinned: Bool) {
        self.usage = usage
        self.pins = pins
        self.byteCount = byteCount
        self.isPinned = isPinned
        usage.count { statistics in
            statistics.inFlightBytes += byteCount
            statistics.inFlightCount += 1
        }
    }

    func end() {
        if hasEnded.exchange(true, ordering: .relaxed) { return }
        usage.count { statistics in
            statistics.inFlightBytes -= byteCount
            statistics.inFlightCount -= 1
        }
        if isPinned { pins.giveBack(byteCount) }
    }

    deinit { end() }
}

/// Pinned bytes of puts on their way, in the whole store.
final class PinnedBytes: Sendable {
    private let inFlight = Mutex<UInt64>(0)

    /// Takes the bytes if, with what is stored, they are within the bound.
    /// *Returns:* what they would come to when they are not.
    func take(_ byteCount: UInt64, stored: UInt64, bound: UInt64) -> UInt64? {
        inFlight.withLock { inFlight in
            let total = inFlight.saturatingAdd(byteCount).saturatingAdd(stored)
            guard total <= bound else { return total }
            inFlight += byteCount
            return nil
        }
    }

    func giveBack(_ byteCount: UInt64) { inFlight.withLock { $0 -= byteCount } }
}
