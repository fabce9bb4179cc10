// A chunk as LMCache's local-disk back end leaves it: the planes of all layers one after the other,
// and nothing else. Its layout KV_2LTD is [2, layers, tokens, hidden]: all key planes, then all
// value planes, rows of tokens as ours. The bytes say neither whose they are nor what they mean,
// so the model comes from a namespace of the store, the token ids from a file beside it, and what
// can be compared with those is: the size to the byte, and what LMCache writes into file names
// (`model@worldSize@workerID@chunkHash@elementType.pt`).
//
// LMCache's chunks are computed behind what stood before them in their prompt. A chunk that was
// first is standalone; any other is a variant, and its prefix has to be named.

import ChunkDB
import Foundation
import KVModel
import Primitives
import SegmentLog

struct RawChunkFile: Sendable {
    let key: ChunkKey
    let tokens: [UInt32]
    let context: PrefixContext
    private let bytes: [UInt8]
    private let planeBytes: Int

    static let bytesMax = 4 << 30
    static let tokenFileBytesMax = 64 << 20

    /// *Throws:* `.cannotOpen` for what cannot be read, `.usage` for what does not fit the model.
    init(
        file: String, tokens tokenFile: String, context: PrefixContext, binding: ModelBinding
    ) throws(ShellError) {
        func refuse(_ reason: String) -> ShellError { ShellError(.usage, "\(file): \(reason)") }
        let tokens = try Self.tokens(tokenFile)
        try Self.requireName(file, binding)
        let rows = Set(binding.layers.indices.map { binding.rowBytes(layer: $0) })
        guard rows.count == 1, let rowBytes = rows.first else {
            throw refuse("layers of model \(binding.name) differ in shape; this layout has one")
        }
        guard let bytes = SmallFile.bytes(file, maximum: Self.bytesMax) else {
            throw ShellError(.cannotOpen, "\(file): not a file of at most 4 GiB that can be read")
        }
        if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
            throw refuse("an archive of `torch.save`; raw chunks have no header at all")
        }
        let needed = UInt64(2 * binding.layerCount)
            .saturatingMultiply(UInt64(tokens.count)).saturatingMultiply(UInt64(rowBytes))
        guard UInt64(bytes.count) == needed else {
            throw refuse(
                "\(bytes.count) bytes; [2, \(binding.layerCount) layers, \(tokens.count) tokens, "
                    + "\(rowBytes) bytes a row] take \(needed)")
        }
        self.bytes = bytes
        self.tokens = tokens
        self.context = context
        planeBytes = rowBytes * tokens.count
        key = ChunkKey(tokens: tokens, binding: binding)
    }

    private static func tokens(_ file: String) throws(ShellError) -> [UInt32] {
        guard let bytes = SmallFile.bytes(file, maximum: tokenFileBytesMax) else {
            throw ShellError(.cannotOpen, "\(file): cannot be read")
        }
        guard let tokens = try? JSONDecoder().decode([UInt32].self, from: Data(bytes)),
            !tokens.isEmpty
        else {
            throw ShellError(.usage, "\(file): expected token ids as a JSON list, [1, 2, …]")
        }
        return tokens
    }

    /// A name that LMCache gave says more; any other says nothing.
    private static func requireName(_ file: String, _ binding: ModelBinding) throws(ShellError) {
        let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
        let words = name.split(separator: "@", omittingEmptySubsequences: false)
        guard words.count >= 4, let worldSize = Int(words[1]), let worker = Int(words[2]) else {
            return
        }
        func refuse(_ what: String, _ expected: String, _ found: String) -> ShellError {
            ShellError(
                .usage, "\(file): its name says \(what) \(found), the namespace is of \(expected)")
        }
        guard worldSize == binding.tensorParallelSize, worker == binding.tensorParallelRank else {
            throw refuse(
                "shard", "\(binding.tensorParallelRank) of \(binding.tensorParallelSize)",
                "\(worker) of \(worldSize)")
        }
        let types: [Substring: ElementType] = [
            "bfloat16": .bfloat16, "half": .float16, "float16": .float16, "float": .float32,
            "float32": .float32,
        ]
        if words.count > 4, let type = types[words[4]], type != binding.elementType {
            throw refuse("element type", "\(binding.elementType)", "\(type)")
        }
    }

    func put(in space: Namespace) async throws(StoreError) -> CommitOutcome {
        let layerCount = space.binding.layerCount
        func plane(_ index: Int) -> [UInt8] {
            Array(bytes[index * planeBytes..<(index + 1) * planeBytes])
        }
        return try await space.put(
            key, tokens: tokens,
            layers: (0..<layerCount).map { (plane($0), plane(layerCount + $0)) },
            context: context, preloading: true)
    }
}
