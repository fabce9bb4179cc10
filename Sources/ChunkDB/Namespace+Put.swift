import ChunkFormat
import KVModel
import Primitives
import SegmentLog

extension Namespace {
    /// Begins a put whose layers come one by one.
    ///
    /// - Parameter context: in what context the KV was computed; decides the variant.
    /// *Throws:* `.log(.capacityExceeded)` when the budget is reached; nothing was written then.
    public func beginPut(
        _ key: ChunkKey, tokens: [UInt32], context: PrefixContext = .standalone,
        domain: HashDomain = .standalone, pinned: Bool = false
    ) async throws(StoreError) -> ChunkWriter {
        try core.gate.enter()
        defer { core.gate.leave() }
        try requireAlive()
        guard !tokens.isEmpty, tokens.count <= PayloadRecord.tokenCountMax else {
            throw .shape(
                what: "token count", expected: "1 to \(PayloadRecord.tokenCountMax)",
                found: "\(tokens.count)")
        }
        guard context.prefix.count <= ChunkMetadata.prefixCountMax,
            (0...Int(UInt32.max)).contains(context.basePosition)
        else {
            throw .shape(
                what: "context", expected: "at most \(ChunkMetadata.prefixCountMax) chunks",
                found: "\(context.prefix.count) chunks from position \(context.basePosition)")
        }
        let log = core.log
        let plan = try VariantPlan(
            binding: binding, tokenCount: tokens.count, prefixCount: context.prefix.count,
            unit: Int(log.superblock.alignmentUnit),
            digestBlockBytes: 1 << Int(core.options.digestBlockShift),
            recordBytesMax: log.recordBytesMax, recordCountMax: log.recordCountMax)
        do throws(LogError) {
            let reservations = try await log.reserve(plan.records.map(\.recordBytes))
            return ChunkWriter(
                namespace: self, key: key, context: context, tokens: tokens, identity: domain,
                retention: pinned ? .pinned : .evictable, plan: plan, reservations: reservations)
        } catch {
            throw .log(error)
        }
    }

    /// Stores all layers of a chunk in one call: `layers[l]` holds layer l's key and value planes.
    /// *Durability:* as asked for when this returns, or better. A variant that is present is not
    /// written again, and still has that durability (CONTRACT P-5).
    @discardableResult
    public func put(
        _ key: ChunkKey, tokens: [UInt32], layers: [(keys: [UInt8], values: [UInt8])],
        context: PrefixContext = .standalone, recompute: RecomputeMetadata? = nil,
        durability: Durability = .durable
    ) async throws(StoreError) -> CommitOutcome {
        guard layers.count == binding.layerCount else {
            throw .shape(
                what: "layers", expected: "\(binding.layerCount)", found: "\(layers.count)")
        }
        for (layer, planes) in layers.enumerated() {
            let expected = binding.rowBytes(layer: layer) * tokens.count
            guard planes.keys.count == expected, planes.values.count == expected else {
                throw .shape(
                    what: "planes of layer \(layer)", expected: "\(expected) bytes each",
                    found: "\(planes.keys.count) and \(planes.values.count)")
            }
        }
        if try await isPresent(key, context.variantID, durability) { return .alreadyPresent }
        var writer = try await beginPut(key, tokens: tokens, context: context)
        for (layer, planes) in layers.enumerated() {
            try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
        }
        return try await writer.commit(recompute: recompute, durability: durability)
    }

    /// Whether the variant is there, at the durability that a put would owe.
    func isPresent(_ key: ChunkKey, _ variant: VariantID, _ durability: Durability)
        async throws(StoreError) -> Bool
    {
        while let entry = contains(key, variant: variant) {
            // One that is only accepted has no place in the log's order yet.
            if durability > .accepted, core.pending.contains(entry.location) {
                await core.pending.wait(for: entry.location)
                continue
            }
            if durability == .durable { try await core.barrier() }
            return contains(key, variant: variant) != nil
        }
        return false
    }
}
