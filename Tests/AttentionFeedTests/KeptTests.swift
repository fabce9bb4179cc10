// Repaired keys and values stored as new variants, and what their use counts for.

import Attention
import AttentionFeed
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Fusion
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("Repairs that are kept")
struct KeptTests {
    static let order = [1, 2, 0]
    static let tokens = order.flatMap { AttentionFeedTests.chunks[$0] }
    static let prompt = tokens + AttentionFeedTests.question

    private func run<Success: Sendable>(
        _ body: @escaping @Sendable (Namespace, Model) async throws -> Success
    ) throws -> Success {
        let machine = SimulatedMachine(seed: 8)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        let result = try machine.run { () async throws -> Success in
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            // As they stood in the order 0, 1, 2.
            let keys = AttentionFeedTests.chunks.map { namespace.key(tokens: $0) }
            let full = try model.prefill(
                PlannedTests.tokens, capturing: PlannedTests.segments)
            for index in 0..<3 {
                try await namespace.put(
                    segment: index, of: full, tokens: PlannedTests.tokens,
                    behind: Array(keys[..<index]))
            }
            return try await body(namespace, model)
        }
        machine.run { await db.close() }
        return result
    }

    private static func plan(
        _ namespace: Namespace, _ mode: FusionMode = .cacheCraft(alpha: 0.5)
    ) async throws -> FusionPlan {
        let keys = AttentionFeedTests.chunks.map { namespace.key(tokens: $0) }
        return try await namespace.plan(
            zip(order, PlannedTests.segments).map { ChunkSpan(key: keys[$0], rows: $1) },
            tokenCount: 51, mode: mode,
            compute: ComputeProfile(secondsPerToken: 1e-3, projectionShare: 0.3),
            device: DeviceProfile(bytesPerSecond: 1e9), positionLimit: 512)
    }

