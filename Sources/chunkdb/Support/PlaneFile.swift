// One variant as a Safetensors file, out of the store and back into one. The file's metadata says
// what planes alone do not; with the token ids it holds all it takes to store the variant again.
// A raw file has no header at all (RawChunkFile says what it is).

import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import SegmentLog

/// The planes of a variant in file order, and what the file calls them.
struct PlaneFile {
    let tensors: [(name: String, elementType: ElementType, shape: [Int])]
    let tokens: [UInt32]
    private let isRaw: Bool
    private let extents: [(row: ExtentRow, record: PayloadRecord)]
    private let metadata: [(name: String, value: String)]
    private let sidecars: [Sidecar]
    private let planeBytes: UInt64

    /// `StoreView.open` has checked that every plane is there once, of its size.
    /// - Parameter raw: without a header, as [2, layers, tokens, hidden].
    /// - Parameter tokens: with the token ids, which are the text in clear; the file can be
    ///   imported then.
    /// *Throws:* `.damageFound`, `.notFound` without a namespace's description, `.usage` for
    /// planes of different shapes where the layout has one.
    init(
        _ stored: StoredVariant, _ view: StoreView, tokens: Bool, raw: Bool = false
    ) throws(ShellError) {
        guard stored.damages.isEmpty, let root = stored.root, let found = stored.metadata else {
            throw ShellError(
                .damageFound,
                "nothing exported:\n"
                    + stored.damages.map(\.text).joined(separator: "\n"))
        }
        guard let description = view.listing.namespace(stored.entry.namespace) else {
            throw ShellError(
                .notFound,
                "the description of namespace #\(stored.entry.namespace) is lost; "
                    + "without it the shape of the planes is unknown")
        }
        let binding = description.binding
        let planes = stored.records.flatMap { record in
            record.header.extents.filter(\.isPlane).map { (row: $0, record: record.header) }
        }
        extents = raw ? try Self.keysFirst(planes, binding) : planes
        isRaw = raw
        self.tokens = found.tokens
        if raw, let layer = binding.layers.first {
            let shape = [
                2, binding.layerCount, Int(root.tokenCount),
                layer.kvHeadCount * layer.headDimension,
            ]
            tensors = [("raw", binding.elementType, shape)]
            (metadata, sidecars) = ([], [])
            planeBytes = planes.reduce(0) { $0 + $1.row.rawBytes }
            return
        }
        do throws(LogError) {
            sidecars = try wait { () async throws(LogError) in
                try await view.sidecars(of: stored)
            }
        } catch {
            throw ShellError(.damageFound, "nothing exported: \(error)")
        }
        let named = extents.map { row, _ in
            let layer = binding.layers[Int(row.layer)]
            return (
                "layers.\(row.layer).\(row.kind == .keys ? "k" : "v")", binding.elementType,
                [Int(root.tokenCount), layer.kvHeadCount, layer.headDimension]
            )
        }
        // Safetensors knows no plainer bytes.
        tensors =
            named
            + sidecars.map {
                ("layers.\($0.layer).sidecar.\($0.type)", ElementType.int8, [$0.bytes.count])
            }
        var facts = PlaneMetadata.pairs(
            root, description, positions: found.detail.positions)
        if tokens {
            facts.append(("tokens", found.tokens.map(String.init).joined(separator: ",")))
            facts += PlaneMetadata.pairsForImport(root, description)
            if stored.codec != .raw { facts.append(("codec", "\(stored.codec)")) }
        }
        metadata = facts
        planeBytes = extents.reduce(0) { $0 + $1.row.rawBytes }
    }

    /// All key planes, then all value planes, by layer.
    private static func keysFirst(
        _ planes: [(row: ExtentRow, record: PayloadRecord)], _ binding: ModelBinding
    ) throws(ShellError) -> [(row: ExtentRow, record: PayloadRecord)] {
        guard Set(binding.layers.indices.map { binding.rowBytes(layer: $0) }).count == 1,
            planes.count == 2 * binding.layerCount
        else {
            throw ShellError(
                .usage, "layers of model \(binding.name) differ in shape; this layout has one")
        }
        return planes.sorted {
            ($0.row.kind == .keys ? 0 : 1, $0.row.layer)
                < ($1.row.kind == .keys ? 0 : 1, $1.row.layer)
        }
    }

    /// Writes a new file, verified plane by plane. *Returns:* its size.
    /// *Throws:* `.cannotWrite`, `.damageFound`, `.interrupted`; nothing is left behind then.
    func write(to path: String, _ view: StoreView, on console: Console) throws(ShellError) -> UInt64
    {
        let target = try NewFile(path: path)
        do throws(ShellError) {
            if !isRaw {
                try target.append(Safetensors.header(tensors: tensors, metadata: metadata))
            }
            var progress = Progress("exporting", totalBytes: planeBytes, on: console)
            for (row, record) in extents {
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
            for sidecar in sidecars { try target.append(sidecar.bytes) }
            progress.finish()
        } catch {
            target.discard()
            throw error
        }
        return target.byteCount
    }
}

/// A file that `export --tokens` or `dump` made, taken apart and checked against itself.
struct ImportedVariant: Sendable {
    let key: ChunkKey
    let context: PrefixContext
    let domain: HashDomain
    let isPinned: Bool
    let codec: PlaneCodec
    let description: NamespaceDescription
    let metadata: ChunkMetadata
    private let tensors: Safetensors
    private let bytes: [UInt8]

