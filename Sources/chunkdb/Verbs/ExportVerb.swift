import ArgumentParser
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `export KEY FILE`: the planes of one variant as a Safetensors file that any framework reads.
struct ExportVerb: ShellVerb {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes one variant's planes to a new Safetensors file, verified.",
        usage: """
            chunkdb PATH export KEY FILE [--namespace NAME] [--variant HEX] [--tokens] [--json]
            """,
        discussion: """
            Tensors are layers.N.k and layers.N.v of shape [tokens, heads, dim]; what else a \
            reader needs (key, variant, positions, rotary scheme) is in the file's metadata.
            """)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments

    @Argument(help: "The file to make; it must not exist.", completion: .file())
    var file: String

    @Flag(help: "Write the token ids, which are the text in clear, into the file's metadata.")
    var tokens = false

    var wantsJSON: Bool { store.json }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entry = try oneVariant(view.listing.variants(of: chunk), view.listing)
        let stored = CallerThread.wait { await view.open(entry) }
        guard stored.damages.isEmpty, let root = stored.root, let metadata = stored.metadata else {
            throw ShellError(
                .damageFound, "nothing exported:\n"
                    + stored.damages.map(\.text).joined(separator: "\n"))
        }
        guard let description = view.listing.namespace(entry.namespace) else {
            throw ShellError(
                .notFound, "the description of namespace #\(entry.namespace) is lost; without it "
                    + "the shape of the planes is unknown")
        }
        let planes = try Planes(stored, description.binding, tokenCount: Int(root.tokenCount))
        var facts = PlaneMetadata.pairs(root, description)
        if tokens {
            facts.append(("tokens", metadata.tokens.map(String.init).joined(separator: ",")))
        }
        let target = try NewFile(path: file)
        do throws(ShellError) {
            try target.append(Safetensors.header(tensors: planes.tensors, metadata: facts))
            try write(planes, of: root, to: target, view, console)
        } catch {
            target.discard()
            throw error
        }
        let report = ExportReport(
            path: view.path, key: "\(entry.key)", variant: "\(entry.variant)",
            namespace: description.name, file: file, fileBytes: target.byteCount,
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
            .usage, "\(found.count) variants of \(found[0].key) are stored; choose one:\n"
                + choices.joined(separator: "\n"))
    }

    private func write(
        _ planes: Planes, of root: PayloadRecord, to target: NewFile, _ view: StoreView,
        _ console: Console
    ) throws(ShellError) {
        var progress = Progress("exporting", totalBytes: root.variantBytes, on: console)
        for (row, record) in planes.extents {
            try Interruption.check()
            let bytes: [UInt8]
            do throws(LogError) {
                bytes = try wait { () async throws(LogError) in
                    try await view.plane(row, of: record)
                }
            } catch {
                throw ShellError(.damageFound, "nothing exported: \(error)")
            }
            try target.append(bytes)
            progress.update(doneBytes: target.byteCount)
        }
        progress.finish()
    }
}

/// The planes of a variant in file order, and what the file calls them.
private struct Planes {
    let extents: [(row: ExtentRow, record: PayloadRecord)]
    let tensors: [(name: String, elementType: ElementType, shape: [Int])]

    /// `StoreView.open` has checked that every plane is there once, of its size.
    init(_ stored: StoredVariant, _ binding: ModelBinding, tokenCount: Int) throws(ShellError) {
        extents = stored.records.flatMap { record in
            record.header.extents.filter { $0.kind == .keys || $0.kind == .values }
                .map { ($0, record.header) }
        }
        if let coded = extents.first(where: { $0.row.codec != 0 })?.row {
            throw ShellError(
                .usage, "layer \(coded.layer) \(coded.kind) is stored with codec \(coded.codec), "
                    + "which this shell cannot decode")
        }
        tensors = extents.map { row, _ in
            let layer = binding.layers[Int(row.layer)]
            return (
                "layers.\(row.layer).\(row.kind == .keys ? "k" : "v")", binding.elementType,
                [tokenCount, layer.kvHeadCount, layer.headDimension]
            )
        }
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
