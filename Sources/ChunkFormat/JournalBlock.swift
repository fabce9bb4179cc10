// The metadata journal (format-spec 08): what must not be lost to one fault of the medium, written
// to two files. Every entry is a fact with its write sequence, true for ever, so the journal is the
// union of what both copies hold, in any order.

import Primitives

public enum JournalEntry: Hashable, Sendable {
    case tombstone(Tombstone)
    case namespaceOperation(NamespaceOperation)
    case freed(FreedUse)

    /// Bytes of the entry in a block.
    public var byteCount: Int {
        switch self {
        case .tombstone: 4 + Tombstone.layout.byteCount
        case .namespaceOperation(let operation): 4 + operation.encode().count
        case .freed: 4 + FreedUse.layout.byteCount
        }
    }
}

/// The first block of a journal file: whose it is, and the salt of its seals.
public struct JournalHeader: Hashable, Sendable {
    private static let magic = Array("CHKJRNL0".utf8)
    public var storeID: [UInt8]
    public var copyIndex: UInt32
    public var salt: [UInt8]

    public init(storeID: [UInt8], copyIndex: UInt32, salt: [UInt8]) {
        self.storeID = storeID
        self.copyIndex = copyIndex
        self.salt = salt
    }

    static let layout = Layout(
        "journalHeader",
        [
            ("magic", .bytes(8)), ("storeID", .bytes(16)), ("copyIndex", .u32),
            ("reservedWord", .reserved(4)), ("salt", .bytes(32)), ("reserved", .reserved(4_016)),
            ("seal", .digest),
        ])

    public static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "journal header", salt: [])
    }

    public func blockKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "journal block", salt: salt)
    }

    public func encode(key: SealKey) -> [UInt8] {
        let layout = Self.layout
        var writer = FieldWriter(byteCount: Superblock.blockBytes)
        writer.put(layout["magic"], Self.magic)
        writer.put(layout["storeID"], storeID)
        writer.put(layout["copyIndex"], copyIndex)
        writer.put(layout["salt"], salt)
        let seal = key.seal(location: bigEndianBytes(UInt64(copyIndex)), bytes: writer.bytes)
        writer.put(layout["seal"], seal)
        return writer.bytes
    }

    public init(decoding bytes: [UInt8], copyIndex: UInt32, storeID: [UInt8], key: SealKey)
        throws(FormatError)
    {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        guard reader.bytes(layout["magic"]) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "journalHeader", field: "magic", clause: "JRN-1",
                expected: hexadecimal(Self.magic), found: reader.describe(layout["magic"]))
        }
        let block = Array(bytes.prefix(layout.byteCount))
        let seal = key.seal(
            location: bigEndianBytes(UInt64(copyIndex)),
            bytes: block.replacingSubrange(layout["seal"], with: 0))
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(layout["seal"])), layout["seal"], "JRN-2",
            expected: "the seal of copy \(copyIndex)")
        try reader.require(
            reader.u32(layout["copyIndex"]) == copyIndex, layout["copyIndex"], "JRN-2",
            expected: "\(copyIndex)")
        try reader.require(
            reader.bytes(layout["storeID"]) == storeID, layout["storeID"], "JRN-2",
            expected: hexadecimal(storeID))
        try reader.requireZeroReserved("FMT-3")
        self.init(storeID: storeID, copyIndex: copyIndex, salt: reader.bytes(layout["salt"]))
    }
}

/// A block of entries; block `n` of a file stands at `n` × 4,096 and has its number under the seal.
public enum JournalBlock {
    static let magic: UInt32 = 0x4E52_4A43  // C J R N
    static let layout = Layout(
        "journalBlock",
        [
            ("magic", .u32), ("entryBytes", .u32), ("blockIndex", .u64),
            ("reservedBlock", .reserved(16)), ("seal", .digest),
        ])
    public static let entryBytesMax = Superblock.blockBytes - layout.byteCount

    /// Packs entries into as few blocks as keep their order. Every entry must fit a block; a
    /// binding of several hundred layers without two alike in a row does not, and is refused at
    /// creation.
    public static func pack(_ entries: [JournalEntry]) -> [[JournalEntry]] {
        var blocks: [[JournalEntry]] = []
        var room = 0
        for entry in entries {
            if entry.byteCount > room {
                blocks.append([])
                room = entryBytesMax
            }
            blocks[blocks.count - 1].append(entry)
            room -= entry.byteCount
        }
        return blocks
    }

