// The file in which a running process tells what it counts (`ChunkDB.publishStatistics`), read
// without a lock. Whoever could write there may have written anything: it is parsed by rules that
// refuse, and of what it says only numbers and names of namespaces are shown, those escaped.

import ArgumentParser
import ChunkDB
import ChunkFormat
import Foundation
import Primitives
import SegmentLog

struct StatisticsSource {
    static let suffix = ".statistics"
    static let help: ArgumentHelp =
        "The file that the process writes; otherwise PATH with .statistics behind it."

    /// The store's directory.
    let path: String
    let file: String

    init(_ store: StoreArguments, file: String?) {
        path = store.path
        var directory = path[...]
        while directory.count > 1, directory.last == "/" { directory.removeLast() }
        self.file = file ?? directory + Self.suffix
    }

    /// *Throws:* `.cannotOpen` for a file that is not there, is no statistics, or another store's.
    func read() throws(ShellError) -> StatisticsSnapshot {
        guard let bytes = SmallFile.bytes(file, maximum: StatisticsSnapshot.textBytesMax) else {
            throw ShellError(
                .cannotOpen,
                "\(file): no statistics here. The process that has the store open writes them "
                    + "when it calls `publishStatistics(at: \"\(file)\")`; --file says where else.")
        }
        let snapshot: StatisticsSnapshot
        do throws(StatisticsFormatError) {
            snapshot = try StatisticsSnapshot(parsing: bytes)
        } catch {
            throw ShellError(.cannotOpen, "\(file): \(error)")
        }
        if let own = storeID, own != snapshot.storeID {
            throw ShellError(
                .cannotOpen,
                "\(file): of store \(hexadecimal(snapshot.storeID)), "
                    + "and \(path) is \(hexadecimal(own))")
        }
        return snapshot
    }

    /// Whose the directory is, by any copy of its superblock; `nil` where none opens.
    private var storeID: [UInt8]? {
        let file = "\(path)/\(StoreFiles.superblock)"
        guard let bytes = SmallFile.bytes(file, maximum: 1 << 20) else { return nil }
        for index in 0..<Superblock.copyCount {
            let start = index * Int(Superblock.copySpacing)
            guard bytes.count >= start + Superblock.blockBytes else { return nil }
            let copy = Array(bytes[start..<start + Superblock.blockBytes])
            if let superblock = try? Superblock(decoding: copy, copyIndex: index) {
                return superblock.storeID
            }
        }
        return nil
    }
}

extension StatisticsSnapshot {
    /// Why these are not the counters of now; `nil` when they are.
    func staleness(at now: UInt64) -> String? {
        if !FileManager.default.fileExists(atPath: "/proc/\(processID)") {
            return "process \(processID), which wrote it, is gone or cannot be seen from here"
        }
        let allowed = max(intervalNanoseconds / 1_000_000_000, 1).saturatingMultiply(3)
        let age = now.saturatingSubtract(wallSeconds)
        if age > allowed { return "process \(processID) has not written it for \(age) s" }
        if wallSeconds.saturatingSubtract(now) > allowed {
            return "its time, \(timeText(wallSeconds)), is still to come"
        }
        return nil
    }
}
