// The two ways the world can be wrong here: a checkpoint that is not what it claims, and a prompt
// or plane that does not fit the model. Our own mistakes trap; nothing in this file is one.

import KVModel

/// Why a checkpoint is refused: which file, which field or tensor in it, and what is wrong.
public struct CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// The JSON field or the tensor; empty when it is the file as a whole.
    public let field: String
    public let reason: String
    public init(file: String, field: String = "", reason: String) {
        self.file = file
        self.field = field
        self.reason = reason
    }
    public var description: String {
        field.isEmpty ? "\(file): \(reason)" : "\(file): \(field): \(reason)"
    }
}

/// Which of a layer's two planes.
public enum PlaneKind: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    case keys = 1
    case values = 2
    public var description: String { self == .keys ? "keys" : "values" }
}

/// Why a prompt, a plan or a plane does not fit the model or each other.
public enum AttentionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A prompt without tokens.
    case emptyPrompt
    case tokenOutOfRange(token: UInt32, row: Int, vocabularySize: Int)
    /// A position below 0 or beyond the model's longest prompt.
    case positionOutOfRange(position: Int, limit: Int)
    /// Stored positions that are not one a token, or do not rise.
    case positionsMismatch(span: Int, tokenCount: Int, found: Int)
    /// Span `span` begins before the end of the one before it.
    case spansOverlap(span: Int)
    case ratioOutOfRange(Double)
    /// Chunks that cannot stand side by side in this prompt or model.
    case parallelRefused(String)
    case layerOutOfRange(layer: Int, layerCount: Int)
    case rowOutOfRange(row: Int, rowCount: Int)
    case spanNotLoaded(span: Int)
    /// Segment `segment` of a capture begins before the one in front of it ends.
    case segmentsOverlap(segment: Int)
    /// What was captured does not describe this segment as a whole: some of its rows were not
    /// computed, or text that is no segment stands in front of it.
    case segmentNotCaptured(segment: Int)
    /// Layers are handed over in order, once each.
    case layerOutOfOrder(expected: Int, found: Int)
    /// `finish` before the last layer.
    case unfinished(layersDone: Int, layerCount: Int)
    /// The plan needs the loaded planes of this layer and they were not handed over.
    case planesMissing(layer: Int, span: Int)
    case planeSizeMismatch(
        layer: Int, span: Int, plane: PlaneKind, expectedBytes: Int, foundBytes: Int)
    /// Integer and 8-bit planes need their scales: decode them first.
    case elementTypeUnsupported(ElementType)

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt has no tokens"
        case .tokenOutOfRange(let token, let row, let size):
            "token \(token) in row \(row) is not in the vocabulary of \(size)"
        case .positionOutOfRange(let position, let limit):
            "positions from \(position) on leave the model's 0..<\(limit)"
        case .positionsMismatch(let span, let count, let found):
            "span \(span): \(found) stored positions for \(count) tokens, or they do not rise"
        case .spansOverlap(let span): "span \(span) begins before the one before it ends"
        case .ratioOutOfRange(let ratio): "recompute ratio \(ratio) is not in 0...1"
        case .parallelRefused(let reason): reason
        case .layerOutOfRange(let layer, let count): "layer \(layer) is not in 0..<\(count)"
        case .rowOutOfRange(let row, let count): "row \(row) is not in 0..<\(count)"
        case .spanNotLoaded(let span): "span \(span) is not a loaded span of this prompt"
        case .segmentsOverlap(let segment):
            "segment \(segment) begins before the one in front of it ends"
        case .segmentNotCaptured(let segment):
            "segment \(segment) was not captured as a whole, behind other segments only"
        case .layerOutOfOrder(let expected, let found):
            "layer \(found) was handed over, layer \(expected) is due"
        case .unfinished(let done, let count): "only \(done) of \(count) layers are computed"
        case .planesMissing(let layer, let span):
            "layer \(layer): the planes of span \(span) were not handed over"
        case .planeSizeMismatch(let layer, let span, let plane, let expected, let found):
            "layer \(layer), span \(span): \(plane) have \(found) bytes, not \(expected)"
        case .elementTypeUnsupported(let type):
            "\(type) needs scales and must be decoded first"
        }
    }
}
