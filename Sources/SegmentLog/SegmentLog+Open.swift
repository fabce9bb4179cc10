import BlockIO
import ChunkFormat
import Primitives

extension SegmentLog {
    /// Opens a store and recovers it (CONTRACT O-1, O-2). Never for `.inspect`: see `inspect`.
    /// *Throws:* `.notAStore`, `.superblockDamaged`, a lock or a disk error; in strict mode any
    /// damage.
    public static func open(
        on disk: any Disk, policy: OpenPolicy, options: LogOptions, environment: LogEnvironment,
        sink: (any CheckpointSink)? = nil
    ) async throws(LogError) -> (log: SegmentLog, contents: RecoveredContents) {
        precondition(policy != .inspect, "a log that writes is never opened to inspect")
        let file = try await openSuperblock(disk, .readWrite)
        do throws(DiskError) {
            try await disk.lock(file)
            try await disk.flush(file)
        } catch {
            throw .disk(error)
        }
        let copies = try await SuperblockCopies.read(disk, file)
        try requireGeometry(copies.superblock, disk)
        let mark = await SuperblockCopies.readMark(copies.superblock, disk, file)
        let collector = CheckpointCollector()
        var recovery = Recovery(
            disk: disk, policy: policy, superblock: copies.superblock, superblockFile: file,
            mark: mark, sink: sink ?? collector, progress: options.progress)
        try await recovery.run()
        recovery.contents.checkpointEntries = collector.entries
        recovery.contents.heat = collector.heat
        if policy == .strict, let damage = recovery.contents.report.damages.first {
            throw .format(
                FormatError(
                    .corrupt, structure: "store", field: "", clause: "REC-9",
                    expected: "no damage in strict mode", found: damage.reason),
                file: damage.file, offset: damage.offset)
        }
        var trouble: LogError?
        do throws(LogError) {
            try await recovery.mend(
                badCopies: copies.bad.map(\.copyIndex), entropy: environment.entropy)
        } catch {
            // What cannot be mended, on a full disk for example, can still be read (O-4).
            trouble = error
        }
        recovery.start.allocatedBytes +=
            Superblock.fileBytes + recovery.journals.reduce(0) { $0 + $1.allocatedBytes }
        let log = SegmentLog(
            disk: disk, environment: environment, options: options, superblock: copies.superblock,
            superblockFile: file, journals: recovery.journals, start: recovery.start)
        if let trouble {
            await log.degrade(trouble)
        } else {
            recovery.contents.relocate(await log.rewrite(recovery.unproven))
            // A power cut may have brought back files that were given back. That their uses have
            // ended is durable now, whatever the last writer knew (RCV-12).
            let isSound = await log.degradedReason == nil
            if isSound, recovery.contents.report.damages.isEmpty { await log.giveBackExcess() }
        }
        recovery.contents.report.readOnlyReason = await log.degradedReason
        return (log, recovery.contents)
    }

    /// Reads a store without the lock and without changing a byte (CONTRACT O-2, inspect). Beside a
    /// running writer the picture may be inconsistent.
    public static func inspect(_ disk: any Disk) async throws(LogError) -> Inspection {
        let file = try await openSuperblock(disk, .read)
        let copies = try await SuperblockCopies.read(disk, file)
        let mark = await SuperblockCopies.readMark(copies.superblock, disk, file)
        let collector = CheckpointCollector()
        var recovery = Recovery(
            disk: disk, policy: .inspect, superblock: copies.superblock, superblockFile: file,
            mark: mark, sink: collector)
        try await recovery.run()
        recovery.contents.checkpointEntries = collector.entries
        recovery.contents.heat = collector.heat
        for bad in copies.bad {
            recovery.damage(
                StoreFiles.superblock, UInt64(bad.copyIndex) * Superblock.copySpacing, bad.reason)
        }
        return Inspection(
            superblock: copies.superblock, contents: recovery.contents,
            segments: recovery.start.segments.map { ($0.0, $0.1.usedBytes) },
            freeSegments: recovery.start.free.map {
                (StoreFiles.segment($0.id), $0.byteCount)
            },
            reader: recovery.reader, mark: mark, lastCommit: recovery.start.lastCommit)
    }

