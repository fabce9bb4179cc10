// Question: how many tokens does each mode compute on a stream of prompts over a corpus, beside a
// full prefill of each and beside prefix caching? A bad answer: Cache-Craft above a quarter of full
// prefills, or above half of what prefix caching computes.
//
// Nothing is timed and no attention is computed: plans alone, so the same seed gives the same
// numbers everywhere. Of the answers' quality it says nothing; `quality` does.

import ArgumentParser
import ChunkDB
import Fusion

struct ReuseWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "reuse",
        abstract: "Tokens that each mode computes on a Zipf trace of prompts, by plans alone.")

    @OptionGroup var common: CommonOptions

    @Option(help: "Chunks of the corpus.") var chunks = 1_000
    @Option(help: "Prompts.") var prompts = 1_000
    @Option(help: "Chunks of a prompt, at least.") var least = 5
    @Option(help: "Chunks of a prompt, at most.") var most = 15
    @Option(help: "Variants kept of a chunk.") var variants = 5

    func validate() throws {
        guard (20...1_000_000).contains(chunks), (1...1_000_000).contains(prompts), least >= 1,
            most >= least, most <= chunks / 2, (1...1_000).contains(variants)
        else {
            throw ValidationError("chunks from 20, prompts, lengths and variants from 1")
        }
    }

    var facts: [String: OptionValue] {
        [
            "chunks": .number(common.smoke ? 60 : chunks),
            "prompts": .number(common.smoke ? 30 : prompts), "least": .number(least),
            "most": .number(most), "variants": .number(variants),
        ]
    }

    static let modes: [ReuseMode] = [
        ReuseMode(name: "full prefill", mode: .recompute),
        ReuseMode(name: "prefix caching", mode: .prefix),
        ReuseMode(name: "realign, nothing repaired", mode: .realign),
        ReuseMode(name: "parallel", mode: .parallel()),
        ReuseMode(name: "CacheBlend 0.15, check at layer 1", mode: .cacheBlend(ratio: 0.15)),
        ReuseMode(
            name: "CacheBlend 0.15, stored profile", mode: .cacheBlend(ratio: 0.15),
            usesProfiles: true),
        ReuseMode(name: "Cache-Craft, α 0.2", mode: .cacheCraft(alpha: 0.2)),
        ReuseMode(name: "Cache-Craft, α 1", mode: .cacheCraft(alpha: 1)),
        ReuseMode(name: "Cache-Craft, α 1, ν 0", mode: .cacheCraft(alpha: 1), novelty: 0),
        ReuseMode(
            name: "Cache-Craft, α 1, repairs kept", mode: .cacheCraft(alpha: 1),
            keepsRepairs: 0.3),
        ReuseMode(
            name: "Cache-Craft, α 0.5, repairs kept", mode: .cacheCraft(alpha: 0.5),
            keepsRepairs: 0.3),
    ]

    var writtenBytes: Int { 0 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let trace = ReuseTrace(
            chunkCount: common.smoke ? 60 : chunks, promptCount: common.smoke ? 30 : prompts,
            lengths: common.smoke ? 2...5 : least...most, tokenCounts: 128...512,
            questionTokenCount: 32, impacts: 0.05...2, seed: common.seed)
        var costs = ReuseSimulator.Costs()
        costs.variantsPerChunk = variants
        let simulator = ReuseSimulator(trace, costs: costs)
        let progress = Progress(stepCount: 2 * Self.modes.count)
        defer { progress.finish() }
        for isIngested in [false, true] {
            var prefix: ReuseSimulator.Outcome?
            for mode in Self.modes {
                let outcome = try simulator.run(mode, isIngested: isIngested, seed: common.seed)
                progress.advance(mode.name)
                if mode.mode == .prefix { prefix = outcome }
                var metrics = [
                    "computedTokens": outcome.computedTokens,
                    "computedShare": outcome.computedTokens / max(outcome.promptTokens, 1),
                    "reusedChunkShare": Double(outcome.reusedChunkCount)
                        / Double(max(outcome.chunkCount, 1)),
                    "exactChunkShare": Double(outcome.exactChunkCount)
                        / Double(max(outcome.chunkCount, 1)),
                    "meanFixCost": outcome.fixCosts / Double(max(outcome.reusedChunkCount, 1)),
                    "storedVariantCount": Double(outcome.storedVariantCount),
                ]
                for tenth in 0..<10 {
                    metrics["computedShareTenth\(tenth < 9 ? "0" : "")\(tenth + 1)"] =
                        outcome.computedShare(tenth: tenth)
                }
                if let prefix, prefix.computedTokens > 0 {
                    metrics["ratioToPrefixCaching"] =
                        outcome.computedTokens / prefix.computedTokens
                    metrics["lastTenthToPrefixCaching"] =
                        outcome.computedShare(tenth: 9)
                        / max(prefix.computedShare(tenth: 9), 1e-9)
                }
                report.results.append(
                    BenchmarkResult(
                        name: isIngested ? "corpus stored alone" : "store empty at first",
                        subject: mode.name, metrics: metrics))
            }
        }
        report.notes += [
            "computed: tokens through all layers by the plans' estimates, questions and checks "
                + "included; chunks of 128 to 512 tokens, questions of 32, 32 layers; the top 5 % "
                + "of chunks get 60 % of the requests",
            "context impact is drawn, not measured: a-bar over b-bar log-uniform in 0.05 to 2, "
                + "so CCI 0.51 to 0.88; nothing here is at equal answer quality",
        ]
    }
}
