// Layer inputs in place of keys and values: a layer's input is sent first and projected while the
// rest of the keys and values is on its way (KVPR, arXiv 2411.17089). With grouped queries the
// input may be wider than keys and values together, and then it only costs.

/// One layer's loading, part of it as inputs.
public struct InputSplit: Hashable, Sendable {
    /// Numbers of one token's input.
    public var hiddenSize: Int
    /// Numbers of one token's keys; as many of values.
    public var rowElementCount: Int
    public var bytesPerNumber: Int
    public var bytesPerSecond: Double
    /// Multiply-adds, counted as two.
    public var operationsPerSecond: Double

    public init(
        hiddenSize: Int, rowElementCount: Int, bytesPerNumber: Int, bytesPerSecond: Double,
        operationsPerSecond: Double
    ) {
        self.hiddenSize = hiddenSize
        self.rowElementCount = rowElementCount
        self.bytesPerNumber = bytesPerNumber
        self.bytesPerSecond = bytesPerSecond
        self.operationsPerSecond = operationsPerSecond
    }

    /// Whether inputs are fewer bytes than keys and values.
    public var pays: Bool { hiddenSize < 2 * rowElementCount }

    /// Seconds until a layer's keys and values are there when the first `inputTokens` of `tokens`
    /// come as inputs: the inputs, then the longer of projecting them and loading the rest.
    public func seconds(inputTokens: Double, tokens: Int) -> Double {
        let inputs = inputTokens * Double(hiddenSize * bytesPerNumber) / bytesPerSecond
        return inputs + max(projection * inputTokens, rest * (Double(tokens) - inputTokens))
    }

    /// l*, the tokens to send as inputs: where projecting them takes as long as loading the rest,
    /// `n · rest / (rest + projection)`, and 0 where inputs do not pay. Rounded to what is faster.
    public func inputTokens(of tokens: Int) -> Int {
        guard pays, tokens > 0 else { return 0 }
        let best = Double(tokens) * rest / (rest + projection)
        let candidates = [best.rounded(.down), best.rounded(.up), 0].map { min($0, Double(tokens)) }
        let fastest = candidates.min {
            seconds(inputTokens: $0, tokens: tokens) < seconds(inputTokens: $1, tokens: tokens)
        }
        return Int(fastest ?? 0)
    }

    /// Seconds a token: to project its input, and to load its keys and values.
    private var projection: Double {
        4 * Double(hiddenSize) * Double(rowElementCount) / operationsPerSecond
    }
    private var rest: Double {
        2 * Double(rowElementCount * bytesPerNumber) / bytesPerSecond
    }
}
