import ArgumentParser
import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `repair TARGET`: copies every variant that verifies into a new store, and lists what did not.
/// The damaged store is only read: nothing is mended by guessing (CONTRACT L-2), and a repair that
/// went wrong can be repeated.
struct RepairVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Copies what verifies into a new store, and lists what does not.",
        usage: "chunkdb PATH repair TARGET [--dry-run] [--json] [--buffered]",
        discussion: """
            PATH is read and never changed; it must not be open elsewhere. TARGET is made, with \
            the capacity and segment size of PATH. What recovery drops for good reasons, removed \
            chunks and unacknowledged ones, is not brought back. Use counts are not carried over. \
            Nothing that is there changes, so nobody is asked.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The directory of the new store; there must be none yet.")
    var target: String

    @Flag(help: "Verify everything, say what would be copied and lost, and make nothing.")
    var dryRun = false

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        guard !view.isOpenElsewhere else {
            throw ShellError(
                .cannotOpen, "\(view.path) is open elsewhere; a repair needs it at rest")
        }
        var report = RepairReport(
            path: view.path, target: target, isDryRun: dryRun,
            damages: view.damages.map { DamageFacts($0) })
        let db = dryRun ? nil : try makeTarget(view)
        defer { CallerThread.wait { await db?.close() } }
        let entries = view.listing.entries
        let total = entries.reduce(UInt64(0)) { $0 &+ $1.variantDiskBytes }
        var progress = Progress("repairing", totalBytes: total, on: console)
        var done: UInt64 = 0
        for entry in entries {
            try Interruption.check()
            let salvage = Salvage(view: view, db: db, entry: entry)
            switch try wait({ () async throws(ShellError) in try await salvage.run() }) {
            case .copied: report.salvagedCount += 1
            case .lost(let damages): report.lose(entry, damages)
            }
            done = done &+ entry.variantDiskBytes
            progress.update(doneBytes: done)
        }
        do throws(StoreError) {
            try wait { () async throws(StoreError) in try await db?.barrier() }
        } catch {
            throw ShellError(.cannotWrite, "\(target): \(error)")
        }
        progress.finish()
        if store.json { console.print(json: report) } else { report.print(on: console) }
        return report.damages.isEmpty ? .fine : .damageFound
    }

    private func makeTarget(_ view: StoreView) throws(ShellError) -> ChunkDB {
        var options = StoreOptions(
            capacity: ByteCount(view.superblock.capacityBytes),
            segmentSize: ByteCount(view.superblock.segmentBytes))
        options.disk.buffered = store.buffered
        options.disk.engine = store.engine
        options.mustBeNew = true
        let chosen = options
        do throws(StoreError) {
            return try wait { () async throws(StoreError) in
                try await ChunkDB.open(at: target, options: chosen)
            }
        } catch {
            throw ShellError(.cannotWrite, "\(target): \(error)")
        }
    }
}

/// The way of one variant from a damaged store into a new one.
private struct Salvage: Sendable {
    enum Outcome: Sendable {
        case copied
        case lost([DamageFacts])
    }
    let view: StoreView
    /// `nil` where nothing is to be made.
    let db: ChunkDB?
    let entry: CheckpointEntry

    /// *Throws:* when the new store cannot take more; damage of the old one is an outcome.
    func run() async throws(ShellError) -> Outcome {
        // Verified in full first, so that the new store holds no half of anything.
        let stored = await view.verify(entry)
        guard stored.damages.isEmpty, let root = stored.root, let metadata = stored.metadata else {
            return .lost(stored.damages)
        }
        guard let description = view.listing.namespace(entry.namespace) else {
            return .lost([facts("NSP-10", "the description of its namespace is lost")])
        }
        let context = PrefixContext(
            prefix: metadata.recompute.prefix.map(\.key), basePosition: Int(root.basePosition))
        guard context.variantID == entry.variant else {
            return .lost([facts("IDY-4", "its variant number is not that of its prefix")])
        }
        guard let db else { return .copied }
        do {
            let space = try await db.namespace(description.name, model: description.binding)
            let sidecars = try await view.sidecars(of: stored)
            // One barrier for all at the end: before that the new store is of no use anyway.
            guard stored.codec == .raw else {
                var layers: [(keys: [UInt8], values: [UInt8])] = []
                for record in stored.records { layers += try await planes(of: record.header) }
                try await space.put(
                    entry.key, tokens: metadata.tokens, layers: layers, context: context,
                    domain: root.hashDomain, recompute: metadata.recompute,
                    detail: metadata.detail, pinned: root.retention == .pinned, preloading: true,
                    codec: stored.codec, sidecars: sidecars, durability: .written)
                return .copied
            }
            var writer = try await space.beginPut(
                entry.key, tokens: metadata.tokens, context: context, domain: root.hashDomain,
                detail: DetailRoom(for: metadata.detail, prefixCount: context.prefix.count),
                pinned: root.retention == .pinned, sidecars: sidecars)
            var layer = 0
            for record in stored.records {
                for pair in record.header.planePairs {
                    let planes = try await planes(pair, of: record.header)
                    try await writer.append(
                        layer: layer, keys: planes.keys, values: planes.values)
                    layer += 1
                }
            }
            _ = try await writer.commit(
                recompute: metadata.recompute, detail: metadata.detail, durability: .written)
            return .copied
        } catch let error as LogError {
            return .lost([
                DamageFacts(error, at: entry.location, of: entry, name: description.name)
            ])
        } catch StoreError.shape(let what, let expected, let found) {
            return .lost([facts("MET-4", "\(what): \(found), where \(expected) belong")])
        } catch {
            throw ShellError(
                .cannotWrite,
                "\(entry.key) could not be written: \(error)\n"
                    + "The new store is incomplete; remove it before the next attempt.")
        }
    }

    private func planes(of record: PayloadRecord) async throws(LogError)
        -> [(keys: [UInt8], values: [UInt8])]
    {
        var layers: [(keys: [UInt8], values: [UInt8])] = []
        for pair in record.planePairs { layers.append(try await planes(pair, of: record)) }
        return layers
    }

    private func planes(
        _ pair: (keys: ExtentRow, values: ExtentRow), of record: PayloadRecord
    ) async throws(LogError) -> (keys: [UInt8], values: [UInt8]) {
        (
            try await view.plane(pair.keys, of: record),
            try await view.plane(pair.values, of: record)
        )
    }

    private func facts(_ clause: String, _ reason: String) -> DamageFacts {
        DamageFacts(
            .format(
                FormatError(
                    .corrupt, structure: "variant", field: "", clause: clause,
                    expected: "all it takes to store it again", found: reason),
                file: StoreFiles.segment(entry.location.segment), offset: entry.location.offset),
            at: entry.location, of: entry, name: view.listing.name(of: entry.namespace))
    }
}

extension PayloadRecord {
    /// Of each layer, in order.
    fileprivate var planePairs: [(keys: ExtentRow, values: ExtentRow)] {
        let planes = extents.filter(\.isPlane)
        return stride(from: 0, to: planes.count - 1, by: 2).map { (planes[$0], planes[$0 + 1]) }
    }
}

/// The schema of `repair --json`.
struct RepairReport: Encodable {
    struct Lost: Encodable {
        var namespace: String
        var key: String
        var variant: String
    }
    var verb = "repair"
    var path: String
    var target: String
    /// Whether the new store was not made, and the rest is what would become of it.
    var isDryRun: Bool
    /// Variants that verified and are in the new store, durable.
    var salvagedCount = 0
    private(set) var lost: [Lost] = []
    /// The store's own structures first, then what each lost variant ran into.
    private(set) var damages: [DamageFacts]

    init(path: String, target: String, isDryRun: Bool, damages: [DamageFacts]) {
        (self.path, self.target, self.isDryRun) = (path, target, isDryRun)
        self.damages = damages
    }

    mutating func lose(_ entry: CheckpointEntry, _ found: [DamageFacts]) {
        lost.append(
            Lost(
                namespace: found.first?.namespace ?? "#\(entry.namespace)", key: "\(entry.key)",
                variant: "\(entry.variant)"))
        damages += found
    }

    func print(on console: Console) {
        for damage in damages { console.print(console.painted(printable(damage.text), .red)) }
        for variant in lost {
            console.print(
                "lost: \(variant.key) variant \(variant.variant) in \(printable(variant.namespace))"
            )
        }
        console.print(
            "\(counted(salvagedCount, "variant")) in \(printable(target)), "
                + "\(counted(lost.count, "variant")) lost"
                + (isDryRun ? ", not done (--dry-run)" : ""))
    }
}
