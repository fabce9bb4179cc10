import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `top`: the largest, hottest, coldest and most wasteful variants.
struct TopVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "The largest, hottest, coldest and most wasteful variants.",
        usage: "chunkdb PATH top [--namespace NAME] [--limit N] [--json]",
        discussion: """
            Hot and cold are by uses, then by the last use, as the last checkpoint counted them. \
            Waste is what a variant takes on disk beyond its planes: headers and padding.
            """)

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "So many of each.")
    var limit = 5

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit counts from 1") }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entries = view.listing.entries(namespaces: try view.listing.namespaceIDs(namespace))
        let overheads = try view.overheadBytes(of: entries, on: console)
        let rows = entries.map { entry in
            TopReport.Row(
                entry, in: view.listing, usage: view.usage(of: entry),
                overheadBytes: overheads[entry.location])
        }
        func first(_ rows: [TopReport.Row], _ isBefore: (TopReport.Row, TopReport.Row) -> Bool)
            -> [TopReport.Row]
        {
            Array(rows.sorted(by: isBefore).prefix(limit))
        }
        let known = rows.filter { $0.usage != nil }
        let report = TopReport(
            path: view.path,
            largest: first(rows) { $0.diskBytes > $1.diskBytes },
            hottest: first(known.filter { $0.heat > (0, 0) }) { $0.heat > $1.heat },
            coldest: first(known) { $0.heat < $1.heat },
            wasteful: first(rows.filter { $0.overheadBytes ?? 0 > 0 }) {
                $0.overheadBytes ?? 0 > $1.overheadBytes ?? 0
            })
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return .fine
    }
}

extension StoreView {
    /// What each variant takes beyond its planes; none for what does not open.
    fileprivate func overheadBytes(
        of entries: [CheckpointEntry], on console: Console
    ) throws(ShellError) -> [RecordLocation: UInt64] {
        var result: [RecordLocation: UInt64] = [:]
        var progress = Progress("opening headers", total: UInt64(entries.count), on: console)
        let reader = reader
        for (index, entry) in entries.enumerated() {
            try Interruption.check()
            let root = CallerThread.wait {
                try? await reader.payload(at: entry.location, headerBytes: entry.headerBytes).record
            }
            if let root {
                result[entry.location] =
                    entry.variantDiskBytes - min(root.variantBytes, entry.variantDiskBytes)
            }
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
        return result
    }
}

/// The schema of `top --json`. Each list has its first one first.
struct TopReport: Encodable {
    struct Row: Encodable {
        var key: String
        var variant: String
        var namespace: String
        var diskBytes: UInt64
        /// Headers and padding; absent when the first record does not open.
        var overheadBytes: UInt64?
        /// Absent for what is newer than the last checkpoint.
        var usage: Usage?

        init(
            _ entry: CheckpointEntry, in listing: Listing, usage: Usage?, overheadBytes: UInt64?
        ) {
            key = "\(entry.key)"
            variant = "\(entry.variant)"
            namespace = listing.name(of: entry.namespace)
            diskBytes = entry.variantDiskBytes
            self.overheadBytes = overheadBytes
            self.usage = usage
        }

        fileprivate var heat: (UInt32, UInt64) {
            (usage?.useCount ?? 0, usage?.lastUseSeconds ?? 0)
        }
    }
    var verb = "top"
    var path: String
    var largest: [Row]
    /// Used at least once.
    var hottest: [Row]
    var coldest: [Row]
    var wasteful: [Row]

    func print(on console: Console) {
        for (index, (title, rows)) in [
            ("largest", largest), ("hottest", hottest), ("coldest", coldest),
            ("most wasteful", wasteful),
        ].enumerated() {
            if index > 0 { console.print() }
            console.print(console.painted(title, .bold) + (rows.isEmpty ? ": none" : ""))
            if rows.isEmpty { continue }
            var table = Table([
                ("  KEY", .left), ("VARIANT", .left), ("NAMESPACE", .left), ("SIZE", .right),
                ("OVERHEAD", .right), ("USES", .right), ("LAST USE", .left), ("SCORE", .right),
            ])
            let digits = LsReport.distinguishingDigits(rows.map(\.key))
            for row in rows {
                table.add(
                    [
                        "  " + row.key.prefix(digits), VariantID.word(row.variant), row.namespace,
                        "\(ByteCount(row.diskBytes))",
                        row.overheadBytes.map { "\(ByteCount($0))" } ?? "?",
                    ] + Usage.cells(row.usage))
            }
            table.print(on: console)
        }
    }
}
