import ArgumentParser
import ChunkDB
import ChunkFormat
import Primitives
import SegmentLog

/// `set-capacity SIZE`: another budget.
struct SetCapacityVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "set-capacity",
        abstract: "Gives the store another budget; a smaller one forgets until files fit.",
        usage: "chunkdb PATH set-capacity SIZE [--yes] [--dry-run] [--json]",
        discussion: """
            Says what it will do and asks; --yes answers, --dry-run does nothing. What is pinned \
            stays, and a budget that would not hold it beside room to clean is refused. A crash \
            leaves the old budget or the new one. The budget that a process names when it opens \
            a store counts for new stores only; shares and quotas of its namespaces are not known \
            here, and it refuses to open where they do not fit. The store must not be open \
            elsewhere: it is opened, which mends what recovery mends, and closed, which writes a \
            checkpoint.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "In bytes on the medium, for example 200GiB.")
    var size: SizeArgument

    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        try store.requireAtRest(view)
        var report = CapacityReport(view, wanted: size.bytes)
        try report.requireSound()
        view.warnOfDamage(on: console)
        if try write.mayGoOn(report.plan, on: console) {
            let bytes = report.newCapacityBytes
            let db = try store.openEngine(view)
            report.forgottenCount = try db.change { db in
                try await db.setCapacity(ByteCount(bytes))
                return db.counters.evictedCount
            }
            report.isDone = true
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        return .fine
    }
}

/// The schema of `set-capacity --json`.
struct CapacityReport: Encodable {
    var verb = "set-capacity"
    var path: String
    /// `false` after `--dry-run`.
    var isDone = false
    var oldCapacityBytes: UInt64
    /// Rounded down to blocks.
    var newCapacityBytes: UInt64
    /// Of all files, as they were before.
    var allocatedBytes: UInt64
    var pinnedBytes: UInt64
    /// What the new budget lets be pinned.
    var pinnableBytes: UInt64
    /// Variants that were forgotten to fit; absent after `--dry-run`.
    var forgottenCount: UInt64?
    private let wantedBytes: UInt64
    private let leastBytes: UInt64

    enum CodingKeys: CodingKey {
        case verb, path, isDone, oldCapacityBytes, newCapacityBytes, allocatedBytes, pinnedBytes
        case pinnableBytes, forgottenCount
    }

    init(_ view: StoreView, wanted: UInt64) {
        let superblock = view.superblock
        path = view.path
        oldCapacityBytes = superblock.capacityBytes
        wantedBytes = wanted
        newCapacityBytes = wanted & ~(UInt64(superblock.alignmentUnit) - 1)
        allocatedBytes = view.allocatedBytes().reduce(0) { $0 &+ $1.bytes }
        // Sizes are what the index says, which may be anything.
        pinnedBytes = view.listing.entries.filter(\.isPinned)
            .reduce(0) { $0.saturatingAdd($1.variantDiskBytes) }
        pinnableBytes =
            ChunkDB.pinnableBytes(
                capacity: ByteCount(newCapacityBytes),
                segmentSize: ByteCount(superblock.segmentBytes)
            ).bytes
        leastBytes = SegmentLog.capacityBytesMin(unit: UInt64(superblock.alignmentUnit))
    }

    /// As the engine will say it, and before anything is opened to write.
    func requireSound() throws(ShellError) {
        guard newCapacityBytes >= leastBytes else {
            throw ShellError(
                .usage,
                "\(ByteCount(wantedBytes)): a store has at least \(ByteCount(leastBytes))")
        }
        guard pinnedBytes <= pinnableBytes else {
            throw ShellError(
                .usage,
                "\(ByteCount(pinnedBytes)) are pinned, and under \(ByteCount(newCapacityBytes)) "
                    + "only \(ByteCount(pinnableBytes)) may be; unpin some")
        }
    }

    var plan: [String] {
        var lines = [
            "capacity of \(path): \(ByteCount(newCapacityBytes)), "
                + "\(ByteCount(oldCapacityBytes)) before"
        ]
        if allocatedBytes > newCapacityBytes {
            lines.append(
                "files take \(ByteCount(allocatedBytes)): dead bytes go first, then the least "
                    + "worthy variants, until they fit")
        } else if newCapacityBytes < oldCapacityBytes {
            lines.append(
                "files take \(ByteCount(allocatedBytes)): little or nothing has to be forgotten")
        }
        return lines
    }

    func print(on console: Console) {
        guard isDone else { return console.print("set-capacity: not done (--dry-run)") }
        let forgotten = counted(forgottenCount ?? 0, "variant")
        console.print(
            "set-capacity: \(ByteCount(newCapacityBytes)), \(forgotten) forgotten, done")
    }
}
