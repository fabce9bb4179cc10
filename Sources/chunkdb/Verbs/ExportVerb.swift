import ArgumentParser
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `export KEY FILE`: the planes of one variant as a Safetensors file that any framework reads, or
/// alone, as LMCache's local disk holds them.
struct ExportVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes one variant's planes to a new Safetensors file, verified.",
        usage: """
            chunkdb PATH export KEY FILE [--namespace NAME] [--variant HEX] [--tokens] [--raw]
            """,
        discussion: """
            Tensors are layers.N.k and layers.N.v of shape [tokens, heads, dim]; what else a \
            reader needs (key, variant, positions, rotary scheme) is in the file's metadata; \
            positions are a range A..<B, or a list where they are not consecutive. A raw file \
            has planes and nothing else, [2, layers, tokens, hidden], as `import --raw` takes it.
            """)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments

    @Argument(help: "The file to make; it must not exist.", completion: .file())
    var file: String

    @Flag(help: "With the token ids, which are the text in clear: the file can be imported then.")
    var tokens = false

    @Flag(help: "Planes alone, as LMCache's disk has them; token ids go to FILE.json.")
    var raw = false

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entry = try oneVariant(view.listing.variants(of: chunk), view.listing)
        let stored = CallerThread.wait { await view.open(entry) }
        let planes = try PlaneFile(stored, view, tokens: tokens, raw: raw)
        // Beside it, and first: what cannot be made should not cost the planes.
        let ids = raw && tokens ? try NewFile(path: file + ".json") : nil
        let fileBytes: UInt64
        do throws(ShellError) {
            try ids?.append(Array("\(planes.tokens)\n".utf8))
            fileBytes = try planes.write(to: file, view, on: console)
        } catch {
            ids?.discard()
            throw error
        }
        let report = ExportReport(
            path: view.path, key: "\(entry.key)", variant: "\(entry.variant)",
            namespace: view.listing.name(of: entry.namespace), file: file, fileBytes: fileBytes,
            tensors: planes.tensors.map {
                .init(name: $0.name, elementType: $0.elementType.safetensorsName, shape: $0.shape)
            })
        if store.json {
            console.print(json: report)
        } else {
            console.print(
                "\(printable(file)): \(counted(report.tensors.count, "tensor")), "
                    + "\(ByteCount(report.fileBytes)), verified")
        }
        return .fine
    }

    private func oneVariant(_ found: [CheckpointEntry], _ listing: Listing) throws(ShellError)
        -> CheckpointEntry
    {
        if found.count == 1 { return found[0] }
        let choices = found.map {
            "  --namespace \(listing.name(of: $0.namespace)) --variant \($0.variant)"
        }
        throw ShellError(
            .usage,
            "\(found.count) variants of \(found[0].key) are stored; choose one:\n"
                + choices.joined(separator: "\n"))
    }
}

/// The schema of `export --json`.
struct ExportReport: Encodable {
    struct Tensor: Encodable {
        var name: String
        /// As Safetensors calls it: `F32`, `BF16`, …
        var elementType: String
        var shape: [Int]
    }
    var verb = "export"
    var path: String
    var key: String
    var variant: String
    var namespace: String
    var file: String
    var fileBytes: UInt64
    /// In file order.
    var tensors: [Tensor]
}
