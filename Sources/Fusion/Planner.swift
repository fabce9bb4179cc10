// From a request to a plan: pure arithmetic, no I/O. Whatever is wrong with a request is said
// before anything is planned; what is only missing is computed from tokens.
//
//     checked request → variant and action of each chunk → which rows → cost
//                             ↑ less repair, when a deadline is missed ─┘

import KVModel
import Primitives

extension FusionPlan {
    /// Plans one prompt. *Complexity:* O(variants · prefix + tokens · log tokens).
    /// *Throws:* `FusionError`, for the first thing that is wrong.
    public init(_ request: PlanRequest) throws(FusionError) {
        let planner = Planner(try CheckedRequest(request))
        var plan = try planner.plan(repairKept: 1)
        guard let deadline = request.deadlineSeconds, request.mode.repairs,
            plan.estimate.firstTokenSeconds > deadline
        else {
            self = plan
            return
        }
        // Cost rises with the share of the repair that is kept, so the largest share in time is
        // found by halving; where even none is too late, none is kept.
        var (low, high) = (0, 16)
        plan = try planner.plan(repairKept: 0)
        while high - low > 1 {
            let middle = (low + high) / 2
            let candidate = try planner.plan(repairKept: Double(middle) / 16)
            if candidate.estimate.firstTokenSeconds <= deadline {
                low = middle
                plan = candidate
            } else {
                high = middle
            }
        }
        self = plan
    }
}

extension FusionMode {
    var repairs: Bool {
        switch self {
        case .cacheBlend, .cacheCraft: true
        case .concatenate, .realign, .prefix, .parallel, .recompute: false
        }
    }
    /// Whether keys are turned to another position.
    var movesKeys: Bool {
        switch self {
        case .realign, .parallel, .cacheBlend, .cacheCraft: true
        case .concatenate, .prefix, .recompute: false
        }
    }
}

/// The variant and the rows of one chunk, before rows that chunks share a budget for are picked.
struct Choice {
    var action: ChunkPlan.Action
    /// The variant's metadata, when it is reused.
    var variant: FoundVariant?
}

struct Planner {
    let request: PlanRequest
    let prompt: CheckedRequest
    let layerCount: Int
    let checkLayer: Int
    let tensor: DeviationTensor

    init(_ prompt: CheckedRequest) {
        self.prompt = prompt
        request = prompt.request
        layerCount = request.binding.layerCount
        let calibration = request.binding.calibration
        checkLayer =
            request.options.checkLayer ?? calibration?.checkLayer ?? min(1, layerCount - 1)
        tensor = request.options.tensor ?? calibration?.tensor ?? .realignedKeys
    }

    func plan(repairKept: Double) throws(FusionError) -> FusionPlan {
        var choices: [Choice] = []
        for index in request.chunks.indices {
            choices.append(choose(index, after: choices, repairKept: repairKept))
        }
        var schedule: BlendSchedule?
        if case .cacheBlend(let ratio) = request.mode {
            schedule = try blend(&choices, ratio: ratio, repairKept: repairKept)
        } else if choices.contains(where: { $0.checkBudget != nil }) {
            // Each chunk has its own budget, so the step's ratio is what they come to together.
            schedule = try craftSchedule(choices)
        }
        let positions = prompt.positions
        let chunks = request.chunks.indices.map { index in
            ChunkPlan(
                key: request.chunks[index].key, rows: request.chunks[index].rows,
                position: positions.chunks[index], action: choices[index].action)
        }
        let known = knownRows(chunks)
        let costs = PlanCosts(
            request: request, chunks: chunks, knownRows: known, schedule: schedule)
        return FusionPlan(
            mode: request.mode, tokenCount: request.tokenCount, chunks: chunks,
            freshPositions: positions.fresh, knownRows: known, schedule: schedule, tensor: tensor,
            preloadLayerCount: costs.preloadLayerCount, estimate: costs.estimate,
            deadlineSeconds: request.deadlineSeconds, repairKept: repairKept)
    }

    // MARK: One chunk

