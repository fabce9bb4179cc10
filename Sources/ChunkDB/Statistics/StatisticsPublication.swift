// Counters for whoever looks from outside: now and then the snapshot is written beside the old one
// and takes its place, so that a reader needs no lock and never sees half of it. It is a file of
// its own, outside of the store's directory: nothing in there is for other programs to read, and
// nothing in there is written without the log. Nothing is flushed: it tells about a process, and
// ends with it.

import BlockIO
import Glibc
import Logging
import Primitives
import SegmentLog
import Synchronization

/// A statistics file that is being kept up to date.
public final class StatisticsPublication: Sendable {
    private let place: StatisticsPlace
    private let isStopped = Atomic(false)
    private let ending = OneEnd()

    fileprivate init(_ place: StatisticsPlace) { self.place = place }

    static var ownProcessID: Int32 { getpid() }

    /// Takes the file away, and returns when it is gone. The store's closing does so too, somewhat
    /// later; whoever ends the process at once leaves a file that readers take for stale.
    public func stop() async {
        isStopped.store(true, ordering: .relaxed)
        await ending.whenOver()
    }

    /// - Parameter first: what was written already.
    fileprivate func run(_ core: StoreCore, after first: StatisticsSnapshot) async {
        let clock = core.environment.clock
        var (sequence, failed) = (first.sequence, false)
        while await rest(for: first.intervalNanoseconds, clock, core) {
            sequence += 1
            var snapshot = await core.statisticsSnapshot()
            snapshot.sequence = sequence
            snapshot.intervalNanoseconds = first.intervalNanoseconds
            do throws(DiskError) {
                try await place.write(snapshot)
                failed = false
            } catch {
                // Once for each row of failures; the next attempt may succeed.
                if !failed { core.options.logger.warning("no statistics: \(error)") }
                failed = true
            }
        }
        await place.close()
        ending.end()
    }

    /// In steps, so that an end is noticed. *Returns:* whether to go on.
    private func rest(for nanoseconds: UInt64, _ clock: any StoreClock, _ core: StoreCore) async
        -> Bool
    {
        let end = clock.monotonicNanoseconds.saturatingAdd(nanoseconds)
        while !isStopped.load(ordering: .relaxed), !core.isClosed.load(ordering: .relaxed) {
            let now = clock.monotonicNanoseconds
            if now >= end { return true }
            await clock.sleep(nanoseconds: min(end - now, Self.stepNanoseconds))
        }
        return false
    }

    private static let stepNanoseconds: UInt64 = 200_000_000
}

/// The directory of a statistics file, and its name there.
private struct StatisticsPlace: Sendable {
    let disk: any Disk
    let name: String

    private var draft: String { name + ".new" }

    func write(_ snapshot: StatisticsSnapshot) async throws(DiskError) {
        var bytes = Array(snapshot.text.utf8)
        let missing = aligned(bytes.count, to: disk.traits.alignment) - bytes.count
        bytes += [UInt8](repeating: 0x0A, count: missing)
        try? await disk.unlink(draft)
        let file = try await disk.open(draft, .createNew)
        do throws(DiskError) {
            try await disk.writeBytes(file, at: 0, bytes)
        } catch {
            await disk.close(file)
            throw error
        }
        await disk.close(file)
        try await disk.rename(draft, to: name)
    }

    func close() async {
        try? await disk.unlink(draft)
        try? await disk.unlink(name)
        await disk.shutdown()
    }
}

extension ChunkDB {
    /// Writes all counters to a file, again and again until the store is closed, for `chunkdb
    /// stats`, `chunkdb watch`, or anybody's script (`StatisticsSnapshot+Text.swift` has the
    /// format). Only this process's user can read it. One store a file: another's is replaced.
    ///
    /// - Parameter path: outside of any store; the shell looks for the store's directory with
    ///   `.statistics` behind it.
    /// - Parameter interval: at least 10 ms.
    /// *Durability:* none; the file is replaced whole, by renaming.
    /// *Complexity:* O(namespaces) an interval.
    /// *Throws:* `.log(.disk)` when it cannot be written, `.shape` for a place in a store.
    @discardableResult
    public func publishStatistics(at path: String, every interval: Duration = .seconds(1))
        async throws(StoreError) -> StatisticsPublication
    {
        let (directory, name) = Self.split(path)
        var options = DiskOptions()
        (options.buffered, options.engine, options.threadCount) = (true, .threads, 1)
        options.registeredPoolBytes = 0
        let disk: any Disk
        do throws(DiskError) {
            disk = try openDisk(
                directory: directory, create: false, readOnly: false, options: options)
        } catch {
            throw .log(.disk(error))
        }
        do throws(StoreError) {
            return try await publishStatistics(on: disk, as: name, every: interval)
        } catch {
            await disk.shutdown()
            throw error
        }
    }

    /// The same in any directory; what tests use to own it. The disk is shut down at the end.
    public func publishStatistics(
        on disk: any Disk, as name: String, every interval: Duration
    ) async throws(StoreError) -> StatisticsPublication {
        let place = StatisticsPlace(disk: disk, name: name)
        var snapshot = await statistics()
        snapshot.sequence = 1
        snapshot.intervalNanoseconds = UInt64(min(max(interval / .nanoseconds(1), 1e7), 1e18))
        let isStore: Bool
        do throws(DiskError) {
            isStore = try await disk.list("").contains(StoreFiles.superblock)
            if !isStore { try await place.write(snapshot) }
        } catch {
            throw .log(.disk(error))
        }
        if isStore {
            throw .shape(
                what: "the place of statistics", expected: "outside of any store",
                found: "the directory of a store")
        }
        let publication = StatisticsPublication(place)
        let (core, first) = (core, snapshot)
        Task(executorPreference: core.environment.executor) {
            await publication.run(core, after: first)
        }
        return publication
    }

    static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        let directory = path[..<slash]
        return (
            directory.isEmpty ? "/" : String(directory), String(path[path.index(after: slash)...])
        )
    }
}
