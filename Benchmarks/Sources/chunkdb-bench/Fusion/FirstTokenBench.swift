// The store, the prompt and the three ways to measure one mode of `ttft`.

import Attention
import AttentionFeed
import ChunkDB
import Feed
import Fusion

struct FirstTokenBench: Sendable {
    struct Sample: Sendable {
        /// Seconds: fed from the store; loaded alone; computed alone.
        let fed: Double
        let load: Double
        let compute: Double
        /// Of this process while it was fed: what a busy neighbour changes little.
        let fedCPU: Double
        /// Work done over that of a full prefill.
        let computedShare: Double
        let bytes: Int
    }

    private let model: Model
    private let path: String
    private let options: StoreOptions
    private let chunks: [[UInt32]]
    private let question: [UInt32]
    private let binding: ModelBinding
    /// What is stored, by namespace and chunk: a pair of planes for each layer.
    private var planes: [String: [ChunkKey: [(keys: [UInt8], values: [UInt8])]]] = [:]
    private(set) var device: DeviceProfile?
    private(set) var traits = DiskTraits(
        engine: "", isDirect: false, alignment: 0, hasRegisteredBuffers: false, notes: [])

    private var tokens: [UInt32] { chunks.flatMap { $0 } + question }
    /// All tokens, and the chunks' rows.
    var prompt: (tokens: [UInt32], segments: [Range<Int>]) {
        (tokens, rows(Array(chunks.indices)))
    }
    private static func name(_ isContextual: Bool) -> String {
        isContextual ? "contextual" : "alone"
    }

    init(
        _ model: Model, path: String, options: StoreOptions, chunkCount: Int, chunkTokens: Int,
        questionTokens: Int, seed: UInt64
    ) throws {
        self.model = model
        self.path = path
        self.options = options
        var generator = SeededGenerator(seed: seed)
        func drawn(_ count: Int) -> [UInt32] {
            (0..<count).map { _ in
                UInt32(generator.next() % UInt64(model.configuration.vocabularySize))
            }
        }
        chunks = (0..<chunkCount).map { _ in drawn(chunkTokens) }
        question = drawn(questionTokens)
        binding = model.binding(elementType: .float16, name: "timing")
    }

    private func rows(_ order: [Int]) -> [Range<Int>] {
        var start = 0
        return order.map { chunk in
            defer { start += chunks[chunk].count }
            return start..<start + chunks[chunk].count
        }
    }

    private func key(_ chunk: Int) -> ChunkKey {
        ChunkKey(tokens: chunks[chunk], binding: binding)
    }

    private func encoded(_ planes: KVPlanes) throws -> [(keys: [UInt8], values: [UInt8])] {
        try binding.layers.indices.map { layer in
            (
                try planes.encoded(.keys, layer: layer, as: binding.elementType),
                try planes.encoded(.values, layer: layer, as: binding.elementType)
            )
        }
    }

    /// Opens the store, and closes it when `body` is done.
    private func session<Success: Sendable>(
        _ body: @escaping @Sendable (ChunkDB) async throws -> Success
    ) throws -> Success {
        let (path, options) = (path, options)
        return try blocking {
            let db = try await ChunkDB.open(at: path, options: options)
            do {
                let result = try await body(db)
                await db.close()
                return result
            } catch {
                await db.close()
                throw error
            }
        }
    }

    /// Stores every chunk alone, and once more behind the others in another order; then reads all
    /// of it, so that the device is known.
    mutating func store() throws {
        let (binding, chunks) = (self.binding, self.chunks)
        let order = Array(chunks.indices.dropFirst()) + [0]
        let places = rows(order)
        let behind = order.flatMap { chunks[$0] }
        let other = try model.prefill(behind, capturing: places)
        let keys = chunks.indices.map { key($0) }
        for (place, chunk) in order.enumerated() {
            let seen = other.cache.planes.rows(places[place])
            let alone = try model.prefill(chunks[chunk]).cache.planes
            let layers = try encoded(alone)
            planes[Self.name(false), default: [:]][keys[chunk]] = layers
            planes[Self.name(true), default: [:]][keys[chunk]] = try encoded(seen)
            let profile = other.deviationProfile(
                of: alone, from: 0, at: places[place], rotary: model.configuration.rotary)
            try session { db in
                let space = try await db.namespace(Self.name(false), model: binding)
                try await space.put(
                    keys[chunk], tokens: chunks[chunk], layers: layers,
                    recompute: RecomputeMetadata(deviationProfile: profile))
                let contextual = try await db.namespace(Self.name(true), model: binding)
                try await contextual.put(
                    segment: place, of: other, tokens: behind,
                    behind: order[..<place].map { keys[$0] })
            }
        }
        (device, traits) = try session { db in
            for _ in 0..<4 {
                for name in [Self.name(false), Self.name(true)] {
                    let space = try await db.namespace(name, model: binding)
                    for key in keys {
                        for entry in space.variants(of: key) {
                            _ = try await space.get(key, variant: entry.variant)
                        }
                    }
                }
            }
            return (DeviceProfile(db.readSpeed), db.disk)
        }
    }

