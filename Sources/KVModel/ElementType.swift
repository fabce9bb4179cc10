/// The type of one number in a plane. Raw values are on disk (format-spec 05) and never change.
public enum ElementType: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    case float32 = 1
    case float16 = 2
    case bfloat16 = 3
    /// One byte a number; its scales travel in a sidecar extent.
    case int8 = 4
    case float8E4M3 = 5

    public var byteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .int8, .float8E4M3: 1
        }
    }

    public var description: String {
        switch self {
        case .float32: "f32"
        case .float16: "f16"
        case .bfloat16: "bf16"
        case .int8: "i8"
        case .float8E4M3: "f8e4m3"
        }
    }
}
