import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `ls`: the stored variants, in the order of the index or another.
struct LsVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "The stored variants, by namespace, key and variant, or as --sort says.",
        usage: """
            chunkdb PATH ls [--namespace NAME] [--prefix HEX] [--sort ORDER] [--limit N] [--json]
            """,
        discussion: """
            Ages are written 90s, 15m, 12h, 7d, 4w; sizes 4096, 64KiB, 1.5GiB. Uses, last uses \
            and scores are those of the last checkpoint. Ages are in the records: asking for them \
            costs one read a variant.
            """)

    enum Order: String, CaseIterable, ExpressibleByArgument {
        case key, size, tokens, age, uses, used, score
    }

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Only keys that begin with these hexadecimal digits.")
    var prefix: KeyPrefix?

    @Option(help: "Only variants of at least so many bytes on disk.")
    var minSize: SizeArgument?

    @Option(help: "Only variants of at most so many bytes on disk.")
    var maxSize: SizeArgument?

    @Option(help: "Only what was put longer ago.")
    var olderThan: Age?

    @Option(help: "Only what was put since.")
    var newerThan: Age?

    @Option(help: "Only what scores less than this, or has no score yet.")
    var scoreBelow: Double?

    @Flag(help: "Only what is pinned.")
    var pinned = false

    @Option(
        help: """
            By key, size, tokens, age, uses, used (last) or score; all but key from the largest, \
            the oldest, the most used.
            """)
    var sort = Order.key

    @Flag(help: "The other way round.")
    var reverse = false

    @Flag(name: [.long, .short], help: "Also when it was put and how it is used.")
    var long = false

    @Option(help: "At most so many variants; how many more there are is said.")
    var limit: Int?

    @Option(help: "Leave out the first so many: the next page.")
    var offset = 0

    func validate() throws {
        if let limit, limit < 0 { throw ValidationError("--limit must not be negative") }
        guard offset >= 0 else { throw ValidationError("--offset must not be negative") }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let namespaces = try view.listing.namespaceIDs(namespace)
        var found = view.listing.entries(prefix: prefix, namespaces: namespaces).filter {
            $0.variantDiskBytes >= minSize?.bytes ?? 0
                && $0.variantDiskBytes <= maxSize?.bytes ?? .max && (!pinned || $0.isPinned)
        }
        if let scoreBelow {
            found.removeAll { (view.usage(of: $0)?.score ?? -.infinity) >= scoreBelow }
        }
        let needsAges = olderThan != nil || newerThan != nil || sort == .age
        var created: [RecordLocation: UInt64] = [:]
        if needsAges {
            created = try view.creationSeconds(of: found, on: console)
            let now = console.clock.wallSeconds
            found.removeAll { entry in
                // What does not open has no age.
                guard let seconds = created[entry.location] else {
                    return olderThan != nil || newerThan != nil
                }
                let age = now - min(seconds, now)
                return age < olderThan?.seconds ?? 0 || age > newerThan?.seconds ?? .max
            }
        }
        order(&found, view, created)
        let shown = Array(found.dropFirst(offset).prefix(limit ?? found.count))
        // What is sorted by is shown.
        let long = long || [.age, .uses, .used, .score].contains(sort)
        if long, !needsAges { created = try view.creationSeconds(of: shown, on: console) }
        let report = LsReport(
            path: view.path, matchedCount: found.count,
            matchedDiskBytes: found.reduce(0) { $0 &+ $1.variantDiskBytes }, offset: offset,
            variants: shown.map { entry in
                var variant = LsReport.Variant(entry, in: view.listing)
                if long {
                    variant.createdSeconds = created[entry.location]
                    variant.usage = view.usage(of: entry)
                }
                return variant
            })
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console, long: long)
        }
        view.warnOfDamage(on: console)
        return .fine
    }

    /// Stable, so that what ties stays in the order of the index.
    private func order(
        _ found: inout [CheckpointEntry], _ view: StoreView, _ created: [RecordLocation: UInt64]
    ) {
        func largestFirst(_ measure: (CheckpointEntry) -> Double) {
            let measured = found.map { (measure($0), $0) }
            found = measured.sorted { $0.0 > $1.0 }.map(\.1)
        }
        switch sort {
        case .key: break
        case .size: largestFirst { Double($0.variantDiskBytes) }
        case .tokens: largestFirst { Double($0.tokenCount) }
        case .age: largestFirst { -Double(created[$0.location] ?? .max) }
        case .uses: largestFirst { Double(view.usage(of: $0)?.useCount ?? 0) }
        case .used: largestFirst { Double(view.usage(of: $0)?.lastUseSeconds ?? 0) }
        case .score: largestFirst { view.usage(of: $0)?.score ?? -.infinity }
        }
        if reverse { found.reverse() }
    }
}

extension StoreView {
    /// When each variant was put, by the place of its first record; none for what does not open.
    /// *Complexity:* one read an entry. *Throws:* `.interrupted`.
    func creationSeconds(
        of entries: [CheckpointEntry], on console: Console
    ) throws(ShellError) -> [RecordLocation: UInt64] {
        var result: [RecordLocation: UInt64] = [:]
        var progress = Progress("reading ages", total: UInt64(entries.count), on: console)
        let reader = reader
        for (index, entry) in entries.enumerated() {
            try Interruption.check()
            let record = CallerThread.wait {
                try? await reader.payload(at: entry.location, headerBytes: entry.headerBytes).record
            }
            result[entry.location] = record?.createdSeconds
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
        return result
    }
}
