// FLIP and READ-EIO on stores that have turned over: uses that ended, segments begun again, what
// lives named twice, journals that were condensed. The other damage suites know none of these.
//
// CHUNKDB_CLEANED=n draws n flips; CHUNKDB_CLEANED_FLIP=shape:file:byte:bit plays one again,
// CHUNKDB_CLEANED_BLOCK=shape:file:block an unreadable block, as a failure prints them.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Foundation
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("Damage of a store that has turned over")
struct CleanedDamageTests {
    static let environment = ProcessInfo.processInfo.environment
    static let binding = smallBinding(layers: 1)
    static let owners = 0..<220 as Range<UInt64>
    static let shapes: [Cleaned] = [
        try! Cleaned(seed: 1, isClosed: true), try! Cleaned(seed: 2, isClosed: false),
        try! Cleaned(seed: 4, isClosed: false),
    ]

    /// A turned-over store and the truth about it.
    struct Cleaned {
        let disk: SimulatedDisk
        /// What was acknowledged and neither removed nor forgotten since.
        let present: Set<UInt64>
        let removed: Set<UInt64>
        /// Of each file: ranges, and the chunks that cannot be served without them.
        let needs: [(file: String, range: Range<Int>, owners: Set<UInt64>)]
        /// Where structures stand, and little else.
        let places: [(file: String, range: Range<Int>)]

        init(seed: UInt64, isClosed: Bool) throws {
            var machine = SimulatedMachine(
                seed: seed, capacity: .mebibytes(1), segmentSize: .kibibytes(64))
            let keys = Dictionary(
                uniqueKeysWithValues: owners.map {
                    (ChunkKey(tokens: TestChunk($0).tokens, binding: binding), $0)
                })
            let forgotten = Forgotten()
            machine.options.evictionObserver = { _, key, _ in
                forgotten.owners.withLock { _ = $0.insert(keys[key]!) }
            }
            let live = machine
            let db = try live.open()
            let (put, removed, freed) = try live.run { () async throws in
                let space = try await db.namespace("acme", model: binding)
                var (put, removed): (Set<UInt64>, Set<UInt64>) = ([], [])
                for owner in owners {
                    // What is pinned is copied again and again.
                    if owner % 16 == 0 {
                        try await Self.pin(TestChunk(owner), in: space)
                    } else {
                        try await TestChunk(owner).put(in: space)
                    }
                    put.insert(owner)
                    if owner % 5 == 3 {
                        try await space.remove(TestChunk(owner - 2).key(in: space))
                        put.remove(owner - 2)
                        removed.insert(owner - 2)
                    }
                    if owner == 150 { try await db.checkpoint() }
                }
                let freed = await db.logCounters().freedCount
                if isClosed { await db.close() }
                return (put, removed, freed)
            }
            try #require(freed > 8, "it has turned over")
            let image = live.disk.crash(Survival(.all, seed: seed))
            if !isClosed { image.removeFile(StoreFiles.checkpoint) }
            disk = image
            present = put.subtracting(forgotten.owners.withLock { $0 })
            self.removed = removed
            let found = try StoreBytes(image)
            (needs, places) = try Self.survey(found, keys)
            try #require(found.uses.contains { !found.isEnded($0) && $0.header.useSequence > 20 })
        }

        private static func pin(_ chunk: TestChunk, in space: Namespace) async throws {
            var writer = try await space.beginPut(
                chunk.key(in: space), tokens: chunk.tokens, pinned: true)
            for (layer, planes) in chunk.layers(binding).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            _ = try await writer.commit(durability: .durable)
        }

        private final class Forgotten: Sendable { let owners = Mutex<Set<UInt64>>([]) }

