// What the documentation shows of reuse and repair, as it stands there: `HouseTests` compares the
// lines between the marks with that page.

import Attention
import AttentionFeed
import ChunkDB
import EngineTestSupport
import Fusion
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("Examples")
struct ExampleTests {
    @Test("chunks stored from one prompt repair another, and the repair is kept")
    func repair() throws {
        let machine = SimulatedMachine(seed: 9)
        let db = try machine.open()
        let model = try AttentionFeedTests.tinyModel()
        let stored = try machine.run { () async throws -> [Int] in
            try await Self.example(db, model)
        }
        machine.run { await db.close() }
        // What was put, and what a repair added; which, the machine's own speed decides.
        #expect(stored[1] >= 1 && stored[2] >= 1, "\(stored)")
    }

    /// How many variants each chunk has in the end.
    private static func example(_ db: ChunkDB, _ model: Model) async throws -> [Int] {
        let acme = try await db.namespace(
            "acme", model: model.binding(elementType: .float32, name: "tiny"))
        let prompt = PlannedTests.tokens
        let segments = PlannedTests.segments
        let keys = AttentionFeedTests.chunks.map { acme.key(tokens: $0) }
        // The same chunks in another order, and the same question.
        let other = KeptTests.prompt
        let spans = zip(KeptTests.order, segments).map {
            ChunkSpan(key: keys[$0], rows: $1)
        }
        // The store knows its speed from reads.
        try await acme.ingest([1, 2, 3, 4], with: model)
        for _ in 0..<20 { _ = try await acme.get(acme.key(tokens: [1, 2, 3, 4])) }
        // example:repair
        let full = try model.prefill(prompt, capturing: segments)  // who looked at whom, on the way
        try await acme.put(segment: 1, of: full, tokens: prompt, behind: [keys[0]])  // behind 0
        try await acme.ingest(segment: 2, of: full, tokens: prompt, with: model)  // alone, profiled

        let plan = try await acme.plan(  // all variants, weighed with the store's own read speed
            spans, tokenCount: other.count, mode: .cacheCraft(alpha: 1),
            compute: try model.calibrate(tokenCounts: [64, 256]),
            positionLimit: model.configuration.positionCount)
        let answer = try await acme.prefill(
            other, plan: plan, with: model, capturing: spans.map(\.rows))
        try await acme.keep(answer, of: other)  // what was repaired, as new variants
        // end of example
        #expect(plan.chunks.count == 3)
        #expect(answer.prefill.logits.count == model.configuration.vocabularySize)
        return keys.map { acme.variants(of: $0).count }
    }
}
