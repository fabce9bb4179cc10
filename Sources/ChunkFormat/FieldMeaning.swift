// What a field's number says, in the words of format-spec; for people only.

import KVModel
import Primitives

enum FieldMeaning {
    static func describe(_ field: Field, of layout: Layout, in reader: FieldReader) -> String {
        switch field.type {
        case .u8, .u16, .u32, .u64:
            let number = reader.describe(field)
            let value = UInt64(number) ?? 0
            let said = word(field.name, of: layout.name, value)
            return said.map { "\(number), \($0)" } ?? number
        case .f32: return reader.describe(field)
        case .digest: return reader.describe(field)
        case .bytes:
            let raw = reader.bytes(field)
            return field.name == "magic" ? printable(raw) : hexadecimal(raw)
        case .reserved: return ""
        }
    }

    private static func word(_ field: String, of layout: String, _ value: UInt64) -> String? {
        switch field {
        case "magic": printable((0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) })
        case "kind" where layout == "extentRow":
            ExtentKind(rawValue: UInt16(truncatingIfNeeded: value)).description
        case "kind":
            RecordKind(rawValue: UInt16(truncatingIfNeeded: value)).map { "\($0)" } ?? "unknown"
        case "flags" where layout == "commitMember": value & 1 == 1 ? "abandoned" : nil
        case "flags" where layout == "checkpointEntry": value & 1 == 1 ? "pinned" : nil
        case "flags": value & 1 == 1 ? "required" : nil
        case "scope": value == 1 ? "one variant" : value == 2 ? "all variants" : "unknown"
        case "retention":
            RetentionKind(rawValue: UInt8(truncatingIfNeeded: value)).map { "\($0)" } ?? "unknown"
        case "hashDomain":
            HashDomain(rawValue: UInt8(truncatingIfNeeded: value)).map { "\($0)" } ?? "unknown"
        case "keyForm":
            KeyForm(rawValue: UInt8(truncatingIfNeeded: value)).map { "\($0)" } ?? "unknown"
        case "elementType":
            ElementType(rawValue: UInt8(truncatingIfNeeded: value))?.description ?? "unknown"
        case "digestAlgorithm": value == 1 ? "XXH3-128" : "unknown"
        case "sealAlgorithm": value == 1 ? "HMAC-SHA-256/128" : "unknown"
        case "digestBlockShift":
            value < 64 ? "\(ByteCount(1 << value)) blocks" : "out of range"
        case "codec": value == 0 ? "raw" : value == 1 ? "byte planes, LZ4" : nil
        case "expirySeconds": value == 0 ? "never" : nil
        case "nextCommitOffset", "laterCommitOffset", "secondCommitOffset":
            value == 0 ? "end of the chain" : nil
        case "ordinal": value == UInt64(UInt32.max) ? "none" : nil
        case "block", "headerBlocks", "variantBlocks": "\(ByteCount(value << 12))"
        case "alignmentUnit", "segmentBytes", "capacityBytes", "variantBytes", "usedBytes":
            "\(ByteCount(value))"
        default: nil
        }
    }

    /// ASCII as it is, everything else as a dot.
    static func printable(_ bytes: [UInt8]) -> String {
        "\"" + String(decoding: bytes.map { (0x20...0x7E).contains($0) ? $0 : 0x2E }, as: UTF8.self)
            + "\""
    }
}
