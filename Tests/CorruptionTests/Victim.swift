// A store to be spoiled, the dictionary of what was put into it and removed from it, and the places
// of its medium by what they mean. It is built once; every case works on a copy of the medium.

import ChunkDB
import EngineTestSupport
import StoreTestSupport

/// One thing that was put, whether or not it was removed again.
struct Item: Hashable, Sendable, CustomStringConvertible {
    let space: String
    let owner: UInt64
    var isVariant = false

    var chunk: TestChunk { TestChunk(owner) }
    var description: String { "\(space)/\(owner)\(isVariant ? "v" : "")" }

    func context(in space: Namespace) -> PrefixContext {
        guard isVariant else { return .standalone }
        return PrefixContext(prefix: [TestChunk(0).key(in: space)], basePosition: 16)
    }
}

/// What a range of bytes is for.
enum Part: String, CaseIterable, Sendable {
    case superblock, mark, journal, checkpoint, heat, segmentHeader, commit, recordHeader, payload
    /// Bytes that no commit names.
    case slack
}

struct Place: Hashable, Sendable {
    let part: Part
    let file: String
    let range: Range<Int>
}

/// A record as the chains name it.
struct Found: Sendable {
    let file: String
    let location: RecordLocation
    let kind: RecordKind
    let headerBytes: Int
    let recordBytes: Int
    let commit: UInt64
    let item: Item?
    var offset: Int { Int(location.offset) }
}

final class Victim: Sendable {
    private let disk: SimulatedDisk
    /// What was put: whether it is there, or was removed.
    let truth: [Item: Bool]
    let records: [Found]
    let places: [Place]
    /// Items whose commit no mark proves: what hits them may look like a torn tail (L-1).
    let unproven: Set<Item>
    let superblock: Superblock
    let segments: [SegmentHeader]
    let mark: MarkBlock
    /// Every plane of every item, made once: a case compares a hundred kilobytes.
    let planes: [Item: [(keys: [UInt8], values: [UInt8])]]

    /// With a checkpoint in the middle, three namespaces of which one was dropped, chunks that were
    /// removed before and after the checkpoint, one that was put again, one with two variants;
    /// segments that are full, and one that its process left open.
    init(
        seed: UInt64 = 1, keepsCheckpoint: Bool = true, keepsMarks: Bool = true,
        isClosed: Bool = false
    ) throws {
        let machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
        let truth = try machine.run { () async throws in
            try await Self.live(machine, isClosed: isClosed)
        }
        if !keepsCheckpoint { machine.disk.removeFile(StoreFiles.checkpoint) }
        let disk = machine.disk.crash(Survival(.all))
        // A mark may still be on its way to the first disk.
        if !keepsMarks {
            let zeros = [UInt8](repeating: 0, count: 8_192)
            disk.setBytes(zeros, of: StoreFiles.superblock, at: 262_144)
        }
        let survey = try Survey(of: disk, on: machine.scheduler, items: Array(truth.keys))
        self.disk = disk
        self.truth = truth
        records = survey.records
        places = survey.places
        superblock = survey.superblock
        segments = survey.segments
        mark = survey.mark
        planes = Dictionary(
            uniqueKeysWithValues: truth.keys.map { item in
                (item, item.chunk.layers(Self.bindings[item.space]!))
            })
        unproven = Set(
            survey.records.filter { $0.commit > survey.provenCommit }.compactMap(\.item))
    }

    static let bindings = [
        "acme": smallBinding(layers: 2), "globex": smallBinding(layers: 1, name: "g"),
        "gone": smallBinding(layers: 1, name: "h"),
    ]

