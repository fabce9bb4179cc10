import ChunkFormat
import Codecs
import KVModel
import Primitives
import Retention
import SegmentLog

extension Namespace {
    /// Begins a put whose layers come one by one, and are stored raw: how long they would be in
    /// another form nobody knows before all are there, and their places are taken now.
    ///
    /// - Parameters:
    ///   - key: of these tokens, by the namespace's `key(tokens:)`.
    ///   - tokens: 1 to 2²⁴ ids.
    ///   - context: in what context the KV was computed; decides the variant.
    ///   - domain: what else than its own tokens the key was made from.
    ///   - detail: room for what `commit` will be given of it.
    ///   - pinned: no shortage takes it.
    ///   - replacing: what has the name makes way at `commit`, instead of the new bytes. A reader
    ///     may find neither for a moment, and so may who opens the store after a crash (CONTRACT
    ///     P-6). `.accepted` counts as `.written` then.
    ///   - timeToLive: after so long the chunk is a miss, and the first to make room; `nil` takes
    ///     the namespace's. By the wall clock, up to a second later.
    ///   - sidecars: written beside the planes; see `sidecars(_:)`.
    /// When the budget is reached the least worthy chunks are forgotten for it.
    /// *Throws:* `.log(.capacityExceeded)` when nothing can be, `.quotaExceeded` when the namespace
    /// may not have it; nothing was written then.
    public func beginPut(
        _ key: ChunkKey, tokens: [UInt32], context: PrefixContext = .standalone,
        domain: HashDomain = .standalone, detail: DetailRoom = .none, pinned: Bool = false,
        replacing: Bool = false, timeToLive: Duration? = nil, sidecars: [Sidecar] = []
    ) async throws(StoreError) -> ChunkWriter {
        try await beginPut(
            key, tokens: tokens, context: context, domain: domain, detail: detail, pinned: pinned,
            replacing: replacing, timeToLive: timeToLive, sidecars: sidecars, planes: nil)
    }

    /// - Parameter planes: `nil` when they are to come, raw.
    func beginPut(
        _ key: ChunkKey, tokens: [UInt32], context: PrefixContext, domain: HashDomain,
        detail: DetailRoom, pinned: Bool, replacing: Bool, timeToLive: Duration?,
        sidecars: [Sidecar], planes: StoredPlanes?
    ) async throws(StoreError) -> ChunkWriter {
        try requireAlive()
        let expirySeconds = try expirySeconds(timeToLive ?? options.timeToLive)
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
        guard (0...binding.layerCount).contains(detail.layerCount),
            (0...PayloadRecord.metadataBytesMax).contains(detail.otherBytes)
        else {
            throw .shape(
                what: "room for detail", expected: "at most \(binding.layerCount) layers",
                found: "\(detail)")
        }
        let log = core.log
        let sidecars = try sorted(sidecars)
        let plan = try VariantPlan(
            layers: shapes(planes, tokenCount: tokens.count, sidecars),
            tokenCount: tokens.count, prefixCount: context.prefix.count,
            detail: detail, unit: Int(log.superblock.alignmentUnit),
            digestBlockBytes: 1 << Int(core.options.digestBlockShift),
            recordBytesMax: log.recordBytesMax, recordCountMax: log.recordCountMax)
        // A cancelled caller's reservations are dead bytes, as those of a dropped writer.
        let (core, writeClass) = (core, options.writeClass)
        let (ticket, reservations) = try await core.carryOut {
            [self] () async throws(StoreError) -> (PutTicket, [Reservation]) in
            let ticket = try await admit(byteCount: plan.diskBytes, pinned: pinned)
            do throws(LogError) {
                let sizes = plan.records.map(\.recordBytes)
                return (ticket, try await core.reserve(sizes, in: writeClass))
            } catch {
                throw .log(error)
            }
        }
        return ChunkWriter(
            namespace: self, key: key, context: context, tokens: tokens, identity: domain,
            retention: pinned ? .pinned : .evictable, isReplacing: replacing,
            expirySeconds: expirySeconds, plan: plan, sidecars: sidecars,
            ticket: ticket, reservations: reservations)
    }

    private func shapes(_ planes: StoredPlanes?, tokenCount: Int, _ sidecars: [Sidecar])
        -> [LayerShape]
    {
        var next = sidecars[...]
        return binding.layers.indices.map { layer in
            let rawBytes = binding.rowBytes(layer: layer) * tokenCount
            let own = next.prefix { $0.layer == layer }
            next = next.dropFirst(own.count)
            let stored = planes.map {
                [$0.layers[layer].keys.count, $0.layers[layer].values.count]
            }
            return LayerShape(
                layer: layer, tokenCount: tokenCount, rawBytes: rawBytes,
                planes: stored ?? [rawBytes, rawBytes], form: planes?.form, sidecars: own)
        }
    }

