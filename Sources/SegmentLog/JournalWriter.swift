import BlockIO
import ChunkFormat
import Primitives

/// One copy of the metadata journal, being appended to.
struct JournalWriter {
    let copyIndex: Int
    let file: FileID
    let key: SealKey
    /// The block that is written next.
    var nextBlock: UInt64
    var allocatedBytes: UInt64

    static let growthBytes: UInt64 = 256 << 10
    /// What recovery reads of a journal at most: ten million facts.
    static let byteCountMax: UInt64 = 1 << 30

    /// Writes a journal file that holds `facts`, in place of what stood under its name.
    /// *Durability:* durable when this returns.
    static func rewrite(
        copyIndex: Int, facts: [JournalEntry], superblock: Superblock, salt: [UInt8],
        on disk: any Disk
    ) async throws(DiskError) {
        let header = JournalHeader(
            storeID: superblock.storeID, copyIndex: UInt32(copyIndex), salt: salt)
        let key = header.blockKey(secret: superblock.secret)
        var bytes = header.encode(key: JournalHeader.sealKey(secret: superblock.secret))
        for (index, entries) in JournalBlock.pack(facts).enumerated() {
            bytes += JournalBlock.encode(entries, blockIndex: UInt64(index + 1), key: key)
        }
        let padded = aligned(bytes.count, to: Int(growthBytes))
        bytes += [UInt8](repeating: 0, count: padded - bytes.count)
        try await CheckpointFile.replace(
            StoreFiles.journals[copyIndex], draft: StoreFiles.journalDrafts[copyIndex],
            with: bytes, disk)
    }

    /// Opens what `rewrite` wrote, to go on behind its facts.
    static func reopen(
        copyIndex: Int, facts: [JournalEntry], superblock: Superblock, on disk: any Disk
    ) async throws(DiskError) -> JournalWriter? {
        let file = try await disk.open(StoreFiles.journals[copyIndex], .readWrite)
        let byteCount = try await disk.byteCount(of: file)
        let bytes = try await disk.readBytes(file, at: 0, byteCount: Superblock.blockBytes)
        guard
            let header = try? JournalHeader(
                decoding: bytes, copyIndex: UInt32(copyIndex), storeID: superblock.storeID,
                key: JournalHeader.sealKey(secret: superblock.secret))
        else { return nil }
        return JournalWriter(
            copyIndex: copyIndex, file: file, key: header.blockKey(secret: superblock.secret),
            nextBlock: UInt64(JournalBlock.pack(facts).count + 1), allocatedBytes: byteCount)
    }

    /// Writes blocks behind the last one. *Durability:* none before a flush of `file`.
    mutating func append(_ blocks: [[JournalEntry]], on disk: any Disk) async throws(DiskError) {
        for entries in blocks {
            let offset = nextBlock * UInt64(Superblock.blockBytes)
            // What recovery would not read is not written; the next opening makes the file dense.
            guard offset + UInt64(Superblock.blockBytes) <= Self.byteCountMax else {
                throw DiskError(
                    code: .noSpace, operation: "append", file: StoreFiles.journals[copyIndex],
                    offset: offset)
            }
            if offset + UInt64(Superblock.blockBytes) > allocatedBytes {
                try await disk.allocate(file, byteCount: allocatedBytes + Self.growthBytes)
                allocatedBytes += Self.growthBytes
            }
            try await disk.writeBytes(
                file, at: offset,
                JournalBlock.encode(entries, blockIndex: nextBlock, key: key))
            nextBlock += 1
        }
    }
}
