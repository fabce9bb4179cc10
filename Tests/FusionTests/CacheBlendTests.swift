import Fusion
import Primitives
import Testing

/// CacheBlend's formulas and the controller (FUSION, "CacheBlend"; "Cache-Craft" for the preload).
@Suite("CacheBlend")
struct CacheBlendTests {
    static let seeds = Array(UInt64(1)...40)

    // MARK: Rows

    @Test("the recompute set, by hand")
    func rows() throws {
        // Ten rows: 0–1 uncached, 2–4 and 5–8 reused, 9 the question. ⌈0.25 · 7⌉ = 2 rows.
        let deviations: [Float] = [0, 3, 1, 2, .infinity, 0, 1]
        let rows = try blendRows(
            rowCount: 10, reused: [2..<5, 5..<9], deviations: deviations, ratio: 0.25)
        #expect(rows == [0, 1, 3, 6, 9])
        // A prompt that ends in a chunk still computes its last row.
        let last = try blendRows(rowCount: 3, reused: [0..<3], deviations: [1, 1, 1], ratio: 0)
        #expect(last == [2])
    }

    @Test("rows that make no sense are refused")
    func badRows() {
        func error(
            _ reused: [Range<Int>], _ deviations: [Float], _ ratio: Double = 0.5
        ) -> FusionError? {
            do throws(FusionError) {
                _ = try blendRows(rowCount: 6, reused: reused, deviations: deviations, ratio: ratio)
                return nil
            } catch {
                return error
            }
        }
        #expect(error([0..<2], [1, 2]) == nil)
        #expect(error([0..<2, 1..<3], [1, 2, 3, 4]) == .rowsOverlap(chunk: 1, rows: 1..<3))
        #expect(error([3..<4, 0..<1], [1, 2]) == .rowsOverlap(chunk: 1, rows: 0..<1))
        #expect(
            error([4..<7], [1, 2, 3])
                == .rowsOutOfPrompt(chunk: 0, rows: 4..<7, tokenCount: 6))
        #expect(error([0..<2], [1]) == .scoreCount(chunk: nil, expected: 2, found: 1))
        #expect(
            error([0..<2], [1, .nan])
                == .scoreNotANumber(chunk: nil, score: .deviation, index: 1))
        #expect(error([0..<2], [1, 2], -0.1) == .ratioOutOfRange(-0.1))
        guard case .ratioOutOfRange = error([0..<2], [1, 2], .nan) else {
            Issue.record("a ratio that is no number was taken")
            return
        }
    }

    @Test("uncached rows and the question are outside the budget", arguments: seeds)
    func rowProperties(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let rowCount = Int.random(in: 5...200, using: &random)
        let cut = Int.random(in: 1..<rowCount - 1, using: &random)
        let end = Int.random(in: cut..<rowCount, using: &random)
        let ratio = random.unit()
        let deviations = (cut..<end).map { _ in Float(random.unit()) }
        let rows = try blendRows(
            rowCount: rowCount, reused: [cut..<end], deviations: deviations, ratio: ratio)
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0 < $1 })
        let chosen = rows.filter { (cut..<end).contains($0) }
        #expect(rows.count - chosen.count == rowCount - (end - cut))
        #expect(chosen.count == recomputeBudget(ratio: ratio, tokenCount: end - cut))
        let least = chosen.map { deviations[$0 - cut] }.min() ?? .infinity
        let isTop = (cut..<end).allSatisfy { chosen.contains($0) || deviations[$0 - cut] <= least }
        #expect(isTop)
    }

    // MARK: Schedules and effective cost

    @Test("eff, by hand")
    func effective() throws {
        // L = 32, c = 1, ρ = 0.25, r = 0.15: (1.25 + 0.15 · 30.75) / 32 = 0.1832…
        let deep = CheckCost(layerCount: 32, checkLayer: 1, projectionShare: 0.25)
        #expect(isNear(deep.effective(0.15), 5.8625 / 32))
        // L = 4: (1.25 + 0.15 · 2.75) / 4 = 0.4156…
        let shallow = CheckCost(layerCount: 4, checkLayer: 1, projectionShare: 0.25)
        #expect(isNear(shallow.effective(0.15), 1.6625 / 4))
        let known = CheckCost(layerCount: 4, checkLayer: nil, projectionShare: 0.25)
        #expect(isNear(known.effective(0.15), 0.15) && isNear(known.ratio(effective: 0.2), 0.2))
        #expect(shallow.ratio(effective: 0.1) == 0, "the check alone costs more")
        #expect(shallow.ratio(effective: 2) == 1)
        // Gradual, L = 4, ρ = 0.5: layer 0 in full; layer 1 projects all, goes on with 0.4; layer 2
        // projects 0.4, goes on with 0.2; layer 3 at 0.2. (1 + 0.7 + 0.3 + 0.2) / 4.
        let schedule = try BlendSchedule(
            [.init(layer: 1, ratio: 0.4), .init(layer: 2, ratio: 0.2)], layerCount: 4)
        #expect(schedule.computedShares(layerCount: 4) == [1, 0.4, 0.2, 0.2])
        #expect(isNear(schedule.effectiveRatio(layerCount: 4, projectionShare: 0.5), 0.55))
    }

    @Test("eff and its inverse undo each other, and one step is the formula", arguments: seeds)
    func effectiveProperties(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let layers = Int.random(in: 2...80, using: &random)
            let check = Int.random(in: 0..<layers, using: &random)
            let cost = CheckCost(
                layerCount: layers, checkLayer: check, projectionShare: random.unit() * 0.9)
            let ratio = random.unit()
            let share = cost.effective(ratio)
            #expect(share >= ratio - 1e-12 && share <= 1 + 1e-12)
            #expect(isNear(cost.ratio(effective: share), ratio, 1e-7))
            #expect(cost.effective(min(1, ratio + 0.1)) >= share)
            let once = try BlendSchedule.once(at: check, ratio: ratio, layerCount: layers)
            let counted = once.effectiveRatio(
                layerCount: layers, projectionShare: cost.projectionShare)
            #expect(isNear(counted, share, 1e-12))
        }
    }

    @Test("gradual schedules fall, and their mean is the ratio", arguments: seeds)
    func gradual(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let layers = Int.random(in: 2...60, using: &random)
        let first = Int.random(in: 0..<layers, using: &random)
        let ratio = random.unit()
        let schedule = try BlendSchedule.gradual(
            from: first, ratio: ratio, spread: random.unit(), layerCount: layers)
        let ratios = schedule.steps.map(\.ratio)
        #expect(schedule.steps.map(\.layer) == Array(first..<layers))
        #expect(zip(ratios, ratios.dropFirst()).allSatisfy { $0 >= $1 })
        #expect(isNear(ratios.reduce(0, +) / Double(ratios.count), ratio, 1e-9))
    }

    @Test("schedules that make no sense are refused")
    func badSchedules() {
        typealias Step = BlendSchedule.Step
        func refuses(_ steps: [Step]) -> Bool {
            (try? BlendSchedule(steps, layerCount: 4)) == nil
        }
        #expect(!refuses([Step(layer: 1, ratio: 0.5), Step(layer: 3, ratio: 0.5)]))
        #expect(refuses([]))
        #expect(refuses([Step(layer: 4, ratio: 0.5)]))
        #expect(refuses([Step(layer: -1, ratio: 0.5)]))
        #expect(refuses([Step(layer: 2, ratio: 0.5), Step(layer: 2, ratio: 0.4)]))
        #expect(refuses([Step(layer: 1, ratio: 0.5), Step(layer: 2, ratio: 0.6)]))
        #expect(refuses([Step(layer: 1, ratio: 1.1)]))
        #expect(refuses([Step(layer: 1, ratio: .nan)]))
        #expect((try? BlendSchedule.gradual(from: 9, ratio: 0.1, layerCount: 4)) == nil)
        #expect((try? BlendSchedule.gradual(from: 1, ratio: -1, layerCount: 4)) == nil)
    }

    // MARK: Controller

    @Test("the controller, by hand")
    func controller() throws {
        let known = CheckCost(layerCount: 32, checkLayer: nil, projectionShare: 0)
        #expect(LoadingController.ratio(loadSeconds: 0.05, fullSeconds: 1, cost: known) == 0.15)
        #expect(isNear(LoadingController.ratio(loadSeconds: 0.4, fullSeconds: 1, cost: known), 0.4))
        #expect(LoadingController.ratio(loadSeconds: 3, fullSeconds: 1, cost: known) == 1)
        let check = CheckCost(layerCount: 32, checkLayer: 1, projectionShare: 0.25)
        // (0.4 · 32 − 1.25) / 30.75
        let ratio = LoadingController.ratio(loadSeconds: 0.4, fullSeconds: 1, cost: check)
        #expect(isNear(ratio, 11.55 / 30.75))
        // 1 GB under 0.15 · 10 s: both ends of 1 GB/s and 5 GB/s hide, 0.5 GB/s does not.
        let tiers = try [(5e9, 9.0), (1e9, 3.0), (0.5e9, 1.0)].map {
            StorageTier(profile: try DeviceProfile(bytesPerSecond: $0.0), price: $0.1)
        }
        let chosen = LoadingController.cheapestTier(
            tiers, bytes: 1_000_000_000, fullSeconds: 10, cost: known)
        #expect(chosen == tiers[1])
        #expect(
            LoadingController.cheapestTier(
                tiers, bytes: 1_000_000_000, fullSeconds: 0.1, cost: known) == nil)
    }

    @Test("load or compute, by hand")
    func loadOrCompute() throws {
        let device = try DeviceProfile(bytesPerSecond: 1e9, fixedSeconds: 0.001)
        let compute = try ComputeProfile(
            secondsPerToken: 1e-5, secondsPerPair: 1e-9, fixedSeconds: 1e-3, projectionShare: 0.1)
        // 100 tokens behind 1,000: 1 ms + 1 ms + (100,000 + 5,050) ns = 2.10505 ms.
        let full = compute.prefillSeconds(tokenCount: 100, prefixTokenCount: 1_000)
        #expect(isNear(full, 0.002_105_05))
        func loads(_ bytes: UInt64) -> Bool {
            LoadingController.loads(
                bytes: bytes, tokenCount: 100, prefixTokenCount: 1_000, device: device,
                compute: compute)
        }
        #expect(loads(1_105_000) && !loads(1_105_060))
        #expect(isNear(device.loadSeconds(bytes: 1_000_000), 0.002))
        #expect(compute.prefillSeconds(tokenCount: 0) == 0 && device.loadSeconds(bytes: 0) == 0)
    }

    @Test(
        "the controller keeps to its bounds, and slower devices never repair less", arguments: seeds
    )
    func controllerProperties(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let cost = CheckCost(
                layerCount: Int.random(in: 2...60, using: &random),
                checkLayer: Bool.random(using: &random) ? nil : 1, projectionShare: random.unit())
            let floor = random.unit()
            let load = 2 * random.unit()
            let ratio = LoadingController.ratio(
                loadSeconds: load, fullSeconds: 1, cost: cost, floor: floor)
            #expect((floor...1).contains(ratio))
            let slower = LoadingController.ratio(
                loadSeconds: load * 1.5, fullSeconds: 1, cost: cost, floor: floor)
            #expect(slower >= ratio)
            // What it adds beyond the floor hides under the load.
            if ratio > floor, ratio < 1 { #expect(cost.effective(ratio) <= load + 1e-9) }

            let tiers = try (0..<4).map { _ in
                StorageTier(
                    profile: try DeviceProfile(
                        bytesPerSecond: 1 + 1e3 * random.unit(), fixedSeconds: random.unit() / 10),
                    price: random.unit())
            }
            let hidden = tiers.filter {
                $0.profile.loadSeconds(bytes: 100) <= cost.effective(0.3)
            }
            let chosen = LoadingController.cheapestTier(
                tiers, bytes: 100, fullSeconds: 1, cost: cost, ratio: 0.3)
            #expect((chosen == nil) == hidden.isEmpty)
            if let chosen {
                #expect(hidden.contains(chosen))
                #expect(hidden.allSatisfy { $0.price >= chosen.price })
            }
        }
    }

    @Test("more bytes or a faster model never turn computing into loading", arguments: seeds)
    func loadOrComputeProperties(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let device = try DeviceProfile(
                bytesPerSecond: 1e3 + 1e6 * random.unit(), fixedSeconds: random.unit() * 1e-3)
            let pace = 1e-5 + 1e-3 * random.unit()
            let bytes = UInt64.random(in: 1...100_000, using: &random)
            func loads(_ bytes: UInt64, _ pace: Double, _ prefix: Int) throws -> Bool {
                LoadingController.loads(
                    bytes: bytes, tokenCount: 50, prefixTokenCount: prefix, device: device,
                    compute: try ComputeProfile(
                        secondsPerToken: pace, secondsPerPair: pace / 100, projectionShare: 0.1))
            }
            let isLoaded = try loads(bytes, pace, 10)
            if !isLoaded {
                #expect(try !loads(bytes * 2, pace, 10) && !loads(bytes, pace / 2, 10))
            } else {
                #expect(try loads(bytes, pace, 500), "a longer prefix makes computing dearer")
            }
        }
    }

    @Test("profiles that nothing measured are refused")
    func badProfiles() {
        for value in [0, -1, Double.nan, .infinity] {
            #expect((try? DeviceProfile(bytesPerSecond: value)) == nil)
            #expect((try? ComputeProfile(secondsPerToken: value, projectionShare: 0)) == nil)
        }
        #expect((try? DeviceProfile(bytesPerSecond: 1, fixedSeconds: -1)) == nil)
        #expect((try? ComputeProfile(secondsPerToken: 1, projectionShare: 1.1)) == nil)
        #expect(
            (try? ComputeProfile(secondsPerToken: 1, secondsPerPair: .nan, projectionShare: 0))
                == nil)
    }

    @Test("the preload depth, by hand")
    func preload() {
        // Four layers, a layer loads in 4 and computes in 1: ⌈3 · 0.75 + 1⌉ = 4.
        func depth(_ load: Double, _ compute: Double) -> Int {
            LoadingController.preloadLayerCount(
                layerCount: 4, loadSeconds: load, computeSeconds: compute)
        }
        #expect(depth(4, 1) == 4 && depth(2, 1) == 3 && depth(1, 1) == 1 && depth(1, 9) == 1)
        #expect(depth(3, 2) == 2, "3 · 1/3 + 1 = 2, without the last bit of noise")
        #expect(LoadingController.pipelineSeconds(load: [4, 4, 4], compute: [1, 1, 6]) == 18)
        #expect(LoadingController.pipelineSeconds(load: [1, 1], compute: [3, 3]) == 7)
        // Arrive at 4, 8, 12; done at 13, 14, 15: later layers are on their way meanwhile.
        #expect(LoadingController.pipelineSeconds(load: [4, 4, 4], compute: [9, 1, 1]) == 15)
    }

    @Test(
        "overlapped, a prefill takes no less than either part and no more than both",
        arguments: seeds)
    func pipelineProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let layers = Int.random(in: 1...40, using: &random)
        let load = (0..<layers).map { _ in random.unit() }
        let compute = (0..<layers).map { _ in random.unit() }
        let (loads, computes) = (load.reduce(0, +), compute.reduce(0, +))
        let found = LoadingController.pipelineSeconds(load: load, compute: compute)
        #expect(found >= max(loads + compute[layers - 1], computes + load[0]) - 1e-9)
        #expect(found <= loads + computes + 1e-9)
    }

    @Test(
        "with the preload depth nothing is waited for, and with less something is", arguments: seeds
    )
    func preloadProperties(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let layers = Int.random(in: 1...64, using: &random)
        let load = random.unit() + 0.01
        let compute = random.unit() + 0.01
        let depth = LoadingController.preloadLayerCount(
            layerCount: layers, loadSeconds: load, computeSeconds: compute)
        /// Layer k arrives at k · load; compute begins when `depth` of them are there.
        func waits(_ depth: Int) -> Bool {
            (1...layers).contains { layer in
                Double(layer) * load
                    > Double(max(depth, 1)) * load + Double(layer - 1) * compute + 1e-9
            }
        }
        #expect((1...layers).contains(depth))
        #expect(!waits(depth))
        #expect(depth == 1 || waits(depth - 1))
    }
}
