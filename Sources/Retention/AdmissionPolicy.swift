// Which variants are written at all: a chunk that is never asked for again costs a write and,
// worse, somebody else's place. A pre-load of a corpus does not ask.

/// Whether a variant that was just computed is worth storing.
///
/// *Concurrency:* any thread. *Complexity:* O(1), no allocation.
public protocol AdmissionPolicy: Sendable {
    /// As the registry knows it.
    var name: String { get }

    /// Asked once for each put; the asking counts as a sight of the key.
    /// - Parameter seconds: since the store was created; if the clock jumps back, no time passed.
    func admits(keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> Bool
}

/// What admission policies are made with; each takes what it needs.
public struct AdmissionOptions: Hashable, Sendable {
    /// Keys remembered, 8 bytes each.
    public var ghostSlots = RetentionOptions.defaultGhostSlots
    /// How long a sight of a key counts.
    public var windowSeconds: UInt32 = 86_400
    public var costs = TransferCosts()

    public init() {}
}

/// Stores everything.
public struct AdmitAll: AdmissionPolicy {
    public let name = "admit-all"
    public init() {}
    public func admits(keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> Bool { true }
}

/// Stores what was wanted before within the window: one-time chunks never reach the log.
public struct SeenTwice: AdmissionPolicy {
    public let name = "seen-twice"
    public let windowSeconds: UInt32
    private let ghost: GhostTable

    public init(
        ghostSlots: Int = RetentionOptions.defaultGhostSlots, windowSeconds: UInt32 = 86_400
    ) {
        self.windowSeconds = windowSeconds
        ghost = GhostTable(slotCount: ghostSlots)
    }

    public func admits(keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> Bool {
        let last = ghost.recall(keyHash)
        ghost.remember(keyHash, rank: seconds)
        guard let last else { return false }
        return seconds < last || seconds - last <= windowSeconds
    }
}
