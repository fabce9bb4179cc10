// The policies by name, for options, shells and policy files.

/// What policies are made with; each takes what it needs.
public struct RetentionOptions: Hashable, Sendable {
    public static let defaultGhostSlots = 1 << 16
    public static let defaultUsesPerEntry = 10.0

    /// Seconds in which a use loses half its weight (`lfu`, `cache-craft`).
    public var halfLifeSeconds = 86_400.0
    /// Cache-Craft's ε.
    public var smallestFixCost = 0.05
    /// Forgotten keys remembered, 8 bytes each (`recall`, `s3-fifo`).
    public var ghostSlots = defaultGhostSlots
    /// Uses in which a count halves, for each entry stored (`recall`).
    public var usesPerEntry = defaultUsesPerEntry
    /// Recompute cost for each byte of an ordinary entry (`gdsf`).
    public var referenceCostPerByte = 1.0 / 131_072

    public init() {}
}

/// A name that no policy has.
public struct UnknownPolicy: Error, Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public let known: [String]

    public var description: String {
        "no policy is called \"\(name)\"; known: \(known.joined(separator: ", "))"
    }
}

public enum RetentionPolicies {
    /// Wins the trace suite (`chunkdb-bench traces`; Benchmarks/Measured.md).
    public static let defaultName = "recall"

    public static let names = ["recall", "lru", "lfu", "gdsf", "s3-fifo", "cache-craft"]

    /// A fresh policy with a state of its own: one for each set of entries that compete.
    ///
    /// *Throws:* for a name that is not in `names`.
    public static func named(
        _ name: String, options: RetentionOptions = RetentionOptions()
    ) throws(UnknownPolicy) -> any RetentionPolicy {
        switch name {
        case "recall":
            RecallPolicy(ghostSlots: options.ghostSlots, usesPerEntry: options.usesPerEntry)
        case "lru": LRUPolicy()
        case "lfu": LFUPolicy(halfLifeSeconds: options.halfLifeSeconds)
        case "gdsf": GDSFPolicy(referenceCostPerByte: options.referenceCostPerByte)
        case "s3-fifo": S3FIFOPolicy(ghostSlots: options.ghostSlots)
        case "cache-craft":
            CacheCraftPolicy(
                halfLifeSeconds: options.halfLifeSeconds, smallestFixCost: options.smallestFixCost)
        default: throw UnknownPolicy(name: name, known: names)
        }
    }
}

public enum AdmissionPolicies {
    /// Turns nobody away: which chunks come again, only the caller can know beforehand.
    public static let defaultName = "admit-all"

    public static let names = ["admit-all", "seen-twice", "cost-aware"]

    /// *Throws:* for a name that is not in `names`.
    public static func named(
        _ name: String, options: AdmissionOptions = AdmissionOptions()
    ) throws(UnknownPolicy) -> any AdmissionPolicy {
        switch name {
        case "admit-all": AdmitAll()
        case "seen-twice":
            SeenTwice(ghostSlots: options.ghostSlots, windowSeconds: options.windowSeconds)
        case "cost-aware":
            CostAware(
                costs: options.costs, ghostSlots: options.ghostSlots,
                windowSeconds: options.windowSeconds)
        default: throw UnknownPolicy(name: name, known: names)
        }
    }
}
