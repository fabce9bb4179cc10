// Of one segment that is to be freed: what is copied, what is named again, and what is forgotten.

import BSkiplist
import ChunkFormat
import Logging
import Primitives
import Retention
import SegmentLog

struct Moving {
    private let core: StoreCore
    private let victim: Cleaner.Victim
    /// What the segment's commits name in others, by the place of record 0.
    private var named: [RecordLocation: ArraySlice<CommitMember>] = [:]
    /// What lives in the segment, and its rank; the least first.
    private var here: [(weighed: WeighedEntry, rank: Double)] = []
    /// What may be forgotten of namespaces that have a guaranteed share.
    private var spare: [NamespaceID: UInt64] = [:]
    /// What lives elsewhere, and stands in the log only by the segment's commits.
    private var elsewhere: [CheckpointEntry] = []

    init(core: StoreCore, victim: Cleaner.Victim, elsewhere members: [CommitMember]) {
        self.core = core
        self.victim = victim
        let payloads = members.filter { $0.kind == RecordKind.payload.rawValue }
        for (index, member) in payloads.enumerated() {
            named[member.location] = payloads[index...]
        }
    }

    private var segment: SegmentID { victim.use.id }

    /// Finds the entries, in one walk of the indexes.
    mutating func collect() async throws(LogError) {
        var all: [(weighed: WeighedEntry, rank: Double)] = []
        await core.forEachWorth { weighed in
            let entry = weighed.entry
            if entry.location.segment == segment || entry.hasSiblings
                || named[entry.location] != nil
            {
                all.append((weighed, victim.ranks.rank(weighed)))
            }
        }
        for (weighed, rank) in all {
            if try await stands(weighed.entry, in: segment) {
                here.append((weighed, rank))
            } else if named[weighed.entry.location] != nil {
                elsewhere.append(weighed.entry)
            }
        }
        here.sort { $0.rank < $1.rank }
        for namespace in core.allNamespaces where namespace.options.guaranteedShare.bytes > 0 {
            spare[namespace.id] = namespace.bytesOverShare
        }
    }

    /// Whether one of its records does.
    private func stands(_ entry: CheckpointEntry, in segment: SegmentID) async throws(LogError)
        -> Bool
    {
        if entry.location.segment == segment { return true }
        // Where the other records of a variant stand, its record 0 says.
        guard entry.hasSiblings, let record = try await core.readableRecord(of: entry) else {
            return false
        }
        return record.siblings.contains { $0.location.segment == segment }
    }

    /// Copies and names durably what is to stay, then forgets the rest.
    mutating func run() async throws(LogError) {
        let core = core
        var staying: [(entry: CheckpointEntry, isKept: Bool, way: LogMove.Way)] = []
        var leaving: [(entry: CheckpointEntry, line: Double)] = []
        for (weighed, rank) in here {
            let (entry, line) = (weighed.entry, victim.line(in: weighed.namespace))
            let isKept = isKept(entry)
            guard isKept || rank >= victim.keptRank && !core.isOver(entry) else {
                leaving.append((entry, line))
                continue
            }
            do throws(LogError) {
                staying.append((entry, isKept, .copy(try await core.family(of: entry))))
            } catch {
                // One that cannot be read is lost already, loudly (CONTRACT L-2).
                guard case .format = error, victim.forgets else { throw error }
                lose(entry, error)
                leaving.append((entry, line))
            }
        }
        // What a survey took for spare may have been another namespace's share by now.
        let copied = staying.reduce(UInt64(0)) { $0 &+ $1.entry.variantDiskBytes }
        let copiedMax = Double(victim.use.byteCount) * Cleaner.movedShareMax
        if !victim.isWhole, Double(copied) > copiedMax {
            throw .capacityExceeded(neededBytes: copied, availableBytes: UInt64(copiedMax))
        }
        for entry in elsewhere {
            let count = try await core.readableRecord(of: entry).map { Int($0.recordCount) } ?? 1
            let members = Array(named[entry.location]!.prefix(count))
            staying.append((entry, core.isKept(entry), .name(members)))
        }
        for (place, error) in try await core.log.move(staying.map { move($0.entry, $0.way) }) {
            let (entry, isKept, _) = staying[place]
            switch error {
            case .format where victim.forgets: lose(entry, error)
            // No place to copy to: what need not stay is forgotten instead.
            case .capacityExceeded where !isKept && victim.forgets: break
            default: throw error
            }
            leaving.append((entry, .infinity))
        }
        try await core.forget(leaving)
    }

