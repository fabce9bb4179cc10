// Several planned prompts at once, and what the medium or the caller does to a planned one.

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

@Suite("Batches carried out, losses, profiles")
struct BatchPrefillTests {
    static let chunks = AttentionFeedTests.chunks
    static let orders = [[0, 1, 2], [2, 1], [1, 0]]

    static func tokens(_ order: [Int]) -> [UInt32] {
        order.flatMap { chunks[$0] } + AttentionFeedTests.question
    }

    private func run<Success: Sendable>(
        _ body: @escaping @Sendable (Namespace, Model, SimulatedDisk) async throws -> Success
    ) throws -> Success {
        let machine = SimulatedMachine(seed: 12)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        let disk = machine.disk
        let result = try machine.run { () async throws -> Success in
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            for chunk in Self.chunks { try await namespace.ingest(chunk, with: model) }
            return try await body(namespace, model, disk)
        }
        machine.run { await db.close() }
        return result
    }

    private static func plan(
        _ namespace: Namespace, _ model: Model, _ order: [Int],
        _ mode: FusionMode = .cacheCraft(alpha: 1)
    ) async throws -> FusionPlan {
        try await namespace.plan(
            order.enumerated().map { place, chunk in
                ChunkSpan(
                    key: namespace.key(tokens: chunks[chunk]), rows: place * 16..<place * 16 + 16)
            }, tokenCount: tokens(order).count, mode: mode,
            compute: ComputeProfile(
                secondsPerToken: 1e-3, projectionShare: model.configuration.keyValueShare),
            device: DeviceProfile(bytesPerSecond: 1e9),
            positionLimit: model.configuration.positionCount)
    }

    @Test("prompts side by side answer as alone, and read what the batch's plan says")
    func batch() throws {
        try run { namespace, model, _ in
            var prompts: [PlannedPrompt] = []
            var alone: [PlannedPrefillResult] = []
            let modes: [FusionMode] = [.cacheCraft(alpha: 1), .realign, .cacheBlend(ratio: 0.3)]
            for (order, mode) in zip(Self.orders, modes) {
                let plan = try await Self.plan(namespace, model, order, mode)
                let tokens = Self.tokens(order)
                prompts.append(PlannedPrompt(tokens, plan: plan))
                alone.append(try await namespace.prefill(tokens, plan: plan, with: model))
            }
            // Beside them one that the store has nothing of.
            let strange = try await Self.plan(namespace, model, [], .recompute)
            prompts.append(PlannedPrompt(AttentionFeedTests.question, plan: strange))
            let together = try await namespace.prefill(prompts, with: model)
            #expect(together.map(\.plan) == prompts.map(\.plan))
            for (one, other) in zip(together, alone) {
                #expect(one.prefill.logits == other.prefill.logits)
            }
            let full = try model.prefill(AttentionFeedTests.question).logits
            #expect(together[3].prefill.logits == full)
            let batch = BatchPlan(prompts.map(\.plan))
            #expect(together.map(\.bytesRead) == [Int](repeating: Int(batch.bytesRead), count: 4))
            // Three chunks instead of seven.
            #expect(alone.reduce(0) { $0 + $1.bytesRead } * 3 == Int(batch.bytesRead) * 7)
            #expect(try await namespace.prefill([], with: model).isEmpty)
        }
    }

    @Test("what is lost is computed in every prompt that wanted it")
    func batchLoss() throws {
        try run { namespace, model, disk in
            var prompts: [PlannedPrompt] = []
            for order in Self.orders {
                let plan = try await Self.plan(namespace, model, order, .realign)
                prompts.append(PlannedPrompt(Self.tokens(order), plan: plan))
            }
            let key = namespace.key(tokens: Self.chunks[0])
            let extent = try #require(try await namespace.locate(key)?.extent(layer: 1, .keys))
            disk.flip("segments/00000000", byte: Int(extent.fileOffset) + 9, bit: 1)
            let results = try await namespace.prefill(prompts, with: model)
            #expect(results[0].plan == prompts[0].plan.computing([0]))
            #expect(results[1].plan == prompts[1].plan)
            #expect(results[2].plan == prompts[2].plan.computing([1]))
        }
    }

