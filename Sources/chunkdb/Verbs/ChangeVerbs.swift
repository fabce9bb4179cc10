import ArgumentParser
import ChunkDB
import ChunkFormat
import Primitives

/// `rm KEY`: forgets a chunk, or one variant of it, for good.
struct RemoveVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Removes a chunk or one of its variants; durable when it returns.",
        usage: """
            chunkdb PATH rm KEY [--namespace NAME] [--variant HEX] [--yes] [--dry-run] [--json]
            """,
        discussion: Change.discussion)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments
    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        try Change(verb: "rm", does: "remove", store: store, chunk: chunk, write: write).run(
            on: console
        ) { (space, entry) async throws(StoreError) in
            try await space.remove(entry.key, variant: entry.variant)
        }
    }
}

/// `pin KEY`: no shortage takes it from now on.
struct PinVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "pin",
        abstract: "Pins a chunk's variants: no shortage takes them.",
        usage: """
            chunkdb PATH pin KEY [--namespace NAME] [--variant HEX] [--yes] [--dry-run] [--json]
            """,
        discussion: Change.discussion)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments
    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        try Change(verb: "pin", does: "pin", store: store, chunk: chunk, write: write).run(
            on: console
        ) { (space, entry) async throws(StoreError) in
            try await space.pin(entry.key, variant: entry.variant)
        }
    }
}

/// `unpin KEY`: the retention policy may take it again.
struct UnpinVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "unpin",
        abstract: "Makes a chunk's pinned variants evictable again.",
        usage: """
            chunkdb PATH unpin KEY [--namespace NAME] [--variant HEX] [--yes] [--dry-run] [--json]
            """,
        discussion: Change.discussion)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments
    @OptionGroup var write: WriteArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        try Change(verb: "unpin", does: "unpin", store: store, chunk: chunk, write: write).run(
            on: console
        ) { (space, entry) async throws(StoreError) in
            try await space.unpin(entry.key, variant: entry.variant)
        }
    }
}

/// What is common to them: variants of one chunk, named, agreed on, changed one after the other.
private struct Change {
    static let discussion = """
        Says what it will do and asks; --yes answers, --dry-run does nothing. Without --variant \
        all stored variants of the chunk are meant. The store must not be open elsewhere: it is \
        opened, which mends what recovery mends, and closed, which writes a checkpoint.
        """

    let verb: String
    let does: String
    let store: StoreArguments
    let chunk: ChunkArguments
    let write: WriteArguments

    func run(
        on console: Console,
        _ body: @escaping @Sendable (Namespace, CheckpointEntry) async throws(StoreError) -> Void
    ) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        try store.requireAtRest(view)
        let entries = try view.listing.variants(of: chunk)
        var report = ChangeReport(
            verb: verb, path: view.path,
            variants: entries.map { LsReport.Variant($0, in: view.listing) })
        let plan = report.variants.map {
            "\(does) \($0.key) variant \($0.variant) in \($0.namespace), "
                + "\(ByteCount($0.diskBytes))\($0.isPinned ? ", pinned" : "")"
        }
        view.warnOfDamage(on: console)
        if try write.mayGoOn(plan, on: console) {
            let names = entries.map { view.listing.name(of: $0.namespace) }
            let db = try store.openEngine(view)
            try db.change { db in
                for (entry, name) in zip(entries, names) {
                    guard let space = db.namespace(name) else {
                        throw ShellError(.notFound, "namespace \(name) cannot be used")
                    }
                    try await body(space, entry)
                }
            }
            report.isDone = true
        }
        if store.json { console.print(json: report) } else { report.print(on: console) }
        return .fine
    }
}

/// The schema of `rm --json`, `pin --json` and `unpin --json`.
struct ChangeReport: Encodable {
    var verb: String
    var path: String
    /// `false` after `--dry-run`.
    var isDone = false
    /// As they were before.
    var variants: [LsReport.Variant]

    init(verb: String, path: String, variants: [LsReport.Variant]) {
        (self.verb, self.path, self.variants) = (verb, path, variants)
    }

    func print(on console: Console) {
        let count = counted(variants.count, "variant")
        console.print(
            isDone ? "\(verb): \(count), done" : "\(verb): \(count), not done (--dry-run)")
    }
}