    /// *Throws:* `.cannotOpen` for what cannot be read, `.usage` with what is wrong or missing.
    init(file: String) throws(ShellError) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw ShellError(.cannotOpen, "\(file): cannot be read")
        }
        func refuse(_ reason: String) -> ShellError { ShellError(.usage, "\(file): \(reason)") }
        let contents = [UInt8](data)
        bytes = contents
        do throws(SafetensorsError) {
            tensors = try Safetensors(parsing: contents.span)
        } catch {
            throw refuse("\(error)")
        }
        let pairs = Dictionary(
            tensors.metadata.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        guard pairs["format"] == "chunkdb" else { throw refuse("not a file that chunkdb made") }
        guard let operation = pairs["namespaceOperation"].flatMap({ Data(base64Encoded: $0) }),
            let encoded = pairs["chunkMetadata"].flatMap({ Data(base64Encoded: $0) })
        else {
            throw refuse("exported without --tokens, so it cannot be stored again")
        }
        let made: NamespaceOperation
        do throws(FormatError) {
            made = try NamespaceOperation(decoding: [UInt8](operation))
            metadata = try ChunkMetadata(decoding: [UInt8](encoded))
        } catch {
            throw refuse("\(error)")
        }
        guard case .create(let found) = made else {
            throw refuse("its namespaceOperation creates no namespace")
        }
        description = found
        guard let key = pairs["key"].flatMap({ ChunkKey(hexadecimal: $0) }),
            let position = pairs["basePosition"].flatMap({ UInt32($0) }),
            let domain = HashDomain.allCases.first(where: { "\($0)" == pairs["hashDomain"] }),
            let retention = pairs["retention"]
        else { throw refuse("key, basePosition, hashDomain or retention is missing") }
        self.key = key
        self.domain = domain
        isPinned = retention == "pinned"
        codec = PlaneCodec.allCases.first { "\($0)" == pairs["codec"] } ?? .raw
        context = PrefixContext(
            prefix: metadata.recompute.prefix.map(\.key), basePosition: Int(position))
        guard "\(context.variantID)" == pairs["variant"] else {
            throw refuse("IDY-4: its variant is not that of its prefix")
        }
        guard hexadecimal(description.binding.digest) == pairs["bindingDigest"] else {
            throw refuse("its bindingDigest is not that of its model")
        }
        for layer in 0..<description.binding.layerCount {
            for letter in ["k", "v"] { try requirePlane(layer, letter, refuse) }
        }
    }

    private func requirePlane(
        _ layer: Int, _ letter: String, _ refuse: (String) -> ShellError
    ) throws(ShellError) {
        let geometry = description.binding.layers[layer]
        let shape = [metadata.tokens.count, geometry.kvHeadCount, geometry.headDimension]
        let name = "layers.\(layer).\(letter)"
        guard let tensor = tensors[name], tensor.shape == shape,
            tensor.elementType == description.binding.elementType
        else {
            throw refuse("\(name) is not of shape \(shape), \(description.binding.elementType)")
        }
    }

    /// The bytes of one plane. *Precondition:* a layer of the binding, `k` or `v`.
    private func plane(_ layer: Int, _ letter: String) -> [UInt8] {
        Array(bytes[tensors["layers.\(layer).\(letter)"]!.fileRange])
    }

    /// What stands in the file besides planes: `layers.N.sidecar.TYPE`.
    private var sidecars: [Sidecar] {
        tensors.tensors.compactMap { tensor in
            guard let match = tensor.name.wholeMatch(of: /layers\.(\d+)\.sidecar\.(\d+)/),
                let layer = Int(match.1), let type = UInt32(match.2)
            else { return nil }
            return Sidecar(layer: layer, type: type, bytes: Array(bytes[tensor.fileRange]))
        }
    }

    func put(in space: Namespace) async throws(StoreError) -> CommitOutcome {
        let layers = 0..<description.binding.layerCount
        let detail = metadata.detail
        // Raw layers go one by one, so that no second copy of all of them is made.
        guard codec == .raw else {
            return try await space.put(
                key, tokens: metadata.tokens,
                layers: layers.map { (plane($0, "k"), plane($0, "v")) },
                context: context, domain: domain, recompute: metadata.recompute, detail: detail,
                pinned: isPinned, preloading: true, codec: codec, sidecars: sidecars,
                durability: .written)
        }
        var writer = try await space.beginPut(
            key, tokens: metadata.tokens, context: context, domain: domain,
            detail: DetailRoom(for: detail, prefixCount: context.prefix.count), pinned: isPinned,
            sidecars: sidecars)
        for layer in layers {
            try await writer.append(
                layer: layer, keys: plane(layer, "k"), values: plane(layer, "v"))
        }
        return try await writer.commit(
            recompute: metadata.recompute, detail: detail, durability: .written)
    }
}
