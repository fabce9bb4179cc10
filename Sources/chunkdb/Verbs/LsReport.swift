import ChunkFormat
import Primitives

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
        /// Only with `--long`; absent when the record does not open.
        var createdSeconds: UInt64?
        /// Only with `--long`; absent for what is newer than the last checkpoint.
        var usage: Usage?

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
    /// Before `--offset` and `--limit`.
    var matchedCount: Int
    var matchedDiskBytes: UInt64
    /// How many of them stand before the first one here.
    var offset: Int
    var variants: [Variant]

    func print(on console: Console, long: Bool = false) {
        let heat: [(String, Table.Alignment)] = [
            ("PUT", .left), ("USES", .right), ("LAST USE", .left), ("SCORE", .right),
        ]
        var table = Table(
            [
                ("KEY", .left), ("VARIANT", .left), ("TOKENS", .right), ("SIZE", .right),
                ("NAMESPACE", .left), ("PINNED", .left),
            ] + (long ? heat : []))
        let digits = Self.distinguishingDigits(variants.map(\.key))
        for variant in variants {
            table.add(
                [
                    String(variant.key.prefix(digits)), VariantID.word(variant.variant),
                    "\(variant.tokenCount)", "\(ByteCount(variant.diskBytes))",
                    variant.namespace, variant.isPinned ? "pinned" : "",
                ]
                    + (long
                        ? [variant.createdSeconds.map { timeText($0) } ?? "?"]
                            + Usage.cells(variant.usage) : []))
        }
        if !table.isEmpty { table.print(on: console) }
        let next = offset + variants.count
        let more = max(matchedCount - next, 0)
        let page = offset == 0 ? "" : " (next: --offset \(next))"
        let limited = more == 0 ? "" : "; \(more) more behind --limit\(page)"
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
