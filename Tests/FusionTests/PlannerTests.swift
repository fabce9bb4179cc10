import Fusion
import KVModel
import Primitives
import Testing

/// What each mode does with a prompt of three chunks and a question.
@Suite("Planner")
struct PlannerTests {
    @Test("recompute, concatenate, realign")
    func simple() throws {
        let full = try PlanBench.plan(.recompute)
        #expect(full.reasons == [.mode, .mode, .mode])
        #expect(full.knownRows == Array(0..<32))
        #expect(full.estimate.loadBytes == 0 && isNear(full.estimate.tokensComputed, 32))
        #expect(isNear(full.estimate.firstTokenSeconds, full.estimate.fullSeconds))
        let costly = try PlanBench.plan(.recompute) {
            $0.compute = try ComputeProfile(
                secondsPerToken: 1e-3, secondsPerPair: 1e-4, fixedSeconds: 0.5,
                projectionShare: 0.25)
        }
        // 32 ms, 32 · 33 / 2 pairs and the fixed part.
        #expect(isNear(costly.estimate.fullSeconds, 0.5 + 0.032 + 0.0528))
        #expect(isNear(costly.estimate.firstTokenSeconds, costly.estimate.fullSeconds))

        for mode in [FusionMode.concatenate, .realign] {
            let plan = try PlanBench.plan(mode)
            #expect(plan.repairs == [Repair.none, Repair.none, Repair.none])
            #expect(plan.knownRows == [30, 31], "the question")
            #expect(plan.schedule == nil)
            #expect(plan.chunks.map(\.position) == [0, 10, 20])
            #expect(plan.estimate.loadBytes == 30_000)
            #expect(isNear(plan.estimate.tokensComputed, 2))
        }
    }

    @Test("a miss is computed, and a prompt that ends in a chunk computes its last row")
    func missing() throws {
        let plan = try PlanBench.plan(.realign) {
            $0.tokenCount = 30
            $0.found[key(2)] = []
        }
        #expect(plan.reasons == [nil, .missing, nil])
        #expect(plan.knownRows == Array(10..<20) + [29])
        #expect(plan.freshPositions.isEmpty)
    }

    @Test("prefix: an exact chain from the first token on, and nothing behind it")
    func prefix() throws {
        func behind(_ count: Int) -> FoundVariant {
            PlanBench.variant(
                UInt64(count), base: count * 10,
                prefix: (0..<count).map { share(UInt64($0 + 1), 10, 0.1) })
        }
        let chain = try PlanBench.plan(.prefix) {
            for index in 0..<3 { $0.found[key(UInt64(index + 1))] = [behind(index)] }
        }
        #expect(chain.reasons == [nil, nil, nil])
        let broken = try PlanBench.plan(.prefix) {
            for index in [0, 2] { $0.found[key(UInt64(index + 1))] = [behind(index)] }
        }
        #expect(broken.reasons == [nil, .notInPrefix, .notInPrefix])
        let shifted = try PlanBench.plan(.prefix) {
            $0.tokenCount = 33
            $0.chunks = PlanBench.chunks.map {
                ChunkSpan(key: $0.key, rows: $0.rows.lowerBound + 1..<$0.rows.upperBound + 1)
            }
        }
        #expect(shifted.reasons.allSatisfy { $0 == .notInPrefix }, "a token stands in front")
    }

    @Test("parallel: one position range behind the shared prefix, and the question behind it")
    func parallel() throws {
        let plan = try PlanBench.plan(.parallel()) {
            $0.chunks = [
                ChunkSpan(key: key(1), rows: 4..<14), ChunkSpan(key: key(2), rows: 14..<19),
            ]
            $0.tokenCount = 22
            $0.found[key(2)] = [
                PlanBench.variant(7, prefix: [share(1, 10, 1)], tokenCount: 5)
            ]
            $0.firstPosition = 100
        }
        #expect(plan.chunks.map(\.position) == [104, 104])
        #expect(plan.reasons == [nil, .missing], "what saw another chunk is not parallel")
        let positions = [0: 100, 1: 101, 2: 102, 3: 103, 19: 114, 20: 115, 21: 116]
        #expect(plan.freshPositions == positions)
    }

