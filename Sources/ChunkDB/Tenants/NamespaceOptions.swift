// What a tenant may have and how its chunks are kept. Given by the opener, by name, and not stored:
// the next opener may decide otherwise.

import Primitives
import Retention

/// How the chunks of a namespace are kept.
public struct NamespaceOptions: Sendable, Equatable {
    /// Which chunks are worth keeping: a name of `RetentionPolicies.names`; `nil`: the store's.
    /// Namespaces of one policy compete by its worths, those of different ones by rank.
    public var retentionPolicy: String?
    /// How long a chunk lives that is put without a time of its own; `nil`: for ever.
    public var timeToLive: Duration?

    public init() {}
}