    private static func live(_ machine: SimulatedMachine, isClosed: Bool) async throws
        -> [Item: Bool]
    {
        var truth: [Item: Bool] = [:]
        let db = try await machine.openAsync()
        let acme = try await db.namespace("acme", model: bindings["acme"]!)
        let globex = try await db.namespace("globex", model: bindings["globex"]!)
        func put(_ item: Item, _ space: Namespace) async throws {
            try await item.chunk.put(in: space, context: item.context(in: space))
            truth[item] = true
        }
        func remove(_ item: Item, _ space: Namespace) async throws {
            try await space.remove(item.chunk.key(in: space))
            truth[item] = false
        }
        for owner in 0..<4 as Range<UInt64> {
            try await put(Item(space: "acme", owner: owner), acme)
        }
        try await put(Item(space: "acme", owner: 1, isVariant: true), acme)
        for owner in 10..<12 as Range<UInt64> {
            try await put(Item(space: "globex", owner: owner), globex)
        }
        try await remove(Item(space: "acme", owner: 2), acme)
        try await remove(Item(space: "acme", owner: 3), acme)
        try await put(Item(space: "acme", owner: 3), acme)
        let gone = try await db.namespace("gone", model: bindings["gone"]!)
        try await put(Item(space: "gone", owner: 20), gone)
        try await db.checkpoint()
        try await put(Item(space: "acme", owner: 4), acme)
        try await remove(Item(space: "acme", owner: 0), acme)
        try await remove(Item(space: "globex", owner: 10), globex)
        try await put(Item(space: "globex", owner: 12), globex)
        try await db.drop(gone)
        truth[Item(space: "gone", owner: 20)] = false
        try await put(Item(space: "acme", owner: 5), acme)
        if isClosed { await db.close() }
        return truth
    }

    var present: [Item] { truth.filter(\.value).keys.sorted { "\($0)" < "\($1)" } }
    var removed: [Item] { truth.filter { !$0.value }.keys.sorted { "\($0)" < "\($1)" } }

    /// A copy of the medium under a scheduler of its own.
    func image(seed: UInt64 = 7) -> SimulatedMachine {
        var machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
        machine.disk = disk.crash(Survival(.all, seed: seed), scheduler: machine.scheduler)
        machine.options.createsIfMissing = false
        return machine
    }

    /// The record that an item's last put made.
    func record(of item: Item) -> Found? { records.last { $0.item == item } }
}

extension Victim {
    /// Items that cannot be served without these bytes: those of a record there, of the commit that
    /// names it, of the header of either's segment, or of a commit behind two slots that are both
    /// there (COM-13).
    func items(needing range: Range<Int>, of file: String) -> Set<Item> {
        func isHit(_ record: Found) -> Bool {
            record.file == file
                && (range.lowerBound < 4_096
                    || range.overlaps(record.offset..<record.offset + record.recordBytes))
        }
        let chain = records.filter { $0.kind == .commit && $0.file == file }
        let end = zip(chain, chain.dropFirst()).first { isHit($0) && isHit($1) }?.0.commit ?? .max
        let lost = Set(chain.filter { isHit($0) || $0.commit >= end }.map(\.commit))
        return Set(
            truth.keys.filter { item in
                guard let record = record(of: item) else { return false }
                return isHit(record) || lost.contains(record.commit)
            })
    }
}

/// What a walk of the chains finds in a healthy store.
private struct Survey {
    var records: [Found] = []
    var places: [Place] = []
    var provenCommit: UInt64 = 0
    let superblock: Superblock
    let segments: [SegmentHeader]
    let mark: MarkBlock

    init(of disk: SimulatedDisk, on scheduler: SeededScheduler, items: [Item]) throws {
        let reader = disk.openedAgain(readOnly: true)
        let inspection = try scheduler.wait { () async -> Result<Inspection, LogError> in
            do throws(LogError) {
                return .success(try await SegmentLog.inspect(reader))
            } catch {
                return .failure(error)
            }
        }.get()
        superblock = inspection.superblock
        mark = inspection.mark
        segments = inspection.segments.map(\.handle.header)
        provenCommit = mark.syncedCommit
        let names = Self.names(of: inspection, items)
        for (handle, _) in inspection.segments { walk(handle, disk, names) }
        scheduler.wait { () async in await reader.shutdown() }
        addFiles(disk)
    }

    private static func names(of inspection: Inspection, _ items: [Item]) -> [Named: Item] {
        var ids: [String: NamespaceID] = [:]
        let steps = inspection.contents.steps.compactMap { step -> NamespaceOperation? in
            if case .namespace(let operation) = step { operation } else { nil }
        }
        for operation in inspection.contents.namespaces + steps {
            if case .create(let description) = operation { ids[description.name] = description.id }
        }
        var names: [Named: Item] = [:]
        for item in items {
            let binding = Victim.bindings[item.space]!
            let key = ChunkKey(tokens: item.chunk.tokens, binding: binding)
            let parent = ChunkKey(tokens: TestChunk(0).tokens, binding: binding)
            let context = PrefixContext(prefix: [parent], basePosition: 16)
            let variant = item.isVariant ? context.variantID : .standalone
            names[Named(space: ids[item.space]!, key: key, variant: variant)] = item
        }
        return names
    }

