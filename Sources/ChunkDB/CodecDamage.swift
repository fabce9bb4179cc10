import ChunkFormat
import Codecs

extension FormatError {
    /// What the codec of an extent ran into, as damage of that extent.
    public init(_ error: CodecError, layer: UInt16, kind: ExtentKind) {
        self.init(
            .corrupt, structure: "extent", field: "layer \(layer) \(kind) \(error.field)",
            clause: error.clause, expected: error.expected, found: error.found)
    }
}
