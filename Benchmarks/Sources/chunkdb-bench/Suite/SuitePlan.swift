// What the suite runs. A verb's inputs shrink with the time there is, down to where they still say
// something; its rounds end with its share of it.

import Foundation

/// One verb of a suite.
struct SuiteStep: Sendable {
    let verb: String
    /// The verb's own, without the common options.
    let arguments: [String]
    /// Of the suite's time, beside the other steps' shares.
    let share: Double
    /// Whether `--duration` ends its rounds; else its inputs alone say how long it takes.
    var hasRounds = true
}

enum SuitePlan {
    /// In the order in which they run. Verbs whose inputs alone say how long they take come first:
    /// on a slow machine they take more than their share, and the rounds of the others make up.
    /// `ttft` is last: its one round can take minutes where the cores are busy.
    static func steps(minutes: Double) -> [SuiteStep] {
        let scale = min(minutes / 30, 1)
        func count(_ full: Int, least: Int) -> String {
            "\(max(Int(Double(full) * scale), least))"
        }
        func mebibytes(_ full: Int, least: Int) -> String { count(full, least: least) + "MiB" }
        return [
            SuiteStep(verb: "lookup", arguments: [], share: 0.2, hasRounds: false),
            SuiteStep(
                verb: "reuse",
                arguments: [
                    "--chunks", count(1_000, least: 100), "--prompts", count(1_000, least: 100),
                ], share: 0.5, hasRounds: false),
            SuiteStep(
                verb: "traces",
                arguments: [
                    "--chunks", count(10_000, least: 1_000),
                    "--prompts", count(30_000, least: 3_000),
                ], share: 1, hasRounds: false),
            SuiteStep(
                verb: "quality", arguments: ["--limit", count(100, least: 4)], share: 3,
                hasRounds: false),
            SuiteStep(
                verb: "codec", arguments: ["--prompts", count(24, least: 2)], share: 0.5),
            SuiteStep(
                verb: "device",
                arguments: [
                    "--file-size", mebibytes(2_048, least: 256),
                    "--window", mebibytes(256, least: 32),
                ], share: 2),
            SuiteStep(
                verb: "fill", arguments: ["--window", mebibytes(256, least: 64)], share: 2),
            SuiteStep(
                verb: "read",
                arguments: [
                    "--chunks", count(64, least: 8), "--window", mebibytes(512, least: 64),
                ], share: 3),
            SuiteStep(
                verb: "extents",
                arguments: [
                    "--depth", "1", "8", "32", "--file-size", mebibytes(1_024, least: 128),
                    "--window", mebibytes(256, least: 32),
                ], share: 2),
            SuiteStep(
                verb: "layers",
                arguments: [
                    "--model", "llama-3-8b", "qwen2.5-7b", "deepseek-v3", "tiny",
                    "--window", String(format: "%.2f", max(0.5 * scale, 0.1)),
                ],
                share: 3),
            SuiteStep(verb: "gather", arguments: [], share: 1),
            SuiteStep(
                verb: "index",
                arguments: [
                    "--entries", count(1_000_000, least: 100_000),
                    "--operations", count(1_000_000, least: 100_000),
                ], share: 3),
            SuiteStep(
                verb: "recovery",
                arguments: [
                    "--entries", count(1_000_000, least: 100_000),
                    "--chunks", count(1_000, least: 100), "--unflushed", count(100, least: 20),
                ], share: 1),
            SuiteStep(
                verb: "mixed",
                arguments: [
                    "--chunks", count(512, least: 64), "--operations", count(2_000, least: 400),
                ], share: 1),
            SuiteStep(
                verb: "churn",
                arguments: [
                    "--prompts", count(2_000, least: 200),
                    "--capacity", mebibytes(2_048, least: 512),
                    "--reads", count(2_000, least: 400),
                ], share: 3),
            SuiteStep(
                verb: "peers", arguments: ["--window", mebibytes(128, least: 32)], share: 4),
            SuiteStep(
                verb: "ttft",
                arguments: [
                    "--layers", count(8, least: 4), "--chunks", count(4, least: 3),
                    "--chunk-tokens", count(256, least: 32),
                ], share: 4),
        ]
    }
}