    private struct Named: Hashable {
        let space: NamespaceID
        let key: ChunkKey
        let variant: VariantID
    }

    private mutating func walk(
        _ handle: SegmentHandle, _ disk: SimulatedDisk, _ names: [Named: Item]
    ) {
        let (file, header) = (handle.fileName, handle.header)
        places.append(Place(part: .segmentHeader, file: file, range: 0..<4_096))
        var slot = header.firstCommitOffset
        var end = 4_096
        while slot != 0 {
            let location = RecordLocation(segment: handle.id, offset: slot)
            let start = Int(slot)
            guard disk.fileByteCount(file) >= start + 4_096,
                let commit = try? CommitRecord(
                    decoding: disk.bytes(of: file, start..<start + 4_096), at: location,
                    unit: 4_096, useSequence: header.useSequence,
                    segmentBytes: header.segmentBytes, key: handle.recordKey)
            else { break }
            provenCommit = max(provenCommit, commit.syncedCommit)
            add(location, .commit, 4_096, 4_096, commit.commit, nil)
            end = max(end, start + 4_096)
            for member in commit.members {
                let item = named(member, handle, disk, names)
                add(
                    member.location, RecordKind(rawValue: member.kind)!, Int(member.headerBytes),
                    Int(member.recordBytes), commit.commit, item)
                if member.location.segment == handle.id {
                    end = max(end, Int(member.location.offset + member.recordBytes))
                }
            }
            slot = commit.nextCommitOffset
        }
        let byteCount = disk.fileByteCount(file)
        if end < byteCount {
            places.append(Place(part: .slack, file: file, range: end..<byteCount))
        }
    }

    private func named(
        _ member: CommitMember, _ handle: SegmentHandle, _ disk: SimulatedDisk,
        _ names: [Named: Item]
    ) -> Item? {
        guard member.kind == RecordKind.payload.rawValue, member.location.segment == handle.id
        else { return nil }
        let start = Int(member.location.offset)
        let bytes = disk.bytes(of: handle.fileName, start..<start + Int(member.headerBytes))
        guard
            let (prefix, _) = try? RecordPrefix.open(
                bytes, at: member.location, unit: 4_096, key: handle.recordKey),
            let record = try? PayloadRecord(decoding: bytes, prefix: prefix, unit: 4_096)
        else { return nil }
        return names[Named(space: record.namespace, key: record.key, variant: record.variant)]
    }

    private mutating func add(
        _ location: RecordLocation, _ kind: RecordKind, _ headerBytes: Int, _ recordBytes: Int,
        _ commit: UInt64, _ item: Item?
    ) {
        let file = StoreFiles.segment(location.segment)
        let start = Int(location.offset)
        let part: Part = kind == .commit ? .commit : .recordHeader
        places.append(Place(part: part, file: file, range: start..<start + headerBytes))
        if recordBytes > headerBytes {
            places.append(
                Place(part: .payload, file: file, range: start + headerBytes..<start + recordBytes))
        }
        records.append(
            Found(
                file: file, location: location, kind: kind, headerBytes: headerBytes,
                recordBytes: recordBytes, commit: commit, item: item))
    }

    private mutating func addFiles(_ disk: SimulatedDisk) {
        for copy in 0..<4 {
            let start = copy * 65_536
            places.append(
                Place(part: .superblock, file: "superblock", range: start..<start + 4_096))
        }
        places.append(Place(part: .mark, file: "superblock", range: 262_144..<270_336))
        for name in disk.fileNames {
            let byteCount = disk.fileByteCount(name)
            switch name {
            case StoreFiles.checkpoint:
                // Header and rows, and the digest table; the padding between is the same digest.
                places.append(Place(part: .checkpoint, file: name, range: 0..<8_192))
                places.append(
                    Place(part: .checkpoint, file: name, range: byteCount - 4_096..<byteCount))
            case StoreFiles.heat:
                places.append(Place(part: .heat, file: name, range: 0..<byteCount))
            case StoreFiles.journals[0], StoreFiles.journals[1]:
                let used = (0..<byteCount / 4_096).last { block in
                    !disk.bytes(of: name, block * 4_096..<block * 4_096 + 4_096)
                        .allSatisfy { $0 == 0 }
                }!
                places.append(Place(part: .journal, file: name, range: 0..<(used + 1) * 4_096))
            default: break
            }
        }
    }
}