    @Test("the variant of least fix cost wins, of equals the one found first")
    func variants() throws {
        let plan = try PlanBench.plan(.cacheCraft(alpha: 1)) {
            $0.found[key(3)] = [
                PlanBench.variant(1),
                PlanBench.variant(2, base: 10, prefix: [share(2, 10, 1)]),
                PlanBench.variant(3, base: 20, prefix: [share(1, 10, 1), share(2, 10, 1)]),
                PlanBench.variant(4, base: 20, prefix: [share(1, 10, 1), share(2, 10, 1)]),
            ]
        }
        let use = try #require(plan.chunks[2].use)
        #expect(use.variant == VariantID(3) && use.repair == .none)
        #expect(use.fixCost.overlap.isExact && use.storedPosition == 20)
    }

    @Test("Cache-Craft: token scores, else the profile, else even distances; alone is capped")
    func cacheCraft() throws {
        let scores = (0..<10).map { Float16($0) }
        let context = ContextImpact(interMean: 0, intraMean: 1)
        let plan = try PlanBench.plan(.cacheCraft(alpha: 1)) {
            // Old [A], new [A, B]: CFO 0.5 · (1 − 0.5) = 0.25, three of ten tokens.
            $0.found[key(3)] = [
                PlanBench.variant(
                    3, base: 10, prefix: [share(1, 10, 1)], impact: context, scores: scores)
            ]
            $0.found[key(2)] = [PlanBench.variant(profile: scores)]
        }
        #expect(plan.repairs[0] == Repair.none, "computed alone, and first")
        #expect(plan.repairs[1] == .rows([8, 9], .storedProfile), "⌈0.15 · 10⌉")
        #expect(plan.repairs[2] == .rows([7, 8, 9], .tokenScores))
        #expect(plan.knownRows == [18, 19, 27, 28, 29, 30, 31])
        #expect(isNear(plan.estimate.tokensComputed, 7))
        let blind = try PlanBench.plan(.cacheCraft(alpha: 1))
        #expect(blind.repairs[1] == .rows([2, 7], .evenlySpaced))
        // Where a check was measured to pay, it picks the rows.
        let checked = try PlanBench.plan(.cacheCraft(alpha: 1)) {
            $0.binding.calibration = BlendCalibration(checkLayer: 2, tensor: .values)
        }
        #expect(checked.repairs[1] == .check(budget: 2) && checked.repairs[2] == .check(budget: 2))
        #expect(checked.schedule?.steps == [.init(layer: 2, ratio: 0.2)])
        #expect(checked.tensor == .values)
        // Two rows of the question, twenty rows at (2 + 0.25 · 1 + 0.75 · 0.2 + 0.2) / 4.
        #expect(isNear(checked.estimate.tokensComputed, 2 + 20 * 2.6 / 4))
        let strange = try PlanBench.plan(.cacheCraft(alpha: 9)) {
            $0.found[key(3)] = [PlanBench.variant(3, base: 1, prefix: [share(9, 10, 1)])]
        }
        #expect(strange.reasons[2] == .fullRepair)
    }

