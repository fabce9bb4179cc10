// Two costs that `ttft` measures beside its modes: what a capture adds to a full prefill, and what
// layer inputs in place of keys and values would save (KVPR, arXiv 2411.17089).

import Attention
import ChunkDB
import Fusion

enum PrefillCosts {
    /// Full prefills with and without a capture of these segments, in turns; ratios of time, and of
    /// the process's CPU, which busy neighbours change less.
    static func capture(
        _ model: Model, tokens: [UInt32], segments: [Range<Int>], rounds: Int
    ) throws -> BenchmarkResult {
        func cost(_ segments: [Range<Int>]) throws -> (seconds: Double, cpu: Double) {
            let start = Clocks()
            _ = try model.prefill(tokens, capturing: segments)
            let end = Clocks()
            return (
                Double(end.nanoseconds - start.nanoseconds) / 1e9,
                Double(end.processCPUNanoseconds - start.processCPUNanoseconds) / 1e9
            )
        }
        // Each of the captured stands between two of the others.
        var plain = [try cost([])]
        var captured: [(seconds: Double, cpu: Double)] = []
        for _ in 0..<rounds {
            captured.append(try cost(segments))
            plain.append(try cost([]))
        }
        func ratios(_ part: KeyPath<(seconds: Double, cpu: Double), Double>) -> [Double] {
            captured.indices.map {
                2 * captured[$0][keyPath: part]
                    / (plain[$0][keyPath: part] + plain[$0 + 1][keyPath: part])
            }
        }
        let cpu = ratios(\.cpu)
        return BenchmarkResult(
            name: "full prefill, captured", subject: "chunkdb",
            metrics: [
                "computeSeconds": median(captured.map(\.seconds)),
                "cpuSeconds": median(captured.map(\.cpu)),
                "ratioToFullPrefill": median(ratios(\.seconds)),
                "cpuRatioToFullPrefill": median(cpu), "ratioLow": cpu.min() ?? 0,
                "ratioHigh": cpu.max() ?? 0,
            ])
    }

    /// One layer's loading at this device's speed and this machine's arithmetic: keys and values
    /// alone, beside the best split. With as many key/value heads as query heads, where inputs are
    /// half as many bytes, and as the model is.
    static func layerInputs(
        _ shape: ModelConfiguration, device: DeviceProfile, compute: ComputeProfile,
        tokenCount: Int
    ) -> [BenchmarkResult] {
        // Multiply-adds count as two.
        let operations =
            2 * Double(shape.layerWeightCount * shape.layerCount) / compute.secondsPerToken
        return [("as it is", shape.rowElementCount), ("a head each", shape.queryElementCount)].map {
            name, width in
            let split = InputSplit(
                hiddenSize: shape.hiddenSize, rowElementCount: width, bytesPerNumber: 2,
                bytesPerSecond: device.bytesPerSecond, operationsPerSecond: operations)
            let inputs = split.inputTokens(of: tokenCount)
            let whole = split.seconds(inputTokens: 0, tokens: tokenCount)
            let best = split.seconds(inputTokens: Double(inputs), tokens: tokenCount)
            var metrics = [
                "loadSeconds": best, "bytesPerSecond": device.bytesPerSecond,
                "operationsPerSecond": operations,
            ]
            if inputs > 0 {
                metrics["inputTokenShare"] = Double(inputs) / Double(tokenCount)
                metrics["savedLoadShare"] = 1 - best / whole
            }
            return BenchmarkResult(
                name: "layer inputs, key/value heads \(name)", subject: "chunkdb",
                metrics: metrics)
        }
    }
}