        private static func survey(_ found: StoreBytes, _ keys: [ChunkKey: UInt64]) throws -> (
            needs: [(file: String, range: Range<Int>, owners: Set<UInt64>)],
            places: [(file: String, range: Range<Int>)]
        ) {
            var needs: [(file: String, range: Range<Int>, owners: Set<UInt64>)] = []
            var places: [(file: String, range: Range<Int>)] = []
            let living = found.uses.filter { !found.isEnded($0) }
            let useOf = Dictionary(uniqueKeysWithValues: living.map { ($0.header.segment, $0) })
            for use in living {
                var ofUse: Set<UInt64> = []
                for commit in use.commits {
                    var ofCommit: Set<UInt64> = []
                    for member in commit.members {
                        guard let owner = found.owner(of: member, useOf, keys) else { continue }
                        let (file, start) = (
                            StoreFiles.segment(member.location.segment),
                            Int(member.location.offset)
                        )
                        needs.append((file, start..<start + Int(member.recordBytes), [owner]))
                        // Of the segment's header all that stands in it has need.
                        needs.append((file, 0..<StoreBytes.unit, [owner]))
                        places.append((file, start..<start + 1_024))
                        ofCommit.insert(owner)
                    }
                    let slot = Int(commit.prefix.location.offset)
                    needs.append((use.file, slot..<slot + StoreBytes.unit, ofCommit))
                    places.append((use.file, slot..<slot + 1_024))
                    ofUse.formUnion(ofCommit)
                }
                needs.append((use.file, 0..<StoreBytes.unit, ofUse))
            }
            for name in found.disk.fileNames {
                let count = found.disk.fileByteCount(name)
                if name.hasPrefix("segments/") { places.append((name, 0..<128)) }
                if name.hasPrefix("journal") {
                    for block in stride(from: 0, to: count, by: StoreBytes.unit) {
                        places.append((name, block..<block + 512))
                    }
                }
                if name == StoreFiles.checkpoint { places.append((name, 0..<count)) }
            }
            places.append((StoreFiles.superblock, 262_144..<262_200))
            places.append((StoreFiles.superblock, 266_240..<266_300))
            return (needs, places)
        }

        func needing(_ range: Range<Int>, of file: String) -> Set<UInt64> {
            needs.filter { $0.file == file && $0.range.overlaps(range) }
                .reduce(into: []) { $0.formUnion($1.owners) }
        }

        func image() -> SimulatedMachine {
            var machine = SimulatedMachine(
                seed: 9, capacity: .mebibytes(1), segmentSize: .kibibytes(64))
            machine.disk = disk.crash(Survival(.all), scheduler: machine.scheduler)
            return machine
        }

        /// What is wrong with what an opening gives back.
        func judge(_ machine: SimulatedMachine, needing: Set<UInt64>, _ marks: Marks) throws
            -> [String]
        {
            let db: ChunkDB
            do { db = try machine.open() } catch { return ["refused: \(error)"] }
            let damages = db.recovery.damages
            return machine.run {
                var wrong: [String] = []
                let space = db.namespace("acme")
                if space == nil { wrong.append("the namespace is gone") }
                for owner in CleanedDamageTests.owners {
                    guard let space else { break }
                    var answer: Bool?
                    do throws(StoreError) {
                        answer = try await TestChunk(owner).isIntact(in: space)
                        if answer == nil, present.contains(owner), damages.isEmpty {
                            wrong.append("chunk \(owner) is gone without a word")
                        }
                    } catch {
                        marks.hit("told")
                    }
                    if answer == false { wrong.append("chunk \(owner) has other bytes") }
                    if answer != nil, removed.contains(owner) {
                        wrong.append("chunk \(owner) came back")
                    }
                    if answer == nil, present.contains(owner) {
                        marks.hit("lost")
                        if !needing.contains(owner) {
                            wrong.append("chunk \(owner) does not need that place: \(damages)")
                        }
                    }
                }
                marks.hit("reported", if: !damages.isEmpty)
                marks.hit("untouched", if: damages.isEmpty)
                await db.close()
                return wrong
            }
        }
    }

    @Test("the stores are sound, and have what the suite is about")
    func sound() throws {
        for shape in Self.shapes {
            #expect(try shape.judge(shape.image(), needing: [], Marks()) == [])
            #expect(shape.present.count > 10 && shape.removed.count > 10)
            let found = try StoreBytes(shape.disk)
            #expect(found.commits.contains { $0.members.contains(where: \.isAgain) })
            #expect(found.facts.contains { if case .freed = $0 { true } else { false } })
        }
    }

