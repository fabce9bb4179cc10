// Writing and reading the checkpoint and the heat table as files. Both are written under another
// name and renamed, so that a crash leaves the old one or the new one.

import BlockIO
import ChunkFormat
import Primitives

/// Takes a checkpoint's entries while they are read, so that nobody ever holds all of them.
public protocol CheckpointSink: AnyObject {
    /// A checkpoint is there; its entries follow, for namespaces that the journals know.
    func begin(_ superblock: Superblock, heat: HeatFile?, namespaces: [NamespaceOperation])
    /// The next entries, ascending by namespace, key and variant.
    func take(_ entries: [CheckpointEntry])
    /// The checkpoint turned out to be unusable: what was taken does not count (CKP-7).
    func discard()
}

/// For who wants them all: inspectors and tests.
final class CheckpointCollector: CheckpointSink {
    private(set) var entries: [CheckpointEntry] = []
    private(set) var heat: [HeatRow] = []

    func begin(_ superblock: Superblock, heat: HeatFile?, namespaces: [NamespaceOperation]) {
        self.heat = heat?.rows ?? []
    }
    func take(_ entries: [CheckpointEntry]) { self.entries += entries }
    func discard() { (entries, heat) = ([], []) }
}

enum CheckpointFile {
    /// Reads the checkpoint; `use` is handed its rows as they come, and may throw to refuse them.
    /// Returns `nil` when there is none. *Throws:* when there is one that cannot be used.
    static func read(
        _ disk: any Disk, superblock: Superblock,
        begin: (CheckpointHeader) async throws(LogError) -> Void,
        use: (_ segments: [CheckpointSegment], _ entries: [CheckpointEntry]) throws(LogError) ->
            Void
    ) async throws(LogError) -> CheckpointHeader? {
        guard let file = try await open(StoreFiles.checkpoint, disk) else { return nil }
        let result = await Result { () async throws(LogError) -> CheckpointHeader in
            let header = try await readHeader(disk, file, superblock)
            try await begin(header)
            try await readRows(disk, file, header, use)
            return header
        }
        await disk.close(file)
        return try result.get()
    }

    private static func open(_ name: String, _ disk: any Disk) async throws(LogError) -> FileID? {
        do throws(DiskError) {
            return try await disk.open(name, .read)
        } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
    }

    private static func readHeader(_ disk: any Disk, _ file: FileID, _ superblock: Superblock)
        async throws(LogError) -> CheckpointHeader
    {
        let fileBytes: UInt64
        let allocated: UInt64
        let first: [UInt8]
        do throws(DiskError) {
            fileBytes = try await disk.byteCount(of: file)
            allocated = try await disk.allocatedByteCount(of: file)
            first = try await disk.readBytes(file, at: 0, byteCount: Superblock.blockBytes)
        } catch {
            throw .disk(error)
        }
        let header: CheckpointHeader
        do throws(FormatError) {
            header = try CheckpointHeader(
                decoding: first, storeID: superblock.storeID, fileBytes: fileBytes,
                key: CheckpointHeader.sealKey(secret: superblock.secret))
        } catch {
            throw .format(error, file: StoreFiles.checkpoint, offset: 0)
        }
        // Before anything is allocated: a length alone costs a forger nothing, blocks do; a file
        // system may pack what is zero.
        let unpackedMax = max(1 << 30, allocated.multipliedReportingOverflow(by: 64).partialValue)
        guard header.fileBytes <= unpackedMax else {
            throw .format(
                FormatError(
                    .corrupt, structure: "checkpointHeader", field: "entryCount",
                    clause: "CKP-3", expected: "rows that fit \(allocated) bytes on the medium",
                    found: "\(header.segmentCount) segments, \(header.entryCount) entries"),
                file: StoreFiles.checkpoint, offset: 0)
        }
        return header
    }

