// Writing and reading the checkpoint and the heat table as files. Both are written whole under
// another name and renamed, so that a crash leaves the old one or the new one.

import BlockIO
import ChunkFormat
import Primitives

enum CheckpointFile {
    struct Loaded {
        let header: CheckpointHeader
        let segments: [CheckpointSegment]
        let entries: [CheckpointEntry]
    }

    /// `nil` when there is no checkpoint. *Throws:* when there is one that cannot be used.
    static func read(_ disk: any Disk, superblock: Superblock) async throws(LogError) -> Loaded? {
        guard let file = try await open(StoreFiles.checkpoint, disk) else { return nil }
        let result = await Result { () async throws(LogError) -> Loaded in
            try await read(disk, file, superblock: superblock)
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

    private static func read(_ disk: any Disk, _ file: FileID, superblock: Superblock)
        async throws(LogError) -> Loaded
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
        var body: [UInt8] = []
        body.reserveCapacity(header.pieceCount * CheckpointHeader.pieceBytes)
        for piece in 0..<header.pieceCount {
            body += try await readPiece(piece, disk, file, table: table)
        }
        do throws(FormatError) {
            let rows = try CheckpointRows.decode(body, header: header)
            return Loaded(header: header, segments: rows.segments, entries: rows.entries)
        } catch {
            throw .format(
                error, file: StoreFiles.checkpoint, offset: UInt64(Superblock.blockBytes))
        }
    }

    private static func readPiece(_ piece: Int, _ disk: any Disk, _ file: FileID, table: [UInt8])
        async throws(LogError) -> [UInt8]
    {
        let size = CheckpointHeader.pieceBytes
        let offset = UInt64(Superblock.blockBytes) + UInt64(piece) * UInt64(size)
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

    /// The heat rows that belong to a checkpoint; none when the file is missing or another's.
    static func readHeat(_ disk: any Disk, superblock: Superblock, generation: UInt64) async
        -> [HeatRow]
    {
        guard let file = try? await disk.open(StoreFiles.heat, .read) else { return [] }
        var heat: HeatFile?
        if let byteCount = try? await disk.byteCount(of: file), byteCount <= 1 << 30,
            let bytes = try? await disk.readBytes(file, at: 0, byteCount: Int(byteCount))
        {
            heat = try? HeatFile(
                decoding: bytes, storeID: superblock.storeID,
                key: HeatFile.sealKey(secret: superblock.secret))
        }
        await disk.close(file)
        guard let heat, heat.generation == generation else { return [] }
        return heat.rows
    }

    /// Replaces a file as a whole. *Durability:* durable when this returns.
    static func replace(
        _ name: String, draft: String, with parts: [[UInt8]], _ disk: any Disk
    ) async throws(DiskError) {
        do throws(DiskError) {
            try await disk.unlink(draft)
        } catch {
            guard error.code == .notFound else { throw error }
        }
        let file = try await disk.open(draft, .createNew)
        let result = await Result { () async throws(DiskError) in
            let total = parts.reduce(0) { $0 + $1.count }
            try await disk.allocate(file, byteCount: UInt64(total))
            var offset: UInt64 = 0
            for part in parts where !part.isEmpty {
                try await disk.writeBytes(file, at: offset, part)
                offset += UInt64(part.count)
            }
            try await disk.flush(file)
        }
        await disk.close(file)
        try result.get()
        try await disk.rename(draft, to: name)
        try await disk.flushDirectory("")
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
