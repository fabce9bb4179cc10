import ArgumentParser
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `variants`: chunks that are stored in several forms, and what tells these apart.
struct VariantsVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "variants",
        abstract: "Chunks stored in several forms: after which prefixes, how much they matter.",
        usage: "chunkdb PATH variants [--namespace NAME] [--prefix HEX] [--min N] [--json]",
        discussion: """
            Inter and intra are Cache-Craft's context impact: mean attention to what stood before \
            the chunk and within it, where they were captured. Chunks with the most forms first.
            """)

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Only keys that begin with these hexadecimal digits.")
    var prefix: KeyPrefix?

    @Option(help: "Only chunks of at least so many forms.")
    var min = 2

    @Option(help: "At most so many chunks; how many more there are is said.")
    var limit: Int?

    func validate() throws {
        guard min > 0, limit ?? 0 >= 0 else {
            throw ValidationError("--min counts from 1, and --limit must not be negative")
        }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entries = view.listing.entries(
            prefix: prefix, namespaces: try view.listing.namespaceIDs(namespace))
        // Variants of a chunk stand side by side.
        var chunks: [[CheckpointEntry]] = []
        for entry in entries {
            if let last = chunks.last?.last, last.namespace == entry.namespace,
                last.key == entry.key
            {
                chunks[chunks.count - 1].append(entry)
            } else {
                chunks.append([entry])
            }
        }
        let several = chunks.filter { $0.count >= min }
        // Stable: ties stay in the order of the index.
        let ordered = several.enumerated().sorted {
            ($1.element.count, $0.offset) < ($0.element.count, $1.offset)
        }.map(\.element)
        let shown = ordered.prefix(limit ?? ordered.count)
        var report = VariantsReport(
            path: view.path, formCountMin: min, chunkCount: chunks.count,
            matchedCount: several.count)
        for chunk in shown {
            try Interruption.check()
            let stored = CallerThread.wait { () async -> [StoredVariant] in
                var stored: [StoredVariant] = []
                for entry in chunk { stored.append(await view.open(entry)) }
                return stored
            }
            report.chunks.append(.init(stored, view))
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return report.chunks.contains { $0.variants.contains(where: \.isDamaged) }
            ? .damageFound : .fine
    }
}

/// The schema of `variants --json`.
struct VariantsReport: Encodable {
    struct Variant: Encodable {
        /// `0000000000000000` is the standalone, raw form.
        var variant: String
        var tokenCount: UInt32
        var diskBytes: UInt64
        /// Absent when the first record does not open; so the following.
        var basePosition: UInt32?
        var prefixChunkCount: Int?
        /// Context impact; absent when it was not captured.
        var interMean: Double?
        var intraMean: Double?
        /// Absent for what is newer than the last checkpoint.
        var usage: Usage?
        /// Whether a header does not open or agree.
        var isDamaged: Bool

        init(_ stored: StoredVariant, usage: Usage?) {
            variant = "\(stored.entry.variant)"
            tokenCount = stored.entry.tokenCount
            diskBytes = stored.entry.variantDiskBytes
            basePosition = stored.root?.basePosition
            let recompute = stored.metadata?.recompute
            prefixChunkCount = recompute?.prefix.count
            interMean = recompute?.contextImpact?.interMean.finite
            intraMean = recompute?.contextImpact?.intraMean.finite
            self.usage = usage
            isDamaged = !stored.damages.isEmpty
        }
    }
    struct Chunk: Encodable {
        var key: String
        var namespace: String
        var diskBytes: UInt64
        /// In order of their ids.
        var variants: [Variant]

        init(_ stored: [StoredVariant], _ view: StoreView) {
            key = "\(stored[0].entry.key)"
            namespace = view.listing.name(of: stored[0].entry.namespace)
            diskBytes = stored.reduce(0) { $0 &+ $1.entry.variantDiskBytes }
            variants = stored.map { Variant($0, usage: view.usage(of: $0.entry)) }
        }
    }
    var verb = "variants"
    var path: String
    /// How many forms were asked for at least.
    var formCountMin: Int
    /// That fit namespace and prefix.
    var chunkCount: Int
    /// Of them, those with enough forms; before `--limit`.
    var matchedCount: Int
    var chunks: [Chunk] = []

    init(path: String, formCountMin: Int, chunkCount: Int, matchedCount: Int) {
        (self.path, self.formCountMin) = (path, formCountMin)
        (self.chunkCount, self.matchedCount) = (chunkCount, matchedCount)
    }

    func print(on console: Console) {
        var table = Table([
            ("KEY", .left), ("VARIANT", .left), ("NAMESPACE", .left), ("POSITION", .right),
            ("PREFIX", .right), ("INTER", .right), ("INTRA", .right), ("SIZE", .right),
            ("USES", .right), ("LAST USE", .left), ("SCORE", .right),
        ])
        let digits = LsReport.distinguishingDigits(chunks.map(\.key))
        for chunk in chunks {
            for (index, form) in chunk.variants.enumerated() {
                table.add(
                    [
                        index == 0 ? String(chunk.key.prefix(digits)) : "",
                        VariantID.word(form.variant), index == 0 ? chunk.namespace : "",
                        form.basePosition.map { "\($0)" } ?? "DAMAGED",
                        form.prefixChunkCount.map { counted($0, "chunk") } ?? "?",
                        form.interMean.map { "\($0)" } ?? "", form.intraMean.map { "\($0)" } ?? "",
                        "\(ByteCount(form.diskBytes))",
                    ] + Usage.cells(form.usage))
            }
        }
        if !table.isEmpty { table.print(on: console) }
        let more = matchedCount - chunks.count
        let forms =
            formCountMin == 2 ? "several forms" : "\(counted(formCountMin, "form")) or more"
        console.print(
            console.painted(
                "\(matchedCount) of \(counted(chunkCount, "chunk")) in \(forms)"
                    + (more == 0 ? "" : "; \(more) more behind --limit"), .dim))
    }
}