    @Test("a repaired chunk is a new variant, which the next plan reuses as it is")
    func kept() throws {
        try run { namespace, model in
            let first = try await Self.plan(namespace)
            let repaired = first.chunks.indices.filter {
                first.chunks[$0].use.map { $0.repair != .none } ?? false
            }
            #expect(repaired == [0, 1, 2], "\(first.explain())")
            let before = try await Self.contents(namespace)
            let result = try await namespace.prefill(
                Self.prompt, plan: first, with: model, capturing: PlannedTests.segments)
            let kept = try await namespace.keep(
                result, of: Self.prompt, keeping: RepairKeeping(smallestFixCost: 0.05))
            // The first has nothing in front, where only what was computed alone has a name.
            #expect(kept.map(\.chunk) == [1, 2])
            #expect(kept.allSatisfy { $0.stored.outcome == .committed })
            for (key, variants) in before {
                for (variant, planes) in variants {
                    let now = try await Self.contents(namespace)[key]?[variant]
                    #expect(now == planes, "never in place")
                }
            }
            for chunk in kept {
                let use = try #require(first.chunks[chunk.chunk].use)
                let located = try #require(
                    try await namespace.locate(chunk.stored.key, variant: chunk.stored.variant))
                #expect(located.metadata.recompute.parent == use.variant)
                #expect(located.basePosition == PlannedTests.segments[chunk.chunk].lowerBound)
            }
            let second = try await Self.plan(namespace)
            for chunk in kept {
                let use = try #require(second.chunks[chunk.chunk].use)
                #expect(use.variant == chunk.stored.variant && use.repair == .none)
            }
            // What is reused now is what was repaired then.
            let again = try await namespace.prefill(Self.prompt, plan: second, with: model)
            #expect(again.prefill.logits == result.prefill.logits)
            // A plan that promises a prefill's bytes takes none of them.
            let chain = try await Self.plan(namespace, .prefix)
            #expect(chain.chunks.allSatisfy { $0.use == nil })
            let nothing = try await namespace.keep(
                again, of: Self.prompt, keeping: RepairKeeping(smallestFixCost: 0))
            #expect(nothing.isEmpty, "not captured")
        }
    }

    private static func contents(_ namespace: Namespace) async throws
        -> [ChunkKey: [VariantID: [UInt8]]]
    {
        var found: [ChunkKey: [VariantID: [UInt8]]] = [:]
        for tokens in AttentionFeedTests.chunks {
            let key = namespace.key(tokens: tokens)
            for entry in namespace.variants(of: key) {
                let data = try await namespace.mustGet(key, variant: entry.variant)
                found[key, default: [:]][entry.variant] = (0..<2).flatMap { layer in
                    data.plane(layer: layer, .keys) + data.plane(layer: layer, .values)
                }
            }
        }
        return found
    }

    @Test("the metadata of a repair is that of a prefill where all rows were recomputed")
    func metadata() throws {
        try run { namespace, model in
            let keys = Self.order.map { namespace.key(tokens: AttentionFeedTests.chunks[$0]) }
            let full = try model.prefill(Self.prompt, capturing: PlannedTests.segments)
            let all = try await namespace.plan(
                zip(keys, PlannedTests.segments).map { ChunkSpan(key: $0, rows: $1) },
                tokenCount: 51, mode: .cacheBlend(ratio: 1),
                compute: ComputeProfile(secondsPerToken: 1e-3, projectionShare: 0.3),
                device: DeviceProfile(bytesPerSecond: 1e9), positionLimit: 512)
            let result = try await namespace.prefill(
                Self.prompt, plan: all, with: model, capturing: PlannedTests.segments)
            let kept = try await namespace.keep(
                result, of: Self.prompt, keeping: RepairKeeping(smallestFixCost: 0))
            #expect(kept.map(\.chunk) == [1, 2])
            for chunk in kept {
                let found = try #require(
                    try await namespace.locate(chunk.stored.key, variant: chunk.stored.variant)
                ).metadata.recompute
                let (expected, _) = try #require(
                    full.capture?.metadata(
                        of: chunk.chunk, behind: Array(keys[..<chunk.chunk])))
                #expect(found.tokenScores == expected.tokenScores)
                let (new, old) = (
                    try #require(found.contextImpact), try #require(expected.contextImpact)
                )
                #expect((new.interMean / old.interMean - 1).magnitude < 1e-5)
                #expect((new.intraMean / old.intraMean - 1).magnitude < 1e-5)
                for (share, other) in zip(found.prefix, expected.prefix) {
                    #expect(share.key == other.key && share.tokenCount == other.tokenCount)
                    #expect((share.interMean / other.interMean - 1).magnitude < 1e-5)
                }
            }
        }
    }

    @Test("rows that were kept count as they did before")
    func halves() throws {
        try run { namespace, model in
            let first = try await Self.plan(namespace)
            let result = try await namespace.prefill(
                Self.prompt, plan: first, with: model, capturing: PlannedTests.segments)
            let kept = try await namespace.keep(
                result, of: Self.prompt, keeping: RepairKeeping(smallestFixCost: 0))
            let chunk = try #require(kept.first)
            let use = try #require(first.chunks[chunk.chunk].use)
            guard case .rows(let rows, .tokenScores) = use.repair else {
                Issue.record("\(use.repair)")
                return
            }
            let key = chunk.stored.key
            let parent = try #require(try await namespace.locate(key, variant: use.variant))
                .metadata.recompute
            let child = try #require(
                try await namespace.locate(key, variant: chunk.stored.variant)
            ).metadata.recompute
            for row in 0..<16 where !rows.contains(row) {
                #expect(child.tokenScores[row] == parent.tokenScores[row])
            }
            #expect(child.tokenScores != parent.tokenScores)
            // Every row gives a weight of one, so n in all.
            let inter = child.prefix.reduce(Float(0)) { $0 + $1.interMean }
            let intra = try #require(child.contextImpact).intraMean * 256
            // What kept rows gave to chunks that are not in front any more is in no sum.
            #expect(inter + intra <= 16.01 && inter + intra > 8)
        }
    }

    @Test("what was computed is kept as a variant of its context, unless behind repairs")
    func computed() throws {
        let machine = SimulatedMachine(seed: 9)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        try machine.run {
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            let plan = try await Self.plan(namespace)
            let result = try await namespace.prefill(
                Self.prompt, plan: plan, with: model, capturing: PlannedTests.segments)
            let kept = try await namespace.keep(result, of: Self.prompt)
            #expect(kept.map(\.chunk) == [0, 1, 2], "nothing was stored: a full prefill")
            #expect(kept.first?.stored.variant == .standalone)
            let chain = try await Self.plan(namespace, .prefix)
            #expect(chain.chunks.allSatisfy { $0.use != nil }, "exact, all of it")
            // Behind a chunk that is only realigned nothing is what a prefill gives.
            try await namespace.remove(kept[2].stored.key)
            try await namespace.remove(kept[1].stored.key, variant: kept[1].stored.variant)
            try await namespace.ingest(AttentionFeedTests.chunks[Self.order[1]], with: model)
            let mixed = try await Self.plan(namespace)
            #expect(mixed.chunks[1].use != nil && mixed.chunks[2].use == nil)
            let blended = try await namespace.prefill(
                Self.prompt, plan: mixed, with: model, capturing: PlannedTests.segments)
            let later = try await namespace.keep(
                blended, of: Self.prompt, keeping: RepairKeeping(smallestFixCost: 1))
            #expect(later.isEmpty)
        }
        machine.run { await db.close() }
    }

    @Test("a use counts in the heat table by what it cost to repair")
    func heat() throws {
        try run { namespace, model in
            let plan = try await Self.plan(namespace)
            _ = try await namespace.prefill(Self.prompt, plan: plan, with: model)
            for chunk in plan.chunks {
                let use = try #require(chunk.use)
                let entry = try #require(namespace.contains(chunk.key, variant: use.variant))
                let row = try #require(namespace.heat(of: entry))
                #expect(row.useCount == 1)
                #expect(row.lastFixCost == Float(use.fixCost.ratio) && row.lastFixCost > 0)
            }
        }
    }

    @Test("without a device's profile a plan weighs what the store measured of its own reads")
    func measuredDevice() throws {
        try run { namespace, _ in
            let keys = AttentionFeedTests.chunks.map { namespace.key(tokens: $0) }
            func plan(_ device: DeviceProfile?) async throws -> FusionPlan {
                try await namespace.plan(
                    [ChunkSpan(key: keys[0], rows: 0..<16)], tokenCount: 17,
                    mode: .cacheBlend(ratio: nil),
                    compute: ComputeProfile(secondsPerToken: 1e-6, projectionShare: 0),
                    device: device, positionLimit: 512)
            }
            for _ in 0..<8 {
                for key in keys {
                    for entry in namespace.variants(of: key) {
                        _ = try await namespace.mustGet(key, variant: entry.variant)
                    }
                }
            }
            let measured = try #require(DeviceProfile(namespace.readSpeed))
            #expect(try await plan(nil) == plan(measured))
            #expect(try await plan(nil) != plan(DeviceProfile(bytesPerSecond: 1e12)))
        }
        let machine = SimulatedMachine(seed: 10)
        let db = try machine.open()
        machine.run {
            do {
                let model = try AttentionFeedTests.tinyModel()
                let namespace = try await db.namespace(
                    "tiny", model: model.binding(elementType: .float32, name: "tiny"))
                #expect(db.readSpeed == nil, "a new store has read next to nothing")
                _ = try await namespace.plan(
                    [], tokenCount: 1, mode: .realign,
                    compute: ComputeProfile(secondsPerToken: 1, projectionShare: 0),
                    positionLimit: 512)
                Issue.record("planned")
            } catch {
                guard case PlanningError.deviceUnknown = error else {
                    Issue.record("\(error)")
                    return
                }
            }
            await db.close()
        }
    }
}
