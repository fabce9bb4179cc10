// What the planner weighs against each other: how fast the store gives, measured by the engine, and
// how fast the model computes, measured by the module or given by the caller. Nothing is assumed.

/// How fast a device gives bytes.
public struct DeviceProfile: Hashable, Sendable {
    public let bytesPerSecond: Double
    /// What a read costs before its first byte.
    public let fixedSeconds: Double

    /// *Throws:* `profile` unless both are finite, the first positive and the other not negative.
    public init(bytesPerSecond: Double, fixedSeconds: Double = 0) throws(FusionError) {
        guard bytesPerSecond.isFinite, bytesPerSecond > 0 else {
            throw .profile("bytesPerSecond", bytesPerSecond)
        }
        guard fixedSeconds.isFinite, fixedSeconds >= 0 else {
            throw .profile("fixedSeconds", fixedSeconds)
        }
        self.bytesPerSecond = bytesPerSecond
        self.fixedSeconds = fixedSeconds
    }

    /// T_load: seconds for these bytes in one read.
    public func loadSeconds(bytes: UInt64) -> Double {
        bytes == 0 ? 0 : fixedSeconds + Double(bytes) / bytesPerSecond
    }
}

/// How long a prefill takes: `fixed + tokens·perToken + pairs·perPair`, where a pair is a query and
/// a key it may look at. The first term grows with weights, the last with attention.
public struct ComputeProfile: Hashable, Sendable {
    public let secondsPerToken: Double
    public let secondsPerPair: Double
    public let fixedSeconds: Double
    /// ρ: the share of a layer's work that is projections to keys and values, 0…1.
    public let projectionShare: Double

    /// *Throws:* `profile` unless all are finite and not negative and tokens cost something.
    public init(
        secondsPerToken: Double, secondsPerPair: Double = 0, fixedSeconds: Double = 0,
        projectionShare: Double
    ) throws(FusionError) {
        guard secondsPerToken.isFinite, secondsPerToken > 0 else {
            throw .profile("secondsPerToken", secondsPerToken)
        }
        for (name, value) in [
            ("secondsPerPair", secondsPerPair), ("fixedSeconds", fixedSeconds),
        ] where !(value.isFinite && value >= 0) { throw .profile(name, value) }
        guard projectionShare >= 0, projectionShare <= 1 else {
            throw .profile("projectionShare", projectionShare)
        }
        self.secondsPerToken = secondsPerToken
        self.secondsPerPair = secondsPerPair
        self.fixedSeconds = fixedSeconds
        self.projectionShare = projectionShare
    }

    /// T_full: seconds of a prefill of `tokenCount` tokens behind `prefixTokenCount` others.
    public func prefillSeconds(tokenCount: Int, prefixTokenCount: Int = 0) -> Double {
        if tokenCount == 0 { return 0 }
        let count = Double(tokenCount)
        let pairs = count * Double(prefixTokenCount) + count * (count + 1) / 2
        return fixedSeconds + count * secondsPerToken + pairs * secondsPerPair
    }

    /// Seconds of `rowCount` rows that look at `pairCount` keys together, without the fixed part.
    func seconds(rowCount: Double, pairCount: Double) -> Double {
        rowCount * secondsPerToken + pairCount * secondsPerPair
    }
}
