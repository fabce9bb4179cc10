import Fusion
import KVModel
import Primitives
import Testing

/// Everything a request can have wrong is said before anything is planned.
@Suite("Plans that are refused")
struct PlanErrorTests {
    let craft = FusionMode.cacheCraft(alpha: 1)

    @Test("rows: out of the prompt, overlapping, out of order, none")
    func rows() throws {
        func error(_ rows: Range<Int>...) throws -> FusionError? {
            try PlanBench.error(craft) { request in
                request.chunks = rows.map { ChunkSpan(key: key(1), rows: $0) }
            }
        }
        #expect(try error(0..<10, 10..<20) == nil)
        #expect(try error(0..<10, 9..<19) == .rowsOverlap(chunk: 1, rows: 9..<19))
        #expect(try error(10..<20, 0..<10) == .rowsOverlap(chunk: 1, rows: 0..<10))
        let outside = FusionError.rowsOutOfPrompt(chunk: 0, rows: 23..<33, tokenCount: 32)
        #expect(try error(23..<33) == outside)
        #expect(
            try error(-1..<9) == .rowsOutOfPrompt(chunk: 0, rows: -1..<9, tokenCount: 32))
        #expect(try PlanBench.error(craft) { $0.tokenCount = 0 } == .emptyPrompt)
        #expect(try PlanBench.error(craft) { $0.tokenCount = -5 } == .emptyPrompt)
    }

    @Test("unknown keys, another binding, another length, a prefix that names the chunk")
    func variants() throws {
        func error(_ change: (inout FoundVariant) -> Void) throws -> FusionError? {
            try PlanBench.error(craft) { change(&$0.found[key(2)]![0]) }
        }
        let unknown = try PlanBench.error(craft) { $0.found[key(2)] = nil }
        #expect(unknown == .unknownKey(chunk: 1, key: key(2)))
        #expect(
            try error { $0.bindingDigest[5] ^= 1 }
                == .otherBinding(chunk: 1, variant: .standalone))
        #expect(try error { $0.tokenCount = 9 } == .tokenCount(chunk: 1, expected: 10, found: 9))
        #expect(
            try error { $0.recompute.prefix = [share(1, 10, 0), share(2, 10, 0)] }
                == .prefixNamesItself(chunk: 1, variant: .standalone))
        #expect(
            try error { $0.detail.positions = [1, 2] }
                == .tokenCount(chunk: 1, expected: 10, found: 2))
    }

    @Test("scores that are no numbers, negative, or too few")
    func scores() throws {
        func error(_ change: (inout RecomputeMetadata) -> Void) throws -> FusionError? {
            try PlanBench.error(craft) { change(&$0.found[key(2)]![0].recompute) }
        }
        var scores = [Float16](repeating: 1, count: 10)
        for bad in [Float16.nan, -1] {
            scores[4] = bad
            #expect(
                try error { $0.tokenScores = scores }
                    == .scoreNotANumber(chunk: 1, score: .tokenScore, index: 4))
            #expect(
                try error { $0.deviationProfile = scores }
                    == .scoreNotANumber(chunk: 1, score: .deviation, index: 4))
        }
        scores[4] = .infinity
        #expect(try error { $0.deviationProfile = scores } == nil, "a distance beyond fp16")
        #expect(
            try error { $0.tokenScores = [1] } == .scoreCount(chunk: 1, expected: 10, found: 1))
        for bad in [Float.nan, .infinity, -1] {
            #expect(
                try error { $0.prefix = [share(7, 1, 0), share(8, 1, bad)] }
                    == .scoreNotANumber(chunk: 1, score: .prefixAttention, index: 1))
            #expect(
                try error { $0.contextImpact = ContextImpact(interMean: 0, intraMean: bad) }
                    == .scoreNotANumber(chunk: 1, score: .contextImpact, index: 1))
        }
    }

    @Test("ratios, alpha, temperature, options")
    func numbers() throws {
        for bad in [-0.1, 1.1, Double.nan] {
            guard case .ratioOutOfRange = try PlanBench.error(.cacheBlend(ratio: bad), { _ in })
            else {
                Issue.record("ratio \(bad) was taken")
                continue
            }
            for path in [\PlanOptions.novelty, \.ratioFloor] {
                guard
                    case .ratioOutOfRange = try PlanBench.error(
                        craft, { $0.options[keyPath: path] = bad })
                else {
                    Issue.record("option \(bad) was taken")
                    continue
                }
            }
        }
        for bad in [-1, Double.nan, .infinity] {
            guard case .alphaOutOfRange = try PlanBench.error(.cacheCraft(alpha: bad), { _ in }),
                case .parallelOutOfRange = try PlanBench.error(.parallel(scale: bad), { _ in })
            else {
                Issue.record("\(bad) was taken")
                continue
            }
        }
        #expect(try PlanBench.error(.parallel(temperature: 0)) { _ in } == .parallelOutOfRange(0))
        guard case .schedule(4, _) = try PlanBench.error(craft, { $0.options.checkLayer = 4 }),
            case .profile = try PlanBench.error(craft, { $0.deadlineSeconds = .nan })
        else {
            Issue.record("a check layer or a deadline was taken")
            return
        }
        #expect(
            try PlanBench.error(.parallel()) {
                $0.chunks = [
                    ChunkSpan(key: key(1), rows: 0..<10), ChunkSpan(key: key(2), rows: 11..<21),
                ]
            } == .textBetweenParallelChunks(row: 10))
        #expect(try PlanBench.error(.parallel()) { $0.tokenCount = 30 } == .parallelAtEnd)
        #expect(
            try PlanBench.error(.parallel()) { request in
                request.binding.layers[2].windowTokenCount = 5
                for chunk in request.chunks {
                    request.found[chunk.key]![0].bindingDigest = request.binding.digest
                }
            } == .parallelWindow(layer: 2))
    }

    @Test("positions beyond the model, below 0, beyond what can be counted")
    func positions() throws {
        #expect(try PlanBench.error(craft) { $0.positionLimit = 32 } == nil)
        #expect(
            try PlanBench.error(craft) { $0.positionLimit = 31 }
                == .positionOverflow(position: 31, limit: 31))
        #expect(
            try PlanBench.error(craft) { $0.firstPosition = -1 }
                == .positionOverflow(position: -1, limit: 1_024))
        guard
            case .positionOverflow = try PlanBench.error(craft, { $0.firstPosition = .max - 3 }),
            case .positionOverflow = try PlanBench.error(
                craft, { $0.found[key(2)]![0].basePosition = .max }),
            case .positionOverflow = try PlanBench.error(
                craft, { $0.found[key(2)]![0].basePosition = 1_015 }),
            case .positionOverflow = try PlanBench.error(
                craft, { $0.found[key(2)]![0].basePosition = -1 })
        else {
            Issue.record("a position was taken")
            return
        }
        #expect(try PlanBench.error(craft) { $0.found[key(2)]![0].basePosition = 1_014 } == nil)
    }

    @Test("a model without a declared rotary scheme, or that makes no sense")
    func model() throws {
        func without(_ mode: FusionMode) throws -> FusionError? {
            try PlanBench.error(mode) { request in
                request.binding.rotary.dimension = 0
                for chunk in request.chunks {
                    request.found[chunk.key]![0].bindingDigest = request.binding.digest
                }
            }
        }
        for mode in [FusionMode.realign, .parallel(), .cacheBlend(ratio: nil), craft] {
            #expect(try without(mode) == .rotaryUndeclared)
        }
        for mode in [FusionMode.concatenate, .prefix, .recompute] {
            #expect(try without(mode) == nil)
        }
        guard case .binding = try PlanBench.error(craft, { $0.binding.layers = [] }) else {
            Issue.record("a model without layers was taken")
            return
        }
    }
}
