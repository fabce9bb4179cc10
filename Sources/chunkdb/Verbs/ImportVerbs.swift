import ArgumentParser
import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives

/// `import FILE …`: stores what `export --tokens` wrote, or a raw chunk of another cache.
struct ImportVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Stores variants from Safetensors files that `export --tokens` made.",
        usage: """
            chunkdb PATH import FILE… [--namespace NAME] [--yes] [--dry-run] [--json]
            chunkdb PATH import FILE --raw --namespace NAME --tokens FILE [--behind KEY… \
            --position N] [--yes] [--dry-run] [--json]
            """,
        discussion: Import.discussion + "\n\n" + """
            With --raw: one chunk as LMCache's local disk holds it, planes without a header in \
            the layout [2, layers, tokens, hidden]. The namespace must be there: its model says \
            what the bytes are, and their number must agree. A chunk that was not the first of \
            its prompt was computed behind others: name their keys, and where it began.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The files.", completion: .file(extensions: ["safetensors"]))
    var files: [String]

    @Option(help: "Into this namespace, not the one that a file names.")
    var namespace: String?

    @Flag(help: "A raw chunk: LMCache's [2, layers, tokens, hidden], without a header.")
    var raw = false

    @Option(help: "Of a raw chunk: its token ids, a JSON list.", completion: .file())
    var tokens: String?

    @Option(parsing: .upToNextOption, help: "Of a raw chunk: the chunks before it, whole keys.")
    var behind: [String] = []

    @Option(help: "Of a raw chunk: the position of its first token.")
    var position = 0

    @OptionGroup var write: WriteArguments

    func validate() throws {
        guard raw else {
            guard tokens == nil, behind.isEmpty, position == 0 else {
                throw ValidationError("--tokens, --behind and --position are for --raw")
            }
            return
        }
        guard files.count == 1, namespace != nil, tokens != nil else {
            throw ValidationError("--raw takes one file, --namespace and --tokens")
        }
        guard (0...Int(UInt32.max)).contains(position), (position > 0) == !behind.isEmpty else {
            throw ValidationError(
                "--behind and --position go together: what stood before, and where this began")
        }
        for key in behind where ChunkKey(hexadecimal: key) == nil {
            throw ValidationError("--behind \(key): not 64 hexadecimal digits")
        }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let task = Import(verb: "import", store: store, namespace: namespace, write: write)
        guard raw, let tokens, let namespace else { return try task.run(files, on: console) }
        let context = PrefixContext(
            prefix: behind.compactMap { ChunkKey(hexadecimal: $0) }, basePosition: position)
        return try task.runRaw(
            files[0], tokens: tokens, context: context, into: namespace, on: console)
    }
}

/// `load DIRECTORY`: stores what `dump` wrote.
struct LoadVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Stores the variants of a directory that `dump` made; goes on where it stopped.",
        usage: "chunkdb PATH load DIRECTORY [--namespace NAME] [--yes] [--dry-run] [--json]",
        discussion: Import.discussion)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The directory; its files KEY-VARIANT.safetensors.", completion: .directory)
    var directory: String

    @Option(help: "Into this namespace, not the one that a file names.")
    var namespace: String?

    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw ShellError(.cannotOpen, "\(directory): \(error.localizedDescription)")
        }
        let files = names.filter { $0.hasSuffix(".safetensors") }.sorted()
        guard !files.isEmpty else {
            throw ShellError(.notFound, "\(directory): no file ends in .safetensors")
        }
        return try Import(verb: "load", store: store, namespace: namespace, write: write)
            .run(files.map { "\(directory)/\($0)" }, on: console)
    }
}

private struct Import {
    static let discussion = """
        The model comes with the file; a namespace that is there must be bound to the same one, \
        another is made. What is present already is left as it is. A full store refuses, and \
        nothing is forgotten to make room. The store must not be open elsewhere.
        """

    let verb: String
    let store: StoreArguments
    let namespace: String?
    let write: WriteArguments

    func run(_ files: [String], on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        try store.requireAtRest(view)
        var report = ImportReport(verb: verb, path: view.path)
        let plan =
            "store \(counted(files.count, "file")) in \(view.path)"
            + (namespace.map { ", namespace \($0)" } ?? "")
        guard try write.mayGoOn([plan], on: console) else {
            for file in files { report.add(file, try ImportedVariant(file: file), "not done") }
            finish(report, on: console)
            return .fine
        }
        let db = try store.openEngine(view, evicts: false)
        let (chosen, began) = (namespace, report)
        report = try db.change { db in
            var report = began
            for file in files {
                try Interruption.check()
                let variant = try ImportedVariant(file: file)
                let name = chosen ?? variant.description.name
                let space = try await db.namespace(name, model: variant.description.binding)
                let outcome = try await variant.put(in: space)
                report.add(file, variant, outcome == .committed ? "stored" : "present")
            }
            try await db.barrier()
            return report
        }
        finish(report, on: console)
        return .fine
    }

    func runRaw(
        _ file: String, tokens: String, context: PrefixContext, into name: String,
        on console: Console
    ) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        try store.requireAtRest(view)
        guard let description = view.listing.namespaces.first(where: { $0.name == name }) else {
            throw ShellError(
                .notFound, "no namespace \"\(name)\"; a raw chunk does not say what model made it")
        }
        let chunk = try RawChunkFile(
            file: file, tokens: tokens, context: context, binding: description.binding)
        var report = ImportReport(verb: verb, path: view.path)
        let plan =
            "store \(counted(chunk.tokens.count, "token")) of \(file) in \(view.path), namespace "
            + "\(name), model \(description.binding.name), as chunk \(chunk.key) "
            + "variant \(context.variantID)"
        var outcome = "not done"
        if try write.mayGoOn([plan], on: console) {
            let db = try store.openEngine(view, evicts: false)
            outcome = try db.change { db in
                guard let space = db.namespace(name) else {
                    throw ShellError(.notFound, "namespace \(name) cannot be used")
                }
                return try await chunk.put(in: space) == .committed ? "stored" : "present"
            }
        }
        report.files.append(
            .init(
                file: file, key: "\(chunk.key)", variant: "\(context.variantID)",
                outcome: outcome))
        finish(report, on: console)
        return .fine
    }

    private func finish(_ report: ImportReport, on console: Console) {
        if store.json { console.print(json: report) } else { report.print(on: console) }
    }
}

/// The schema of `import --json` and `load --json`.
struct ImportReport: Encodable {
    struct File: Encodable {
        var file: String
        var key: String
        var variant: String
        /// `stored`, `present` already, or `not done` after `--dry-run`.
        var outcome: String
    }
    var verb: String
    var path: String
    var files: [File] = []

    init(verb: String, path: String) { (self.verb, self.path) = (verb, path) }

    mutating func add(_ file: String, _ variant: ImportedVariant, _ outcome: String) {
        files.append(
            File(
                file: file, key: "\(variant.key)", variant: "\(variant.context.variantID)",
                outcome: outcome))
    }

    func print(on console: Console) {
        for outcome in ["stored", "present", "not done"] {
            let count = files.count { $0.outcome == outcome }
            let word = outcome == "present" ? "there already" : outcome
            if count > 0 { console.print("\(counted(count, "variant")) \(word)") }
        }
    }
}