    @Test("N-1 N-3 N-4 F-D RCV-22 a flipped bit costs what needs it", arguments: 0..<3)
    func flips(shape: Int) throws {
        let cleaned = Self.shapes[shape]
        let marks = Marks()
        var generator = SeededGenerator(seed: UInt64(shape) + 1)
        let only = Self.environment["CHUNKDB_CLEANED_FLIP"]
        let count = (Int(Self.environment["CHUNKDB_CLEANED"] ?? "") ?? 900) / 3
        for _ in 0..<count {
            let place = cleaned.places.randomElement(using: &generator)!
            var (file, byte) = (place.file, place.range.randomElement(using: &generator)!)
            var bit = Int.random(in: 0..<8, using: &generator)
            if let only {
                let words = only.split(separator: ":").map(String.init)
                guard Int(words[0]) == shape else { return }
                (file, byte, bit) = (words[1], Int(words[2])!, Int(words[3])!)
            }
            let machine = cleaned.image()
            machine.disk.flip(file, byte: byte, bit: bit)
            let needing = cleaned.needing(byte..<byte + 1, of: file)
            let wrong = try cleaned.judge(machine, needing: needing, marks)
            #expect(wrong == [], "CHUNKDB_CLEANED_FLIP=\(shape):\(file):\(byte):\(bit)")
            if !wrong.isEmpty || only != nil { return }
        }
        #expect(marks.missing(of: ["lost", "untouched"], atLeast: 5) == [], "\(marks.summary)")
    }

    @Test(
        "N-3 N-6 F-D an unreadable block costs what needs it, and healed all is back",
        arguments: 0..<3)
    func blocks(shape: Int) throws {
        let cleaned = Self.shapes[shape]
        let marks = Marks()
        for file in cleaned.disk.fileNames {
            // Of the planes one in so many.
            for block in 0..<cleaned.disk.fileByteCount(file) / StoreBytes.unit {
                let name = "\(shape):\(file):\(block)"
                let range = block * StoreBytes.unit..<(block + 1) * StoreBytes.unit
                let isStructure = cleaned.places.contains {
                    $0.file == file && $0.range.overlaps(range)
                }
                if let only = Self.environment["CHUNKDB_CLEANED_BLOCK"] {
                    if only != name { continue }
                } else if !isStructure || block % 2 != shape % 2 && file.hasPrefix("segments/") {
                    continue
                }
                let machine = cleaned.image()
                machine.disk.spoil(file, blocks: block..<block + 1)
                let needing = cleaned.needing(range, of: file)
                let wrong = try cleaned.judge(machine, needing: needing, marks)
                #expect(wrong == [], "CHUNKDB_CLEANED_BLOCK=\(name)")
                machine.disk.heal()
                let again = try cleaned.judge(machine.afterRestart(), needing: [], Marks())
                #expect(again == [], "CHUNKDB_CLEANED_BLOCK=\(name), healed")
                if !wrong.isEmpty || !again.isEmpty { return }
            }
        }
        #expect(marks.missing(of: ["lost", "reported"], atLeast: 5) == [], "\(marks.summary)")
    }
}

extension StoreBytes {
    /// Whose record a member is; `nil` for what is no payload, was abandoned, or went with its use.
    fileprivate func owner(
        of member: CommitMember, _ useOf: [SegmentID: Use], _ keys: [ChunkKey: UInt64]
    ) -> UInt64? {
        guard member.kind == RecordKind.payload.rawValue, !member.isAbandoned,
            let use = useOf[member.location.segment]
        else { return nil }
        let start = Int(member.location.offset)
        let bytes = disk.bytes(of: use.file, start..<start + Int(member.headerBytes))
        let key = use.header.recordKey(secret: superblock.secret)
        guard
            let (prefix, _) = try? RecordPrefix.open(
                bytes, at: member.location, unit: use.header.alignmentUnit, key: key),
            let record = try? PayloadRecord(
                decoding: bytes, prefix: prefix, unit: use.header.alignmentUnit)
        else { return nil }
        return keys[record.key]
    }
}
