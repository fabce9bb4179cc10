// The only home of offsets. Every structure on disk is a `Layout`: a list of named fields at fixed
// places. Encoders, decoders and the annotator go through it, and a test compares each layout with
// the table of the same name in format-spec, so that document and code cannot drift apart.

import Primitives

public enum FieldType: Hashable, Sendable {
    case u8, u16, u32, u64
    case f32
    /// A digest slot: 16 bytes, the most significant first.
    case digest
    case bytes(Int)
    /// Bytes that are written as zero and checked to be zero.
    case reserved(Int)

    public var byteCount: Int {
        switch self {
        case .u8: 1
        case .u16: 2
        case .u32, .f32: 4
        case .u64: 8
        case .digest: 16
        case .bytes(let count), .reserved(let count): count
        }
    }

    /// As format-spec writes it.
    public var name: String {
        switch self {
        case .u8: "u8"
        case .u16: "u16"
        case .u32: "u32"
        case .u64: "u64"
        case .f32: "f32"
        case .digest: "digest"
        case .bytes: "bytes"
        case .reserved: "zero"
        }
    }
}

public struct Field: Hashable, Sendable {
    public let name: String
    public let offset: Int
    public let type: FieldType
}

/// A structure: fields without gaps or overlaps, little-endian.
public struct Layout: Sendable {
    public let name: String
    public let fields: [Field]
    public let byteCount: Int
    /// Those that must be zero.
    let reservedFields: [Field]

    /// Places the fields one after the other.
    init(_ name: String, _ fields: [(String, FieldType)]) {
        self.name = name
        var placed: [Field] = []
        var offset = 0
        for (name, type) in fields {
            placed.append(Field(name: name, offset: offset, type: type))
            offset += type.byteCount
        }
        self.fields = placed
        reservedFields = placed.filter { if case .reserved = $0.type { true } else { false } }
        byteCount = offset
    }

    /// The field of that name. Traps when there is none: a mistake of ours.
    subscript(_ name: String) -> Field {
        guard let field = fields.first(where: { $0.name == name }) else {
            preconditionFailure("\(self.name) has no field \(name)")
        }
        return field
    }
}
