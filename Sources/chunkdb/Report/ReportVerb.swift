import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `report`: the store as one HTML file.
struct ReportVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Writes one self-contained HTML file: segments, space, distributions.",
        usage: "chunkdb PATH report --output FILE [--history FILE] [--json]",
        discussion: """
            The file must not exist. Names of the store and its namespaces are in it, and no \
            keys, tokens or planes. Uses and scores are those of the last checkpoint; ages cost \
            one read a variant. --history takes what `watch --count N --json` printed, and draws \
            space and hits over that time.
            """)

    @OptionGroup var store: StoreArguments

    @Option(name: [.short, .long], help: "The file to make.", completion: .file())
    var output: String

    @Option(help: "What `watch --json` printed of this store.", completion: .file())
    var history: String?

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let page = try ReportPage(view, history: history, on: console)
        let file = try NewFile(path: output)
        do throws(ShellError) {
            try file.append(Array(page.html.utf8))
        } catch {
            file.discard()
            throw error
        }
        let report = ReportReport(path: view.path, file: output, fileBytes: file.byteCount)
        if store.json {
            console.print(json: report)
        } else {
            console.print("\(printable(output)): \(ByteCount(report.fileBytes))")
        }
        view.warnOfDamage(on: console)
        return page.info.recovery.damages.isEmpty ? .fine : .damageFound
    }
}

/// The schema of `report --json`.
struct ReportReport: Encodable {
    var verb = "report"
    var path: String
    var file: String
    var fileBytes: UInt64
}

extension ReportPage {
    init(_ view: StoreView, history path: String?, on console: Console) throws(ShellError) {
        let described = InfoReport(view)
        // First: a file that is none should not cost a walk through the store.
        if let path {
            history = try SpaceHistory(path: path, storeID: described.storeID)
        } else {
            history = nil
        }
        let entries = view.listing.entries
        let map = try SegmentMap(view, on: console)
        let created = try view.creationSeconds(of: entries, on: console)
        let usages = entries.compactMap { view.usage(of: $0) }
        let now = console.clock.wallSeconds
        func age(_ seconds: UInt64) -> UInt64 { now - min(seconds, now) }
        struct Chunk: Hashable {
            let namespace: NamespaceID
            let key: ChunkKey
        }
        var forms: [Chunk: UInt64] = [:]
        for entry in entries {
            forms[Chunk(namespace: entry.namespace, key: entry.key), default: 0] += 1
        }
        info = described
        segments = map.segments
        freeFiles = view.inspection.freeSegments.map(\.file)
        space = SpaceReport(view, map)
        madeSeconds = now
        histograms = [
            .doubling(
                "Sizes on disk", unit: "variants", entries.map(\.variantDiskBytes),
                label: { "\(ByteCount($0))" }),
            .ages("Ages since they were put", unit: "variants", created.values.map(age)),
            .ages(
                "Time since the last use", unit: "variants that were used",
                usages.compactMap(\.lastUseSeconds).map(age)),
            .doubling("Forms of a chunk", unit: "chunks", Array(forms.values)),
            .doubling("Uses", unit: "variants", usages.map { UInt64($0.useCount) }),
            .even(
                "Scores under the retention policy", unit: "variants", usages.compactMap(\.score)),
        ]
    }
}
