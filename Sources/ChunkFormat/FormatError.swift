/// Bytes that are not what format-spec says: which structure, which field, which clause, what was
/// expected and what was found. Where the bytes lay is added by who read them.
public struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// Not a structure of ours at all.
        case notRecognised
        /// Ours, of a version this code must not touch.
        case otherVersion
        /// Ours, and broken.
        case corrupt
        /// The bytes end too early.
        case truncated
    }

    public let code: Code
    public let structure: String
    public let field: String
    /// The sentence of format-spec that is broken, for example `REC-4`.
    public let clause: String
    public let expected: String
    public let found: String

    public init(
        _ code: Code, structure: String, field: String, clause: String = "FMT-1",
        expected: String, found: String
    ) {
        self.code = code
        self.structure = structure
        self.field = field
        self.clause = clause
        self.expected = expected
        self.found = found
    }

    public var description: String {
        let place = field.isEmpty ? structure : "\(structure).\(field)"
        return "\(place): \(clause): expected \(expected), found \(found)"
    }
}
