// What a prefill captured, stored and found again: the next plan is the same whether it is made
// from memory or from a store that was closed meanwhile.

import Attention
import AttentionFeed
import ChunkDB
import EngineTestSupport
import Fusion
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("Captured metadata through a store")
struct CapturedTests {
    static let order = [2, 0, 1]

    private static func request(
        _ binding: ModelBinding, _ found: [ChunkKey: [FoundVariant]], _ keys: [ChunkKey],
        _ mode: FusionMode
    ) throws -> PlanRequest {
        PlanRequest(
            binding: binding, tokenCount: 51,
            chunks: zip(order, PlannedTests.segments).map {
                ChunkSpan(key: keys[$0], rows: $1)
            },
            found: found, mode: mode, device: try DeviceProfile(bytesPerSecond: 1e9),
            compute: try ComputeProfile(secondsPerToken: 1e-3, projectionShare: 0.3),
            positionLimit: 512)
    }

    @Test("captured, stored, reopened and planned: the same plan as from memory")
    func reopened() throws {
        let machine = SimulatedMachine(seed: 7)
        let model = try AttentionFeedTests.tinyModel()
        let full = try model.prefill(PlannedTests.tokens, capturing: PlannedTests.segments)
        let chunks = AttentionFeedTests.chunks
        let db = try machine.open()
        let fromMemory = try machine.run { () async throws -> [ChunkKey: [FoundVariant]] in
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            let keys = chunks.map { namespace.key(tokens: $0) }
            var found: [ChunkKey: [FoundVariant]] = [:]
            for index in 0..<3 {
                let put = try await namespace.put(
                    segment: index, of: full, tokens: PlannedTests.tokens,
                    behind: Array(keys[..<index]), creationMilliseconds: 2,
                    deviceClass: DeviceClass("test"))
                #expect(put.key == keys[index] && put.outcome == .committed)
                let (recompute, detail) = try #require(
                    full.capture?.metadata(
                        of: index, behind: Array(keys[..<index]), creationMilliseconds: 2,
                        deviceClass: DeviceClass("test")))
                let located = try #require(
                    try await namespace.locate(keys[index], variant: put.variant))
                found[keys[index]] = [
                    FoundVariant(
                        id: put.variant, bindingDigest: namespace.binding.digest, tokenCount: 16,
                        basePosition: 16 * index,
                        storedBytes: located.extents.reduce(0) { $0 + UInt64($1.paddedBytes) },
                        recompute: recompute, detail: detail)
                ]
            }
            return found
        }
        machine.run { await db.close() }
        let again = try machine.open()
        try machine.run {
            let namespace = try #require(again.namespace("tiny"))
            let keys = chunks.map { namespace.key(tokens: $0) }
            let fromStore = try await namespace.find(keys)
            #expect(fromStore == fromMemory)
            #expect(fromStore[keys[2]]?.first?.detail.layerInter.count == 4, "2 layers × 2")
            for mode in PlannedTests.modes {
                let binding = namespace.binding
                let plan = try FusionPlan(Self.request(binding, fromStore, keys, mode))
                #expect(plan == (try FusionPlan(Self.request(binding, fromMemory, keys, mode))))
                guard mode == .cacheCraft(alpha: 1) else { continue }
                guard case .rows(_, .tokenScores)? = plan.chunks[0].use?.repair else {
                    Issue.record("the scores that were captured decide: \(plan.explain())")
                    return
                }
            }
        }
        machine.run { await again.close() }
    }

    @Test("what was not captured as a whole is not stored as if it were")
    func incomplete() throws {
        let machine = SimulatedMachine(seed: 7)
        let model = try AttentionFeedTests.tinyModel()
        let db = try machine.open()
        let gaps = try model.prefill(PlannedTests.tokens, capturing: [2..<16, 16..<32])
        let plain = try model.prefill(PlannedTests.tokens)
        try machine.run {
            let namespace = try await db.namespace(
                "tiny", model: model.binding(elementType: .float32, name: "tiny"))
            let key = namespace.key(tokens: [1])
            func refused(_ prefill: PrefillResult, _ segment: Int) async -> Int? {
                do throws(AttentionFeedError) {
                    try await namespace.put(
                        segment: segment, of: prefill, tokens: PlannedTests.tokens,
                        behind: segment == 1 ? [key] : [])
                } catch {
                    if case .attention(.segmentNotCaptured(let segment)) = error { return segment }
                }
                return nil
            }
            #expect(await refused(gaps, 0) == 0, "behind two tokens of no chunk")
            #expect(await refused(gaps, 1) == 1)
            #expect(await refused(gaps, 2) == 2, "there is none")
            #expect(await refused(plain, 0) == 0, "nothing was captured")
            #expect(namespace.entryCount == 0)
        }
        machine.run { await db.close() }
    }
}
