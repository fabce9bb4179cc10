// What a tenant may have and how its chunks are kept. Given by the opener, by name, and not stored:
// the next opener may decide otherwise.

import Primitives
import Retention

/// How the chunks of a namespace are kept, and how much of the store they may take. All bytes are
/// those on disk, padding and headers included.
public struct NamespaceOptions: Sendable, Equatable {
    /// Which chunks are worth keeping: a name of `RetentionPolicies.names`; `nil`: the store's.
    /// Namespaces of one policy compete by its worths, those of different ones by rank.
    public var retentionPolicy: String?
    /// Which chunks `put` stores at all: a name of `AdmissionPolicies.names`.
    public var admissionPolicy = AdmissionPolicies.defaultName
    /// What that policy goes by: what moving bytes costs on this machine, how long a sight counts.
    /// Namespaces that share policy and options share its memory.
    public var admissionOptions = AdmissionOptions()
    /// How long a chunk lives that is put without a time of its own; `nil`: for ever.
    public var timeToLive: Duration?
    /// In which form `put` stores planes, if it is not told. Only chunks that are given whole are
    /// ever stored in another form than raw.
    public var codec = PlaneCodec.raw
    /// So much is not taken to make room for others.
    public var guaranteedShare = ByteCount(0)
    /// With more, the namespace's own least worthy chunks make room; `nil`: the store's capacity.
    public var limit: ByteCount?
    /// As `limit`, in variants.
    public var entryCountMax: Int?
    /// Larger variants are refused.
    public var variantSizeMax: ByteCount?
    /// Puts that begin while so much is on its way are refused.
    public var inFlightMax: ByteCount?
    /// Stored forms of one chunk; the least worthy makes room for a newer one.
    public var variantsPerChunk: Int?
    /// Where its chunks are written: one of `StoreOptions.writeClasses`, by its id. The class's
    /// oldest chunks make room for its newest, whatever they are worth, and nothing there can be
    /// pinned or guaranteed. 0: with everybody else's.
    public var writeClass: UInt16 = 0

    public init() {}
}

/// What a namespace, or the pinned chunks of the whole store, may have.
public enum Quota: String, Sendable, Hashable {
    case bytes
    case entries
    case variantSize = "bytes of one variant"
    case inFlight = "bytes in flight"
    case pinned = "pinned bytes of the store"
    case leased = "bytes of leased segments of the store"
    case leases = "leases of the store"
}

/// A quota that a call would exceed. Nothing was written.
public struct QuotaFacts: Hashable, Sendable, CustomStringConvertible {
    public let namespace: String
    public let quota: Quota
    public let allowed: UInt64
    /// With the call.
    public let needed: UInt64

    public var description: String {
        "namespace \(namespace): \(quota.rawValue): \(needed) needed, \(allowed) allowed"
    }
}
