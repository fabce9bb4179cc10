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

    /// Little in debug builds, so that every test's journals are written anew (JRN-14).
    static var growthBytes: UInt64 {
        #if DEBUG
            32 << 10
        #else
            256 << 10
        #endif
    }
    /// What recovery reads of a journal at most: ten million facts.
    static let byteCountMax: UInt64 = 1 << 30

    /// Writes a journal file that holds `facts`, in place of what stood under its name.
    /// *Durability:* durable when this returns.
    static func rewrite(
        copyIndex: Int, facts: [JournalEntry], superblock: Superblock, salt: [UInt8],
        on disk: any Disk
    ) async throws(DiskError) {
        let bytes = content(copyIndex, facts, superblock, salt: salt)
        try await CheckpointFile.replace(
            StoreFiles.journals[copyIndex], draft: StoreFiles.journalDrafts[copyIndex],
            with: bytes, disk)
    }

    /// A whole journal file, with room for more.
    static func content(
        _ copyIndex: Int, _ facts: [JournalEntry], _ superblock: Superblock, salt: [UInt8]
    ) -> [UInt8] {
        let header = JournalHeader(
            storeID: superblock.storeID, copyIndex: UInt32(copyIndex), salt: salt)
        let key = header.blockKey(secret: superblock.secret)
        var bytes = header.encode(key: JournalHeader.sealKey(secret: superblock.secret))
        for (index, entries) in JournalBlock.pack(facts).enumerated() {
            bytes += JournalBlock.encode(entries, blockIndex: UInt64(index + 1), key: key)
        }
        let padded = aligned(bytes.count, to: Int(growthBytes))
        return bytes + [UInt8](repeating: 0, count: padded - bytes.count)
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

    /// The entries of the blocks that open, with the blocks' numbers (JRN-6).
    static func blocks(in bytes: [UInt8], key: SealKey) -> [(index: Int, entries: [JournalEntry])] {
        let size = Superblock.blockBytes
        return (1..<max(bytes.count / size, 1)).compactMap { index in
            let block = Array(bytes[index * size..<(index + 1) * size])
            let entries = try? JournalBlock.decode(block, blockIndex: UInt64(index), key: key)
            return entries.map { (index, $0) }
        }
    }

    /// Whether so many blocks fit what is allocated.
    func hasRoom(for blockCount: Int) -> Bool {
        (nextBlock + UInt64(blockCount)) * UInt64(Superblock.blockBytes) <= allocatedBytes
    }

    /// Allocates what so many blocks need. *Throws:* `.noSpace`: nothing was written then.
    mutating func makeRoom(for blockCount: Int, on disk: any Disk) async throws(DiskError) {
        // What recovery would not read is not written; the next opening makes the file dense.
        let end = (nextBlock + UInt64(blockCount)) * UInt64(Superblock.blockBytes)
        guard end <= Self.byteCountMax else {
            throw DiskError(
                code: .noSpace, operation: "append", file: StoreFiles.journals[copyIndex],
                offset: end)
        }
        while !hasRoom(for: blockCount) {
            try await disk.allocate(file, byteCount: allocatedBytes + Self.growthBytes)
            allocatedBytes += Self.growthBytes
        }
    }

    /// Writes blocks behind the last one, where there is room. *Durability:* none before a flush of
    /// `file`.
    mutating func append(_ blocks: [[JournalEntry]], on disk: any Disk) async throws(DiskError) {
        for entries in blocks {
            try await disk.writeBytes(
                file, at: nextBlock * UInt64(Superblock.blockBytes),
                JournalBlock.encode(entries, blockIndex: nextBlock, key: key))
            nextBlock += 1
        }
    }
}
