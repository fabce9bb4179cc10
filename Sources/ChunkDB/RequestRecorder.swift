// A trace of what a store is asked for, as a file: `StoreRequest.jsonLine`, line by line. Whoever
// asks the store never waits for it: lines gather in memory and are written behind, in whole
// blocks; when they come faster than they can be written, some are left out, and counted.

import BlockIO
import Primitives
import SegmentLog
import Synchronization

/// Writes every request of a store to a file, for `chunkdb trace` and `chunkdb-bench traces`.
///
///     let recorder = try await RequestRecorder.start(at: "/tmp/requests.jsonl")
///     options.requestObserver = { recorder.note($0) }
///     …
///     try await recorder.finish()
public final class RequestRecorder: Sendable {
    private struct State {
        var lines: [UInt8] = []
        var isWriting = false
        var isOver = false
        var offset: UInt64 = 0
        var lineCount: UInt64 = 0
        var droppedCount: UInt64 = 0
        var error: DiskError?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())
    private let disk: any Disk
    private let file: FileID
    private let thread = CoreThread(name: "chunkdb-requests")

    /// Written when so much has gathered.
    private static let writeBytes = 64 << 10
    /// Beyond it lines are left out.
    static let gatheredBytesMax = 4 << 20

    private init(disk: any Disk, file: FileID) { (self.disk, self.file) = (disk, file) }

    deinit { thread.finish() }

    /// Makes the file, which must not exist (mode 0600): keys say who asked for what.
    /// *Throws:* `.log(.disk)` when it cannot be made.
    public static func start(at path: String) async throws(StoreError) -> RequestRecorder {
        let (directory, name) = ChunkDB.split(path)
        var options = DiskOptions()
        (options.buffered, options.engine, options.threadCount) = (true, .threads, 1)
        options.registeredPoolBytes = 0
        do throws(DiskError) {
            let disk = try openDisk(
                directory: directory, create: false, readOnly: false, options: options)
            return try await start(on: disk, as: name)
        } catch {
            throw .log(.disk(error))
        }
    }

    /// The same in any directory; what tests use to own it. The disk is shut down at the end.
    public static func start(on disk: any Disk, as name: String) async throws(DiskError)
        -> RequestRecorder
    {
        do throws(DiskError) {
            return RequestRecorder(disk: disk, file: try await disk.open(name, .createNew))
        } catch {
            await disk.shutdown()
            throw error
        }
    }

    /// Lines that were taken, and lines that were left out, so far.
    public var counts: (lines: UInt64, dropped: UInt64) {
        state.withLock { ($0.lineCount, $0.droppedCount) }
    }

    /// Takes a request; never waits for the disk.
    public func note(_ request: StoreRequest) {
        let line = Array(request.jsonLine.utf8) + [0x0A]
        let begins = state.withLock { state in
            guard !state.isOver, state.error == nil,
                state.lines.count + line.count <= Self.gatheredBytesMax
            else {
                state.droppedCount += 1
                return false
            }
            state.lines += line
            state.lineCount += 1
            guard !state.isWriting, state.lines.count >= Self.writeBytes else { return false }
            state.isWriting = true
            return true
        }
        if begins {
            Task(executorPreference: thread) { await self.write(untilEmpty: false) }
        }
    }

    /// Writes what is left, durably, and closes the file. Requests that come later are left out.
    /// *Throws:* the first error of a write: the file ends before it then.
    public func finish() async throws(StoreError) {
        let isFirst = state.withLock { state in
            defer { state.isOver = true }
            return !state.isOver
        }
        guard isFirst else { return }
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.isWriting { state.waiters.append(continuation) }
                return !state.isWriting
            }
            if isIdle { continuation.resume() }
        }
        await write(untilEmpty: true)
        var error = state.withLock { $0.error }
        if error == nil {
            do throws(DiskError) {
                try await disk.flush(file)
            } catch let failed {
                error = failed
            }
        }
        await disk.close(file)
        await disk.shutdown()
        if let error { throw .log(.disk(error)) }
    }

    /// One writer at a time. Whole blocks; at the end the rest, cut to its length.
    private func write(untilEmpty isLast: Bool) async {
        let unit = disk.traits.alignment
        while true {
            let piece = state.withLock { state -> (bytes: [UInt8], offset: UInt64)? in
                let whole = state.lines.count / unit * unit
                let count = isLast ? state.lines.count : whole
                guard count > 0, state.error == nil else {
                    state.isWriting = false
                    return nil
                }
                defer { state.lines.removeFirst(count) }
                return (Array(state.lines.prefix(count)), state.offset)
            }
            guard let piece else { break }
            let padding = aligned(piece.bytes.count, to: unit) - piece.bytes.count
            do throws(DiskError) {
                try await disk.writeBytes(
                    file, at: piece.offset,
                    piece.bytes + [UInt8](repeating: 0x0A, count: padding))
                let end = piece.offset + UInt64(piece.bytes.count)
                if padding > 0 { try await disk.truncate(file, byteCount: end) }
                state.withLock { $0.offset = end }
            } catch {
                state.withLock { $0.error = error }
            }
        }
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
