// What every byte of a structure means, as lines a person can read: offset range, hexadecimal, name
// = meaning. The goldens are its output, and `chunkdb hexdump` prints it.
//
// It describes what is there, not what should be: damaged bytes are annotated as far as they go and
// the decoder's complaint stands beside them. Nothing here traps on bytes, and no count makes it
// read or print more than is there. With the store's secret it says whether a seal opens.

import Primitives

/// One line of an annotation.
public struct AnnotationLine: Hashable, Sendable {
    public var depth: Int
    /// First byte, in the file or whatever the bytes were taken from.
    public var offset: UInt64
    public var byteCount: UInt64
    public var hex: String
    public var name: String
    public var meaning: String

    public var text: String {
        let indent = String(repeating: "  ", count: depth)
        let range = "\(Self.hexOffset(offset))-\(Self.hexOffset(offset &+ max(byteCount, 1) &- 1))"
        let said = meaning.isEmpty ? name : "\(name) = \(meaning)"
        if hex.isEmpty { return "\(indent)\(range)  \(said)" }
        let padding = String(repeating: " ", count: max(0, 32 - hex.utf8.count))
        return "\(indent)\(range)  \(hex)\(padding)  \(said)"
    }

    private static func hexOffset(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

public struct Annotator: Sendable {
    public private(set) var lines: [AnnotationLine] = []
    /// The store's secret; without it seals are shown and not checked.
    public var secret: [UInt8]?
    /// Rows of one table that are printed; the rest is counted.
    public var rowCountMax: Int
    var depth = 0

    public init(secret: [UInt8]? = nil, rowCountMax: Int = .max) {
        self.secret = secret
        self.rowCountMax = max(0, rowCountMax)
    }

    /// All lines, each ended by a line feed.
    public var text: String { lines.map { $0.text + "\n" }.joined() }

    // MARK: Lines

    /// A line that covers a range; what `body` adds stands below it.
    mutating func group(
        _ title: String, _ meaning: String = "", offset: UInt64, byteCount: UInt64,
        _ body: (inout Self) -> Void = { _ in }
    ) {
        lines.append(
            AnnotationLine(
                depth: depth, offset: offset, byteCount: byteCount, hex: "", name: title,
                meaning: meaning))
        depth += 1
        body(&self)
        depth -= 1
    }

    mutating func line(_ name: String, _ meaning: String, offset: UInt64, bytes: [UInt8]) {
        let hex =
            bytes.count <= 16
            ? hexadecimal(bytes) : hexadecimal(bytes.prefix(14)) + " …"
        lines.append(
            AnnotationLine(
                depth: depth, offset: offset, byteCount: UInt64(bytes.count), hex: hex, name: name,
                meaning: meaning))
    }

    /// What a decoder said of the bytes above.
    mutating func verdict(_ text: String, offset: UInt64) {
        group("✗ \(text)", offset: offset, byteCount: 1)
    }

    /// Runs a decoder for its complaint only.
    mutating func check(offset: UInt64, _ decode: () throws(FormatError) -> Void) {
        do throws(FormatError) {
            try decode()
        } catch {
            verdict("\(error)", offset: offset)
        }
    }

    // MARK: Structures

    /// The fields of a structure at `bytes[start...]`, whose first byte is byte `base` of the file.
    public mutating func structure(
        _ layout: Layout, _ bytes: [UInt8], at start: Int = 0, base: UInt64 = 0,
        title: String? = nil
    ) {
        let offset = base &+ UInt64(max(start, 0))
        group(title ?? layout.name, offset: offset, byteCount: UInt64(layout.byteCount)) {
            $0.fields(layout, bytes, at: start, base: base)
        }
    }

    /// Fields one below the other, from the one named `first` on.
    mutating func fields(
        _ layout: Layout, _ bytes: [UInt8], at start: Int, base: UInt64, from first: Int = 0
    ) {
        let reader: FieldReader
        do throws(FormatError) {
            reader = try FieldReader(layout, bytes, at: start)
        } catch {
            verdict("\(error)", offset: base &+ UInt64(max(start, 0)))
            return
        }
        for field in layout.fields where field.offset >= first {
            let raw = reader.bytes(field)
            let offset = base &+ UInt64(start) &+ UInt64(field.offset)
            if case .reserved = field.type {
                let isZero = raw.allSatisfy { $0 == 0 }
                group(
                    field.name, isZero ? "zero" : "✗ not zero", offset: offset,
                    byteCount: UInt64(raw.count))
                continue
            }
            line(
                field.name, FieldMeaning.describe(field, of: layout, in: reader), offset: offset,
                bytes: raw)
        }
    }

    /// Rows of one layout, one after the other; as many as are there, at most `count`.
    mutating func rows(
        _ layout: Layout, _ bytes: [UInt8], at start: Int, count: UInt64, base: UInt64
    ) {
        let room = UInt64(max(0, bytes.count - start) / layout.byteCount)
        let shown = min(count, room, UInt64(rowCountMax))
        for index in 0..<shown {
            structure(
                layout, bytes, at: start + Int(index) * layout.byteCount, base: base,
                title: "\(layout.name)[\(index)]")
        }
        if shown < count {
            let offset = base &+ UInt64(start) &+ shown &* UInt64(layout.byteCount)
            group(
                "… \(count - shown) more", room < count ? "✗ past the end" : "",
                offset: offset, byteCount: 1)
        }
    }

    /// Bytes that should all be zero.
    mutating func padding(_ bytes: [UInt8], from start: Int, to end: Int, base: UInt64) {
        let range = max(0, start)..<max(start, min(end, bytes.count), 0)
        guard !range.isEmpty, range.upperBound <= bytes.count else { return }
        let isZero = bytes[range].allSatisfy { $0 == 0 }
        group(
            "padding", isZero ? "zero" : "✗ not zero", offset: base &+ UInt64(range.lowerBound),
            byteCount: UInt64(range.count))
    }
}
