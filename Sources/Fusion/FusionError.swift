// Why no plan is made. Everything here is found before anything is read or computed; what is merely
// missing or damaged is no error but a stretch that is recomputed.

import KVModel
import Primitives

/// Which numbers of a variant's metadata are meant.
public enum ScoreKind: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case tokenScore = "token score"
    case deviation = "deviation"
    case prefixAttention = "attention to a prefix chunk"
    case contextImpact = "context impact"
    case attentionMass = "attention mass"
    public var description: String { rawValue }
}

public enum FusionError: Error, Hashable, Sendable, CustomStringConvertible {
    case emptyPrompt
    /// Nobody looked this key up, not even in vain.
    case unknownKey(chunk: Int, key: ChunkKey)
    case otherBinding(chunk: Int, variant: VariantID)
    /// A variant has another number of tokens than the rows the chunk was given.
    case tokenCount(chunk: Int, expected: Int, found: Int)
    case rowsOutOfPrompt(chunk: Int, rows: Range<Int>, tokenCount: Int)
    /// A chunk's rows begin before those of the chunk in front of it end.
    case rowsOverlap(chunk: Int, rows: Range<Int>)
    case ratioOutOfRange(Double)
    case schedule(layer: Int, reason: String)
    /// α that is negative or no number.
    case alphaOutOfRange(Double)
    /// Temperature or scale of parallel chunks that is not a positive number.
    case parallelOutOfRange(Double)
    /// Text between chunks that are to stand side by side has no place.
    case textBetweenParallelChunks(row: Int)
    /// Parallel chunks reach the prompt's end: nothing is left to look at them.
    case parallelAtEnd
    /// A layer whose queries see a window of positions, which parallel chunks would share.
    case parallelWindow(layer: Int)
    case scoreNotANumber(chunk: Int?, score: ScoreKind, index: Int)
    case scoreCount(chunk: Int?, expected: Int, found: Int)
    /// A variant's prefix holds the chunk itself.
    case prefixNamesItself(chunk: Int, variant: VariantID)
    case positionOverflow(position: Int, limit: Int)
    /// A model without a declared rotary scheme: its keys cannot be moved.
    case rotaryUndeclared
    case binding(ModelBindingError)
    /// A profile's number that nothing measured could give.
    case profile(String, Double)

    public var description: String {
        func of(_ chunk: Int?) -> String { chunk.map { "chunk \($0): " } ?? "" }
        return switch self {
        case .emptyPrompt: "the prompt has no tokens"
        case .unknownKey(let chunk, let key): "chunk \(chunk): nobody looked for key \(key)"
        case .otherBinding(let chunk, let variant):
            "chunk \(chunk): variant \(variant) was computed under another model binding"
        case .tokenCount(let chunk, let expected, let found):
            "chunk \(chunk): a variant of \(found) tokens for \(expected) rows"
        case .rowsOutOfPrompt(let chunk, let rows, let count):
            "chunk \(chunk): rows \(rows) are not all in a prompt of \(count)"
        case .rowsOverlap(let chunk, let rows):
            "chunk \(chunk): rows \(rows) begin before the chunk in front ends"
        case .ratioOutOfRange(let ratio): "ratio \(ratio) is not in 0...1"
        case .schedule(let layer, let reason): "schedule at \(layer): \(reason)"
        case .alphaOutOfRange(let alpha): "alpha \(alpha) is not a number of at least 0"
        case .parallelOutOfRange(let value): "temperature or scale \(value) is not positive"
        case .textBetweenParallelChunks(let row):
            "row \(row) stands between parallel chunks and belongs to none"
        case .parallelAtEnd: "no row stands behind the parallel chunks"
        case .parallelWindow(let layer):
            "layer \(layer) sees a window of positions, which parallel chunks would share"
        case .scoreNotANumber(let chunk, let score, let index):
            "\(of(chunk))\(score) \(index) is not a number of at least 0"
        case .scoreCount(let chunk, let expected, let found):
            "\(of(chunk))\(found) scores for \(expected) tokens"
        case .prefixNamesItself(let chunk, let variant):
            "chunk \(chunk): the prefix of variant \(variant) names the chunk itself"
        case .positionOverflow(let position, let limit):
            "position \(position) is beyond the model's 0..<\(limit)"
        case .rotaryUndeclared: "the model declares no rotary scheme, so keys cannot be moved"
        case .binding(let error): "\(error)"
        case .profile(let name, let value): "\(name) of \(value) cannot have been measured"
        }
    }
}