    private func plan(
        _ db: ChunkDB, _ mode: FusionMode, isContextual: Bool, _ compute: ComputeProfile,
        _ change: (inout PlanRequest) -> Void
    ) async throws -> (Namespace, FusionPlan) {
        let space = try await db.namespace(Self.name(isContextual), model: binding)
        let spans = zip(chunks.indices, rows(Array(chunks.indices))).map {
            ChunkSpan(key: key($0), rows: $1)
        }
        let plan = try await space.plan(
            spans, tokenCount: tokens.count, mode: mode, compute: compute, device: device,
            positionLimit: model.configuration.positionCount, change: change)
        return (space, plan)
    }

    /// The α at which Cache-Craft recomputes about this share of the chunks' tokens.
    func alpha(for share: Double, _ compute: ComputeProfile) throws -> Double {
        let bench = self
        let mean = try session { db in
            let (_, plan) = try await bench.plan(
                db, .cacheCraft(alpha: 0.5), isContextual: true, compute, { _ in })
            let costs = plan.chunks.compactMap { $0.use?.fixCost.ratio }
            return costs.reduce(0, +) / Double(max(costs.count, 1))
        }
        return mean > 0 ? 0.5 * share / mean : 0.5
    }

    func run(
        _ mode: FusionMode, isContextual: Bool, _ compute: ComputeProfile,
        _ change: @escaping @Sendable (inout PlanRequest) -> Void
    ) throws -> Sample {
        let bench = self
        let (model, tokens) = (model, tokens)
        let (fed, fedCPU, result) = try session { db in
            let start = Clocks()
            let (space, plan) = try await bench.plan(
                db, mode, isContextual: isContextual, compute, change)
            let result = try await space.prefill(tokens, plan: plan, with: model)
            let end = Clocks()
            return (
                Double(end.nanoseconds - start.nanoseconds) / 1e9,
                Double(end.processCPUNanoseconds - start.processCPUNanoseconds) / 1e9, result
            )
        }
        let plan = result.plan
        let load = try session { db in
            let space = try await db.namespace(
                FirstTokenBench.name(isContextual), model: bench.binding)
            let start = Clocks.now
            let items = plan.chunks.compactMap { chunk in
                chunk.use.map { FeedItem(space, chunk.key, variant: $0.variant) }
            }
            if items.isEmpty { return 0.0 }
            let feed = try await ChunkFeed.start(items)
            while try await feed.nextLayer() != nil {}
            return Double(Clocks.now - start) / 1e9
        }
        let start = Clocks.now
        let computed = try computeAlone(plan, Self.name(isContextual))
        let seconds = Double(Clocks.now - start) / 1e9
        guard computed.logits == result.prefill.logits else {
            throw BenchmarkError.wrongBytes("\(mode): fed and computed from memory differ")
        }
        return Sample(
            fed: fed, load: load, compute: seconds, fedCPU: fedCPU,
            computedShare: result.prefill.statistics.tokensComputed / Double(tokens.count),
            bytes: result.bytesRead)
    }

    private func computeAlone(_ plan: FusionPlan, _ name: String) throws -> PrefillResult {
        let (spans, blend, _) = plan.prompt(tokens)
        let used = plan.chunks.filter { $0.use != nil }.map(\.key)
        var prefill = try BlendedPrefill(
            model: model, spans: spans, plan: blend, format: PlaneFormat(binding))
        for layer in 0..<model.configuration.layerCount {
            for (key, span) in zip(used, prefill.loadedSpans) {
                guard let stored = planes[name]?[key] else {
                    throw BenchmarkError.world("\(key) was not stored")
                }
                try prefill.load(
                    layer: layer, span: span, keys: stored[layer].keys,
                    values: stored[layer].values)
            }
            try prefill.compute(layer: layer)
        }
        return try prefill.finish()
    }
}
