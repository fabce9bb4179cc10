// STALE: what an earlier use of a segment, or another store, left behind the log's end (CONTRACT
// F-B.5). It has valid magics, places and numbers; the salt of the use is what it lacks.

import ChunkDB
import EngineTestSupport
import StoreTestSupport
import Testing

@Suite("STALE: records of an earlier life behind the log")
struct StaleTests {
    /// Whose seal the planted records bear.
    enum Origin: String, CaseIterable {
        case earlierUse, otherStore, otherSegment
        /// Of the very use they stand in: a forgery that must be found, so that the plants of the
        /// other origins are known to be well made.
        case thisUse
    }

    static let victims: [Victim] = [
        try! Victim(keepsCheckpoint: true), try! Victim(keepsCheckpoint: false),
    ]

    private func key(_ origin: Origin, _ header: SegmentHeader, _ secret: [UInt8]) -> SealKey {
        var header = header
        switch origin {
        case .thisUse: return header.recordKey(secret: secret)
        case .earlierUse: header.salt = header.salt.map { ~$0 }
        case .otherStore: return header.recordKey(secret: secret.map { ~$0 })
        case .otherSegment: header.salt = [UInt8](repeating: 3, count: 32)
        }
        return header.recordKey(secret: secret)
    }

    /// A payload record with another place, sealed anew.
    private func moved(
        _ bytes: [UInt8], to location: RecordLocation, commitKey: SealKey
    ) -> (bytes: [UInt8], seal: Digest128) {
        var region = Array(bytes.prefix(4_096))
        let offset = location.offset
        for index in 0..<8 { region[32 + index] = UInt8(truncatingIfNeeded: offset >> (8 * index)) }
        for index in 0..<4 {
            region[40 + index] = UInt8(truncatingIfNeeded: location.segment.raw >> (8 * index))
        }
        for index in 48..<64 { region[index] = 0 }
        let place = bigEndianBytes(UInt64(location.segment.raw)) + bigEndianBytes(offset)
        let seal = commitKey.seal(location: place, bytes: region)
        region.replaceSubrange(48..<64, with: bigEndianBytes(seal.high) + bigEndianBytes(seal.low))
        return (region, seal)
    }

    /// Plants, in the next slot of the last use, a commit that would bring a removed chunk back.
    private func plant(_ origin: Origin, in machine: SimulatedMachine, of victim: Victim) throws {
        let header = try #require(victim.segments.max { $0.useSequence < $1.useSequence })
        let key = key(origin, header, victim.superblock.secret)
        let last = try #require(victim.records.filter { $0.kind == .commit }.last)
        let block = machine.disk.bytes(of: last.file, last.offset..<last.offset + 4_096)
        let commit = try CommitRecord(
            decoding: block, at: last.location, unit: 4_096, useSequence: header.useSequence,
            segmentBytes: header.segmentBytes,
            key: header.recordKey(secret: victim.superblock.secret))
        let removed = try #require(victim.record(of: Item(space: "globex", owner: 10)))
        let body = machine.disk.bytes(
            of: removed.file, removed.offset..<removed.offset + removed.recordBytes)
        let slot = RecordLocation(segment: header.segment, offset: commit.nextCommitOffset)
        // Over the last chunk, which is given up: the plant needs no room then.
        let free = try #require(victim.records.last { $0.file == last.file && $0.item != nil })
        try #require(slot.offset != 0 && free.recordBytes >= removed.recordBytes)
        let place = free.location
        let record = moved(body, to: place, commitKey: key)
        let member = CommitMember(
            kind: .payload, location: place, headerBytes: 4_096,
            recordBytes: UInt64(removed.recordBytes), seal: record.seal)
        let planted = CommitRecord(
            prefix: RecordPrefix(
                kind: .commit, headerBytes: 4_096, recordBytes: 4_096,
                writeSequence: WriteSequence(900), location: slot),
            commit: commit.commit + 1, previousCommit: commit.commit,
            syncedCommit: commit.commit, useSequence: header.useSequence,
            nextCommitOffset: 0, laterCommitOffset: 0, members: [member])
        machine.disk.setBytes(record.bytes + body.dropFirst(4_096), of: last.file, at: free.offset)
        machine.disk.setBytes(planted.encode(key: key).bytes, of: last.file, at: Int(slot.offset))
    }