    /// Whether no shortage may take it: it is pinned, or its namespace has no more than its share.
    private mutating func isKept(_ entry: CheckpointEntry) -> Bool {
        if core.isKept(entry) { return true }
        guard !core.isOver(entry), let bytes = spare[entry.namespace] else { return false }
        if bytes < entry.variantDiskBytes { return true }
        spare[entry.namespace] = bytes - entry.variantDiskBytes
        return false
    }

    private func move(_ entry: CheckpointEntry, _ way: LogMove.Way) -> LogMove {
        let namespace = core.namespace(entry.namespace)
        return LogMove(
            way, isAlive: { namespace?.isAt(entry) ?? false },
            publish: { namespace?.relocate(entry, to: $0) })
    }

    private func lose(_ entry: CheckpointEntry, _ error: LogError) {
        core.count { $0.damageCount += 1 }
        core.options.logger.error(
            "damage: chunk \(entry.key) variant \(entry.variant) is lost: \(error)")
    }
}

extension StoreCore {
    /// The record that the entry points to, if it is the entry's.
    func record(of entry: CheckpointEntry) async throws(LogError) -> PayloadRecord {
        let (record, _) = try await reader.payload(
            at: entry.location, headerBytes: entry.headerBytes)
        guard record.namespace == entry.namespace, record.key == entry.key,
            record.variant == entry.variant, record.recordIndex == 0
        else {
            throw .format(
                FormatError(
                    .corrupt, structure: "payloadHeader", field: "chunkKey", clause: "PAY-7",
                    expected: "\(entry.key)", found: "\(record.key)"),
                file: StoreFiles.segment(entry.location.segment), offset: entry.location.offset)
        }
        return record
    }

    /// All records of the variant, record 0 first.
    func family(of entry: CheckpointEntry) async throws(LogError) -> [PayloadRecord] {
        let root = try await record(of: entry)
        var family = [root]
        for (index, sibling) in root.siblings.enumerated() {
            let (record, seal) = try await reader.payload(
                at: sibling.location, headerBytes: sibling.headerBytes)
            do throws(FormatError) {
                try root.requireSibling(record, seal: seal, index: index + 1)
            } catch {
                throw .format(
                    error, file: StoreFiles.segment(sibling.location.segment),
                    offset: sibling.location.offset)
            }
            family.append(record)
        }
        return family
    }

    /// As `record(of:)`; `nil` for one that is damaged, which others find too. One that cannot be
    /// read for now is an error: nothing may be concluded from it.
    func readableRecord(of entry: CheckpointEntry) async throws(LogError) -> PayloadRecord? {
        do throws(LogError) {
            return try await record(of: entry)
        } catch {
            if case .format = error { return nil }
            throw error
        }
    }

    /// Forgets variants to make room, those that are still there.
    ///
    /// What has one record is gone with its segment's use, for good. Of several records some stand
    /// elsewhere, and are named there: a tombstone says that they are gone too.
    /// - Parameter line: below this worth others of the policy go too.
    func forget(_ leaving: [(entry: CheckpointEntry, line: Double)]) async throws(LogError) {
        let single = leaving.filter { !$0.entry.hasSiblings }
        if !single.isEmpty {
            try await log.step { [self] in
                for (entry, line) in single { forget(entry, line: line) }
            }
        }
        for (entry, line) in leaving where entry.hasSiblings {
            try await log.remove(
                entry.namespace, entry.key, entry.variant, .written,
                admit: { [self] in forget(entry, line: line) }, publish: {})
        }
    }

    /// A step of the core. *Returns:* false when it is no longer there.
    @discardableResult
    private func forget(_ entry: CheckpointEntry, line: Double) -> Bool {
        let isOver = isOver(entry)
        guard let namespace = namespace(entry.namespace),
            namespace.forget(entry, because: isOver ? .removed : .evicted, line: line)
        else { return false }
        let byteCount = entry.variantDiskBytes
        if isOver {
            count { $0.expiredCount += 1 }
            namespace.usage.count { $0.expiredCount += 1 }
            return true
        }
        count { counters in
            counters.evictedCount += 1
            counters.evictedBytes &+= byteCount
        }
        namespace.usage.count { statistics in
            statistics.evictedCount += 1
            statistics.evictedBytes &+= byteCount
        }
        options.evictionObserver?(namespace.name, entry.key, entry.variant)
        return true
    }
}
