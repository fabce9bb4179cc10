// How a chunk's key and a variant's number are made from what they stand for (PRODUCT D1, D1a).

import Primitives

/// What else than its own tokens a chunk's KV was computed from, as part of its identity.
public enum HashDomain: UInt8, Sendable, CaseIterable {
    /// The tokens alone; found in any prompt, at any position.
    case standalone = 1
    /// The tokens after an exact parent chunk (prefix caching).
    case prefixChained = 2
    /// A caller's own 32 bytes.
    case callerMade = 3
}

/// In what context KV was computed: the ordered chunks that stood before it.
public struct PrefixContext: Hashable, Sendable {
    /// The chunks before this one, first to last; empty for a chunk computed alone.
    public var prefix: [ChunkKey]
    /// The position of the chunk's first token when it was computed.
    public var basePosition: Int

    public init(prefix: [ChunkKey], basePosition: Int) {
        self.prefix = prefix
        self.basePosition = basePosition
    }

    public static let standalone = Self(prefix: [], basePosition: 0)

    /// The number of the variant computed in this context, stored raw.
    public var variantID: VariantID {
        if self == .standalone { return .standalone }
        var hasher = IdentityHasher(domain: "chunkdb.variant.v1")
        hasher.append(number: UInt64(prefix.count))
        for key in prefix { hasher.append(bytes: key.bytes) }
        hasher.append(number: UInt64(basePosition))
        let raw = hasher.finalize()
            .prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // Zero is taken by the standalone form.
        return VariantID(raw == 0 ? 1 : raw)
    }
}

/// What goes into a chunk key beside the tokens.
public struct ChunkIdentity: Sendable {
    public var domain: HashDomain
    public var parent: ChunkKey?
    /// The adapter (LoRA) the KV was computed with; empty for none.
    public var adapter: String
    /// Media digests, cache salt: whatever makes equal token ids mean different things.
    public var extras: [[UInt8]]

    public init(
        domain: HashDomain = .standalone, parent: ChunkKey? = nil, adapter: String = "",
        extras: [[UInt8]] = []
    ) {
        self.domain = domain
        self.parent = parent
        self.adapter = adapter
        self.extras = extras
    }
}

extension ChunkKey {
    /// SHA-256 over domain, parent, binding, shard, adapter, extras and token ids.
    /// *Complexity:* O(tokens); 2 KiB of ids take about a microsecond.
    public init(tokens: [UInt32], binding: ModelBinding, identity: ChunkIdentity = .init()) {
        self.init(tokens: tokens, bindingDigest: binding.digest, identity: identity)
    }

    /// The same, with the binding's digest at hand. The digest covers the shard.
    public init(tokens: [UInt32], bindingDigest: [UInt8], identity: ChunkIdentity) {
        var hasher = IdentityHasher(domain: "chunkdb.chunk-key.v1")
        hasher.append(number: UInt64(identity.domain.rawValue))
        hasher.append(bytes: identity.parent?.bytes ?? [])
        hasher.append(bytes: bindingDigest)
        hasher.append(text: identity.adapter)
        hasher.append(number: UInt64(identity.extras.count))
        for extra in identity.extras { hasher.append(bytes: extra) }
        hasher.append(tokens: tokens)
        self.init(bytes: hasher.finalize())!
    }
}