    /// What version 1 never writes, and what this device cannot serve, is not written to.
    private static func requireGeometry(_ superblock: Superblock, _ disk: any Disk)
        throws(LogError)
    {
        let unit = Int(superblock.alignmentUnit)
        guard unit == Superblock.blockBytes, disk.traits.alignment <= unit else {
            throw .unsupported(
                "a store in units of \(unit) bytes on a device of \(disk.traits.alignment); "
                    + "version 1 writes \(Superblock.blockBytes)")
        }
    }

    private static func openSuperblock(_ disk: any Disk, _ mode: OpenMode) async throws(LogError)
        -> FileID
    {
        do throws(DiskError) {
            return try await disk.open(StoreFiles.superblock, mode)
        } catch {
            throw error.code == .notFound ? .notAStore(directory: ".") : .disk(error)
        }
    }

    /// Waits for what is on its way, gives the open segment's tail back, and marks how far the log
    /// is durable. Then lets go of the lock and of every file. Idempotent.
    public func close() async {
        if isClosed { return }
        isClosed = true
        // What is queued fails with `.closed`; what is being written ends first.
        await withCheckedContinuation { waiter in
            if isCommitting { idleWaiters.append(waiter) } else { waiter.resume() }
        }
        await lockCheckpoint()
        checkpointLock.release()
        await lockSegments()
        await closeCurrentSegment()
        segmentLock.release()
        await markTask?.value
        if degradedReason == nil { await writeMark() }
        await disk.shutdown()
    }
}

/// What `inspect` saw.
public struct Inspection: Sendable {
    public let superblock: Superblock
    public let contents: RecoveredContents
    public let segments: [(handle: SegmentHandle, usedBytes: UInt64)]
    /// Files whose last use has ended, to be used again.
    public let freeSegments: [(file: String, byteCount: UInt64)]
    public let reader: RecordReader
    public let mark: MarkBlock
    public let lastCommit: UInt64
}

extension Recovery {
    /// Mends what recovery may mend, after all reading: bad copies of the superblock and of the
    /// journal, and, if nothing was damaged (N-6), leftovers and unwritten tails.
    mutating func mend(badCopies: [Int], entropy: any Entropy) async throws(LogError) {
        do throws(DiskError) {
            if !badCopies.isEmpty {
                try await SuperblockCopies.write(
                    superblock, copies: badCopies, disk, superblockFile)
                contents.report.repairedSuperblockCopies = badCopies
            }
            try await mendJournals(entropy)
            guard contents.report.damages.isEmpty else { return }
            for leftover in leftovers {
                try await disk.unlink(leftover.name)
                contents.report.returnedBytes += leftover.byteCount
                start.allocatedBytes -= leftover.byteCount
            }
            for (handle, chain) in start.segments {
                let byteCount = try await disk.byteCount(of: handle.file)
                // What a class covers stays as it is.
                guard byteCount > chain.usedBytes, handle.header.writeClass == 0 else { continue }
                try await disk.truncate(handle.file, byteCount: chain.usedBytes)
                contents.report.returnedBytes += byteCount - chain.usedBytes
                start.allocatedBytes -= byteCount - chain.usedBytes
            }
        } catch {
            throw .disk(error)
        }
    }

    /// Writes unusable copies anew from what the other one holds, and makes a journal dense again
    /// that holds few facts for its size: facts stay true for ever, so any mixture of old and new
    /// is right.
    private mutating func mendJournals(_ entropy: any Entropy) async throws(DiskError) {
        let ordered = facts.sorted(by: JournalEntry.isOrdered)
        let dense = UInt64(JournalBlock.pack(ordered).count) + 1
        for index in StoreFiles.journals.indices {
            let position = journals.firstIndex { $0.copyIndex == index }
            let isSparse = position.map { journals[$0].nextBlock > 2 * dense + 64 } ?? false
            guard badJournals.contains(index) || isSparse else { continue }
            if let position { await disk.close(journals.remove(at: position).file) }
            try await JournalWriter.rewrite(
                copyIndex: index, facts: ordered, superblock: superblock,
                salt: entropy.bytes(32), on: disk)
            if let writer = try await JournalWriter.reopen(
                copyIndex: index, facts: ordered, superblock: superblock, on: disk)
            {
                journals.append(writer)
            }
        }
        journals.sort { $0.copyIndex < $1.copyIndex }
    }
}
