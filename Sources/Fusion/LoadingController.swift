// Loading against computing (CacheBlend's controller, arXiv 2405.16444; Cache-Craft's preload
// depth, arXiv 2502.15734; FUSION, "Controller" and "Load or compute").

/// A place that chunks can be kept at.
public struct StorageTier: Hashable, Sendable {
    public var profile: DeviceProfile
    /// Price of keeping a byte there, in any unit.
    public var price: Double
    public init(profile: DeviceProfile, price: Double) {
        self.profile = profile
        self.price = price
    }
}

public enum LoadingController {
    /// r*: the least that is recomputed, below which CacheBlend's answers suffer.
    public static let ratioFloor = 0.15

    /// The device is fixed: `r = clamp(eff⁻¹(T_load / T_full), r*, 1)`. What loads slowly leaves
    /// time to recompute more for nothing.
    public static func ratio(
        loadSeconds: Double, fullSeconds: Double, cost: CheckCost, floor: Double = ratioFloor
    ) -> Double {
        guard fullSeconds > 0 else { return 1 }
        return min(max(cost.ratio(effective: loadSeconds / fullSeconds), floor), 1)
    }

    /// The ratio is fixed: the cheapest tier with `T_load ≤ eff(r*)·T_full`, whose load hides under
    /// the recompute; `nil` when none does. Of equal prices the first.
    public static func cheapestTier(
        _ tiers: [StorageTier], bytes: UInt64, fullSeconds: Double, cost: CheckCost,
        ratio: Double = ratioFloor
    ) -> StorageTier? {
        let budget = cost.effective(ratio) * fullSeconds
        return tiers.filter { $0.profile.loadSeconds(bytes: bytes) <= budget }
            .min { $0.price < $1.price }
    }

    /// Whether a chunk is loaded: `T_fix + bytes/BW < T_full(n, prefix)`.
    public static func loads(
        bytes: UInt64, tokenCount: Int, prefixTokenCount: Int, device: DeviceProfile,
        compute: ComputeProfile
    ) -> Bool {
        device.loadSeconds(bytes: bytes)
            < compute.prefillSeconds(tokenCount: tokenCount, prefixTokenCount: prefixTokenCount)
    }

    /// Layers to have in memory before the first is computed, 1…L, so that no later layer is waited
    /// for: `⌈(L − 1)·(1 − T_compute/T_load) + 1⌉` where a layer loads slower than it computes,
    /// 1 otherwise. Times are those of one layer.
    public static func preloadLayerCount(
        layerCount: Int, loadSeconds: Double, computeSeconds: Double
    ) -> Int {
        guard loadSeconds > computeSeconds, layerCount > 1 else { return 1 }
        let depth = Double(layerCount - 1) * (1 - computeSeconds / loadSeconds) + 1
        return min(max(Int((depth - 1e-9).rounded(.up)), 1), layerCount)
    }

    /// Time to the last layer's end when layers load one after the other and earlier ones compute
    /// meanwhile: a layer begins when it has arrived and the one before it is done.
    public static func pipelineSeconds(load: [Double], compute: [Double]) -> Double {
        precondition(load.count == compute.count, "one time a layer")
        var (arrived, done) = (0.0, 0.0)
        for layer in load.indices {
            arrived += load[layer]
            done = max(arrived, done) + compute[layer]
        }
        return done
    }
}
