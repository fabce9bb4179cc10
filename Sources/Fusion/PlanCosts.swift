// What a plan costs, layer by layer: a row of a layer costs its share of the token's time, and a
// row at place p looks at p + 1 keys.

import KVModel

struct PlanCosts {
    let estimate: PlanEstimate
    let preloadLayerCount: Int

    init(
        request: PlanRequest, chunks: [ChunkPlan], knownRows: [Int], schedule: BlendSchedule?
    ) {
        let layers = request.binding.layerCount
        let compute = request.compute
        var known = Work()
        for row in knownRows { known.add(row) }
        // Rows a check may pick: all of them before it, its share behind.
        var open = Work()
        var isKnown = [Bool](repeating: false, count: request.tokenCount)
        for row in knownRows { isKnown[row] = true }
        for chunk in chunks {
            guard case .check = chunk.use?.repair else { continue }
            for row in chunk.rows where !isKnown[row] { open.add(row) }
        }
        let shares =
            schedule?.workShares(layerCount: layers, projectionShare: compute.projectionShare)
            ?? [Double](repeating: 0, count: layers)
        var seconds = shares.map { share in
            compute.seconds(
                rowCount: known.rows + share * open.rows,
                pairCount: known.pairs + share * open.pairs)
                / Double(layers)
        }
        seconds[0] += compute.fixedSeconds
        let bytes = chunks.reduce(UInt64(0)) { $0 &+ ($1.use?.bytes ?? 0) }
        let loadSeconds = request.device.loadSeconds(bytes: bytes)
        let layerLoad = Double(bytes) / request.device.bytesPerSecond / Double(layers)
        var loads = [Double](repeating: layerLoad, count: layers)
        if bytes > 0 { loads[0] += request.device.fixedSeconds }
        preloadLayerCount = LoadingController.preloadLayerCount(
            layerCount: layers, loadSeconds: layerLoad,
            computeSeconds: seconds.reduce(0, +) / Double(layers))
        estimate = PlanEstimate(
            loadBytes: bytes, loadSeconds: loadSeconds, computeSeconds: seconds.reduce(0, +),
            firstTokenSeconds: LoadingController.pipelineSeconds(load: loads, compute: seconds),
            tokensComputed: known.rows + open.rows * shares.reduce(0, +) / Double(layers),
            fullSeconds: compute.prefillSeconds(tokenCount: request.tokenCount))
    }

    private struct Work {
        var rows = 0.0
        var pairs = 0.0
        mutating func add(_ row: Int) {
            rows += 1
            pairs += Double(row + 1)
        }
    }
}
