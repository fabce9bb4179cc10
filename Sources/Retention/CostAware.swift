// Stores what is expected to pay: expected reuses × (recompute − load) against what writing it and
// giving it room cost. A key seen c times before within the window is expected c times more in the
// next, and once more with the probability, measured on this very traffic, that a key seen for the
// first time comes back.

import Synchronization

/// What moving a variant costs, in the unit of `VariantFacts.recomputeCost`.
public struct TransferCosts: Hashable, Sendable {
    /// A load, whatever its size.
    public var loadFixed: Double
    public var loadPerByte: Double
    public var writePerByte: Double
    /// What the room is worth: the gain for each byte of the entries it would push out.
    public var spacePerByte: Double

    /// The defaults are an example to be replaced by measured rates: in tokens, for a model of
    /// 131,072 bytes and 0.1 ms a token on a device that reads 3 and writes 2 GB a second.
    public init(
        loadFixed: Double = 1, loadPerByte: Double = 0.44 / 131_072,
        writePerByte: Double = 0.66 / 131_072, spacePerByte: Double = 0
    ) {
        self.loadFixed = loadFixed
        self.loadPerByte = loadPerByte
        self.writePerByte = writePerByte
        self.spacePerByte = spacePerByte
    }
}

/// Expected reuses × (recompute − load) ≥ write + space.
public final class CostAware: AdmissionPolicy {
    public let name = "cost-aware"
    public let costs: TransferCosts
    public let windowSeconds: UInt32
    private let ghost: GhostTable
    private let returns = Mutex(Returns())

    /// Keys seen for the first time, and keys seen for the second; both halve now and then.
    private struct Returns {
        var firstCount = 2.0
        var secondCount = 1.0

        mutating func count(isFirst: Bool) {
            if isFirst { firstCount += 1 } else { secondCount += 1 }
            if firstCount + secondCount > 65_536 {
                firstCount /= 2
                secondCount /= 2
            }
        }
        var probability: Double { min(secondCount / firstCount, 1) }
    }

    public init(
        costs: TransferCosts = TransferCosts(),
        ghostSlots: Int = RetentionOptions.defaultGhostSlots, windowSeconds: UInt32 = 86_400
    ) {
        self.costs = costs
        self.windowSeconds = windowSeconds
        ghost = GhostTable(slotCount: ghostSlots)
    }

    public func admits(keyHash: UInt64, facts: VariantFacts, at seconds: UInt32) -> Bool {
        let seenCount = sights(of: keyHash, at: seconds)
        let probability = returns.withLock { returns in
            if seenCount < 2 { returns.count(isFirst: seenCount == 0) }
            return returns.probability
        }
        let bytes = Double(facts.diskBytes)
        let gain = facts.recomputeCost - costs.loadFixed - costs.loadPerByte * bytes
        let price = (costs.writePerByte + costs.spacePerByte) * bytes
        return gain > 0 && (Double(seenCount) + probability) * gain >= price
    }

    /// Earlier sights within the window, at most 15, and counts this one. The ghost's rank is the
    /// second with its four low bits replaced by the count.
    private func sights(of keyHash: UInt64, at seconds: UInt32) -> UInt32 {
        var count: UInt32 = 0
        if let rank = ghost.recall(keyHash) {
            let last = rank & ~15
            if seconds < last || seconds - last <= windowSeconds { count = rank & 15 }
        }
        ghost.remember(keyHash, rank: seconds & ~15 | min(count + 1, 15))
        return count
    }
}
