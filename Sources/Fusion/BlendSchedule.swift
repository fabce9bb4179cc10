// CacheBlend (arXiv 2405.16444): at which layers the reused rows are compared with fresh ones, and
// what share of them goes on. The paper filters gradually; shipped code chooses once, at layer 1.
// Both are a list of steps.

/// At which layers rows are chosen, and what share of the reused rows goes on from there.
public struct BlendSchedule: Hashable, Sendable {
    public struct Step: Hashable, Sendable {
        /// Reused rows are compared at this layer, from 0.
        public var layer: Int
        /// Share of all reused rows that goes on, 0…1.
        public var ratio: Double
        public init(layer: Int, ratio: Double) {
            self.layer = layer
            self.ratio = ratio
        }
    }
    public let steps: [Step]

    /// *Throws:* `schedule` when layers do not rise, one is not of the model, or rows would have
    /// to come back; `ratioOutOfRange`.
    public init(_ steps: [Step], layerCount: Int) throws(FusionError) {
        var last: Step?
        for step in steps {
            guard step.ratio >= 0, step.ratio <= 1 else { throw .ratioOutOfRange(step.ratio) }
            guard (0..<layerCount).contains(step.layer), last.map({ $0.layer < step.layer }) ?? true
            else {
                throw .schedule(layer: step.layer, reason: "layers must rise, below the model's")
            }
            guard last.map({ $0.ratio >= step.ratio }) ?? true else {
                throw .schedule(layer: step.layer, reason: "a row that was dropped cannot return")
            }
            last = step
        }
        guard last != nil else { throw .schedule(layer: 0, reason: "a schedule has a step") }
        self.steps = steps
    }

    /// One choice, at `layer`.
    public static func once(at layer: Int, ratio: Double, layerCount: Int) throws(FusionError)
        -> Self
    {
        try Self([Step(layer: layer, ratio: ratio)], layerCount: layerCount)
    }

    /// The paper's r₁ > r₂ > …: a step at every layer from `layer` to the last, falling in equal
    /// steps from `ratio·(1 + spread)` to `ratio·(1 − spread)`, so that their mean is `ratio`.
    /// The spread shrinks where the first would exceed 1.
    public static func gradual(
        from layer: Int, ratio: Double, spread: Double = 0.5, layerCount: Int
    ) throws(FusionError) -> Self {
        guard ratio >= 0, ratio <= 1 else { throw .ratioOutOfRange(ratio) }
        guard spread >= 0, spread <= 1 else { throw .ratioOutOfRange(spread) }
        guard (0..<layerCount).contains(layer) else {
            throw .schedule(layer: layer, reason: "layers must rise, below the model's")
        }
        let width = ratio > 0 ? min(spread, (1 - ratio) / ratio) : 0
        let count = layerCount - layer
        let steps = (0..<count).map { index in
            let fall = count == 1 ? 0 : 1 - 2 * Double(index) / Double(count - 1)
            return Step(
                layer: layer + index, ratio: min(max(ratio * (1 + width * fall), 0), 1))
        }
        return try Self(steps, layerCount: layerCount)
    }

    /// The share of the reused rows that goes through the whole of each layer.
    public func computedShares(layerCount: Int) -> [Double] {
        var shares = [Double](repeating: 1, count: layerCount)
        for step in steps {
            for layer in step.layer..<max(layerCount, step.layer) { shares[layer] = step.ratio }
        }
        return shares
    }

    /// The share of each layer's work on the reused rows, where a step projects the rows that came
    /// in and goes on with those it chose. `projectionShare` (ρ) is the share of a layer's work
    /// that is projections, 0…1.
    public func workShares(layerCount: Int, projectionShare: Double) -> [Double] {
        var shares = computedShares(layerCount: layerCount)
        var before = 1.0
        for step in steps where step.layer < layerCount {
            shares[step.layer] = projectionShare * before + (1 - projectionShare) * step.ratio
            before = step.ratio
        }
        return shares
    }

    /// eff: the work on the reused rows over that of computing them all. For one step at layer c
    /// this is `(c + ρ + r·(L − c − ρ)) / L`. Plan with it, never with r.
    public func effectiveRatio(layerCount: Int, projectionShare: Double) -> Double {
        let shares = workShares(layerCount: layerCount, projectionShare: projectionShare)
        return shares.reduce(0, +) / Double(layerCount)
    }
}

/// eff and its inverse for a single choice at layer c of L (FUSION, "Effective cost").
public struct CheckCost: Hashable, Sendable {
    public let layerCount: Int
    /// `nil` when the rows are known before any layer is computed: then eff(r) = r.
    public let checkLayer: Int?
    /// ρ: the share of a layer's work that is projections, 0…1.
    public let projectionShare: Double

    public init(layerCount: Int, checkLayer: Int?, projectionShare: Double) {
        self.layerCount = layerCount
        self.checkLayer = checkLayer
        self.projectionShare = projectionShare
    }

    /// Layers' worth of work that is done whatever the ratio is.
    private var fixedLayers: Double { checkLayer.map { Double($0) + projectionShare } ?? 0 }

    /// The work on the reused rows over that of computing them all, at recompute ratio `ratio`.
    public func effective(_ ratio: Double) -> Double {
        let layers = Double(layerCount)
        return (fixedLayers + ratio * (layers - fixedLayers)) / layers
    }

    /// The ratio whose effective cost is `share`, within 0…1.
    public func ratio(effective share: Double) -> Double {
        let layers = Double(layerCount)
        let rest = layers - fixedLayers
        guard rest > 0 else { return share >= 1 ? 1 : 0 }
        return min(max((share * layers - fixedLayers) / rest, 0), 1)
    }
}
