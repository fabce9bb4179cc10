import ArgumentParser
import ChunkDB
import Foundation
import Primitives

/// `import FILE …`: stores what `export --tokens` wrote.
struct ImportVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Stores variants from Safetensors files that `export --tokens` made.",
        usage: "chunkdb PATH import FILE… [--namespace NAME] [--yes] [--dry-run] [--json]",
        discussion: Import.discussion)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The files.", completion: .file(extensions: ["safetensors"]))
    var files: [String]

    @Option(help: "Into this namespace, not the one that a file names.")
    var namespace: String?

    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        try Import(verb: "import", store: store, namespace: namespace, write: write)
            .run(files, on: console)
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
            if count > 0 { console.print("\(counted(count, "variant")) \(outcome)") }
        }
    }
}
