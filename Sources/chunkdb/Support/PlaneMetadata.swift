import ChunkFormat
import Foundation
import KVModel
import Primitives

/// What planes outside the store must carry, so that a reader can place and rotate them; strings,
/// as Safetensors wants.
enum PlaneMetadata {
    /// - Parameter listed: the positions of keys that are not consecutive; else empty.
    static func pairs(
        _ record: PayloadRecord, _ namespace: NamespaceDescription, positions listed: [UInt32]
    ) -> [(name: String, value: String)] {
        let binding = namespace.binding
        let end = UInt64(record.basePosition) + UInt64(record.tokenCount)
        let positions =
            listed.isEmpty
            ? "\(record.basePosition)..<\(end)" : listed.map(String.init).joined(separator: ",")
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
            ("positions", positions),
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
