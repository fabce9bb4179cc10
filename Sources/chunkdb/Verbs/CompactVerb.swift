import ArgumentParser
import ChunkDB
import ChunkFormat
import Primitives
import SegmentLog

/// `compact`: gives back what cleaning would return.
struct CompactVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Copies together what lives in half-dead segments; gives the rest back.",
        usage: "chunkdb PATH compact [--yes] [--dry-run] [--json]",
        discussion: """
            Segments of which a quarter or more is dead are copied, the deadest first, and their \
            files, and free ones, go back to the file system. Nothing that lives is forgotten; \
            what has no room to be copied stays. A store that lives full gains nothing for long: \
            it would use the same files again. The store must not be open elsewhere.
            """)

    @OptionGroup var store: StoreArguments
    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        try store.requireAtRest(view)
        var report = CompactReport(view, try SegmentMap(view, on: console))
        view.warnOfDamage(on: console)
        if try write.mayGoOn(report.plan, on: console) {
            let db = try store.openEngine(view, evicts: false)
            let done = try db.change { db in try await db.compact() }
            report.movedBytes = done.movedBytes
            report.freedSegmentCount = done.freedSegmentCount
            report.isDone = true
            report.allocatedBytesAfter = try store.openStore().allocatedBytes()
                .reduce(0) { $0 &+ $1.bytes }
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        return .fine
    }
}

/// The schema of `compact --json`.
struct CompactReport: Encodable {
    var verb = "compact"
    var path: String
    /// `false` after `--dry-run`.
    var isDone = false
    /// Segments that are dead enough.
    var segmentCount: Int
    /// What lives in them, and is copied.
    var liveBytes: UInt64
    /// What does not: the gain, but for headers and commits of the copies.
    var deadBytes: UInt64
    /// Of files whose last use has ended.
    var freeBytes: UInt64
    /// Of all files.
    var allocatedBytesBefore: UInt64
    /// The following are absent after `--dry-run`.
    var allocatedBytesAfter: UInt64?
    var movedBytes: UInt64?
    var freedSegmentCount: UInt64?

    init(_ view: StoreView, _ map: SegmentMap) {
        let dead = map.segments.filter {
            Double($0.deadBytes) >= ChunkDB.deadShareMin * Double($0.usedBytes)
        }
        path = view.path
        segmentCount = dead.count
        liveBytes = dead.reduce(0) { $0 &+ $1.liveBytes }
        deadBytes = dead.reduce(0) { $0 &+ $1.deadBytes }
        freeBytes = view.inspection.freeSegments.reduce(0) { $0 &+ $1.byteCount }
        allocatedBytesBefore = view.allocatedBytes().reduce(0) { $0 &+ $1.bytes }
    }

    var returnableBytes: UInt64 { deadBytes.saturatingAdd(freeBytes) }

    var plan: [String] {
        [
            "copy \(ByteCount(liveBytes)) out of \(counted(segmentCount, "segment")), give up to "
                + "\(ByteCount(returnableBytes)) back: \(ByteCount(deadBytes)) "
                + "dead, \(ByteCount(freeBytes)) free"
        ]
    }

    func print(on console: Console) {
        guard isDone, let after = allocatedBytesAfter else {
            return console.print("compact: not done (--dry-run)")
        }
        console.print(
            "compact: \(ByteCount(movedBytes ?? 0)) copied, files took "
                + "\(ByteCount(allocatedBytesBefore)) and take \(ByteCount(after)), done")
    }
}
