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
    /// What lives in the segment, and its rank.
    private var here: [(entry: CheckpointEntry, rank: Double)] = []
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
        var all: [(entry: CheckpointEntry, rank: Double)] = []
        await core.forEachWorth { entry, worth in
            if entry.location.segment == segment || entry.hasSiblings
                || named[entry.location] != nil
            {
                all.append((entry, victim.worths.rank(worth)))
            }
        }
        for (entry, rank) in all {
            if try await stands(entry, in: segment) {
                here.append((entry, rank))
            } else if named[entry.location] != nil {
                elsewhere.append(entry)
            }
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
    func run() async throws(LogError) {
        let core = core
        var staying: [(entry: CheckpointEntry, way: LogMove.Way)] = []
        var leaving: [CheckpointEntry] = []
        for (entry, rank) in here {
            guard core.isKept(entry) || rank >= victim.keptRank && !core.isOver(entry) else {
                leaving.append(entry)
                continue
            }
            do throws(LogError) {
                staying.append((entry, .copy(try await family(of: entry))))
            } catch {
                // One that cannot be read is lost already, loudly (CONTRACT L-2).
                guard case .format = error else { throw error }
                lose(entry, error)
                leaving.append(entry)
            }
        }
        for entry in elsewhere {
            let count = try await core.readableRecord(of: entry).map { Int($0.recordCount) } ?? 1
            staying.append((entry, .name(Array(named[entry.location]!.prefix(count)))))
        }
        for (place, error) in try await core.log.move(staying.map(move)) {
            let entry = staying[place].entry
            switch error {
            case .format: lose(entry, error)
            // No place to copy to: what is not pinned is forgotten instead.
            case .capacityExceeded where !core.isKept(entry): break
            default: throw error
            }
            leaving.append(entry)
        }
        try await forget(leaving)
    }

    /// What has one record is gone for good with the segment's use. Of several records some stand
    /// elsewhere, and are named there: a tombstone says that they are gone too.
    private func forget(_ leaving: [CheckpointEntry]) async throws(LogError) {
        let (core, line) = (core, victim.line)
        let single = leaving.filter { !$0.hasSiblings }
        try await core.log.step { for entry in single { core.forget(entry, line: line) } }
        for entry in leaving.filter(\.hasSiblings) {
            try await core.log.remove(
                entry.namespace, entry.key, entry.variant, .written,
                admit: { core.forget(entry, line: line) }, publish: {})
        }
    }

    private func move(_ entry: CheckpointEntry, _ way: LogMove.Way) -> LogMove {
        let namespace = core.namespace(entry.namespace)
        return LogMove(
            way, isAlive: { namespace?.isAt(entry) ?? false },
            publish: { namespace?.relocate(entry, to: $0) })
    }

    private func family(of entry: CheckpointEntry) async throws(LogError) -> [PayloadRecord] {
        let root = try await core.record(of: entry)
        var family = [root]
        for (index, sibling) in root.siblings.enumerated() {
            let (record, seal) = try await core.reader.payload(
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

    /// Forgets a variant to make room, if it is still there. A step of the core.
    @discardableResult
    func forget(_ entry: CheckpointEntry, line: Double) -> Bool {
        let isOver = isOver(entry)
        guard let namespace = namespace(entry.namespace),
            namespace.forget(entry, because: isOver ? .removed : .evicted, line: line)
        else { return false }
        if isOver {
            count { $0.expiredCount += 1 }
            return true
        }
        count { counters in
            counters.evictedCount += 1
            counters.evictedBytes += entry.variantDiskBytes
        }
        options.evictionObserver?(namespace.name, entry.key, entry.variant)
        return true
    }
}
