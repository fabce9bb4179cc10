// Step 7: the commits that count, in order, become the steps that the engine applies to its index.

import BlockIO
import ChunkFormat
import Primitives

extension Recovery {
    mutating func replay(_ accepted: [CommitRecord], torn: TornRecords)
        async throws(LogError)
    {
        for (index, commit) in accepted.enumerated() {
            progress?(.init(.replay, completed: UInt64(index), total: UInt64(accepted.count)))
            // Removals first, wherever they stand: they hide earlier commits only (COM-12).
            let isPut = { (member: CommitMember) in member.kind == RecordKind.payload.rawValue }
            for member in commit.members.filter({ !isPut($0) }) + commit.members.filter(isPut) {
                if member.isAbandoned || torn[commit.commit]?.contains(member.location) == true
                    || freedUses.hasEnded(member.location.segment, commit: commit.commit)
                {
                    continue
                }
                do throws(LogError) {
                    try await replay(member, commit: commit.commit)
                } catch {
                    // A required record of a kind we do not know: this code must not go on (REC-7).
                    if case .format(let cause, _, _) = error, cause.code == .otherVersion {
                        throw error
                    }
                    damage(
                        StoreFiles.segment(member.location.segment), member.location.offset,
                        "\(error)")
                }
            }
        }
        contents.report.replayedCommitCount = accepted.count
    }

    private mutating func replay(_ member: CommitMember, commit: UInt64) async throws(LogError) {
        let (bytes, prefix, seal) = try await reader.header(
            at: member.location, headerBytes: member.headerBytes)
        let file = StoreFiles.segment(member.location.segment)
        start.nextWriteSequence = max(start.nextWriteSequence, prefix.writeSequence.next)
        do throws(FormatError) {
            guard Self.isNamed(prefix, seal, by: member) else {
                throw FormatError(
                    .corrupt, structure: "recordPrefix", field: "seal", clause: "COM-5",
                    expected: "\(member.seal), as commit \(commit) names it", found: "\(seal)")
            }
            switch RecordKind(rawValue: prefix.kind) {
            case .payload:
                let unit = segments[member.location.segment]?.header.alignmentUnit
                let record = try PayloadRecord(
                    decoding: bytes, prefix: prefix, unit: unit ?? superblock.alignmentUnit)
                replay(record, seal: seal, commit: commit)
            case .tombstone:
                let record = try TombstoneRecord(decoding: bytes, prefix: prefix)
                contents.steps += record.tombstones.map(ReplayStep.tombstone)
                for tombstone in record.tombstones { bury(tombstone, commit: commit) }
                if commit > start.syncedCommit {
                    // In the log the commit that names the record counts (TMB-3).
                    for var tombstone in record.tombstones {
                        tombstone.commit = commit
                        unproven.facts.insert(.tombstone(tombstone))
                    }
                }
            case .namespaceOperation:
                let record = try NamespaceRecord(decoding: bytes, prefix: prefix)
                describe(record.operation, in: file, at: member.location.offset)
                contents.steps.append(.namespace(record.operation))
                if commit > start.syncedCommit {
                    unproven.facts.insert(.namespaceOperation(record.operation))
                }
            case .annotation, .object: break  // Kept and skipped in version 1.
            case .commit, nil:
                guard prefix.flags & RecordPrefix.requiredFlag == 0 else {
                    throw FormatError(
                        .otherVersion, structure: "recordPrefix", field: "kind", clause: "REC-7",
                        expected: "a known kind", found: "\(prefix.kind)")
                }
            }
        } catch {
            throw .format(error, file: file, offset: member.location.offset)
        }
    }

    private mutating func replay(_ record: PayloadRecord, seal: Digest128, commit: UInt64) {
        guard record.recordIndex == 0, !isGone(record, commit: commit) else { return }
        let siblingBytes = record.siblings.reduce(UInt64(0)) { $0 &+ $1.recordBytes }
        let entry = CheckpointEntry(
            namespace: record.namespace, key: record.key, variant: record.variant,
            location: record.prefix.location, headerBytes: record.prefix.headerBytes,
            variantDiskBytes: record.prefix.recordBytes &+ siblingBytes,
            tokenCount: record.tokenCount, flags: record.entryFlags, ordinal: .max,
            expirySeconds: superblock.age(at: record.expirySeconds))
        contents.steps.append(.put(entry, commit: commit))
    }

    mutating func bury(_ tombstone: Tombstone, commit: UInt64) {
        let grave = GraveKey(
            namespace: tombstone.namespace, key: tombstone.key, variant: tombstone.variant)
        graves[grave] = max(graves[grave] ?? 0, commit)
    }

    /// D-2: the journal knows a removal even when the log's tombstone was lost.
    func isGone(_ record: PayloadRecord, commit: UInt64) -> Bool {
        let one = GraveKey(namespace: record.namespace, key: record.key, variant: record.variant)
        let all = GraveKey(namespace: record.namespace, key: record.key, variant: nil)
        return max(graves[one] ?? 0, graves[all] ?? 0) > commit
    }
}
