// A store as bytes in memory, the structures in it, and how to seal each again after a change: what
// DIFF mutates.

import ChunkFormat
import Foundation
import Primitives
import SegmentLog

@testable import chunkdb

struct DiffImage {
    var files: [String: [UInt8]]

    init(directory: String) throws {
        files = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
            var isFolder: ObjCBool = false
            let path = "\(directory)/\(name)"
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
                !isFolder.boolValue
            else { continue }
            files[name] = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        }
    }

    /// Most of a store is zeros, which are left out.
    func write(to directory: String) throws {
        try FileManager.default.createDirectory(
            atPath: directory + "/segments", withIntermediateDirectories: true)
        for (name, bytes) in files {
            let descriptor = open("\(directory)/\(name)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
            guard descriptor >= 0, ftruncate(descriptor, bytes.count) == 0 else {
                throw CocoaError(.fileWriteUnknown)
            }
            defer { close(descriptor) }
            for start in Self.usedBlocks(bytes) {
                let block = Array(bytes[start..<min(start + 4_096, bytes.count)])
                guard pwrite(descriptor, block, block.count, start) == block.count else {
                    throw CocoaError(.fileWriteUnknown)
                }
            }
        }
    }

    /// Where blocks of 4,096 bytes begin that are not all zeros.
    static func usedBlocks(_ bytes: [UInt8]) -> [Int] {
        let zeros = [UInt8](repeating: 0, count: 4_096)
        return bytes.withUnsafeBytes { all in
            stride(from: 0, to: bytes.count, by: 4_096).filter { start in
                memcmp(all.baseAddress! + start, zeros, min(4_096, bytes.count - start)) != 0
            }
        }
    }

    mutating func put(_ bytes: [UInt8], _ file: String, at offset: Int) {
        guard var content = files.removeValue(forKey: file) else { return }
        let end = min(offset + bytes.count, content.count)
        if offset < end { content.replaceSubrange(offset..<end, with: bytes[..<(end - offset)]) }
        files[file] = content
    }

    /// `nil` when they are not all there.
    func bytes(_ file: String, _ offset: Int, _ count: Int) -> [UInt8]? {
        guard let content = files[file], offset >= 0, offset + count <= content.count else {
            return nil
        }
        return Array(content[offset..<offset + count])
    }
}

/// A sealed structure and its place.
struct SealedPlace {
    let layout: String
    let file: String
    let offset: Int
    let byteCount: Int
    let sealOffset: Int
    let location: [UInt8]
    /// `nil` for a superblock copy, whose key is in it.
    let key: SealKey?
    /// Rows in it: a layout, and where it begins.
    var rows: [(layout: String, at: Int)] = []
    var isRecord: Bool { sealOffset == 48 }
}

/// A sound image, and everything in it that can be changed with care.
struct DiffBase {
    let name: String
    let image: DiffImage
    private(set) var places: [SealedPlace] = []
    /// Segment rows, then entry rows.
    let checkpointRows: [(layout: String, at: Int)]

    init(_ name: String, directory: String) throws {
        self.name = name
        image = try DiffImage(directory: directory)
        let view = try StoreView(path: directory, options: DiffReaders.diskOptions)
        let secret = view.superblock.secret
        checkpointRows = try Self.rows(of: image, view.superblock)
        func block(_ layout: String, _ file: String, at offset: Int, _ location: [UInt8]) {
            guard let bytes = image.bytes(file, offset, 4_096), bytes.contains(where: { $0 != 0 })
            else { return }
            let label = Self.labels[layout]!
            places.append(
                SealedPlace(
                    layout: layout, file: file, offset: offset, byteCount: 4_096,
                    sealOffset: 4_080, location: location,
                    key: layout == "superblock"
                        ? nil : SealKey(secret: secret, label: label, salt: [])))
        }
        for index in 0..<4 {
            block("superblock", "superblock", at: index * 65_536, bigEndianBytes(UInt64(index)))
        }
        for index in 0..<2 {
            let number = bigEndianBytes(UInt64(index))
            block("markBlock", "superblock", at: 262_144 + index * 4_096, number)
            block("journalHeader", "journal-\(index)", at: 0, number)
            addJournalBlocks("journal-\(index)", secret)
        }
        block("checkpointHeader", "checkpoint", at: 0, [])
        block("heatHeader", "heat", at: 0, [])
        for (handle, _) in view.inspection.segments {
            let number = UInt64(handle.id.raw)
            block("segmentHeader", handle.fileName, at: 0, bigEndianBytes(number))
            addChain(of: handle)
        }
    }

