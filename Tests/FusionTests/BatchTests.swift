import Fusion
import KVModel
import Primitives
import Testing

@Suite("Batches and layer inputs")
struct BatchTests {
    @Test("chunks of several prompts are read once and held from first to last use")
    func batch() throws {
        func plan(_ order: [UInt64]) throws -> FusionPlan {
            try PlanBench.plan(.realign) { request in
                request.chunks = order.enumerated().map { index, number in
                    ChunkSpan(key: key(number), rows: index * 10..<index * 10 + 10)
                }
                for number in order {
                    request.found[key(number)] = [PlanBench.variant(bytes: 1_000 * number)]
                }
            }
        }
        let plans = try [plan([1, 2]), plan([3]), plan([2, 3, 2])]
        let batch = BatchPlan(plans)
        #expect(batch.reads.map(\.key) == [key(1), key(2), key(3)])
        #expect(batch.reads.map(\.prompts) == [[0], [0, 2], [1, 2]])
        #expect(batch.bytesRead == 6_000)
        #expect(plans.reduce(0) { $0 + $1.estimate.loadBytes } == 13_000)
        #expect((0..<3).map { batch.bytesHeld(at: $0) } == [3_000, 5_000, 5_000])
        #expect(batch.lastUses(at: 0).map(\.key) == [key(1)])
        #expect(batch.lastUses(at: 1).isEmpty)
        #expect(batch.lastUses(at: 2).map(\.key) == [key(2), key(3)])
        #expect(BatchPlan([]).reads.isEmpty)
    }

    @Test("the split, by hand")
    func split() {
        // Inputs of 8 numbers, keys and values of 8 each, in bytes of one: 16 bytes a token at
        // 16 a second, projecting 4 · 8 · 8 operations at 256 a second: both a second a token.
        let split = InputSplit(
            hiddenSize: 8, rowElementCount: 8, bytesPerNumber: 1, bytesPerSecond: 16,
            operationsPerSecond: 256)
        #expect(split.pays && split.inputTokens(of: 10) == 5)
        #expect(split.seconds(inputTokens: 5, tokens: 10) == 2.5 + 5)
        #expect(split.seconds(inputTokens: 0, tokens: 10) == 10)
        var grouped = split
        grouped.rowElementCount = 4
        #expect(!grouped.pays && grouped.inputTokens(of: 10) == 0)
    }

    /// Layers of 4,096 numbers in fp16 from a disk of 3.4 GB/s, the inputs projected by two cores
    /// at 100 billion operations a second or by an accelerator at 100 trillion.
    @Test("layer inputs: nothing to gain on two cores, nor with grouped queries anywhere")
    func splitInPractice() {
        func gain(kvWidth: Int, operationsPerSecond: Double) -> Double {
            let split = InputSplit(
                hiddenSize: 4_096, rowElementCount: kvWidth, bytesPerNumber: 2,
                bytesPerSecond: 3.4e9, operationsPerSecond: operationsPerSecond)
            let inputs = Double(split.inputTokens(of: 2_048))
            return 1 - split.seconds(inputTokens: inputs, tokens: 2_048)
                / split.seconds(inputTokens: 0, tokens: 2_048)
        }
        // A key and a value of 8 KiB load in 4.8 µs and are projected in 0.67 ms.
        #expect(gain(kvWidth: 4_096, operationsPerSecond: 1e11) < 0.005)
        #expect(gain(kvWidth: 1_024, operationsPerSecond: 1e14) == 0)
        #expect(gain(kvWidth: 4_096, operationsPerSecond: 1e14) > 0.35)
    }

    @Test("no other split is faster", arguments: Array(UInt64(1)...40))
    func splitProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let split = InputSplit(
                hiddenSize: Int.random(in: 1...64, using: &random),
                rowElementCount: Int.random(in: 1...64, using: &random), bytesPerNumber: 2,
                bytesPerSecond: 1 + 1e4 * random.unit(),
                operationsPerSecond: 1 + 1e6 * random.unit())
            let tokens = Int.random(in: 0...60, using: &random)
            let chosen = split.inputTokens(of: tokens)
            #expect((0...tokens).contains(chosen))
            let best = split.seconds(inputTokens: Double(chosen), tokens: tokens)
            for other in 0...tokens {
                let seconds = split.seconds(inputTokens: Double(other), tokens: tokens)
                #expect(best <= seconds * (1 + 1e-12))
            }
        }
    }
}