    public static func encode(_ entries: [JournalEntry], blockIndex: UInt64, key: SealKey)
        -> [UInt8]
    {
        var writer = FieldWriter(byteCount: Superblock.blockBytes)
        var offset = layout.byteCount
        for entry in entries {
            var header = ByteStreamWriter()
            header.put(entry.kind)
            header.put(UInt16(entry.byteCount - 4))
            writer.move(to: 0)
            writer.put(at: offset, header.bytes)
            switch entry {
            case .tombstone(let tombstone):
                writer.move(to: offset + 4)
                tombstone.write(to: &writer)
            case .namespaceOperation(let operation):
                writer.put(at: offset + 4, operation.encode())
            case .freed(let use):
                writer.move(to: offset + 4)
                use.write(to: &writer)
            }
            offset += entry.byteCount
        }
        writer.move(to: 0)
        writer.put(layout["magic"], magic)
        writer.put(layout["entryBytes"], UInt32(offset - layout.byteCount))
        writer.put(layout["blockIndex"], blockIndex)
        let seal = key.seal(location: bigEndianBytes(blockIndex), bytes: writer.bytes)
        writer.put(layout["seal"], seal)
        return writer.bytes
    }

    public static func decode(_ bytes: [UInt8], blockIndex: UInt64, key: SealKey)
        throws(FormatError) -> [JournalEntry]
    {
        let reader = try FieldReader(layout, bytes)
        guard reader.u32(layout["magic"]) == magic else {
            throw FormatError(
                .notRecognised, structure: "journalBlock", field: "magic", clause: "JRN-3",
                expected: "\(magic)", found: reader.describe(layout["magic"]))
        }
        let block = Array(bytes.prefix(Superblock.blockBytes))
        let seal = key.seal(
            location: bigEndianBytes(blockIndex),
            bytes: block.replacingSubrange(layout["seal"], with: 0))
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(layout["seal"])), layout["seal"], "JRN-4",
            expected: "the seal of block \(blockIndex)")
        try reader.require(
            reader.u64(layout["blockIndex"]) == blockIndex, layout["blockIndex"], "JRN-4",
            expected: "\(blockIndex)")
        try reader.requireZeroReserved("FMT-3")
        let used = Int(reader.u32(layout["entryBytes"]))
        try reader.require(
            used <= block.count - layout.byteCount, layout["entryBytes"], "JRN-5",
            expected: "at most \(entryBytesMax)")
        var stream = ByteStreamReader(
            Array(block[layout.byteCount..<layout.byteCount + used]), structure: "journalBlock")
        var entries: [JournalEntry] = []
        while stream.remaining > 0 {
            let kind: UInt16 = try stream.integer("entryKind")
            let count: UInt16 = try stream.integer("entryBytes")
            let body = try stream.take(Int(count), "entry")
            switch kind {
            case 1:
                try requireLength(of: body, Tombstone.layout, stream)
                entries.append(.tombstone(try Tombstone(decoding: body, at: 0)))
            case 2:
                entries.append(.namespaceOperation(try NamespaceOperation(decoding: body)))
            case 3:
                try requireLength(of: body, FreedUse.layout, stream)
                entries.append(.freed(try FreedUse(decoding: body, at: 0)))
            default:
                throw FormatError(
                    .corrupt, structure: "journalBlock", field: "entryKind", clause: "JRN-5",
                    expected: "1 to 3", found: "\(kind)")
            }
        }
        return entries
    }

    private static func requireLength(
        of body: [UInt8], _ row: Layout, _ stream: ByteStreamReader
    ) throws(FormatError) {
        try stream.require(
            body.count == row.byteCount, "entryBytes", clause: "JRN-5",
            expected: "\(row.byteCount)", found: "\(body.count)")
    }
}

extension JournalEntry {
    var kind: UInt16 {
        switch self {
        case .tombstone: 1
        case .namespaceOperation: 2
        case .freed: 3
        }
    }
}
