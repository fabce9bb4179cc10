import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `space`: where the bytes of the store are, and how many it takes to keep one.
struct SpaceVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "space",
        abstract: "Where the bytes are: planes, headers, dead, metadata; and the amplification.",
        usage: "chunkdb PATH space [--json]")

    @OptionGroup var store: StoreArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let report = try SpaceReport(view, SegmentMap(view, on: console))
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        view.warnOfDamage(on: console)
        return .fine
    }
}

/// The schema of `space --json`. Bytes on the medium: `planeBytes` to `freeBytes` and the
/// files together are `allocatedBytes`, unless a process writes meanwhile.
struct SpaceReport: Encodable {
    struct File: Encodable {
        var file: String
        var bytes: UInt64
    }

    var verb = "space"
    var path: String
    var capacityBytes: UInt64
    var allocatedBytes: UInt64
    /// Planes of living variants, without padding.
    var planeBytes: UInt64
    /// Header regions and padding of living records.
    var headerBytes: UInt64
    /// Used in segments, and not living; segment headers and commit slots included.
    var deadBytes: UInt64
    /// Allocated in segments behind their last byte in use.
    var unwrittenBytes: UInt64
    /// Allocated in segments whose last use has ended, to be used again.
    var freeBytes: UInt64
    /// What `compact` would give back, of dead and free bytes, but for headers of its copies.
    var returnableBytes: UInt64
    /// Superblock, journals, checkpoint and heat table, as they stand.
    var files: [File]
    /// Allocated bytes for each byte of a living plane; absent in a store that holds none.
    var amplification: Double?

    init(_ view: StoreView, _ map: SegmentMap) {
        let allocated = view.allocatedBytes()
        let segmentPrefix = "\(StoreFiles.segments)/"
        let inSegments = allocated.filter { $0.file.hasPrefix(segmentPrefix) }
            .reduce(UInt64(0)) { $0 &+ $1.bytes }
        let used = map.segments.reduce(UInt64(0)) { $0 &+ $1.usedBytes }
        let live = map.segments.reduce(UInt64(0)) { $0 &+ $1.liveBytes }
        path = view.path
        capacityBytes = view.superblock.capacityBytes
        allocatedBytes = allocated.reduce(0) { $0 &+ $1.bytes }
        planeBytes = map.planeBytes
        headerBytes = live - min(map.planeBytes, live)
        deadBytes = used - min(live, used)
        let freeFiles = Set(view.inspection.freeSegments.map(\.file))
        let free = allocated.filter { freeFiles.contains($0.file) }
            .reduce(UInt64(0)) { $0 &+ $1.bytes }
        freeBytes = free
        unwrittenBytes = inSegments - min(used + free, inSegments)
        files = allocated.filter { !$0.file.hasPrefix(segmentPrefix) }
            .map { File(file: $0.file, bytes: $0.bytes) }
        returnableBytes = CompactReport(view, map).returnableBytes
        amplification = planeBytes > 0 ? Double(allocatedBytes) / Double(planeBytes) : nil
    }

    func print(on console: Console) {
        var table = Table([("WHERE", .left), ("BYTES", .right), ("SHARE", .right)])
        func add(_ name: String, _ bytes: UInt64) {
            let share = allocatedBytes == 0 ? 0 : Double(bytes) / Double(allocatedBytes) * 100
            table.add([name, "\(ByteCount(bytes))", "\((share * 10).rounded() / 10) %"])
        }
        add("living planes", planeBytes)
        add("their headers and padding", headerBytes)
        add("dead, segment headers, commits", deadBytes)
        add("allocated ahead", unwrittenBytes)
        add("free segments", freeBytes)
        for file in files { add(file.file, file.bytes) }
        table.print(on: console)
        let ratio = amplification.map { "; \(($0 * 1_000).rounded() / 1_000) for a byte of planes" }
        console.print(
            console.painted(
                "\(ByteCount(allocatedBytes)) allocated of \(ByteCount(capacityBytes)) capacity"
                    + (ratio ?? ""), .dim))
        console.print(
            console.painted("compacting would return \(ByteCount(returnableBytes))", .dim))
    }
}
