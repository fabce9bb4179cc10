import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `verify`: reads every live record and compares it with its seals and digests; changes nothing.
struct VerifyVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads and checks everything that is stored; exit code 1 on damage.",
        usage: "chunkdb PATH verify [--namespace NAME] [--json] [--buffered]")

    /// Variants on their way at once, enough to keep a device busy while digests are computed; of
    /// large ones fewer, so that the progress bar moves.
    private static let depth = 8
    private static let batchBytesMax: UInt64 = 64 << 20

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let began = console.clock.monotonicNanoseconds
        let view = try store.openStore()
        let namespaces = try view.listing.namespaceIDs(namespace)
        // In the order of the medium.
        let entries = view.listing.entries(namespaces: namespaces).sorted {
            ($0.location.segment, $0.location.offset) < ($1.location.segment, $1.location.offset)
        }
        var report = VerifyReport(
            path: view.path, isOpenElsewhere: view.isOpenElsewhere,
            damages: view.damages.map { DamageFacts($0) })
        let total = entries.reduce(UInt64(0)) { $0 &+ $1.variantDiskBytes }
        var progress = Progress("verifying", totalBytes: total, on: console)
        var done: UInt64 = 0
        var next = entries[...]
        while !next.isEmpty {
            try Interruption.check()
            let batch = Self.batch(next)
            next = next.dropFirst(batch.count)
            for stored in Self.verify(batch, view) { report.add(stored) }
            done = batch.reduce(done) { $0 &+ $1.variantDiskBytes }
            progress.update(doneBytes: done)
        }
        progress.finish()
        if view.isOpenElsewhere, !report.damages.isEmpty { try lookAgain(&report) }
        report.elapsedSeconds = Double(console.clock.monotonicNanoseconds - began) / 1e9
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        return report.damages.isEmpty ? .fine : .damageFound
    }

    /// Beside a writer, only what a second look finds as well is damage; the rest was a race.
    private func lookAgain(_ report: inout VerifyReport) throws(ShellError) {
        let view = try store.openStore()
        let suspects = Set(report.damages.map(\.variantName))
        let entries = view.listing.entries.filter {
            suspects.contains(DamageFacts.variantName(of: $0, in: view.listing))
        }
        var found = Set(view.damages.map { DamageFacts($0) })
        for entry in entries { found.formUnion(Self.verify([entry], view)[0].damages) }
        report.damages.removeAll { !found.contains($0) }
    }

    private static func batch(_ entries: ArraySlice<CheckpointEntry>) -> [CheckpointEntry] {
        var bytes: UInt64 = 0
        let batch = entries.prefix(depth).prefix { entry in
            bytes = bytes &+ entry.variantDiskBytes
            return bytes <= batchBytesMax
        }
        return Array(batch.isEmpty ? entries.prefix(1) : batch)
    }

    /// Results in the order of the batch.
    private static func verify(_ batch: [CheckpointEntry], _ view: StoreView) -> [StoredVariant] {
        CallerThread.wait {
            await withTaskGroup(of: (Int, StoredVariant).self) { group in
                for (index, entry) in batch.enumerated() {
                    group.addTask { (index, await view.verify(entry)) }
                }
                var results: [(Int, StoredVariant)] = []
                for await result in group { results.append(result) }
                return results.sorted { $0.0 < $1.0 }.map(\.1)
            }
        }
    }
}

/// The schema of `verify --json`.
struct VerifyReport: Encodable {
    var verb = "verify"
    var path: String
    /// Whether a process is seen to hold the lock: damage may then be a race with its writes.
    var isOpenElsewhere: Bool
    var variantCount = 0
    private(set) var damagedVariantCount = 0
    /// Records whose header opened.
    var recordCount = 0
    /// Of those records, headers and padding included.
    var verifiedBytes: UInt64 = 0
    var elapsedSeconds = 0.0
    /// The store's own structures first, then records in the order of the medium.
    var damages: [DamageFacts] {
        didSet {
            damagedVariantCount = Set(damages.filter { $0.key != nil }.map(\.variantName)).count
        }
    }

    init(path: String, isOpenElsewhere: Bool, damages: [DamageFacts]) {
        self.path = path
        self.isOpenElsewhere = isOpenElsewhere
        self.damages = damages
    }

    mutating func add(_ stored: StoredVariant) {
        variantCount += 1
        recordCount += stored.records.count
        verifiedBytes = stored.records.reduce(verifiedBytes) {
            $0 &+ $1.header.prefix.recordBytes
        }
        if !stored.damages.isEmpty { damages += stored.damages }
    }

    func print(on console: Console) {
        for damage in damages { console.print(console.painted(printable(damage.text), .red)) }
        if isOpenElsewhere, !damages.isEmpty {
            console.warn("the store is open elsewhere; damage may be a race with its writes")
        }
        let seconds = (elapsedSeconds * 10).rounded() / 10
        console.print(
            "\(counted(variantCount, "variant")), \(counted(recordCount, "record")), "
                + "\(ByteCount(verifiedBytes)) verified in \(seconds) s")
        if damages.isEmpty {
            console.print(console.painted("no damage", .green))
        } else {
            console.print(
                console.painted(
                    "DAMAGED: \(counted(damages.count, "place")), "
                        + "\(counted(damagedVariantCount, "variant"))", .red))
        }
    }
}
