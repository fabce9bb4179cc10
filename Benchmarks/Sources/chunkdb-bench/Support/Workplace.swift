// Where a run works: a directory of its own, which is gone afterwards, also after Ctrl-C
// and a plain kill.

import ChunkDB
import Dispatch
import Foundation
import Glibc
import Synchronization

final class Workplace {
    let path: String
    let budget: TimeBudget
    private let isKept: Bool
    private let endings: [any DispatchSourceSignal]
    private static let signals = [SIGINT, SIGTERM, SIGHUP]

    /// Makes a directory inside `parent`, or inside the current directory. `seconds` is the time
    /// that rounds may take.
    init(inside parent: String?, keep: Bool, seconds: Double? = nil) throws {
        budget = TimeBudget(seconds: seconds)
        let manager = FileManager.default
        let root = URL(filePath: parent ?? manager.currentDirectoryPath)
        guard manager.fileExists(atPath: root.path) else {
            throw BenchmarkError.world("\(root.path): no such directory")
        }
        let made = root.appending(path: ".chunkdb-bench-\(UUID().uuidString.prefix(8))")
        do {
            try manager.createDirectory(at: made, withIntermediateDirectories: false)
        } catch {
            throw BenchmarkError.world("\(made.path): \(error.localizedDescription)")
        }
        let path = made.resolvingSymlinksInPath().path
        self.path = path
        isKept = keep
        // The default action would leave gigabytes behind.
        endings = Self.signals.map { number in
            signal(number, SIG_IGN)
            let ending = DispatchSource.makeSignalSource(signal: number)
            ending.setEventHandler {
                if !keep { try? FileManager.default.removeItem(atPath: path) }
                exit(128 + number)
            }
            ending.activate()
            return ending
        }
    }

    func remove() {
        for ending in endings { ending.cancel() }
        for number in Self.signals { signal(number, SIG_DFL) }
        if !isKept { try? FileManager.default.removeItem(atPath: path) }
    }

    /// The path of a directory inside, not made.
    func directory(_ name: String) -> String { path + "/" + name }

    /// *Throws:* `.noSpace` unless `byteCount` and a tenth more are free.
    func requireSpace(_ byteCount: Int) throws {
        let disk = try openDisk(
            directory: path, create: false, readOnly: false, options: Workplace.bufferedThreads)
        let free = try blocking { try await disk.freeByteCount() }
        try blocking { await disk.shutdown() }
        let needed = byteCount + byteCount / 10
        if free < UInt64(needed) {
            throw BenchmarkError.noSpace(
                neededBytes: needed, availableBytes: free, directory: path)
        }
    }

    private static var bufferedThreads: DiskOptions {
        var options = DiskOptions()
        options.engine = .threads
        options.buffered = true
        options.threadCount = 1
        return options
    }
}

/// Runs async work to its end on the calling thread, which does the work's own part: lookups,
/// copies, verification. The same as `db.wait`, for any error.
func blocking<Success: Sendable>(
    _ operation: @escaping @Sendable () async throws -> Success
) throws -> Success {
    try CallerThread.wait { () async -> Result<Success, any Error> in
        do {
            return .success(try await operation())
        } catch {
            return .failure(error)
        }
    }.get()
}

/// The same on several threads at once.
func onThreads<Success: Sendable>(
    _ count: Int, _ operation: @escaping @Sendable (_ thread: Int) async throws -> Success
) throws -> [Success] {
    let results = Mutex<[Result<Success, any Error>]>([])
    DispatchQueue.concurrentPerform(iterations: count) { thread in
        let result = Result { try blocking { try await operation(thread) } }
        results.withLock { $0.append(result) }
    }
    return try results.withLock { try $0.map { try $0.get() } }
}