    @Test(
        "SEG-8 SEG-11 N-1 N-4 a commit of another life in the next slot is never taken for one",
        arguments: Origin.allCases, [0, 1])
    func nextSlot(origin: Origin, shape: Int) throws {
        let victim = Self.victims[shape]
        let machine = victim.image()
        try plant(origin, in: machine, of: victim)
        let opened = try victim.read(machine)
        if origin == .thisUse {
            #expect(!opened.returned.isEmpty, "the plant is not well made")
        } else {
            #expect(opened.returned.isEmpty, "\(opened.returned)")
            // What the plant was written over is gone, loudly; the rest is there.
            let (wrong, _) = victim.judge(opened)
            #expect(wrong.isEmpty, "\(wrong)")
        }
    }

    @Test("SEG-8 no two uses have one salt, be they of one store or of two")
    func salts() throws {
        var salts = [[UInt8](repeating: 0, count: 32)]
        for seed in 1...4 as ClosedRange<UInt64> {
            salts += try Victim(seed: seed).segments.map(\.salt)
        }
        #expect(salts.count > 8)
        #expect(Set(salts).count == salts.count)
    }

    @Test(
        "SEG-8 COM-13 MED-7 a use that is written over older bytes finds its own records only",
        arguments: SurvivalPattern.allCases, 0..<6 as Range<UInt64>)
    func recycledSpace(pattern: SurvivalPattern, seed: UInt64) throws {
        // The file of an earlier life, full of records: of this store, or of one that is like it.
        let donor = try Victim(seed: seed % 2 == 0 ? 1 : 40 + seed).image()
        let names = donor.disk.fileNames.filter { $0.hasPrefix("segments/") }
        let machine = Self.victims[1].image(seed: 100 + seed)
        let opened = try machine.open()
        let fresh = Item(space: "acme", owner: 60 + seed)
        let late = Item(space: "acme", owner: 80 + seed)
        try machine.run { () async throws in
            let space = try #require(opened.namespace("acme"))
            try await fresh.chunk.put(in: space)
        }
        let open = machine.disk.fileNames.last { $0.hasPrefix("segments/") }!
        // Every place that nothing was written to yet gets the same place of an older segment.
        let older = donor.disk.bytes(of: names[Int(seed) % names.count])
        var plantCount = 0
        for start in stride(from: 8_192, to: machine.disk.fileByteCount(open), by: 4_096)
        where start + 4_096 <= older.count {
            let block = machine.disk.bytes(of: open, start..<start + 4_096)
            guard block.allSatisfy({ $0 == 0 }) else { continue }
            machine.disk.setBytes(Array(older[start..<start + 4_096]), of: open, at: start)
            plantCount += 1
        }
        #expect(plantCount > 0)
        try machine.run { () async throws in
            let space = try #require(opened.namespace("acme"))
            try await late.chunk.put(in: space)
        }
        let after = machine.afterPowerCut(Survival(pattern, seed: seed))
        let again = try after.open()
        #expect(again.recovery.damages.isEmpty, "seed \(seed) \(pattern)")
        try after.run { () async throws in
            let space = try #require(again.namespace("acme"))
            for item in [fresh, late] {
                #expect(try await item.chunk.isIntact(in: space) == true, "\(item) \(pattern)")
            }
            for item in Self.victims[1].removed {
                guard let space = again.namespace(item.space) else { continue }
                #expect(try await item.chunk.isIntact(in: space) == nil, "\(item) came back")
            }
            let before = Self.victims[1].present.count { $0.space == space.name }
            #expect(space.entryCount == before + 2)
            await again.close()
        }
    }
}
