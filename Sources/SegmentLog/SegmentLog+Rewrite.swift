// What an opener does with commits that nothing proves (format-spec RCV-12). Their bytes can be
// read, and may still not be durable, for ever: the last process may have seen a flush fail
// (CONTRACT P-2, MED-9), and left no trace of it that could be relied on. So the log is never built
// on them. They are copied, flushed, and named by one commit that follows the last proven one.

import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// Writes anew what is unproven, and makes it durable. If that fails the log is degraded: what
    /// there is stays readable where it stands, and nothing is built on it.
    /// *Returns:* where record 0 of each variant went.
    func rewrite(_ unproven: UnprovenRecords) async -> [RecordLocation: RecordLocation] {
        if let obstacle = unproven.obstacle {
            degradedReason = "opened with what may be lost for good by writing: \(obstacle)"
            return [:]
        }
        do throws(LogError) {
            try await append(unproven.facts.sorted(by: JournalEntry.isOrdered))
            return try await move(unproven)
        } catch {
            degrade(error)
            return [:]
        }
    }

    private func append(_ facts: [JournalEntry]) async throws(LogError) {
        if facts.isEmpty { return }
        try await appendToJournals(facts)
        try await flushFiles()
    }

    private func move(_ unproven: UnprovenRecords) async throws(LogError)
        -> [RecordLocation: RecordLocation]
    {
        if unproven.memberCount == 0 { return [:] }
        guard unproven.memberCount <= memberCapacity else {
            throw .unsupported(
                "\(unproven.memberCount) records that nothing proves, more than the "
                    + "\(memberCapacity) that a writer leaves so (COM-16)")
        }
        let mover = RecordMover(disk: disk, reader: reader)
        var members: [CommitMember] = []
        var bytesLeft = unproven.byteCount
        for member in unproven.metadata {
            let place = try await reserve([member.recordBytes], for: .recovery(bytesLeft))[0]
            bytesLeft -= member.recordBytes
            members.append(try await mover.move(member, to: place))
            unflushedFiles.insert(place.handle.file)
        }
        var moved: [RecordLocation: RecordLocation] = [:]
        for family in unproven.families {
            let sizes = family.records.map(\.prefix.recordBytes)
            let places: [Reservation]
            do throws(LogError) {
                places = try await reserve(
                    sizes, for: .recovery(bytesLeft), besides: family.records[0])
            } catch {
                // A class that is full is no reason to lose anything.
                guard case .capacityExceeded = error else { throw error }
                places = try await reserve(sizes, for: .recovery(bytesLeft))
            }
            bytesLeft -= sizes.reduce(0, +)
            members += try await mover.move(family.records, to: places)
            unflushedFiles.formUnion(places.map(\.handle.file))
            moved[family.records[0].prefix.location] = places[0].location
        }
        // The copies are durable before a commit names them: until it is whole the old ones count,
        // and once it is, nothing of it can be torn.
        try await flushFiles()
        let commit = nextCommit
        nextCommit += 1
        try await write(members + unproven.inPlace, as: commit, needsFlush: true)
        // Not to be done again if the process dies now.
        await markTask?.value
        return moved
    }
}

extension RecoveredContents {
    /// Names variants where they were written anew.
    mutating func relocate(_ moved: [RecordLocation: RecordLocation]) {
        if moved.isEmpty { return }
        steps = steps.map { step in
            guard case .put(var entry, let commit) = step, let location = moved[entry.location]
            else { return step }
            entry.location = location
            return .put(entry, commit: commit)
        }
    }
}