    @Test("what the medium does not give is computed, and no more than that", arguments: [0, 1])
    func unreadable(layer: Int) throws {
        try run { namespace, model, disk in
            let order = [0, 1, 2]
            let plan = try await Self.plan(namespace, model, order, .realign)
            let key = namespace.key(tokens: Self.chunks[1])
            let extent = try #require(
                try await namespace.locate(key)?.extent(layer: layer, .values))
            let block = Int(extent.fileOffset) / 4_096
            disk.spoil("segments/00000000", blocks: block..<block + 1)
            let result = try await namespace.prefill(
                Self.tokens(order), plan: plan, with: model)
            #expect(result.plan == plan.computing([1]))
            disk.heal()
            let healed = try await namespace.prefill(
                Self.tokens(order), plan: plan.computing([1]), with: model)
            #expect(result.prefill.logits == healed.prefill.logits)
        }
    }

    @Test("other tokens than the chunk's are refused before anything is computed")
    func otherTokens() throws {
        try run { namespace, model, _ in
            let plan = try await Self.plan(namespace, model, [0, 1, 2])
            for tokens in [Self.tokens([1, 0, 2]), Self.tokens([0, 1, 1]), Self.tokens([0, 1])] {
                do {
                    _ = try await namespace.prefill(tokens, plan: plan, with: model)
                    Issue.record("answered")
                } catch AttentionFeedError.store(.shape) {}
            }
            // The question may be any.
            var tokens = Self.tokens([0, 1, 2])
            tokens[50] = 9
            _ = try await namespace.prefill(tokens, plan: plan, with: model)
        }
    }

    @Test("another model is refused before anything is read")
    func otherModel() throws {
        try run { namespace, model, disk in
            let plan = try await Self.plan(namespace, model, [0, 1, 2])
            let other = try AttentionFeedTests.tinyModel(seed: 2)
            func isRefused(_ call: () async throws -> Void) async -> Bool {
                do {
                    try await call()
                } catch AttentionFeedError.store(.bindingMismatch) {
                    return true
                } catch {}
                return false
            }
            let tokens = Self.tokens([0, 1, 2])
            let reads = disk.callCount(of: .read)
            #expect(
                await isRefused {
                    _ = try await namespace.prefill(tokens, plan: plan, with: other)
                })
            #expect(
                await isRefused {
                    _ = try await namespace.prefill(
                        chunks: Self.chunks, question: [1], plan: .realign, with: other)
                })
            #expect(await isRefused { try await namespace.ingest([9, 9], with: other) })
            #expect(disk.callCount(of: .read) == reads && namespace.entryCount == 3)
        }
    }

    @Test("a full prefill gives chunks their deviation profiles; the next plan picks rows by them")
    func profiles() throws {
        try run { namespace, model, _ in
            let segments = PlannedTests.segments
            let full = try model.prefill(PlannedTests.tokens, capturing: segments)
            for segment in 0..<3 {
                let there = try await namespace.ingest(
                    segment: segment, of: full, tokens: PlannedTests.tokens, with: model)
                #expect(there.outcome == .alreadyPresent)
                let stored = try await namespace.ingest(
                    segment: segment, of: full, tokens: PlannedTests.tokens, with: model,
                    renewing: true)
                #expect(stored.outcome == .alreadyPresent && stored.variant == .standalone)
                let located = try #require(try await namespace.locate(stored.key))
                let profile = located.metadata.recompute.deviationProfile
                // By hand: the chunk alone, moved to its place.
                var alone = try model.prefill(Self.chunks[segment]).cache.planes
                alone.realign(
                    from: 0, to: segments[segment].lowerBound, rotary: model.configuration.rotary)
                #expect(
                    profile
                        == alone.deviationProfile(to: full.cache.planes.rows(segments[segment])))
                #expect(profile.allSatisfy { $0 == 0 } == (segment == 0), "the first stood alone")
            }
            let plan = try await Self.plan(
                namespace, model, [2, 0, 1], .cacheBlend(ratio: 0.25))
            #expect(plan.schedule == nil, "no check")
            guard case .rows(let rows, .storedProfile)? = plan.chunks[2].use?.repair else {
                Issue.record("\(plan.explain())")
                return
            }
            #expect(!rows.isEmpty)
            // Behind others, with the profile of yet another context.
            let keys = Self.chunks.map { namespace.key(tokens: $0) }
            let profile = [Float16](repeating: 2, count: 16)
            let behind = try await namespace.put(
                segment: 1, of: full, tokens: PlannedTests.tokens, behind: [keys[0]],
                profile: profile)
            let found = try await namespace.locate(keys[1], variant: behind.variant)
            #expect(found?.metadata.recompute.deviationProfile == profile)
            let plain = try model.prefill(PlannedTests.tokens)
            await #expect(throws: AttentionFeedError.self) {
                try await namespace.ingest(
                    segment: 0, of: plain, tokens: PlannedTests.tokens, with: model)
            }
        }
    }
}
