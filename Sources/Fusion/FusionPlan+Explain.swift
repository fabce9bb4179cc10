// A plan in words, for people: what is done with each chunk and why, and what it comes to.

import KVModel
import Primitives

extension FusionPlan {
    /// One line for the prompt, one a chunk, one for the cost.
    public func explain() -> String {
        let (summary, rest) = explanation()
        let lines = chunks.indices.map {
            "chunk \($0), rows \(chunks[$0].rows): \(reason(ofChunk: $0))"
        }
        return ([summary] + lines + rest).joined(separator: "\n")
    }

    /// What is done with one chunk, and why.
    public func reason(ofChunk index: Int) -> String { reason(chunks[index]) }

    /// What `explain` says before the chunks and after them. Without costs nothing is said that
    /// rests on the profiles the plan was made with.
    public func explanation(withCosts: Bool = true) -> (summary: String, rest: [String]) {
        let computed = estimate.tokensComputed
        let work =
            withCosts || schedule == nil
            ? "\(computed.brief) tokens' work (\(computed.percent(of: Double(tokenCount))))"
            : "\(knownRows.count) rows computed whatever the check says"
        let summary = "\(mode): \(tokenCount) tokens in \(chunks.count) chunks and text; \(work)"
        var rest: [String] = []
        if let schedule {
            let steps = schedule.steps.count > 4 ? Array(schedule.steps.prefix(3)) : schedule.steps
            let said = steps.map { "\($0.ratio.brief) from layer \($0.layer)" }
            rest.append(
                "rows are picked by \(tensor == .values ? "values" : "realigned keys"): "
                    + said.joined(separator: ", ")
                    + (steps.count < schedule.steps.count ? ", and so on" : ""))
        }
        let loaded = ByteCount(estimate.loadBytes)
        guard withCosts else {
            return (summary, rest + ["\(loaded) to load"])
        }
        rest.append(
            "\(loaded) load in \(estimate.loadSeconds.milliseconds), layers "
                + "compute in \(estimate.computeSeconds.milliseconds), "
                + "\(preloadLayerCount) of them loaded before the first begins; first token in "
                + "\(estimate.firstTokenSeconds.milliseconds), a full prefill takes "
                + estimate.fullSeconds.milliseconds)
        if let deadlineSeconds, let meetsDeadline {
            let kept = repairKept < 1 ? "; \(repairKept.percent(of: 1)) of the repair is kept" : ""
            rest.append(
                "deadline \(deadlineSeconds.milliseconds): "
                    + (meetsDeadline ? "met" : "missed, there is no faster plan of this mode")
                    + kept)
        }
        return (summary, rest)
    }

    private func reason(_ chunk: ChunkPlan) -> String {
        switch chunk.action {
        case .compute(.mode): "computed, as the mode says"
        case .compute(.missing): "computed: no stored variant can be used"
        case .compute(.lost): "computed: its variant is gone or damaged"
        case .compute(.notInPrefix): "computed: not in an exact chain from the first token"
        case .compute(.fullRepair): "computed: its context changed too much to keep any of it"
        case .compute(.loadsSlower(let load, let compute)):
            "computed in \(compute.milliseconds): loading takes \(load.milliseconds)"
        case .reuse(let use): reason(use, chunk)
        }
    }

    private func reason(_ use: VariantUse, _ chunk: ChunkPlan) -> String {
        let cost = use.fixCost
        let overlap = cost.overlap
        let place =
            mode == .concatenate || use.storedPosition == chunk.position
            ? "at \(use.storedPosition)" : "moved from \(use.storedPosition) to \(chunk.position)"
        let why =
            overlap.isExact
            ? "its prefix is this one"
            : "CFO \(cost.ratio.brief)\(cost.isCapped ? ", held down: computed alone" : ""), "
                + "CCI \(cost.contextImpact.brief), β \(overlap.attentionShare.brief), "
                + "γ \(overlap.orderPenalty.brief), κ \(overlap.seenShare.brief)"
        let repair =
            switch use.repair {
            case .none: "nothing recomputed"
            case .rows(let rows, let source):
                "\(rows.count) of \(chunk.rows.count) tokens recomputed, \(source.words)"
            case .check(let budget?): "\(budget) of \(chunk.rows.count) tokens, picked at the check"
            case .check(nil): "tokens picked at the check, from one budget"
            }
        return "variant \(use.variant) \(place), \(repair) (\(why))"
    }
}

extension RowSource {
    fileprivate var words: String {
        switch self {
        case .tokenScores: "those that looked most at their prefix"
        case .storedProfile: "those that deviated most before"
        case .evenlySpaced: "evenly spaced, since nothing is known of any"
        }
    }
}

extension FusionMode: CustomStringConvertible {
    public var description: String {
        switch self {
        case .concatenate: "concatenate"
        case .realign: "realign"
        case .prefix: "prefix"
        case .parallel(let temperature, let scale): "parallel(T \(temperature), S \(scale))"
        case .cacheBlend(let ratio): "cacheBlend(\(ratio.map { "\($0)" } ?? "auto"))"
        case .cacheCraft(let alpha): "cacheCraft(\(alpha))"
        case .recompute: "recompute"
        }
    }
}

extension Double {
    /// At most three places behind the point.
    fileprivate var brief: String {
        guard magnitude < 1e12 else { return "\(self)" }
        let rounded = (self * 1_000).rounded() / 1_000
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }
    fileprivate var milliseconds: String { "\((self * 1_000).brief) ms" }
    fileprivate func percent(of whole: Double) -> String {
        "\((whole > 0 ? self / whole * 100 : 0).rounded().brief) %"
    }
}
