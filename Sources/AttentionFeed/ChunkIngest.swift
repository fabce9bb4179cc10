// Documents in: a chunk is prefilled alone and its planes are stored, in the form that the binding
// says.

import Attention
import ChunkDB

/// What storing a chunk came to.
public struct IngestedChunk: Sendable {
    public let key: ChunkKey
    public let outcome: CommitOutcome
}

/// Trouble on the way between store and attention.
public enum AttentionFeedError: Error, Sendable, CustomStringConvertible {
    case store(StoreError)
    case attention(AttentionError)

    public var description: String {
        switch self {
        case .store(let error): "\(error)"
        case .attention(let error): "\(error)"
        }
    }
}

extension Namespace {
    /// Prefills `tokens` alone and stores the planes in the binding's element type; a chunk that is
    /// present is not computed again. *Durability:* durable when this returns.
    @discardableResult
    public func ingest(_ tokens: [UInt32], with model: Model)
        async throws(AttentionFeedError) -> IngestedChunk
    {
        let key = key(tokens: tokens)
        if contains(key) != nil { return IngestedChunk(key: key, outcome: .alreadyPresent) }
        let layers: [(keys: [UInt8], values: [UInt8])]
        do throws(AttentionError) {
            var planes = try model.prefill(tokens).cache.planes
            if binding.keyForm == .beforeRotation {
                planes.unrotate(from: 0, rotary: binding.rotary)
            }
            var encoded: [(keys: [UInt8], values: [UInt8])] = []
            for layer in binding.layers.indices {
                encoded.append(
                    (
                        try planes.encoded(.keys, layer: layer, as: binding.elementType),
                        try planes.encoded(.values, layer: layer, as: binding.elementType)
                    ))
            }
            layers = encoded
        } catch {
            throw .attention(error)
        }
        do throws(StoreError) {
            return IngestedChunk(
                key: key, outcome: try await put(key, tokens: tokens, layers: layers))
        } catch {
            throw .store(error)
        }
    }
}
