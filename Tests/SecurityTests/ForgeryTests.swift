// S-10: a tenant chooses payload bytes. Even one who knew the salt and the secret, and so could
// seal, puts no record into the store that way: recovery walks from slot to slot and searches
// nothing.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("S-10: forged records inside payloads")
struct ForgeryTests {
    static let tokens = (0..<128 as Range<UInt32>).map { $0 + 7 }
    static let planeBytes = 256 * tokens.count
    static let binding = smallBinding(layers: 1)
    static let forgedKey = ChunkKey(words: (0xF0, 0x0D, 0xF0, 0x0D))

    /// A store with a neighbour of another tenant, and one chunk of these planes behind it, whose
    /// process died: no checkpoint, nothing closed. Behind the planes a chunk follows, or the log
    /// ends: then its next slot stands before them.
    private static func store(keys: [UInt8], values: [UInt8], isFollowed: Bool) throws
        -> SimulatedMachine
    {
        let machine = SimulatedMachine(seed: 5)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: binding)
            let evil = try await db.namespace("evil", model: binding)
            try await TestChunk(1).put(in: acme)
            try await evil.put(
                evil.key(tokens: tokens), tokens: tokens, layers: [(keys, values)])
            if isFollowed { try await TestChunk(2).put(in: acme) }
        }
        return machine.afterPowerCut(Survival(.all))
    }

    private struct Place {
        let handle: SegmentHandle
        let record: PayloadRecord
        let newestCommit: UInt64
        let acme: NamespaceID
        /// The slot of the commit that names the record.
        let slot: UInt64

        /// Where a byte of the planes stands in the segment.
        func offset(_ extent: Int, _ at: Int) -> UInt64 {
            record.prefix.location.offset + record.extents[extent].offset + UInt64(at)
        }
    }

    /// The same seed gives the same salts and places, whatever the payload says.
    private static func locate(_ machine: SimulatedMachine) throws -> Place {
        let disk = machine.disk.openedAgain(readOnly: true)
        let inspection = try machine.run { () async throws(LogError) in
            try await SegmentLog.inspect(disk)
        }
        let steps = inspection.contents.steps
        var found: Place?
        for case .put(let entry, let commit) in steps
        where entry.tokenCount == UInt32(tokens.count) {
            let (record, _) = try machine.run { () async throws(LogError) in
                try await inspection.reader.payload(
                    at: entry.location, headerBytes: entry.headerBytes)
            }
            let handle = try #require(
                inspection.segments.first { $0.handle.id == entry.location.segment }
            ).handle
            let slot = try #require(
                Self.slot(of: commit, handle, machine.disk), "the commit is in the same segment")
            found = Place(
                handle: handle, record: record, newestCommit: inspection.lastCommit,
                acme: NamespaceID(record.namespace.raw - 1), slot: slot)
        }
        machine.run { await disk.shutdown() }
        return try #require(found)
    }

    private static func slot(of number: UInt64, _ handle: SegmentHandle, _ disk: SimulatedDisk)
        -> UInt64?
    {
        var slot = handle.header.firstCommitOffset
        while slot != 0 {
            let bytes = disk.bytes(of: handle.fileName, Int(slot)..<Int(slot) + 4_096)
            guard
                let commit = try? CommitRecord(
                    decoding: bytes, at: RecordLocation(segment: handle.id, offset: slot),
                    unit: 4_096, useSequence: handle.header.useSequence,
                    segmentBytes: handle.header.segmentBytes, key: handle.recordKey)
            else { return nil }
            if commit.commit == number { return slot }
            slot = commit.nextCommitOffset
        }
        return nil
    }

    /// A sealed record of the other tenant's, and a sealed commit that names it.
    private static func forge(at offset: Int, in place: Place) -> (
        keys: [UInt8], values: [UInt8]
    ) {
        var keys = [UInt8](repeating: 0x11, count: planeBytes)
        var values = [UInt8](repeating: 0x22, count: planeBytes)
        let recordPlace = RecordLocation(
            segment: place.handle.id, offset: place.offset(1, 0))
        let rows = [ExtentKind.keys, .values].enumerated().map { index, kind in
            ExtentRow(
                layer: 0, kind: kind, tokenCount: 1, firstDigestSlot: UInt32(index),
                offset: 4_096 * UInt64(index + 1), storedBytes: 256, rawBytes: 256)
        }
        let plane = Array(values[4_096..<8_192])
        let record = PayloadRecord(
            prefix: RecordPrefix(
                kind: .payload, headerBytes: 4_096, recordBytes: 12_288,
                writeSequence: WriteSequence(1 << 40), location: recordPlace),
            namespace: place.acme, key: forgedKey, variant: .standalone,
            bindingDigest: binding.digest, hashDomain: .standalone, keyForm: .afterRotation,
            elementType: .float32, tokenCount: 1, basePosition: 0, layerFirst: 0, layerCount: 1,
            recordIndex: 0, recordCount: 1, digestBlockShift: 12, variantBytes: 512,
            createdSeconds: 1, extents: rows, siblings: [],
            digests: [Digest128(hashing: plane), Digest128(hashing: plane)],
            metadata: ChunkMetadata(tokens: [1], recompute: RecomputeMetadata()).encode())
        let region = record.encode(key: place.handle.recordKey)
        values.replaceSubrange(0..<4_096, with: region.bytes)
        let commit = CommitRecord(
            prefix: RecordPrefix(
                kind: .commit, headerBytes: 4_096, recordBytes: 4_096,
                writeSequence: WriteSequence(1 << 40),
                location: RecordLocation(
                    segment: place.handle.id, offset: place.offset(0, offset))),
            commit: place.newestCommit + 1, previousCommit: place.newestCommit,
            syncedCommit: place.newestCommit, useSequence: place.handle.header.useSequence,
            nextCommitOffset: 0, laterCommitOffset: 0,
            members: [
                CommitMember(
                    kind: .payload, location: recordPlace, headerBytes: 4_096, recordBytes: 12_288,
                    seal: region.seal)
            ])
        keys.replaceSubrange(
            offset..<offset + 4_096, with: commit.encode(key: place.handle.recordKey).bytes)
        return (keys, values)
    }

    @Test(
        "S-10 SEG-11 N-1 sealed records at every 512 bytes of a payload are never taken for ours",
        arguments: [true, false])
    func forged(isFollowed: Bool) throws {
        let flat = try Self.store(
            keys: flatPlane(1, byteCount: Self.planeBytes),
            values: flatPlane(2, byteCount: Self.planeBytes), isFollowed: isFollowed)
        let place = try Self.locate(flat)
        for offset in stride(from: 0, through: Self.planeBytes - 4_096, by: 512) {
            let (keys, values) = Self.forge(at: offset, in: place)
            // Whole; its own header damaged; the commit that names it damaged.
            for damage in 0..<3 {
                let machine = try Self.store(keys: keys, values: values, isFollowed: isFollowed)
                let same = try Self.locate(machine)
                #expect(same.offset(0, 0) == place.offset(0, 0), "the places moved")
                if damage == 1 {
                    machine.disk.flip(
                        place.handle.fileName, byte: Int(place.record.prefix.location.offset) + 80,
                        bit: 0)
                } else if damage == 2 {
                    machine.disk.flip(place.handle.fileName, byte: Int(place.slot) + 70, bit: 0)
                }
                let next = machine.afterRestart()
                let db = try next.open()
                try next.run { () async throws in
                    let acme = try #require(db.namespace("acme"))
                    #expect(
                        try await !acme.canGet(Self.forgedKey), "offset \(offset) case \(damage)")
                    #expect(db.namespaces.count == 2)
                    #expect(acme.entryCount <= 2)
                    await db.close()
                }
                if offset % 4_096 != 0 { break }
            }
        }
    }

    @Test("S-10 the forgery is good: in a slot of the chain it would be taken")
    func forgeryIsGood() throws {
        let flat = try Self.store(
            keys: flatPlane(1, byteCount: Self.planeBytes),
            values: flatPlane(2, byteCount: Self.planeBytes), isFollowed: true)
        let place = try Self.locate(flat)
        let (keys, _) = Self.forge(at: 4_096, in: place)
        let location = RecordLocation(
            segment: place.handle.id, offset: place.offset(0, 4_096))
        let commit = try CommitRecord(
            decoding: Array(keys[4_096..<8_192]), at: location, unit: 4_096,
            useSequence: place.handle.header.useSequence,
            segmentBytes: place.handle.header.segmentBytes, key: place.handle.recordKey)
        #expect(commit.members.count == 1 && commit.previousCommit == place.newestCommit)
    }
}