    private static func readRows(
        _ disk: any Disk, _ file: FileID, _ header: CheckpointHeader,
        _ use: ([CheckpointSegment], [CheckpointEntry]) throws(LogError) -> Void
    ) async throws(LogError) {
        let table: [UInt8]
        do throws(DiskError) {
            table = try await disk.readBytes(
                file, at: header.tableOffset, byteCount: header.tableBytes)
        } catch {
            throw .disk(error)
        }
        guard table.count == header.tableBytes, Digest128(hashing: table) == header.tableDigest
        else {
            throw damaged("tableDigest", "\(header.tableDigest)", at: header.tableOffset)
        }
        var decoder = CheckpointDecoder(header)
        var segments: [CheckpointSegment] = []
        var entries: [CheckpointEntry] = []
        for number in 0..<header.pieceCount {
            let piece = try await readPiece(
                number, header.byteCount(ofPiece: number), disk, file, table: table)
            do throws(FormatError) {
                try decoder.take(piece, segments: &segments, entries: &entries)
                if number + 1 == header.pieceCount { try decoder.finish() }
            } catch {
                throw .format(
                    error, file: StoreFiles.checkpoint,
                    offset: UInt64(Superblock.blockBytes + number * CheckpointHeader.pieceBytes))
            }
            try use(segments, entries)
            segments.removeAll(keepingCapacity: true)
            entries.removeAll(keepingCapacity: true)
        }
    }

    private static func readPiece(
        _ piece: Int, _ size: Int, _ disk: any Disk, _ file: FileID, table: [UInt8]
    ) async throws(LogError) -> [UInt8] {
        let offset =
            UInt64(Superblock.blockBytes) + UInt64(piece) * UInt64(CheckpointHeader.pieceBytes)
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try await disk.readBytes(file, at: offset, byteCount: size)
        } catch {
            throw .disk(error)
        }
        let digest = Digest128(hashing: bytes)
        let slot = bigEndianBytes(digest.high) + bigEndianBytes(digest.low)
        guard bytes.count == size, slot == Array(table[piece * 16..<piece * 16 + 16]) else {
            throw damaged("piece \(piece)", "the digest of its slot", at: offset)
        }
        return bytes
    }

    private static func damaged(_ field: String, _ expected: String, at offset: UInt64) -> LogError
    {
        .format(
            FormatError(
                .corrupt, structure: "checkpoint", field: field, clause: "CKP-5",
                expected: expected, found: "another"),
            file: StoreFiles.checkpoint, offset: offset)
    }

    /// The heat that belongs to a checkpoint; none when the file is missing or another's.
    static func readHeat(_ disk: any Disk, superblock: Superblock, generation: UInt64) async
        -> HeatFile?
    {
        guard let file = try? await disk.open(StoreFiles.heat, .read) else { return nil }
        var heat: HeatFile?
        if let byteCount = try? await disk.byteCount(of: file), byteCount <= 1 << 30,
            let bytes = try? await disk.readBytes(file, at: 0, byteCount: Int(byteCount))
        {
            heat = try? HeatFile(
                decoding: bytes, storeID: superblock.storeID,
                key: HeatFile.sealKey(secret: superblock.secret))
        }
        await disk.close(file)
        return heat?.generation == generation ? heat : nil
    }

    // MARK: Writing

    /// A new, empty file under a name that means nothing.
    static func createDraft(_ draft: String, _ disk: any Disk) async throws(DiskError) -> FileID {
        do throws(DiskError) {
            try await disk.unlink(draft)
        } catch {
            guard error.code == .notFound else { throw error }
        }
        return try await disk.open(draft, .createNew)
    }

    /// Flushes and closes a draft and gives it its name. *Durability:* durable when this returns.
    static func publish(_ file: FileID, draft: String, as name: String, _ disk: any Disk)
        async throws(DiskError)
    {
        let result = await Result { () async throws(DiskError) in try await disk.flush(file) }
        await disk.close(file)
        try result.get()
        try await disk.rename(draft, to: name)
        try await disk.flushDirectory("")
    }

    /// Replaces a small file as a whole. *Durability:* durable when this returns.
    static func replace(
        _ name: String, draft: String, with bytes: [UInt8], _ disk: any Disk
    ) async throws(DiskError) {
        let file = try await write(bytes, toDraft: draft, disk)
        try await publish(file, draft: draft, as: name, disk)
    }

    /// A draft with these bytes. *Durability:* none before it is published.
    static func write(_ bytes: [UInt8], toDraft draft: String, _ disk: any Disk)
        async throws(DiskError) -> FileID
    {
        let file = try await createDraft(draft, disk)
        do throws(DiskError) {
            try await disk.allocate(file, byteCount: UInt64(bytes.count))
            try await disk.writeBytes(file, at: 0, bytes)
        } catch {
            await disk.close(file)
            throw error
        }
        return file
    }
}

extension Result where Failure: Error {
    /// The outcome of an async step, for a clean-up that must come in between.
    init(_ body: () async throws(Failure) -> Success) async {
        do throws(Failure) {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
