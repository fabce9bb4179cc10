// A variant at another place: the bytes of its planes as they are, and verified on the way, its
// header regions sealed anew, since a seal covers where a record stands.

import BlockIO
import ChunkFormat
import Primitives

/// Throws `.degraded` for a write that failed, other errors for what it reads and finds.
struct RecordMover {
    let disk: any Disk
    let reader: RecordReader

    /// Copies the records of one variant, in order, to as many places of the same lengths.
    /// *Durability:* none before a flush. *Returns:* what a commit has to name.
    func move(_ family: [PayloadRecord], to places: [Reservation])
        async throws(LogError) -> [CommitMember]
    {
        var siblings: [SiblingRow] = []
        var members: [CommitMember] = []
        // Record 0 last: it names the others' seals.
        for (record, place) in zip(family, places).reversed() {
            try await copyPayload(of: record, to: place)
            var moved = record
            moved.prefix.location = place.location
            moved.prefix.writeSequence = place.writeSequence
            if record.recordIndex == 0 { moved.siblings = siblings }
            let region = moved.encode(key: place.handle.recordKey)
            try await write(region.bytes, to: place)
            siblings.insert(
                SiblingRow(
                    location: place.location, headerBytes: record.prefix.headerBytes,
                    recordBytes: record.prefix.recordBytes, layerFirst: record.layerFirst,
                    layerCount: record.layerCount, seal: region.seal), at: 0)
            members.insert(
                CommitMember(
                    kind: .payload, location: place.location,
                    headerBytes: record.prefix.headerBytes,
                    recordBytes: record.prefix.recordBytes, seal: region.seal), at: 0)
        }
        return members
    }

    /// Copies a tombstone or namespace record to a place of the same length.
    func move(_ member: CommitMember, to place: Reservation) async throws(LogError) -> CommitMember
    {
        let (bytes, old, _) = try await reader.header(
            at: member.location, headerBytes: member.headerBytes)
        var prefix = old
        prefix.location = place.location
        prefix.writeSequence = place.writeSequence
        let region: SealedRegion
        do throws(FormatError) {
            let key = place.handle.recordKey
            region =
                prefix.kind == RecordKind.tombstone.rawValue
                ? try TombstoneRecord(decoding: bytes, prefix: prefix).encode(key: key)
                : try NamespaceRecord(decoding: bytes, prefix: prefix).encode(key: key)
        } catch {
            throw .format(
                error, file: StoreFiles.segment(member.location.segment),
                offset: member.location.offset)
        }
        try await write(region.bytes, to: place)
        var moved = member
        moved.location = place.location
        moved.seal = region.seal
        return moved
    }

    private func write(_ bytes: [UInt8], to place: Reservation) async throws(LogError) {
        do throws(DiskError) {
            try await disk.writeBytes(place.handle.file, at: place.location.offset, bytes)
        } catch {
            throw .degraded(reason: "\(error)")
        }
    }

    private func copyPayload(of record: PayloadRecord, to place: Reservation)
        async throws(LogError)
    {
        try await reader.forEachPiece(of: record) { piece, offset throws(LogError) in
            do throws(DiskError) {
                try await disk.write(
                    place.handle.file, at: place.location.offset + offset, from: piece)
            } catch {
                throw .degraded(reason: "\(error)")
            }
        }
    }
}
