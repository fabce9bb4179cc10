import Fusion
import KVModel
import Primitives
import Testing

/// Cache-Craft's formulas (FUSION, "Cache-Craft"): an example by hand for each, and what must hold
/// whatever the numbers are.
@Suite("Cache-Craft")
struct CacheCraftTests {
    static let seeds = Array(UInt64(1)...40)

    // MARK: Context impact

    @Test("ā, b̄ and CCI, by hand")
    func contextImpact() throws {
        // Two layers, ten tokens behind chunks of 5 and 20.
        // Layer 0: 2/(10·5) + 4/(10·20) = 0.06, own 5/100; layer 1: 1/50 + 2/200 = 0.03, own 7/100.
        let impact = try #require(
            ContextImpact(
                inter: [[2, 4], [1, 2]], intra: [5, 7], tokenCount: 10, prefixTokenCounts: [5, 20]))
        #expect(isNear(Double(impact.interMean), 0.045, 1e-8))
        #expect(isNear(Double(impact.intraMean), 0.06, 1e-8))
        // 1 / (1 + exp(−0.75)) = 0.679178699…
        #expect(isNear(impact.index, 0.679_178_699, 1e-7))
        #expect(ContextImpact(interMean: 0, intraMean: 0.5).index == 0.5)
        #expect(ContextImpact(interMean: 0, intraMean: 0).index == 0.5)
        #expect(ContextImpact(interMean: 0.1, intraMean: 0).index == 1)
        #expect(ContextImpact(interMean: .greatestFiniteMagnitude, intraMean: 1e-30).index == 1)
        #expect(
            ContextImpact(inter: [[1]], intra: [1], tokenCount: 0, prefixTokenCounts: [1]) == nil)
        #expect(
            ContextImpact(inter: [[1]], intra: [], tokenCount: 1, prefixTokenCounts: [1]) == nil)
        #expect(
            ContextImpact(inter: [[1]], intra: [1], tokenCount: 1, prefixTokenCounts: [1, 2]) == nil
        )
    }

    @Test("CCI lies in 0.5...1, and rises with ā and falls with b̄", arguments: seeds)
    func contextImpactProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let inter = Float(random.unit() * 3)
            let intra = Float(random.unit() + 1e-3)
            let index = ContextImpact(interMean: inter, intraMean: intra).index
            #expect((0.5...1).contains(index))
            #expect(ContextImpact(interMean: inter * 2, intraMean: intra).index >= index)
            #expect(ContextImpact(interMean: inter, intraMean: intra * 2).index <= index)
        }
    }

    // MARK: Overlap and order

    @Test("β, κ, γ and β′, by hand")
    func overlap() {
        // Old A B C with attention 1, 2, 5; new C (30), text (10), A (60).
        let found = PrefixOverlap(
            old: [share(1, 60, 1), share(2, 9, 2), share(3, 30, 5)],
            new: [entry(3, 30), PrefixEntry(key: nil, tokenCount: 10), entry(1, 60)])
        #expect(found.attentionShare == 6.0 / 8)
        #expect(found.seenShare == 0.9)
        #expect(found.orderPenalty == 1, "the one pair stands the other way round")
        #expect(found.ordered == 0)
        #expect(!found.isExact)
        // Old A B C D, new B A C: of three pairs one is discordant.
        let other = PrefixOverlap(
            old: [share(1, 1, 1), share(2, 1, 1), share(3, 1, 1), share(4, 1, 1)],
            new: [entry(2, 1), entry(1, 1), entry(3, 1)])
        #expect(other.orderPenalty == 1.0 / 3)
        #expect(isNear(other.ordered, 0.75 * 2 / 3))
        // No old prefix, or no attention to it: κ in place of β.
        #expect(PrefixOverlap(old: [], new: [entry(1, 5)]).attentionShare == 0)
        let mute = PrefixOverlap(old: [share(1, 5, 0)], new: [entry(1, 5), entry(2, 15)])
        #expect(mute.attentionShare == 0.25 && mute.seenShare == 0.25)
        let first = PrefixOverlap(old: [share(1, 5, 1)], new: [])
        #expect(first.seenShare == 1 && first.attentionShare == 0)
        // Of duplicates the first occurrence counts for the order, all of them for the tokens.
        let twice = PrefixOverlap(
            old: [share(1, 5, 1), share(2, 5, 1), share(1, 5, 1)],
            new: [entry(2, 5), entry(1, 5), entry(2, 5)])
        #expect(twice.orderPenalty == 1 && twice.seenShare == 1 && twice.attentionShare == 1)
    }

    @Test("equal prefixes are exact; text between is not")
    func exact() {
        let old = [share(1, 5, 1), share(2, 5, 1)]
        #expect(PrefixOverlap(old: old, new: [entry(1, 5), entry(2, 5)]).isExact)
        #expect(!PrefixOverlap(old: old, new: [entry(2, 5), entry(1, 5)]).isExact)
        #expect(!PrefixOverlap(old: old, new: [entry(1, 5)]).isExact)
        let text = PrefixEntry(key: nil, tokenCount: 1)
        #expect(!PrefixOverlap(old: old, new: [entry(1, 5), text, entry(2, 5)]).isExact)
        #expect(!PrefixOverlap(old: [], new: [text]).isExact)
        #expect(PrefixOverlap(old: [], new: []).isExact)
    }

    /// Chunks drawn without repetition, and some of them shuffled.
    static func prefixes(_ random: inout SeededGenerator) -> ([PrefixShare], [PrefixEntry]) {
        func draw(_ random: inout SeededGenerator) -> [UInt64] {
            Array((1...9).shuffled(using: &random).prefix(Int.random(in: 0...9, using: &random)))
        }
        return (
            draw(&random).map { share($0, Int($0) * 7, Float(random.unit())) },
            draw(&random).map { entry($0, Int($0) * 7) }
        )
    }

    @Test("γ is symmetric and counts pairs; β′ falls with γ; all lie in 0...1", arguments: seeds)
    func overlapProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let (old, new) = Self.prefixes(&random)
            let found = PrefixOverlap(old: old, new: new)
            for value in [
                found.attentionShare, found.seenShare, found.orderPenalty, found.ordered,
            ] {
                #expect((0...1).contains(value))
            }
            #expect(found.ordered <= found.attentionShare)
            let back = PrefixOverlap(
                old: new.map { PrefixShare(key: $0.key!, tokenCount: $0.tokenCount) },
                new: old.map { PrefixEntry(key: $0.key, tokenCount: $0.tokenCount) })
            #expect(isNear(back.orderPenalty, found.orderPenalty))
            // The slow way: all pairs of common chunks.
            let common = old.map(\.key).filter { key in new.contains { $0.key == key } }
            let place = Dictionary(uniqueKeysWithValues: new.enumerated().map { ($1.key!, $0) })
            var discordant = 0
            for i in common.indices {
                for j in common.indices where i < j && place[common[i]]! > place[common[j]]! {
                    discordant += 1
                }
            }
            let pairs = common.count * (common.count - 1) / 2
            #expect(
                isNear(found.orderPenalty, pairs == 0 ? 0 : Double(discordant) / Double(pairs)))
            // The same chunks in the old order: nothing is out of order.
            let sorted = old.map { PrefixEntry(key: $0.key, tokenCount: $0.tokenCount) }
            #expect(PrefixOverlap(old: old, new: sorted).orderPenalty == 0)
        }
    }

    @Test("β′ falls with every pair out of order, and rises with every old chunk", arguments: seeds)
    func orderedIsMonotone(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let old = (1...7).map { share($0, 10, Float(random.unit()) + 0.01) }
            var new = old.map { PrefixEntry(key: $0.key, tokenCount: 10) }
            // From the old order on, neighbours change places one pair after the other.
            var last = PrefixOverlap(old: old, new: new)
            #expect(last.ordered == 1)
            for end in (1..<7).reversed() {
                for place in 0..<end {
                    new.swapAt(place, place + 1)
                    let found = PrefixOverlap(old: old, new: new)
                    #expect(found.attentionShare == 1)
                    #expect(isNear(found.orderPenalty, last.orderPenalty + 1.0 / 21))
                    #expect(found.ordered < last.ordered)
                    last = found
                }
            }
            #expect(last.ordered < 1e-12, "the other way round")
            // In the old order, with one chunk more each time.
            var shares: [Double] = []
            for count in 0...7 {
                let front = old.prefix(count).map { PrefixEntry(key: $0.key, tokenCount: 10) }
                shares.append(PrefixOverlap(old: old, new: front).ordered)
            }
            #expect(zip(shares, shares.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    // MARK: Fix cost

    @Test("CFO, by hand")
    func fixCost() {
        // ā/b̄ = 0 gives CCI 0.5; old [A], new [A, B] of equal size: β = 1, γ = 0, κ = 0.5.
        let recompute = RecomputeMetadata(
            prefix: [share(1, 10, 0.5)], contextImpact: ContextImpact(interMean: 0, intraMean: 1))
        let new = [entry(1, 10), entry(2, 10)]
        let cost = FixCost(recompute, in: new)
        #expect(isNear(cost.ratio, 0.25), "0.5 · (1 − 1 · (1 − 1 · 0.5))")
        let paper = FixCost(recompute, in: new, options: FixCostOptions(novelty: 0))
        #expect(paper.ratio == 0, "the paper calls it a perfect hit")
        let eager = FixCost(recompute, in: new, options: FixCostOptions(alpha: 9))
        #expect(eager.ratio == 1)
        #expect(
            FixCost(recompute, in: [entry(1, 10)], options: FixCostOptions(alpha: 9)).ratio == 0)
        var unknown = recompute
        unknown.contextImpact = nil
        #expect(isNear(FixCost(unknown, in: new).ratio, 0.5), "not captured: CCI is taken as 1")
    }

    @Test("a chunk computed alone is capped, and exact at the front")
    func standalone() {
        let alone = RecomputeMetadata()
        let behind = FixCost(alone, in: [entry(1, 10)])
        #expect(behind.ratio == 0.15 && behind.isCapped && behind.contextImpact == 0.5)
        let lenient = FixCost(
            alone, in: [entry(1, 10)], options: FixCostOptions(standaloneRatioMax: 0.9))
        #expect(lenient.ratio == 0.5 && !lenient.isCapped)
        let front = FixCost(alone, in: [])
        #expect(front.ratio == 0 && !front.isCapped)
    }

    @Test("CFO lies in 0...1, rises with α and ν, and is 0 for equal prefixes", arguments: seeds)
    func fixCostProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let (old, new) = Self.prefixes(&random)
            let recompute = RecomputeMetadata(
                prefix: old,
                contextImpact: ContextImpact(
                    interMean: Float(random.unit()), intraMean: Float(random.unit())))
            let alpha = random.unit() * 2
            let novelty = random.unit()
            func ratio(_ alpha: Double, _ novelty: Double) -> Double {
                FixCost(
                    recompute, in: new, options: FixCostOptions(alpha: alpha, novelty: novelty)
                ).ratio
            }
            let found = ratio(alpha, novelty)
            #expect((0...1).contains(found))
            #expect(ratio(alpha * 1.5, novelty) >= found)
            #expect(ratio(alpha, min(1, novelty + 0.2)) >= found - 1e-12)
            let same = old.map { PrefixEntry(key: $0.key, tokenCount: $0.tokenCount) }
            #expect(FixCost(recompute, in: same).ratio == 0)
        }
    }

    // MARK: Which tokens

    @Test("the repair set, by hand")
    func repair() {
        let scores: [Float16] = [0.1, 0.9, 0.5, 0.9, 0.0]
        #expect(repairSet(scores: scores, ratio: 0.4) == [1, 3])
        #expect(repairSet(scores: scores, ratio: 0.41) == [1, 2, 3], "⌈2.05⌉ tokens")
        #expect(repairSet(scores: scores, ratio: 0.2) == [1], "of equals the earlier")
        #expect(repairSet(scores: scores, ratio: 0) == [])
        #expect(repairSet(scores: scores, ratio: 1) == [0, 1, 2, 3, 4])
        #expect(repairSet(scores: [], ratio: 1) == [])
        #expect(recomputeBudget(ratio: 0.07, tokenCount: 100) == 7)
        for (ratio, rows) in [(-1.0, 0), (.nan, 0), (.infinity, 9), (2, 9), (1e-12, 0)] {
            #expect(recomputeBudget(ratio: ratio, tokenCount: 9) == rows)
        }
        #expect(evenlySpaced(tokenCount: 10, ratio: 0.2) == [2, 7])
        #expect(evenlySpaced(tokenCount: 3, ratio: 1) == [0, 1, 2])
        #expect(evenlySpaced(tokenCount: 3, ratio: 0) == [])
    }

    @Test("repair sets ascend, keep to their size, and leave out nothing better", arguments: seeds)
    func repairProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...200, using: &random)
        let scores = (0..<count).map { _ in Float16(Double(Int(random.unit() * 20)) / 20) }
        let ratio = random.unit()
        for set in [
            repairSet(scores: scores, ratio: ratio), evenlySpaced(tokenCount: count, ratio: ratio),
        ] {
            #expect(set.count == recomputeBudget(ratio: ratio, tokenCount: count))
            #expect(zip(set, set.dropFirst()).allSatisfy { $0 < $1 })
            #expect(set.allSatisfy { (0..<count).contains($0) })
        }
        let chosen = Set(repairSet(scores: scores, ratio: ratio))
        let worst = chosen.map { scores[$0] }.min() ?? .infinity
        #expect(scores.indices.allSatisfy { chosen.contains($0) || scores[$0] <= worst })
    }

    // MARK: Use score

    @Test("the use score, by hand")
    func useScore() {
        var score = UseScore(halfLifeSeconds: 100)
        score.use(fixCost: 0.5, at: 0)
        #expect(score.value == 2)
        score.use(fixCost: 0, at: 100)
        #expect(isNear(score.value, 1 + 20), "half of 2, and 1/ε")
        #expect(isNear(score.value(at: 300), 21.0 / 4))
        #expect(score.value(at: 0) == score.value, "time that runs backwards")
        score.use(fixCost: .nan, at: 100)
        #expect(isNear(score.value, 22), "as if all had been repaired")
    }

    @Test("a use never lowers the score, and a cheaper one raises it more", arguments: seeds)
    func useScoreProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var score = UseScore(halfLifeSeconds: 50)
        var now = 0.0
        for _ in 0..<50 {
            now += random.unit() * 100
            let cost = random.unit()
            var (cheap, dear) = (score, score)
            cheap.use(fixCost: cost / 2, at: now)
            dear.use(fixCost: cost, at: now)
            #expect(cheap.value >= dear.value)
            #expect(dear.value >= score.value(at: now) + 1)
            #expect(isNear(dear.value(at: now + 50), dear.value / 2))
            score = dear
        }
    }

    // MARK: Focus

    @Test("focused chunks, by hand")
    func focus() throws {
        var observer = try FocusObserver(focusMass: 0.8, focusWindow: 2)
        #expect(try !observer.observe([0.5, 0.2, 0.3]))
        #expect(observer.focused == [0, 2])
        #expect(try !observer.observe([0.7, 0.25, 0.05]))
        #expect(observer.focused == [0, 1])
        #expect(try observer.observe([0.2, 0.7, 0.1]), "the same two, for two layers")
        #expect(throws: FusionError.self) { try observer.observe([.nan]) }
        #expect(throws: FusionError.self) { try FocusObserver(focusMass: 1.5, focusWindow: 2) }
        #expect(throws: FusionError.self) { try FocusObserver(focusMass: 1, focusWindow: 0) }
    }

    @Test("focused chunks hold the mass, and none too many", arguments: seeds)
    func focusProperties(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let mass = random.unit()
        var observer = try FocusObserver(focusMass: mass, focusWindow: 3)
        for _ in 0..<20 {
            let masses = (0..<6).map { _ in random.unit() }
            _ = try observer.observe(masses)
            let held = observer.focused.map { masses[$0] }
            let goal = masses.reduce(0, +) * mass
            #expect(held.reduce(0, +) >= goal - 1e-12)
            #expect(held.reduce(0, +) - (held.min() ?? 0) < goal || held.isEmpty)
        }
    }
}
