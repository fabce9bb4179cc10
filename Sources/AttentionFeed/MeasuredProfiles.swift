// What a planner weighs, measured: the device by the store's own reads, the model by a few prefills
// on this machine.

import Attention
import ChunkDB
import Fusion

extension DeviceProfile {
    /// As the store has been read of late; `nil` until it has read enough to know.
    public init?(_ speed: ReadSpeed?) {
        guard let speed else { return nil }
        try? self.init(
            bytesPerSecond: speed.bytesPerSecond, fixedSeconds: speed.fixedSeconds)
    }
}

extension Model {
    /// What a prefill costs here: tokens, pairs of tokens and a fixed part, fitted to timed full
    /// prefills of these lengths, each the fastest of `repeatCount`; and the share of a layer's
    /// work that is projections to keys and values, from the geometry.
    ///
    /// Lengths that the model has no room for are left out. Costs on another machine, or with other
    /// `parallelism`, are others.
    /// *Throws:* `noFit` when the timings contradict each other or no length was left.
    /// *Complexity:* that many prefills.
    public func calibrate(
        tokenCounts: [Int] = [64, 256, 1_024], repeatCount: Int = 3
    ) throws(CalibrationError) -> ComputeProfile {
        let samples: [PrefillSample]
        do throws(AttentionError) {
            samples = try timings(tokenCounts: tokenCounts, repeatCount: repeatCount)
        } catch {
            throw .attention(error)
        }
        do throws(FusionError) {
            return try ComputeProfile(
                fitting: samples, projectionShare: configuration.keyValueShare)
        } catch {
            throw .noFit(samples)
        }
    }
}

/// Why a model's costs are not known.
public enum CalibrationError: Error, Sendable, CustomStringConvertible {
    case attention(AttentionError)
    /// No costs of at least 0 explain these timings.
    case noFit([PrefillSample])

    public var description: String {
        switch self {
        case .attention(let error): "\(error)"
        case .noFit(let samples):
            "no costs explain \(samples.map { "\($0.tokenCount) tokens in \($0.seconds) s" })"
        }
    }
}