    private func choose(_ index: Int, after choices: [Choice], repairKept: Double) -> Choice {
        let chunk = request.chunks[index]
        let variants = request.found[chunk.key] ?? []
        if request.mode == .recompute { return Choice(action: .compute(.mode)) }
        let prefix = prompt.prefix(of: index)
        let options = FixCostOptions(
            alpha: request.mode.alpha, novelty: request.options.novelty,
            standaloneRatioMax: request.mode.capsStandalone ? request.options.ratioFloor : 1)
        let usable = variants.filter { fits($0, index, prefix) }
        // The smallest fix cost wins, of equals the one found first.
        let costs = usable.map { FixCost($0.recompute, in: prefix, options: options) }
        guard let best = costs.indices.min(by: { costs[$0].ratio < costs[$1].ratio }) else {
            let isChain = request.mode == .prefix && !variants.isEmpty
            return Choice(action: .compute(isChain ? .notInPrefix : .missing))
        }
        if request.mode == .prefix, choices.contains(where: { $0.variant == nil }) {
            return Choice(action: .compute(.notInPrefix))
        }
        let (variant, cost) = (usable[best], costs[best])
        if request.options.weighsLoading {
            let load = request.device.loadSeconds(bytes: variant.storedBytes)
            let compute = request.compute.prefillSeconds(
                tokenCount: chunk.rows.count, prefixTokenCount: chunk.rows.lowerBound)
            if load >= compute {
                return Choice(action: .compute(.loadsSlower(load: load, compute: compute)))
            }
        }
        var repair = Repair.none
        if case .cacheCraft = request.mode {
            let ratio = cost.ratio * repairKept
            if ratio >= 1 { return Choice(action: .compute(.fullRepair)) }
            repair = craftRepair(variant, ratio: ratio)
        }
        return Choice(action: .reuse(use(variant, cost, repair)), variant: variant)
    }

    func use(_ variant: FoundVariant, _ cost: FixCost, _ repair: Repair) -> VariantUse {
        VariantUse(
            variant: variant.id, storedPosition: variant.basePosition,
            storedPositions: variant.detail.positions, bytes: variant.storedBytes, repair: repair,
            fixCost: cost)
    }

    private func fits(_ variant: FoundVariant, _ index: Int, _ prefix: [PrefixEntry]) -> Bool {
        switch request.mode {
        // What was repaired is not what a prefill of the chain gives.
        case .prefix:
            variant.recompute.parent == nil
                && variant.basePosition == prompt.positions.chunks[index]
                && variant.detail.positions.isEmpty
                && PrefixOverlap(old: variant.recompute.prefix, new: prefix).isExact
        // What saw other chunks is not what parallel chunks are.
        case .parallel: variant.recompute.prefix.isEmpty
        default: true
        }
    }

    /// Cache-Craft's tokens; a variant computed alone has no scores, so its own profile stands in,
    /// else the check where this model's was measured to pay, else even distances.
    private func craftRepair(_ variant: FoundVariant, ratio: Double) -> Repair {
        let budget = recomputeBudget(ratio: ratio, tokenCount: variant.tokenCount)
        if budget == 0 { return .none }
        let recompute = variant.recompute
        let hasProfile = request.options.usesProfiles && !recompute.deviationProfile.isEmpty
        if !recompute.tokenScores.isEmpty, !recompute.prefix.isEmpty,
            !(hasProfile && request.options.prefersProfiles)
        {
            return .rows(repairSet(scores: recompute.tokenScores, ratio: ratio), .tokenScores)
        }
        if hasProfile {
            return .rows(
                repairSet(scores: recompute.deviationProfile, ratio: ratio), .storedProfile)
        }
        if request.options.checkLayer != nil || request.binding.calibration != nil {
            return .check(budget: budget)
        }
        return .rows(evenlySpaced(tokenCount: variant.tokenCount, ratio: ratio), .evenlySpaced)
    }

    // MARK: Rows

    /// Everything that is computed through all layers whatever a check says.
    private func knownRows(_ chunks: [ChunkPlan]) -> [Int] {
        var isKnown = [Bool](repeating: true, count: request.tokenCount)
        for chunk in chunks {
            guard let use = chunk.use else { continue }
            for row in chunk.rows { isKnown[row] = false }
            if case .rows(let rows, _) = use.repair {
                for row in rows { isKnown[chunk.rows.lowerBound + row] = true }
            }
        }
        isKnown[request.tokenCount - 1] = true
        return isKnown.indices.filter { isKnown[$0] }
    }
}

extension FusionMode {
    /// Modes that repair nothing, or by another rule, still ask which variant fits best.
    var alpha: Double {
        if case .cacheCraft(let alpha) = self { alpha } else { 1 }
    }
    var capsStandalone: Bool {
        if case .cacheCraft = self { true } else { false }
    }
}

extension Choice {
    /// Rows to pick in this chunk at the check.
    var checkBudget: Int? {
        if case .reuse(let use) = action, case .check(let budget) = use.repair {
            budget
        } else {
            nil
        }
    }
}