    private static let labels = [
        "superblock": "superblock", "markBlock": "mark", "journalHeader": "journal header",
        "checkpointHeader": "checkpoint", "heatHeader": "heat", "segmentHeader": "segment header",
    ]

    private static func rows(of image: DiffImage, _ superblock: Superblock) throws
        -> [(layout: String, at: Int)]
    {
        guard let file = image.files["checkpoint"] else { return [] }
        let header = try CheckpointHeader(
            decoding: Array(file.prefix(4_096)), storeID: superblock.storeID,
            fileBytes: UInt64(file.count), key: CheckpointHeader.sealKey(secret: superblock.secret))
        let entriesAt = 4_096 + 48 * Int(header.segmentCount)
        return (0..<Int(header.segmentCount)).map { ("checkpointSegment", 4_096 + 48 * $0) }
            + (0..<Int(header.entryCount)).map { ("checkpointEntry", entriesAt + 72 * $0) }
    }

    private mutating func addJournalBlocks(_ file: String, _ secret: [UInt8]) {
        guard let header = image.bytes(file, 32, 32) else { return }
        let key = SealKey(secret: secret, label: "journal block", salt: header)
        for start in DiffImage.usedBlocks(image.files[file]!) where start > 0 {
            let bytes = image.bytes(file, start, 4_096)!
            var rows: [(layout: String, at: Int)] = []
            func count(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
            var entry = 48
            while entry < 4_092, count(entry) != 0 {
                if count(entry) == 1 { rows.append(("tombstoneRow", entry + 4)) }
                if count(entry) == 3 { rows.append(("freedUse", entry + 4)) }
                entry += 4 + count(entry + 2)
            }
            places.append(
                SealedPlace(
                    layout: "journalBlock", file: file, offset: start, byteCount: 4_096,
                    sealOffset: 32, location: bigEndianBytes(UInt64(start / 4_096)), key: key,
                    rows: rows))
        }
    }

    private mutating func addChain(of handle: SegmentHandle) {
        var slot = handle.header.firstCommitOffset
        while slot != 0 {
            let location = RecordLocation(segment: handle.id, offset: slot)
            guard let bytes = image.bytes(handle.fileName, Int(slot), 4_096),
                let commit = try? CommitRecord(
                    decoding: bytes, at: location, unit: 4_096,
                    useSequence: handle.header.useSequence,
                    segmentBytes: handle.header.segmentBytes, key: handle.recordKey)
            else { return }
            addRecord(
                "commitHeader", handle, location, 4_096,
                commit.members.indices.map { ("commitMember", 128 + 48 * $0) })
            for member in commit.members where member.location.segment == handle.id {
                add(member, handle)
            }
            slot = commit.nextCommitOffset
        }
    }

    private mutating func add(_ member: CommitMember, _ handle: SegmentHandle) {
        let start = Int(member.location.offset)
        guard let bytes = image.bytes(handle.fileName, start, Int(member.headerBytes)) else {
            return
        }
        func count(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
        let (layout, rows): (String, [(layout: String, at: Int)])
        switch RecordKind(rawValue: member.kind) {
        case .payload:
            let extents = (0..<count(160)).map { ("extentRow", 256 + 48 * $0) }
            let siblings = (0..<count(164)).map { ("siblingRow", 256 + 48 * (count(160) + $0)) }
            (layout, rows) = ("payloadHeader", extents + siblings)
        case .tombstone:
            (layout, rows) = (
                "tombstoneHeader", (0..<count(64)).map { ("tombstoneRow", 80 + 64 * $0) }
            )
        case .namespaceOperation: (layout, rows) = ("namespaceHeader", [])
        default: return
        }
        addRecord(layout, handle, member.location, Int(member.headerBytes), rows)
    }

    private mutating func addRecord(
        _ layout: String, _ handle: SegmentHandle, _ location: RecordLocation, _ byteCount: Int,
        _ rows: [(layout: String, at: Int)]
    ) {
        places.append(
            SealedPlace(
                layout: layout, file: handle.fileName, offset: Int(location.offset),
                byteCount: byteCount, sealOffset: 48,
                location: bigEndianBytes(UInt64(location.segment.raw))
                    + bigEndianBytes(location.offset),
                key: handle.recordKey, rows: rows))
    }
}
