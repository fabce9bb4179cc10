// What `plan` answers, to people and to machines.

import Fusion
import KVModel
import Primitives

/// The schema of `plan --json`.
struct PlanReport: Encodable {
    struct Chunk: Encodable {
        var key: String
        /// In the prompt.
        var firstRow: Int
        var tokenCount: Int
        /// Of its first token in this prompt.
        var position: Int
        /// Variants that could be opened.
        var variantCount: Int
        /// `reuse` or `compute`.
        var action: String
        /// In words.
        var reason: String
        /// What is reused; `0000000000000000` is the standalone, raw form.
        var variant: String?
        /// Where its first key was rotated for.
        var storedPosition: Int?
        /// To be read, padding included.
        var loadBytes: UInt64?
        /// CFO.
        var fixCost: Double?
        /// Tokens known beforehand to be recomputed.
        var repairedTokenCount: Int?
    }
    struct Step: Encodable {
        var layer: Int
        /// Share of the reused rows that goes on from there.
        var ratio: Double
    }
    /// Only where the file gives costs.
    struct Times: Encodable {
        var loadSeconds: Double
        var computeSeconds: Double
        var firstTokenSeconds: Double
        var fullPrefillSeconds: Double
        var preloadLayerCount: Int
        /// Absent without a deadline.
        var meetsDeadline: Bool?
    }

    var verb = "plan"
    var path: String
    var prompt: String
    var namespace: String
    var mode: String
    var tokenCount: Int
    var chunks: [Chunk]
    /// Rows known beforehand to be computed through all layers.
    var knownRowCount: Int
    /// Where rows are picked during the prefill; absent when all are known.
    var checks: [Step]?
    /// Tokens' work through all layers. With checks it needs the costs.
    var tokensComputed: Double?
    var loadBytes: UInt64
    var times: Times?
    /// Variants that did not open, and are planned without.
    var damages: [DamageFacts]

    init(
        _ plan: FusionPlan, path: String, prompt: String, namespace: String,
        found: [ChunkKey: [FoundVariant]], damages: [DamageFacts], costsAreKnown: Bool
    ) {
        self.path = path
        self.prompt = prompt
        self.namespace = namespace
        self.damages = damages
        mode = "\(plan.mode)"
        tokenCount = plan.tokenCount
        chunks = plan.chunks.indices.map { index in
            let chunk = plan.chunks[index]
            var repaired: Int?
            if case .rows(let rows, _) = chunk.use?.repair { repaired = rows.count }
            if chunk.use?.repair == Repair.none { repaired = 0 }
            return Chunk(
                key: "\(chunk.key)", firstRow: chunk.rows.lowerBound,
                tokenCount: chunk.rows.count, position: chunk.position,
                variantCount: found[chunk.key]?.count ?? 0,
                action: chunk.use == nil ? "compute" : "reuse",
                reason: plan.reason(ofChunk: index), variant: chunk.use.map { "\($0.variant)" },
                storedPosition: chunk.use?.storedPosition, loadBytes: chunk.use?.bytes,
                fixCost: chunk.use?.fixCost.ratio, repairedTokenCount: repaired)
        }
        knownRowCount = plan.knownRows.count
        checks = plan.schedule?.steps.map { Step(layer: $0.layer, ratio: $0.ratio) }
        let estimate = plan.estimate
        loadBytes = estimate.loadBytes
        if costsAreKnown || plan.schedule == nil { tokensComputed = estimate.tokensComputed }
        if costsAreKnown {
            times = Times(
                loadSeconds: estimate.loadSeconds, computeSeconds: estimate.computeSeconds,
                firstTokenSeconds: estimate.firstTokenSeconds,
                fullPrefillSeconds: estimate.fullSeconds,
                preloadLayerCount: plan.preloadLayerCount, meetsDeadline: plan.meetsDeadline)
        }
    }

    /// The same in words: `explain()`, with the chunks in a table.
    func print(_ plan: FusionPlan, on console: Console) {
        let (summary, rest) = plan.explanation(withCosts: times != nil)
        console.print(console.painted(printable(summary), .bold))
        var table = Table([
            ("ROWS", .right), ("KEY", .left), ("VARIANTS", .right), ("WHAT", .left),
        ])
        let digits = LsReport.distinguishingDigits(chunks.map(\.key))
        for chunk in chunks {
            table.add([
                "\(chunk.firstRow)–\(chunk.firstRow + chunk.tokenCount - 1)",
                String(chunk.key.prefix(digits)), "\(chunk.variantCount)", chunk.reason,
            ])
        }
        if !table.isEmpty { table.print(on: console) }
        for line in rest { console.print(printable(line)) }
        for damage in damages {
            console.print(console.painted("left out: \(printable(damage.text))", .red))
        }
    }
}
