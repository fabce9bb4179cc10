import ChunkFormat
import Foundation
import KVModel
import Primitives

/// What planes outside the store must carry, so that a reader can place and rotate them; strings,
/// as Safetensors wants.
enum PlaneMetadata {
    static func pairs(_ record: PayloadRecord, _ namespace: NamespaceDescription)
        -> [(name: String, value: String)]
    {
        let binding = namespace.binding
        let end = UInt64(record.basePosition) + UInt64(record.tokenCount)
        return [
            ("format", "chunkdb"),
            ("key", "\(record.key)"),
            ("variant", "\(record.variant)"),
            ("namespace", namespace.name),
            ("model", binding.name),
            ("bindingDigest", hexadecimal(record.bindingDigest)),
            ("weightsDigest", hexadecimal(binding.weightsDigest)),
            ("tokenCount", "\(record.tokenCount)"),
            ("basePosition", "\(record.basePosition)"),
            ("positions", "\(record.basePosition)..<\(end)"),
            ("keyForm", "\(record.keyForm)"),
            ("rotaryBase", "\(binding.rotary.base)"),
            ("rotaryDimension", "\(binding.rotary.dimension)"),
            ("rotaryPairing", "\(binding.rotary.pairing)"),
            ("rotaryScaling", "\(binding.rotary.scaling)"),
            ("tensorParallelRank", "\(binding.tensorParallelRank)"),
            ("tensorParallelSize", "\(binding.tensorParallelSize)"),
        ]
    }

    /// What it takes to store the variant again, in the format's own words: the namespace with its
    /// model, and the token ids with what was captured of them. Binary values are in base 64.
    static func pairsForImport(_ record: PayloadRecord, _ namespace: NamespaceDescription)
        -> [(name: String, value: String)]
    {
        [
            ("hashDomain", "\(record.hashDomain)"),
            ("retention", "\(record.retention)"),
            (
                "namespaceOperation",
                Data(NamespaceOperation.create(namespace).encode()).base64EncodedString()
            ),
            ("chunkMetadata", Data(record.metadata).base64EncodedString()),
        ]
    }
}
