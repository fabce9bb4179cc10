import ArgumentParser
import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

/// `hexdump`: bytes of the store with what each of them means, as the goldens of format-spec show
/// them. Payload is never printed.
struct HexdumpVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "hexdump",
        abstract: "The headers of a chunk's records, or a file, field by field.",
        usage: """
            chunkdb PATH hexdump KEY [--namespace NAME] [--variant HEX] [--rows N] [--json]
            chunkdb PATH hexdump --file NAME [--rows N] [--json]
            """,
        discussion: """
            Of a segment file its header, its commits and the headers they name are shown. Token \
            ids, which are the text in clear, are left out without --tokens, and the store's \
            secret, in the superblock, always.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "A chunk key, or the beginning of one: hexadecimal digits.")
    var key: KeyPrefix?

    @Option(help: "Only in this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Only this variant: 16 hexadecimal digits; zeros for the standalone one.")
    var variant: VariantID?

    @Option(help: "A file of the store instead: superblock, journal-0, checkpoint, segments/…")
    var file: String?

    @Option(help: "At most so many rows of a table; how many more there are is said.")
    var rows = 64

    @Flag(help: "Token ids as well, which are the text in clear.")
    var tokens = false

    func validate() throws {
        guard (key == nil) != (file == nil) else {
            throw ValidationError("give a KEY, or --file NAME")
        }
        guard rows >= 0 else { throw ValidationError("--rows must not be negative") }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        var report = HexdumpReport(path: view.path)
        if let key {
            for entry in try view.listing.variants(
                of: key, namespace: namespace, variant: variant)
            {
                report.parts += dump(entry, view)
            }
        } else if let file {
            report.parts.append(.init(file: file, lines: lines(try dump(file: file, view))))
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return report.parts.contains(where: \.isDamaged) ? .damageFound : .fine
    }

    private func annotator(_ view: StoreView) -> Annotator {
        Annotator(secret: view.superblock.secret, rowCountMax: rows)
    }

    /// Without what must not be shown.
    private func lines(_ annotator: Annotator) -> [HexdumpReport.Line] {
        annotator.lines.filter { tokens || !$0.name.hasPrefix("tokens[") }.map { line in
            var line = line
            if line.name == "secret" { (line.hex, line.meaning) = ("", "not shown") }
            return HexdumpReport.Line(line)
        }
    }

    private func dump(_ entry: CheckpointEntry, _ view: StoreView) -> [HexdumpReport.Part] {
        let stored = CallerThread.wait { await view.open(entry) }
        var places = [(entry.location, entry.headerBytes)]
        places += (stored.root?.siblings ?? []).map { ($0.location, $0.headerBytes) }
        return places.map { location, headerBytes in
            let handle = view.reader.segments[location.segment]
            let bytes = handle.flatMap { handle in
                read(view.disk, handle.file, at: location.offset, count: Int(headerBytes))
            }
            var annotator = annotator(view)
            annotator.headerRegion(
                bytes ?? [], at: location, unit: view.superblock.alignmentUnit,
                key: handle?.recordKey)
            return HexdumpReport.Part(
                file: StoreFiles.segment(location.segment), lines: lines(annotator))
        }
    }

    private func dump(file name: String, _ view: StoreView) throws(ShellError) -> Annotator {
        let disk = view.disk
        let known =
            [StoreFiles.superblock, StoreFiles.checkpoint, StoreFiles.heat]
            + StoreFiles.journals
        let prefix = "\(StoreFiles.segments)/"
        let segment =
            name.hasPrefix(prefix)
            ? StoreFiles.segmentID(fileName: String(name.dropFirst(prefix.count))) : nil
        guard known.contains(name) || segment != nil else {
            throw ShellError(
                .usage,
                "\(name): no file of a store; there are \(known.joined(separator: ", ")) "
                    + "and \(prefix)NUMBER")
        }
        let opened = CallerThread.wait { () async -> (FileID, UInt64)? in
            guard let file = try? await disk.open(name, .read) else { return nil }
            return (file, (try? await disk.byteCount(of: file)) ?? 0)
        }
        guard let (file, byteCount) = opened else {
            throw ShellError(.notFound, "\(name) is not there")
        }
        defer { CallerThread.wait { await disk.close(file) } }
        // The annotator asks for small pieces anywhere; disks serve whole units.
        let source: AnnotatorSource = { offset, count in
            let start = offset / 4_096 * 4_096
            let end = aligned(Int(offset - start) + count, to: 4_096)
            let bytes = read(disk, file, at: start, count: end) ?? []
            return Array(bytes.dropFirst(Int(offset - start)).prefix(count))
        }
        var annotator = annotator(view)
        if let segment {
            annotator.segmentFile(source, segment: segment)
        } else if name == StoreFiles.superblock {
            annotator.superblockFile(source)
        } else if name == StoreFiles.checkpoint {
            annotator.checkpointFile(source, fileBytes: byteCount)
        } else if name == StoreFiles.heat {
            annotator.heatFile(source, fileBytes: byteCount)
        } else {
            let copy = StoreFiles.journals.firstIndex(of: name) ?? 0
            annotator.journalFile(source, fileBytes: byteCount, copyIndex: UInt32(copy))
        }
        return annotator
    }
}

private func read(_ disk: any Disk, _ file: FileID, at offset: UInt64, count: Int) -> [UInt8]? {
    CallerThread.wait { try? await disk.readBytes(file, at: offset, byteCount: count) }
}

/// The schema of `hexdump --json`.
struct HexdumpReport: Encodable {
    struct Line: Encodable {
        /// How deep it stands below the structure it belongs to.
        var depth: Int
        /// From the file's first byte.
        var offset: UInt64
        var byteCount: UInt64
        /// Empty for lines that cover a range of others.
        var hex: String
        var name: String
        var meaning: String

        init(_ line: AnnotationLine) {
            depth = line.depth
            offset = line.offset
            byteCount = line.byteCount
            hex = line.hex
            name = line.name
            meaning = line.meaning
            text = line.text
        }

        fileprivate let text: String
        enum CodingKeys: CodingKey { case depth, offset, byteCount, hex, name, meaning }
    }
    struct Part: Encodable {
        var file: String
        var lines: [Line]

        /// Whether a decoder complained.
        var isDamaged: Bool {
            lines.contains { $0.name.hasPrefix("✗") || $0.meaning.hasPrefix("✗") }
        }
    }
    var verb = "hexdump"
    var path: String
    /// One for each record, or one for the file.
    var parts: [Part] = []

    init(path: String) { self.path = path }

    func print(on console: Console) {
        for (index, part) in parts.enumerated() {
            if index > 0 { console.print() }
            console.print(console.painted(printable(part.file), .bold))
            for line in part.lines {
                let isBad = line.name.hasPrefix("✗") || line.meaning.hasPrefix("✗")
                let text = printable(line.text)
                console.print(isBad ? console.painted(text, .red) : text)
            }
        }
    }
}
