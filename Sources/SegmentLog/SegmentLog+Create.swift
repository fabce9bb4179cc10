import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// Makes an empty store in the disk's directory, which must hold nothing of ours.
    ///
    /// The superblock is written last, so that a crash in between leaves "no store here"
    /// (`CREATE`); leftovers of such a crash are taken over.
    /// *Durability:* durable when this returns.
    public static func create(
        on disk: any Disk, options: LogOptions, environment: LogEnvironment
    ) async throws(LogError) {
        let unit = UInt32(disk.traits.alignment)
        guard Superblock.segmentBytesRange.contains(options.segmentBytes),
            options.segmentBytes.isMultiple(of: UInt64(unit)),
            options.segmentBytes >= 8 * UInt64(unit)
        else {
            throw .unsupported(
                "segments of \(options.segmentBytes) bytes; 64 KiB to 4 GiB in units of \(unit)")
        }
        guard unit == UInt32(Superblock.blockBytes) else {
            throw .unsupported("devices whose blocks are \(unit) bytes; version 1 writes 4096")
        }
        let least = capacityBytesMin(unit: UInt64(unit))
        guard options.capacityBytes >= least else {
            throw .unsupported(
                "a capacity of \(ByteCount(options.capacityBytes)); at least \(ByteCount(least))")
        }
        let superblock = Superblock(
            storeID: environment.entropy.bytes(16), secret: environment.entropy.bytes(32),
            generation: 1, alignmentUnit: unit, segmentBytes: options.segmentBytes,
            capacityBytes: options.capacityBytes, createdSeconds: environment.clock.wallSeconds)
        do throws(DiskError) {
            let names = try await disk.list("")
            if names.contains(StoreFiles.superblock) {
                throw DiskError(
                    code: .alreadyExists, operation: "create", file: StoreFiles.superblock)
            }
            if !names.contains(StoreFiles.segments) {
                try await disk.makeDirectory(StoreFiles.segments)
            } else if try await !disk.list(StoreFiles.segments).isEmpty {
                // A store that lost its superblock is not an empty directory.
                throw DiskError(
                    code: .alreadyExists, operation: "create", file: StoreFiles.segments)
            }
            for (index, name) in StoreFiles.journals.enumerated() {
                if names.contains(name) { try await disk.unlink(name) }
                try await JournalWriter.rewrite(
                    copyIndex: index, facts: [], superblock: superblock,
                    salt: environment.entropy.bytes(32), on: disk)
            }
            // Written whole under another name first: a half-made superblock is never found.
            let draft = StoreFiles.superblockDraft
            if names.contains(draft) { try await disk.unlink(draft) }
            let file = try await disk.open(draft, .createNew)
            try await disk.allocate(file, byteCount: Superblock.fileBytes)
            try await SuperblockCopies.write(
                superblock, copies: Array(0..<Superblock.copyCount), disk, file)
            await disk.close(file)
            try await disk.flushDirectory("")
            try await disk.rename(draft, to: StoreFiles.superblock)
            try await disk.flushDirectory("")
        } catch {
            if error.code == .alreadyExists && error.operation == "create" {
                throw .alreadyExists(directory: ".")
            }
            throw .disk(error)
        }
    }
}
