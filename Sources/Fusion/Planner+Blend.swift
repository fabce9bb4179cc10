// CacheBlend's part of planning: one budget for all reused rows of the prompt, spent where stored
// profiles say, or at a check where there is none.

import KVModel

extension Planner {
    /// Gives the reused chunks their repair; a schedule when rows are picked during the prefill.
    func blend(
        _ choices: inout [Choice], ratio: Double?, repairKept: Double
    ) throws(FusionError) -> BlendSchedule? {
        let reused = choices.indices.filter { choices[$0].variant != nil }
        if reused.isEmpty { return nil }
        let usesProfiles =
            request.options.usesProfiles
            && reused.allSatisfy { index in
                choices[index].isExact
                    || choices[index].variant?.recompute.deviationProfile.isEmpty == false
            }
        let cost = CheckCost(
            layerCount: layerCount, checkLayer: usesProfiles ? nil : checkLayer,
            projectionShare: request.compute.projectionShare)
        let wanted = ratio ?? automaticRatio(choices, reused, cost)
        if usesProfiles {
            spend(&choices, reused, ratio: wanted * repairKept)
            return nil
        }
        for index in reused { choices[index].set(.check(budget: nil)) }
        return try schedule(ratio: wanted * repairKept)
    }

    /// As much as loading leaves time for: FUSION, "Controller", the device being fixed.
    private func automaticRatio(_ choices: [Choice], _ reused: [Int], _ cost: CheckCost) -> Double {
        var load = 0.0
        var full = 0.0
        for index in reused {
            let rows = request.chunks[index].rows
            load += request.device.loadSeconds(bytes: choices[index].variant?.storedBytes ?? 0)
            full += request.compute.prefillSeconds(
                tokenCount: rows.count, prefixTokenCount: rows.lowerBound)
        }
        return LoadingController.ratio(
            loadSeconds: load, fullSeconds: full, cost: cost, floor: request.options.ratioFloor)
    }

    /// The rows of largest stored deviation over all reused chunks. A chunk in the very context it
    /// was computed in deviates nowhere.
    private func spend(_ choices: inout [Choice], _ reused: [Int], ratio: Double) {
        var places: [(chunk: Int, row: Int)] = []
        var deviations: [Float] = []
        for index in reused {
            let profile = choices[index].variant?.recompute.deviationProfile ?? []
            for row in request.chunks[index].rows.indices {
                let offset = row - request.chunks[index].rows.lowerBound
                places.append((index, offset))
                deviations.append(choices[index].isExact ? 0 : Float(profile[offset]))
            }
        }
        let budget = recomputeBudget(ratio: ratio, tokenCount: places.count)
        var rows: [Int: [Int]] = [:]
        for place in largest(places.count, budget: budget, of: { deviations[$0] })
        where deviations[place] > 0 {
            rows[places[place].chunk, default: []].append(places[place].row)
        }
        for index in reused {
            choices[index].set(rows[index].map { .rows($0, .storedProfile) } ?? .none)
        }
    }

    private func schedule(ratio: Double) throws(FusionError) -> BlendSchedule {
        guard let spread = request.options.gradualSpread else {
            return try .once(at: checkLayer, ratio: ratio, layerCount: layerCount)
        }
        return try .gradual(
            from: checkLayer, ratio: ratio, spread: spread, layerCount: layerCount)
    }

    /// One step at the check layer, for the chunks that have a budget of their own there.
    func craftSchedule(_ choices: [Choice]) throws(FusionError) -> BlendSchedule {
        var budget = 0
        var rows = 0
        for (index, choice) in choices.enumerated() {
            guard let own = choice.checkBudget else { continue }
            budget += own
            rows += request.chunks[index].rows.count
        }
        return try .once(
            at: checkLayer, ratio: Double(budget) / Double(max(rows, 1)), layerCount: layerCount)
    }
}

extension Choice {
    var isExact: Bool {
        if case .reuse(let use) = action { use.fixCost.overlap.isExact } else { false }
    }

    mutating func set(_ repair: Repair) {
        guard case .reuse(let use) = action else { return }
        action = .reuse(
            VariantUse(
                variant: use.variant, storedPosition: use.storedPosition,
                storedPositions: use.storedPositions, bytes: use.bytes, repair: repair,
                fixCost: use.fixCost))
    }
}
