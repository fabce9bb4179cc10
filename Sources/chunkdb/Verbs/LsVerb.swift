import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `ls`: the stored variants, in the order of the index.
struct LsVerb: ShellVerb {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "The stored variants, sorted by namespace, key and variant.",
        usage: "chunkdb PATH ls [--namespace NAME] [--prefix HEX] [--limit N] [--json]")

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Only keys that begin with these hexadecimal digits.")
    var prefix: KeyPrefix?

    @Option(help: "At most so many variants; how many more there are is said.")
    var limit: Int?

    var wantsJSON: Bool { store.json }

    func validate() throws {
        if let limit, limit < 0 { throw ValidationError("--limit must not be negative") }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let namespaces = try view.listing.namespaceIDs(namespace)
        let found = view.listing.entries(prefix: prefix, namespaces: namespaces)
        let shown = Array(found.prefix(limit ?? found.count))
        let report = LsReport(
            path: view.path, matchedCount: found.count,
            matchedDiskBytes: found.reduce(0) { $0 &+ $1.variantDiskBytes },
            variants: shown.map { LsReport.Variant($0, in: view.listing) })
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        view.warnOfDamage(on: console)
        return .fine
    }
}

/// The schema of `ls --json`.
struct LsReport: Encodable {
    struct Variant: Encodable {
        var key: String
        /// `0000000000000000` is the standalone, raw form.
        var variant: String
        var namespace: String
        var namespaceID: UInt32
        var tokenCount: UInt32
        /// All its records on disk, headers and padding included.
        var diskBytes: UInt64
        var isPinned: Bool

        init(_ entry: CheckpointEntry, in listing: Listing) {
            key = "\(entry.key)"
            variant = "\(entry.variant)"
            namespace = listing.name(of: entry.namespace)
            namespaceID = entry.namespace.raw
            tokenCount = entry.tokenCount
            diskBytes = entry.variantDiskBytes
            isPinned = entry.isPinned
        }
    }

    var verb = "ls"
    var path: String
    /// Before `--limit`.
    var matchedCount: Int
    var matchedDiskBytes: UInt64
    var variants: [Variant]

    func print(on console: Console) {
        var table = Table([
            ("KEY", .left), ("VARIANT", .left), ("TOKENS", .right), ("SIZE", .right),
            ("NAMESPACE", .left), ("PINNED", .left),
        ])
        let digits = Self.distinguishingDigits(variants.map(\.key))
        for variant in variants {
            table.add([
                String(variant.key.prefix(digits)),
                variant.variant == "\(VariantID.standalone)" ? "standalone" : variant.variant,
                "\(variant.tokenCount)", "\(ByteCount(variant.diskBytes))", variant.namespace,
                variant.isPinned ? "pinned" : "",
            ])
        }
        if !table.isEmpty { table.print(on: console) }
        let more = matchedCount - variants.count
        let limited = more == 0 ? "" : "; \(more) more behind --limit"
        let all = "\(counted(matchedCount, "variant")), \(ByteCount(matchedDiskBytes))\(limited)"
        console.print(console.painted(all, .dim))
    }

    /// How many digits keep the keys apart: 16, or more when some are that alike (callers may
    /// choose keys).
    static func distinguishingDigits(_ keys: [String]) -> Int {
        let keys = Set(keys)
        for digits in stride(from: 16, to: 64, by: 8) {
            if Set(keys.map { $0.prefix(digits) }).count == keys.count { return digits }
        }
        return 64
    }
}