    @Test("CacheBlend: a check by default, the stored profiles where all have one")
    func cacheBlend() throws {
        let online = try PlanBench.plan(.cacheBlend(ratio: 0.2))
        let check = Repair.check(budget: nil)
        #expect(online.repairs == [check, check, check])
        #expect(online.schedule?.steps == [.init(layer: 1, ratio: 0.2)])
        #expect(online.tensor == .realignedKeys && online.knownRows == [30, 31])
        // eff(0.2) of thirty rows: (1 + 0.25 + 0.2 · 2.75) / 4, and the question.
        #expect(isNear(online.estimate.tokensComputed, 2 + 30 * 1.8 / 4))

        let gradual = try PlanBench.plan(.cacheBlend(ratio: 0.2)) { $0.options.gradualSpread = 0.5 }
        let ratios = gradual.schedule?.steps.map(\.ratio) ?? []
        #expect(ratios.count == 3 && isNear(ratios[0], 0.3) && isNear(ratios[2], 0.1))

        func profiled(_ ratio: Double) throws -> FusionPlan {
            try PlanBench.plan(.cacheBlend(ratio: ratio)) { request in
                for index in 0..<3 {
                    // Exact at the front: its profile, of another context, does not count.
                    let profile = (0..<10).map { Float16(index == 0 ? 99 : $0 * index) }
                    request.found[key(UInt64(index + 1))] = [PlanBench.variant(profile: profile)]
                }
            }
        }
        let some = try profiled(0.2)
        #expect(some.schedule == nil)
        // Six rows: chunk 2 has 2 … 18, chunk 1 has 1 … 9.
        #expect(some.repairs[0] == Repair.none)
        #expect(some.repairs[1] == .rows([9], .storedProfile))
        #expect(some.repairs[2] == .rows([5, 6, 7, 8, 9], .storedProfile))
        #expect(isNear(some.estimate.tokensComputed, 8))
        let all = try profiled(1)
        #expect(all.repairs[0] == Repair.none, "it is right as it is")
        #expect(all.repairs[1] == .rows(Array(1..<10), .storedProfile), "row 0 never deviated")
    }

    @Test("CacheBlend auto: a slow device buys repair, a fast one does not go below the floor")
    func automatic() throws {
        let fast = try PlanBench.plan(.cacheBlend(ratio: nil))
        #expect(fast.schedule?.steps.first?.ratio == 0.15)
        // 30,000 bytes at 2 MB/s are 15 ms; thirty tokens take 30 ms. eff⁻¹(0.5) at layer 1 of 4.
        let slow = try PlanBench.plan(.cacheBlend(ratio: nil)) {
            $0.device = try DeviceProfile(bytesPerSecond: 2e6)
        }
        #expect(isNear(slow.schedule?.steps.first?.ratio ?? 0, (0.5 * 4 - 1.25) / 2.75, 1e-9))
    }

    @Test("what loads more slowly than it computes is computed, unless told otherwise")
    func loadOrCompute() throws {
        let slow = try PlanBench.plan(.realign) {
            $0.found[key(2)] = [PlanBench.variant(bytes: 20_000_000)]
        }
        #expect(slow.reasons == [nil, .loadsSlower(load: 0.02, compute: 0.01), nil])
        let told = try PlanBench.plan(.realign) {
            $0.found[key(2)] = [PlanBench.variant(bytes: 20_000_000)]
            $0.options.weighsLoading = false
        }
        #expect(told.reasons == [nil, nil, nil])
        #expect(told.preloadLayerCount > 1)
    }

    @Test("a deadline takes from the repair, never from the bytes; what cannot be met is said")
    func deadline() throws {
        func plan(_ deadline: Double?) throws -> FusionPlan {
            try PlanBench.plan(.cacheCraft(alpha: 1)) { request in
                for index in 1..<3 {
                    request.found[key(UInt64(index + 1))] = [
                        PlanBench.variant(
                            9, base: 5, prefix: [share(77, 10, 1)],
                            scores: (0..<10).map { Float16($0) })
                    ]
                }
                request.binding.calibration = nil
                request.deadlineSeconds = deadline
            }
        }
        let free = try plan(nil)
        #expect(free.meetsDeadline == nil && free.repairKept == 1)
        #expect(free.reasons[1] == .fullRepair, "nothing in common: CCI 1, β′ 0")
        let easy = try plan(1)
        #expect(easy.meetsDeadline == true && easy.repairKept == 1 && easy.chunks == free.chunks)
        // 22 tokens take 22 ms; ten of the twenty repaired are in time for 13.
        let tight = try plan(0.013)
        #expect(tight.meetsDeadline == true && tight.repairKept < 1 && tight.repairKept > 0.4)
        #expect(tight.estimate.firstTokenSeconds <= 0.013)
        guard case .rows(let rows, .tokenScores)? = tight.repairs[1] else {
            Issue.record("not repaired by scores")
            return
        }
        #expect(rows == Array(10 - rows.count..<10), "the largest scores are kept")
        let hopeless = try plan(0.000_1)
        #expect(hopeless.meetsDeadline == false && hopeless.repairKept == 0)
        #expect(hopeless.repairs[1] == Repair.none)
        #expect(hopeless.explain().contains("missed"))
    }

