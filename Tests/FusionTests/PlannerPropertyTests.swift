import Fusion
import KVModel
import Primitives
import Testing

/// What must hold of any plan of any prompt.
@Suite("Plans of random prompts")
struct PlannerPropertyTests {
    static func request(_ random: inout SeededGenerator) throws -> PlanRequest {
        var request = try PlanBench.request(mode(&random))
        request.chunks = []
        request.found = [:]
        var row = Int.random(in: 0...3, using: &random)
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            let count = Int.random(in: 0...24, using: &random)
            let chunk = key(UInt64(count + 1))
            request.chunks.append(ChunkSpan(key: chunk, rows: row..<row + count))
            row += count
            if !request.mode.isParallel { row += Int.random(in: 0...4, using: &random) }
            request.found[chunk] =
                request.found[chunk]
                ?? (0..<Int.random(in: 0...3, using: &random)).map { id in
                    variant(UInt64(id), count, &random)
                }
        }
        request.tokenCount = row + Int.random(in: 1...5, using: &random)
        request.device = try DeviceProfile(
            bytesPerSecond: 1e5 * (1 + 1e3 * random.unit()), fixedSeconds: random.unit() * 1e-3)
        request.compute = try ComputeProfile(
            secondsPerToken: 1e-3, secondsPerPair: random.unit() * 1e-5,
            fixedSeconds: random.unit() * 1e-3, projectionShare: random.unit())
        request.options.novelty = random.unit()
        request.options.usesProfiles = Bool.random(using: &random)
        request.options.weighsLoading = Bool.random(using: &random)
        if Bool.random(using: &random) {
            request.options.checkLayer = Int.random(in: 0..<4, using: &random)
        }
        if Bool.random(using: &random) { request.options.gradualSpread = random.unit() }
        return request
    }

    static func mode(_ random: inout SeededGenerator) -> FusionMode {
        let modes: [FusionMode] = [
            .concatenate, .realign, .prefix, .parallel(temperature: 0.5 + random.unit()),
            .cacheBlend(ratio: random.unit()), .cacheBlend(ratio: nil),
            .cacheCraft(alpha: 3 * random.unit()), .cacheCraft(alpha: 1), .recompute,
        ]
        return modes.randomElement(using: &random)!
    }

    static func variant(
        _ id: UInt64, _ count: Int, _ random: inout SeededGenerator
    ) -> FoundVariant {
        let prefix = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            share(100 + UInt64.random(in: 0...3, using: &random), 9, Float(random.unit()))
        }
        func scores(_ random: inout SeededGenerator) -> [Float16] {
            Bool.random(using: &random) ? [] : (0..<count).map { _ in Float16(random.unit()) }
        }
        return PlanBench.variant(
            id, base: Int.random(in: 0...900, using: &random), prefix: prefix,
            impact: Bool.random(using: &random)
                ? nil : ContextImpact(interMean: Float(random.unit()), intraMean: 1),
            scores: scores(&random), profile: scores(&random), tokenCount: count,
            bytes: UInt64.random(in: 0...40_000, using: &random))
    }

    @Test("rows, positions and costs are within their bounds", arguments: Array(UInt64(1)...60))
    func bounds(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<10 {
            let request = try Self.request(&random)
            let plan = try FusionPlan(request)
            let rows = 0..<request.tokenCount
            let known = plan.knownRows
            #expect(zip(known, known.dropFirst()).allSatisfy { $0 < $1 })
            #expect(known.last == request.tokenCount - 1)
            let covered = request.chunks.flatMap { Array($0.rows) }
            let text = rows.filter { !covered.contains($0) }
            #expect(plan.freshPositions.keys.sorted() == text)
            #expect(text.allSatisfy { known.contains($0) })
            #expect(plan.chunks.map(\.rows) == request.chunks.map(\.rows))
            for chunk in plan.chunks {
                guard let use = chunk.use else {
                    #expect(chunk.rows.allSatisfy { known.contains($0) })
                    continue
                }
                #expect((0...1).contains(use.fixCost.ratio))
                switch use.repair {
                case .none: break
                case .rows(let repaired, _):
                    #expect(zip(repaired, repaired.dropFirst()).allSatisfy { $0 < $1 })
                    #expect(repaired.allSatisfy { (0..<chunk.rows.count).contains($0) })
                case .check(let budget):
                    #expect((0...chunk.rows.count).contains(budget ?? 0))
                    #expect(plan.schedule != nil)
                }
                if !request.mode.mayRepair { #expect(use.repair == .none) }
            }
            let cost = plan.estimate
            #expect(cost.tokensComputed >= Double(known.count) - 1e-9)
            #expect(cost.tokensComputed <= Double(request.tokenCount) + 1e-9)
            #expect(cost.computeSeconds <= cost.fullSeconds + 1e-9)
            #expect(cost.firstTokenSeconds >= max(cost.loadSeconds, cost.computeSeconds) - 1e-9)
            #expect(cost.firstTokenSeconds <= cost.loadSeconds + cost.computeSeconds + 1e-9)
            #expect((1...4).contains(plan.preloadLayerCount))
            #expect(plan.explain().split(separator: "\n").count >= 2 + plan.chunks.count)
            // Whatever is lost, the rest stays and the lost is computed.
            let lost = plan.computing(Set(plan.chunks.indices))
            #expect(lost.knownRows == Array(rows))
            #expect(plan.computing([]) == plan)
        }
    }

    @Test("a tighter deadline never costs more work", arguments: Array(UInt64(1)...40))
    func deadlines(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<5 {
            var request = try Self.request(&random)
            let free = try FusionPlan(request)
            var last = free
            for share in [2, 1, 0.8, 0.5, 0.2, 0] {
                request.deadlineSeconds = free.estimate.firstTokenSeconds * share
                let plan = try FusionPlan(request)
                if share >= 1 { #expect(plan.chunks == free.chunks) }
                #expect(plan.estimate.tokensComputed <= last.estimate.tokensComputed + 1e-9)
                let isMet = plan.estimate.firstTokenSeconds <= request.deadlineSeconds!
                #expect(plan.meetsDeadline == isMet)
                if !isMet, request.mode.mayRepair { #expect(plan.repairKept == 0) }
                last = plan
            }
        }
    }
}

extension FusionMode {
    var isParallel: Bool { if case .parallel = self { true } else { false } }
    var mayRepair: Bool {
        switch self {
        case .cacheBlend, .cacheCraft: true
        default: false
        }
    }
}
