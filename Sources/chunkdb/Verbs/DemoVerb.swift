import ArgumentParser
import Attention
import AttentionFeed
import ChunkDB
import Foundation

/// `demo`: the main job end to end: documents in, chunk KV on flash, attention fed, answers out.
struct DemoVerb: ShellVerb {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract:
            "Stores documents' KV, reopens the store, answers questions three ways.",
        discussion: """
            Every document is cut into chunks; each is prefilled alone, its KV stored. Then every \
            question is answered by full prefill, by reuse without repair, and by reuse with \
            selective recompute (CacheBlend). Without options it uses the checkpoint and the \
            questions that come with chunkdb.

            A corpus is a file of one JSON object a line: `chunks`, lists of token ids, or \
            `document`, one list, which is cut; `question`, token ids; `answer`, one token id, if \
            it is known.
            """)

    @Option(help: "A Llama-layout checkpoint: a directory with config.json and model.safetensors.")
    var model: String?

    @Option(help: "Documents and questions, as token ids.")
    var corpus: String?

    @Option(help: "Tokens in a chunk, for documents that come uncut.")
    var chunkTokens = 128

    @Option(help: "The share of reused tokens to recompute, 0 to 1.")
    var ratio = 0.15

    @Option(
        help: ArgumentHelp(
            "The layer whose deviation picks those tokens, counted from 0; measured per model.",
            discussion: "2 for the shipped model (Benchmarks/quality), 1 otherwise."))
    var checkLayer: Int?

    @Option(help: "Use only the first so many questions.")
    var limit: Int?

    @Option(help: "Where to put the store; a temporary directory, removed at the end, otherwise.")
    var directory: String?

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    @Flag(name: [.short, .long], help: "Print nothing but errors; the exit code tells.")
    var quiet = false

    var wantsJSON: Bool { json }
    var isQuiet: Bool { quiet }

    func validate() throws {
        guard (0...1).contains(ratio) else {
            throw ValidationError("--ratio \(ratio): must lie in 0…1")
        }
        guard chunkTokens > 0, limit ?? 1 > 0, checkLayer ?? 0 >= 0 else {
            throw ValidationError("--chunk-tokens, --limit and --check-layer count from 1, 1 and 0")
        }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let demo = try Demo(
            modelDirectory: model ?? DemoResources.path("model"),
            corpus: try DemoCorpus(
                path: corpus ?? DemoResources.path("questions.jsonl"), chunkTokens: chunkTokens,
                limit: limit),
            plan: .blend(
                ratio: ratio, checkLayer: checkLayer ?? (model == nil ? 2 : 1),
                tensor: .realignedKeys),
            console: console)
        let report = try demo.run(directory: directory)
        if json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        return .fine
    }
}

/// What comes with the program.
enum DemoResources {
    static func path(_ name: String) -> String {
        Bundle.module.bundleURL.appendingPathComponent(name).path
    }
}
