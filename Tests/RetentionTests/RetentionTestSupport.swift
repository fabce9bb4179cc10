import ChunkFormat
import Primitives
import Retention

/// A chunk of 256 tokens of Llama-3-8B, or as said.
func facts(
    megabytes: UInt64 = 32, cost: Double = 256, isSurplus: Bool = false
) -> VariantFacts {
    VariantFacts(
        diskBytes: megabytes << 20, tokenCount: 256, recomputeMilliseconds: cost,
        isSurplus: isSurplus)
}

func policy(_ name: String, _ change: (inout RetentionOptions) -> Void = { _ in })
    -> any RetentionPolicy
{
    var options = RetentionOptions()
    options.ghostSlots = 4_096
    change(&options)
    do {
        return try RetentionPolicies.named(name, options: options)
    } catch {
        preconditionFailure("\(error)")
    }
}

/// Entries of one policy, forgotten lowest worth first: what an engine does, without an engine.
struct ToyStore {
    let policy: any RetentionPolicy
    let entryCountMax: Int
    private(set) var entries: [(key: UInt64, row: HeatRow, facts: VariantFacts)] = []
    private(set) var hitCount = 0

    init(_ policy: any RetentionPolicy, entryCountMax: Int) {
        self.policy = policy
        self.entryCountMax = entryCountMax
    }

    subscript(key: UInt64) -> HeatRow? { entries.first { $0.key == key }?.row }
    func worth(_ key: UInt64) -> Double? {
        entries.first { $0.key == key }.map { policy.worth(of: $0.row, facts: $0.facts) }
    }

    mutating func ask(
        _ key: UInt64, facts: VariantFacts = facts(), fixCost: Float = 0, at seconds: UInt32
    ) {
        if let place = entries.firstIndex(where: { $0.key == key }) {
            policy.use(&entries[place].row, facts: facts, fixCost: fixCost, at: seconds)
            hitCount += 1
            return
        }
        entries.append((key, policy.row(ofNew: key, facts: facts, at: seconds), facts))
        while entries.count > entryCountMax {
            let worths = entries.map { policy.worth(of: $0.row, facts: $0.facts) }
            let place = worths.indices.min { worths[$0] < worths[$1] } ?? 0
            let victim = entries.remove(at: place)
            policy.forget(victim.row, keyHash: victim.key, facts: victim.facts, because: .evicted)
        }
    }
}

extension SeededGenerator {
    mutating func float(_ range: ClosedRange<Float>) -> Float {
        Float.random(in: range, using: &self)
    }
}
