import ArgumentParser
import ChunkFormat

/// `layout`: the format of this program, structure by structure; the tables of format-spec.
struct LayoutVerb: ShellVerb {
    static let configuration = CommandConfiguration(
        commandName: "layout",
        abstract: "The on-disk format, field by field; needs no store.",
        usage: "chunkdb layout [STRUCTURE] [--json]",
        discussion: """
            All numbers are little-endian. What fields mean, and who checks them, is said in \
            format-spec, in the file named beside each structure.
            """)

    @Argument(help: "Only this structure, for example recordPrefix.")
    var structure: String?

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    @Flag(name: [.short, .long], help: "Print nothing but errors; the exit code tells.")
    var quiet = false

    var wantsJSON: Bool { json }
    var isQuiet: Bool { quiet }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        var report = LayoutReport()
        if let structure {
            let known = report.structures.map(\.name)
            report.structures.removeAll { $0.name != structure }
            guard !report.structures.isEmpty else {
                throw ShellError(
                    .notFound,
                    "\(structure): no structure; there are \(known.joined(separator: ", "))")
            }
        }
        if json { console.print(json: report) } else { report.print(on: console) }
        return .fine
    }
}

/// The schema of `layout --json`.
struct LayoutReport: Encodable {
    struct Field: Encodable {
        var offset: Int
        var byteCount: Int
        /// As format-spec writes it: `u8`, `u16`, `u32`, `u64`, `f32`, `digest`, `bytes`, `zero`.
        var type: String
        var name: String
    }
    struct Structure: Encodable {
        var name: String
        /// In format-spec.
        var document: String
        var byteCount: Int
        var fields: [Field]
    }
    var verb = "layout"
    var formatVersion = Int(Superblock.formatVersion)
    var structures = AllLayouts.byDocument.flatMap { document, layouts in
        layouts.map { layout in
            Structure(
                name: layout.name, document: document, byteCount: layout.byteCount,
                fields: layout.fields.map {
                    Field(
                        offset: $0.offset, byteCount: $0.type.byteCount, type: $0.type.name,
                        name: $0.name)
                })
        }
    }

    func print(on console: Console) {
        for (index, structure) in structures.enumerated() {
            if index > 0 { console.print() }
            console.print(
                console.painted(structure.name, .bold)
                    + ", \(structure.byteCount) bytes, format-spec/\(structure.document)")
            var table = Table([
                ("  OFFSET", .right), ("WIDTH", .right), ("TYPE", .left), ("NAME", .left),
            ])
            for field in structure.fields {
                table.add(["\(field.offset)", "\(field.byteCount)", field.type, field.name])
            }
            table.print(on: console)
        }
    }
}
