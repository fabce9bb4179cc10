// What an open store counts, at one moment: one word for each number, the same in the file that
// other processes read, in the shell's tables and in its JSON.

import ChunkFormat
import Primitives
import SegmentLog

/// A store's counters at one moment, and whose they are.
public struct StatisticsSnapshot: Sendable, Equatable {
    /// What is counted. Raw values are the words of the file, and never change their meaning.
    public enum Counter: String, CaseIterable, Sendable {
        // As things stand.
        case entryCount, livingBytes, pinnedBytes, inFlightBytes, allocatedBytes, capacityBytes
        case segmentCount, freeSegmentCount, freeBytes
        // Since the store was opened.
        case putCount, putBytes, declinedCount, waitedPutCount, withdrawnCount
        case getCount, hitCount, missCount, verifiedBytes, unverifiedBytes, damageCount
        case evictedCount, evictedBytes, expiredCount, freedSegmentCount, movedBytes
        case commitCount, committedBytes, checkpointCount, failedCheckpointCount
        case readCount, readBytes, writeCount, writtenBytes, flushCount, stalledCount

        /// Whether it says how things stand, and may go down; the others count, and have rates.
        public var isGauge: Bool {
            switch self {
            case .entryCount, .livingBytes, .pinnedBytes, .inFlightBytes, .allocatedBytes,
                .capacityBytes, .segmentCount, .freeSegmentCount, .freeBytes:
                true
            default: false
            }
        }

        public var isBytes: Bool { rawValue.hasSuffix("Bytes") }
    }

    /// One namespace's own numbers; of the counters, those that are kept for each.
    public struct Tenant: Sendable, Equatable {
        public var name: String
        public var values: [Counter: UInt64]

        public init(name: String, values: [Counter: UInt64]) {
            (self.name, self.values) = (name, values)
        }
    }

    /// 16 bytes, as in the superblock.
    public var storeID: [UInt8]
    /// The process that has the store open.
    public var processID: Int32
    /// 1, 2, … for each snapshot of a publication; 0 for one that was not published.
    public var sequence: UInt64
    /// When it was taken, in seconds since 1970…
    public var wallSeconds: UInt64
    /// …and by a clock that never goes back, for rates.
    public var monotonicNanoseconds: UInt64
    /// How soon the next one is to be expected; 0 for one that was not published.
    public var intervalNanoseconds: UInt64
    public var values: [Counter: UInt64]
    /// In order of the namespaces' numbers; the first `tenantCountMax`.
    public var tenants: [Tenant]

    public static let tenantCountMax = 1_000

    public init(
        storeID: [UInt8], processID: Int32, sequence: UInt64, wallSeconds: UInt64,
        monotonicNanoseconds: UInt64, intervalNanoseconds: UInt64, values: [Counter: UInt64],
        tenants: [Tenant]
    ) {
        self.storeID = storeID
        self.processID = processID
        self.sequence = sequence
        self.wallSeconds = wallSeconds
        self.monotonicNanoseconds = monotonicNanoseconds
        self.intervalNanoseconds = intervalNanoseconds
        self.values = values
        self.tenants = tenants
    }

    /// 0 for what the writer did not count.
    public subscript(counter: Counter) -> UInt64 { values[counter] ?? 0 }
}

extension ChunkDB {
    /// All counters at one moment; those of different layers are asked one after the other.
    /// *Complexity:* O(namespaces).
    public func statistics() async -> StatisticsSnapshot { await core.statisticsSnapshot() }
}

extension StoreCore {
    func statisticsSnapshot() async -> StatisticsSnapshot {
        let log = await log.statistics
        let (store, io) = (storeCounters, disk.counters)
        let all = allNamespaces.map { (name: $0.name, numbers: $0.statistics) }
        func sum(_ member: KeyPath<NamespaceStatistics, UInt64>) -> UInt64 {
            all.reduce(0) { $0 &+ $1.numbers[keyPath: member] }
        }
        var values: [StatisticsSnapshot.Counter: UInt64] = [:]
        for counter in StatisticsSnapshot.Counter.allCases {
            values[counter] =
                switch counter {
                case .entryCount: all.reduce(0) { $0 &+ UInt64(max($1.numbers.entryCount, 0)) }
                case .livingBytes: sum(\.storedBytes)
                case .pinnedBytes: sum(\.pinnedBytes)
                case .inFlightBytes: sum(\.inFlightBytes)
                case .allocatedBytes: log.allocatedBytes
                case .capacityBytes: log.capacityBytes
                case .segmentCount: UInt64(log.segmentCount)
                case .freeSegmentCount: UInt64(log.freeSegmentCount)
                case .freeBytes: log.freeBytes
                case .putCount: store.putCount
                case .putBytes: store.putBytes
                case .declinedCount: sum(\.declinedCount)
                case .waitedPutCount: store.waitedPutCount
                case .withdrawnCount: store.withdrawnCount
                case .getCount: store.getCount
                case .hitCount: sum(\.hitCount)
                case .missCount: sum(\.missCount)
                case .verifiedBytes: store.verifiedBytes
                case .unverifiedBytes: store.unverifiedBytes
                case .damageCount: store.damageCount
                case .evictedCount: store.evictedCount
                case .evictedBytes: store.evictedBytes
                case .expiredCount: store.expiredCount
                case .freedSegmentCount: log.freedCount
                case .movedBytes: log.movedBytes
                case .commitCount: log.commitCount
                case .committedBytes: log.committedBytes
                case .checkpointCount: log.checkpointCount
                case .failedCheckpointCount: store.failedCheckpointCount
                case .readCount: io.readCount
                case .readBytes: io.readBytes
                case .writeCount: io.writeCount
                case .writtenBytes: io.writtenBytes
                case .flushCount: io.flushCount
                case .stalledCount: store.stalledCount
                }
        }
        return StatisticsSnapshot(
            storeID: self.log.superblock.storeID, processID: StatisticsPublication.ownProcessID,
            sequence: 0, wallSeconds: environment.clock.wallSeconds,
            monotonicNanoseconds: now, intervalNanoseconds: 0, values: values,
            tenants: all.prefix(StatisticsSnapshot.tenantCountMax).map {
                .init(name: $0.name, values: $0.numbers.counters)
            })
    }
}

extension NamespaceStatistics {
    fileprivate var counters: [StatisticsSnapshot.Counter: UInt64] {
        [
            .entryCount: UInt64(max(entryCount, 0)), .livingBytes: storedBytes,
            .pinnedBytes: pinnedBytes, .inFlightBytes: inFlightBytes, .putCount: putCount,
            .declinedCount: declinedCount, .hitCount: hitCount, .missCount: missCount,
            .evictedCount: evictedCount, .evictedBytes: evictedBytes, .expiredCount: expiredCount,
        ]
    }
}