    @Test("positions that are not consecutive come with the plan")
    func positions() throws {
        let list = (0..<10).map { UInt32($0 * 3 + 5) }
        let plan = try PlanBench.plan(.realign) {
            $0.found[key(2)]![0].detail.positions = list
            $0.found[key(2)]![0].basePosition = 5
        }
        #expect(plan.chunks[1].use?.storedPositions == list)
    }

    @Test("a plan explains itself")
    func explain() throws {
        let text = try PlanBench.plan(.cacheCraft(alpha: 1)) {
            $0.found[key(3)] = []
            $0.deadlineSeconds = 1
        }.explain()
        #expect(
            text == """
                cacheCraft(1.0): 32 tokens in 3 chunks and text; 14 tokens' work (44 %)
                chunk 0, rows 0..<10: variant 0000000000000000 at 0, nothing recomputed \
                (its prefix is this one)
                chunk 1, rows 10..<20: variant 0000000000000000 moved from 0 to 10, 2 of 10 tokens \
                recomputed, evenly spaced, since nothing is known of any (CFO 0.15, held down: \
                computed alone, CCI 0.5, β 0, γ 0, κ 0)
                chunk 2, rows 20..<30: computed: no stored variant can be used
                19.5 KiB load in 0.02 ms, layers compute in 14 ms, 1 of them loaded \
                before the first begins; first token in 14.005 ms, a full prefill takes 32 ms
                deadline 1000 ms: met
                """)
        let modes: [FusionMode] = [
            .concatenate, .realign, .prefix, .parallel(), .cacheBlend(ratio: nil),
            .cacheBlend(ratio: 0.5), .cacheCraft(alpha: 2), .recompute,
        ]
        for mode in modes { #expect(try PlanBench.plan(mode).explain().hasPrefix("\(mode)")) }
    }

    @Test("what was repaired is no link of an exact chain, but is reused as it is otherwise")
    func repairedChain() throws {
        for parent in [nil, VariantID(9)] {
            func plan(_ mode: FusionMode) throws -> FusionPlan {
                try PlanBench.plan(mode) { request in
                    for (index, chunk) in request.chunks.enumerated() {
                        var variant = PlanBench.variant(
                            UInt64(index + 1), base: 10 * index,
                            prefix: request.chunks[..<index].map {
                                PrefixShare(key: $0.key, tokenCount: 10, interMean: 1)
                            })
                        if index == 1 { variant.recompute.parent = parent }
                        request.found[chunk.key] = [variant]
                    }
                }
            }
            let reasons: [ComputeReason?] =
                parent == nil ? [nil, nil, nil] : [nil, .notInPrefix, .notInPrefix]
            #expect(try plan(.prefix).reasons == reasons)
            let repairs = try plan(.cacheCraft(alpha: 1)).repairs
            #expect(repairs == [Repair](repeating: .none, count: 3))
        }
    }

    @Test("Cache-Craft's rows come from profiles, or from token scores where those are asked for")
    func preferredRows() throws {
        for prefers in [nil, false] {
            let plan = try PlanBench.plan(.cacheCraft(alpha: 0.3)) { request in
                let share = PrefixShare(key: key(77), tokenCount: 10, interMean: 1)
                request.found[request.chunks[1].key] = [
                    PlanBench.variant(
                        prefix: [share], impact: ContextImpact(interMean: 0, intraMean: 1),
                        scores: [9] + [Float16](repeating: 1, count: 9),
                        profile: [Float16](repeating: 1, count: 9) + [9])
                ]
                if let prefers { request.options.prefersProfiles = prefers }
            }
            // CFO = 0.3 · 0.5 · 1, of ten tokens two.
            let expected: Repair =
                prefers == nil ? .rows([0, 9], .storedProfile) : .rows([0, 1], .tokenScores)
            #expect(plan.repairs[1] == expected)
        }
    }

    @Test("what counts as a score, bit by bit")
    func scores() {
        for bits in 0...UInt16.max {
            let number = Float16(bitPattern: bits)
            #expect(([number].firstNoScore == nil) == (number >= 0))
        }
    }
}