    private func expirySeconds(_ timeToLive: Duration?) throws(StoreError) -> UInt64 {
        guard let timeToLive else { return 0 }
        guard timeToLive > .zero else {
            throw .shape(what: "time to live", expected: "more than 0", found: "\(timeToLive)")
        }
        let (seconds, rest) = timeToLive.components
        // What outlives everybody has no end.
        guard seconds < Int64(UInt32.max) else { return 0 }
        // The clock's second has begun already.
        return core.environment.clock.wallSeconds &+ UInt64(seconds) &+ (rest > 0 ? 2 : 1)
    }

    /// Stores all layers of a chunk in one call: `layers[l]` holds layer l's key and value planes.
    /// *Durability:* as asked for when this returns, or better. A variant that is present is not
    /// written again, and still has that durability, and is pinned if asked for (CONTRACT P-5).
    /// - Parameters:
    ///   - key: of these tokens, by the namespace's `key(tokens:)`.
    ///   - tokens: 1 to 2²⁴ ids.
    ///   - layers: rows of `[token][kv head][dimension]` numbers of the model's element type.
    ///   - context: in what context the KV was computed; decides the variant.
    ///   - domain: what else than its own tokens the key was made from.
    ///   - recompute: what plans go by (FUSION.md): prefix shares, context impact, token scores.
    ///   - detail: what most variants have none of: positions, attention by layer.
    ///   - pinned: no shortage takes it.
    ///   - replacing: see `beginPut`.
    ///   - timeToLive: see `beginPut`.
    ///   - preloading: stores the chunk whatever the namespace's admission policy says.
    ///   - codec: in which form the planes are stored; `nil` takes the namespace's.
    ///   - sidecars: written beside the planes; see `sidecars(_:)`.
    ///   - durability: what to wait for.
    /// *Returns:* `.declined` when that policy turned it away; nothing was written then.
    /// *Throws:* `.cancelled` when the caller's task is: before its commit began, the chunk does
    /// not become visible by this call; later, the commit goes on unwatched.
    @discardableResult
    public func put(
        _ key: ChunkKey, tokens: [UInt32], layers: [(keys: [UInt8], values: [UInt8])],
        context: PrefixContext = .standalone, domain: HashDomain = .standalone,
        recompute: RecomputeMetadata? = nil, detail: VariantDetail = VariantDetail(),
        pinned: Bool = false, replacing: Bool = false, timeToLive: Duration? = nil,
        preloading: Bool = false, codec: PlaneCodec? = nil, sidecars: [Sidecar] = [],
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
        if !replacing, contains(key, variant: context.variantID) != nil {
            let isThere = try await core.carryOut { [self] () async throws(StoreError) -> Bool in
                try await isPresent(key, context.variantID, durability, pinned: pinned)
            }
            if isThere { return .alreadyPresent }
        }
        guard preloading || admits(key, variant: context.variantID, tokenCount: tokens.count) else {
            return .declined
        }
        let planes = StoredPlanes(
            layers, codec ?? options.codec,
            BytePlanes(
                binding.elementType,
                blockShift: Int(core.options.digestBlockShift)),
            unit: Int(core.log.superblock.alignmentUnit))
        var writer = try await beginPut(
            key, tokens: tokens, context: context, domain: domain,
            detail: DetailRoom(for: detail, prefixCount: context.prefix.count), pinned: pinned,
            replacing: replacing, timeToLive: timeToLive, sidecars: sidecars, planes: planes)
        for (layer, planes) in planes.layers.enumerated() {
            try await writer.appendStored(layer: layer, keys: planes.keys, values: planes.values)
        }
        return try await writer.commit(
            recompute: recompute, detail: detail, durability: durability)
    }

    /// Whether the namespace's admission policy would have the chunk stored. `put` asks by itself;
    /// who streams layers asks before computing what is only for the store.
    ///
    /// The asking counts as a sight of the key. *Complexity:* O(1).
    public func admits(_ key: ChunkKey, variant: VariantID = .standalone, tokenCount: Int) -> Bool {
        let facts = VariantFacts(
            diskBytes: binding.payloadBytes(tokenCount: tokenCount), tokenCount: tokenCount)
        let isAdmitted = admission.admits(
            keyHash: keyHash(key, variant), facts: facts, at: core.seconds)
        if !isAdmitted { usage.count { $0.declinedCount += 1 } }
        return isAdmitted
    }

    /// Whether the variant is there, as durable as a put would owe, and pinned if it owes that.
    func isPresent(
        _ key: ChunkKey, _ variant: VariantID, _ durability: Durability, pinned: Bool
    ) async throws(StoreError) -> Bool {
        while let entry = contains(key, variant: variant) {
            // One that is only accepted has no place in the log's order yet.
            if durability > .accepted, core.pending.contains(entry.location) {
                await core.pending.wait(for: entry.location)
                continue
            }
            if durability == .durable { try await core.barrier() }
            if pinned { return try await retain(key, variant, isPinned: true) }
            return contains(key, variant: variant) != nil
        }
        return false
    }
}
