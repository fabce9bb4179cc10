// Many prompts at once: chunks that several of them reuse are read once and kept until the last of
// them is done (BatchLLM, arXiv 2412.03594).

import KVModel
import Primitives

/// What a batch of plans reads, and from which prompt to which each read is held.
public struct BatchPlan: Hashable, Sendable {
    public struct Read: Hashable, Sendable {
        public let key: ChunkKey
        public let variant: VariantID
        public let bytes: UInt64
        /// Prompts of the batch that use it, ascending: read for the first, given up after the
        /// last.
        public let prompts: [Int]
    }
    /// In the order of their first use, and within a prompt in the order of its chunks.
    public let reads: [Read]

    /// - Parameter plans: of prompts that are prefilled in this order.
    /// *Complexity:* O(chunks of all plans).
    public init(_ plans: [FusionPlan]) {
        struct Name: Hashable {
            let key: ChunkKey
            let variant: VariantID
        }
        var order: [Name] = []
        var bytes: [Name: UInt64] = [:]
        var prompts: [Name: [Int]] = [:]
        for (prompt, plan) in plans.enumerated() {
            for chunk in plan.chunks {
                guard let use = chunk.use else { continue }
                let name = Name(key: chunk.key, variant: use.variant)
                if prompts[name] == nil { order.append(name) }
                bytes[name] = use.bytes
                if prompts[name]?.last != prompt { prompts[name, default: []].append(prompt) }
            }
        }
        reads = order.map {
            Read(
                key: $0.key, variant: $0.variant, bytes: bytes[$0] ?? 0, prompts: prompts[$0] ?? [])
        }
    }

    /// Bytes that are read in all.
    public var bytesRead: UInt64 { reads.reduce(0) { $0 + $1.bytes } }

    /// Bytes that are held while prompt `index` is prefilled.
    public func bytesHeld(at index: Int) -> UInt64 {
        reads.reduce(0) { sum, read in
            let isHeld = (read.prompts.first ?? 0) <= index && index <= (read.prompts.last ?? -1)
            return isHeld ? sum + read.bytes : sum
        }
    }

    /// Reads that end with prompt `index`: their leases can be given back.
    public func lastUses(at index: Int) -> [Read] { reads.filter { $0.prompts.last == index } }
}
