// A recorded life, write by write: what was written when, decoded, and when it ended. The order of
// these is what a writer owes (COM, JRN, MRK); images show only where it was violated by chance.

import ChunkDB
import ChunkFormat
import Primitives
import SegmentLog
import StoreTestSupport

struct WriteHistory {
    enum Content {
        case segmentHeader(SegmentHeader)
        case commit(CommitRecord)
        /// A record of another kind, with its payload header if it is one.
        case record(RecordPrefix, useSequence: UInt64, PayloadRecord?)
        case journalHeader(JournalHeader)
        case journalBlock([JournalEntry])
        case mark(MarkBlock)
        /// Planes, superblock copies, checkpoints, heat.
        case other
    }
    struct Write {
        let file: String
        let offset: UInt64
        let byteCount: Int
        let content: Content
        /// Effects: where it begins, and where it ended well, if it did.
        let begin: Int
        let end: Int?
    }

    let effects: [Effect]
    private(set) var writes: [Write] = []
    private let superblock: Superblock
    private var segments: [String: SegmentHeader] = [:]
    private var journals: [String: JournalHeader] = [:]

    init(_ trace: Trace) throws {
        try self.init(trace.disk)
    }

    /// - Parameter disk: was recorded from its making on, and has a superblock by now.
    init(_ disk: SimulatedDisk) throws {
        effects = disk.effects
        superblock = try Superblock(
            decoding: disk.bytes(of: StoreFiles.superblock, 0..<StoreBytes.unit), copyIndex: 0)
        for (index, effect) in effects.enumerated() {
            // A draft's blocks are read under its header once it has its name.
            if effect.operation == .rename, effect.phase == .ends {
                let name = String(effect.file.dropLast(".new".count))
                journals[name] = journals[effect.file]
            }
            guard effect.operation == .write, effect.phase == .begins else { continue }
            let bytes = disk.uncertainWrites(afterEffects: index + 1).last!.bytes
            let end = effects[index...].firstIndex {
                $0.operation == .write && $0.phase != .begins && $0.file == effect.file
                    && $0.offset == effect.offset
            }
            for (offset, content) in contents(of: effect, bytes) {
                writes.append(
                    Write(
                        file: effect.file, offset: offset, byteCount: effect.byteCount,
                        content: content, begin: index,
                        end: end.flatMap { effects[$0].phase == .ends ? $0 : nil }))
            }
        }
    }

    /// A journal's draft is one write of many blocks; all else is one structure a write.
    private mutating func contents(of effect: Effect, _ bytes: [UInt8]) -> [(UInt64, Content)] {
        guard effect.file.hasPrefix("journal-") else {
            return [(effect.offset, content(of: effect, bytes))]
        }
        return stride(from: 0, to: bytes.count, by: StoreBytes.unit).compactMap { start in
            let offset = effect.offset + UInt64(start)
            let block = Array(bytes[start..<start + StoreBytes.unit])
            return journalContent(effect.file, offset, block).map { (offset, $0) }
        }
    }

    private mutating func journalContent(_ file: String, _ offset: UInt64, _ block: [UInt8])
        -> Content?
    {
        if offset == 0 {
            let copy: UInt32 = file.hasPrefix(StoreFiles.journals[0]) ? 0 : 1
            let header = try? JournalHeader(
                decoding: block, copyIndex: copy, storeID: superblock.storeID,
                key: JournalHeader.sealKey(secret: superblock.secret))
            journals[file] = header
            return header.map(Content.journalHeader)
        }
        guard let header = journals[file] else { return nil }
        let entries = try? JournalBlock.decode(
            block, blockIndex: offset / UInt64(StoreBytes.unit),
            key: header.blockKey(secret: superblock.secret))
        return entries.map(Content.journalBlock)
    }

    private mutating func content(of effect: Effect, _ bytes: [UInt8]) -> Content {
        if effect.file == StoreFiles.superblock, effect.offset >= 262_144 {
            let index = Int(effect.offset - 262_144) / StoreBytes.unit
            let mark = try? MarkBlock(
                decoding: bytes, index: index, storeID: superblock.storeID,
                key: MarkBlock.sealKey(secret: superblock.secret))
            return mark.map(Content.mark) ?? .other
        }
        guard effect.file.hasPrefix("segments/"),
            let id = StoreFiles.segmentID(fileName: String(effect.file.dropFirst(9)))
        else { return .other }
        if effect.offset == 0 {
            segments[effect.file] = try? SegmentHeader(
                decoding: bytes, segment: id, storeID: superblock.storeID,
                key: SegmentHeader.sealKey(secret: superblock.secret))
            return segments[effect.file].map(Content.segmentHeader) ?? .other
        }
        return segments[effect.file].flatMap { record(bytes, effect.offset, in: $0) } ?? .other
    }

    private func record(_ bytes: [UInt8], _ offset: UInt64, in header: SegmentHeader) -> Content? {
        let location = RecordLocation(segment: header.segment, offset: offset)
        let key = header.recordKey(secret: superblock.secret)
        let commit = try? CommitRecord(
            decoding: bytes, at: location, unit: header.alignmentUnit,
            useSequence: header.useSequence, segmentBytes: header.segmentBytes, key: key)
        if let commit { return .commit(commit) }
        guard
            let (prefix, _) = try? RecordPrefix.open(
                bytes, at: location, unit: header.alignmentUnit, key: key)
        else { return nil }
        let payload = try? PayloadRecord(
            decoding: bytes, prefix: prefix, unit: header.alignmentUnit)
        return .record(prefix, useSequence: header.useSequence, payload)
    }

    // MARK: Answers

    var commits: [(record: CommitRecord, write: Write)] {
        writes.compactMap { write in
            if case .commit(let record) = write.content { (record, write) } else { nil }
        }
    }

    /// The flush of a file that was issued first after an effect and succeeded.
    func flush(of file: String, after effect: Int) -> (begin: Int, end: Int)? {
        var begin: Int?
        for index in effects.indices.dropFirst(effect + 1)
        where effects[index].file == file && effects[index].operation == .flush {
            switch effects[index].phase {
            case .begins: begin = begin ?? index
            case .ends: if let begin { return (begin, index) }
            case .fails: begin = nil
            }
        }
        return nil
    }
}
