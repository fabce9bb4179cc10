// The parts without fixed places: metadata, namespace operations and journal entries, value by
// value in the order of format-spec 05, 06 and 08. After a value that does not fit, nothing more is
// said.

import KVModel
import Primitives

/// A place in a stream that is being annotated.
struct StreamCursor {
    let bytes: [UInt8]
    /// The stream's first byte in the file.
    let base: UInt64
    var position = 0
    var isBroken = false

    var remaining: Int { isBroken ? 0 : bytes.count - position }

    /// The next bytes; empty, with a line that says so, when they are not there.
    mutating func take(_ count: Int, _ name: String, _ annotator: inout Annotator) -> [UInt8]? {
        if isBroken { return nil }
        guard count >= 0, count <= bytes.count - position else {
            annotator.verdict(
                "\(name): \(count) bytes expected, \(bytes.count - position) left",
                offset: base &+ UInt64(position))
            isBroken = true
            return nil
        }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    @discardableResult
    mutating func number(
        _ name: String, _ byteCount: Int, _ annotator: inout Annotator,
        _ word: (UInt64) -> String? = { _ in nil }
    ) -> UInt64 {
        let offset = base &+ UInt64(position)
        guard let raw = take(byteCount, name, &annotator) else { return 0 }
        let value = raw.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let said = word(value).map { "\(value), \($0)" } ?? "\(value)"
        annotator.line(name, said, offset: offset, bytes: raw)
        return value
    }

    mutating func float(_ name: String, _ annotator: inout Annotator) {
        let offset = base &+ UInt64(position)
        guard let raw = take(4, name, &annotator) else { return }
        let value = raw.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        annotator.line(name, "\(Float(bitPattern: value))", offset: offset, bytes: raw)
    }

    mutating func half(_ name: String, _ annotator: inout Annotator) {
        let offset = base &+ UInt64(position)
        guard let raw = take(2, name, &annotator) else { return }
        let value = UInt16(raw[1]) << 8 | UInt16(raw[0])
        annotator.line(name, "\(Float(Float16(bitPattern: value)))", offset: offset, bytes: raw)
    }

    mutating func bytes(_ name: String, _ count: Int, _ annotator: inout Annotator) {
        let offset = base &+ UInt64(position)
        guard let raw = take(count, name, &annotator) else { return }
        annotator.line(name, hexadecimal(raw), offset: offset, bytes: raw)
    }

    mutating func text(_ name: String, _ annotator: inout Annotator) {
        let count = number(name + "Bytes", 2, &annotator)
        let offset = base &+ UInt64(position)
        guard count > 0, let raw = take(Int(count), name, &annotator) else { return }
        annotator.line(name, FieldMeaning.printable(raw), offset: offset, bytes: raw)
    }
}

extension Annotator {
    /// The metadata part of a payload record.
    public mutating func metadata(_ bytes: [UInt8], base: UInt64 = 0) {
        group("metadata", offset: base, byteCount: UInt64(bytes.count)) {
            var cursor = StreamCursor(bytes: bytes, base: base)
            cursor.number("revision", 2, &$0)
            cursor.number("flags", 2, &$0) { $0 & 1 == 1 ? "context impact" : nil }
            cursor.float("creationMilliseconds", &$0)
            cursor.float("interMean", &$0)
            cursor.float("intraMean", &$0)
            cursor.number("reserved", 4, &$0)
            $0.items("tokens", itemBytes: 4, &cursor) { $1.number($2, 4, &$0) }
            $0.items("prefix", itemBytes: 40, &cursor) {
                $1.bytes($2 + ".chunkKey", 32, &$0)
                $1.number($2 + ".tokenCount", 4, &$0)
                $1.float($2 + ".interMean", &$0)
            }
            for name in ["tokenScores", "deviationProfile"] {
                $0.items(name, itemBytes: 2, &cursor) { $1.half($2, &$0) }
            }
            $0.sections(&cursor)
            $0.end(&cursor)
            $0.check(offset: base) { () throws(FormatError) in
                _ = try ChunkMetadata(decoding: bytes)
            }
        }
    }

    /// A u32 count, then that many items.
    private mutating func items(
        _ name: String, itemBytes: Int, _ cursor: inout StreamCursor,
        _ one: (inout Self, inout StreamCursor, String) -> Void
    ) {
        let count = cursor.number(name + "Count", 4, &self)
        let room = UInt64(cursor.remaining / itemBytes)
        if count > room {
            if !cursor.isBroken {
                verdict(
                    "\(name): \(count) items, room for \(room)",
                    offset: cursor.base &+ UInt64(cursor.position))
            }
            cursor.isBroken = true
            return
        }
        let shown = min(count, UInt64(rowCountMax))
        for index in 0..<shown { one(&self, &cursor, "\(name)[\(index)]") }
        guard shown < count else { return }
        let offset = cursor.base &+ UInt64(cursor.position)
        let rest = Int(count - shown) * itemBytes
        cursor.position += rest
        group(
            "… \(count - shown) more \(name)", offset: offset, byteCount: UInt64(rest))
    }

    /// The open sections of a metadata part.
    private mutating func sections(_ cursor: inout StreamCursor) {
        let count = cursor.number("sectionsCount", 4, &self)
        for index in 0..<min(count, UInt64(MetadataSections.countMax)) where !cursor.isBroken {
            let name = "sections[\(index)]"
            cursor.number(name + ".kind", 2, &self) {
                MetadataSectionKind(rawValue: UInt16(truncatingIfNeeded: $0)).map { "\($0)" }
                    ?? "unknown"
            }
            let byteCount = cursor.number(name + ".byteCount", 4, &self)
            if byteCount > 0 { cursor.bytes(name + ".bytes", Int(byteCount), &self) }
        }
    }

    private mutating func end(_ cursor: inout StreamCursor) {
        if cursor.remaining > 0 {
            verdict(
                "\(cursor.remaining) bytes that nobody asked for",
                offset: cursor.base &+ UInt64(cursor.position))
        }
    }

    /// A namespace operation, from the log or from the journal.
    public mutating func namespaceOperation(_ bytes: [UInt8], base: UInt64 = 0) {
        group("namespaceOperation", offset: base, byteCount: UInt64(bytes.count)) {
            var cursor = StreamCursor(bytes: bytes, base: base)
            let operation = cursor.number("operation", 2, &$0) {
                $0 == 1 ? "create" : $0 == 2 ? "drop" : "unknown"
            }
            cursor.number("namespace", 4, &$0)
            if operation == 1 { $0.binding(&cursor) }
            if operation == 2 { cursor.number("commit", 8, &$0) }
            if operation == 1 || operation == 2 { $0.end(&cursor) }
            $0.check(offset: base) { () throws(FormatError) in
                _ = try NamespaceOperation(decoding: bytes)
            }
        }
    }

    private mutating func binding(_ cursor: inout StreamCursor) {
        func enumeration<Value: RawRepresentable>(_ type: Value.Type) -> (UInt64) -> String?
        where Value.RawValue == UInt8 {
            { type.init(rawValue: UInt8(truncatingIfNeeded: $0)).map { "\($0)" } ?? "unknown" }
        }
        cursor.text("name", &self)
        cursor.text("model", &self)
        cursor.bytes("weightsDigest", 32, &self)
        cursor.number("elementType", 1, &self, enumeration(ElementType.self))
        cursor.number("keyForm", 1, &self, enumeration(KeyForm.self))
        cursor.number("pairing", 1, &self, enumeration(RotaryPairing.self))
        cursor.number("reserved", 1, &self)
        cursor.float("rotaryBase", &self)
        cursor.number("rotaryDimension", 4, &self)
        let scaling = cursor.number("scaling", 1, &self) {
            [0: "none", 1: "linear", 2: "llama3", 3: "yarn"][$0] ?? "unknown"
        }
        if (1...3).contains(scaling) { cursor.float("factor", &self) }
        let factors = [
            2: ["lowFrequencyFactor", "highFrequencyFactor"],
            3: ["betaFast", "betaSlow", "attentionFactor"],
        ][scaling]
        for name in factors ?? [] { cursor.float(name, &self) }
        if factors != nil { cursor.number("originalPositionCount", 4, &self) }
        if scaling == 3 { cursor.number("roundsRamp", 1, &self) }
        cursor.number("tensorParallelRank", 2, &self)
        cursor.number("tensorParallelSize", 2, &self)
        cursor.number("checkLayer", 2, &self) { $0 == 0 ? "none" : "layer \($0 - 1)" }
        cursor.number("deviationTensor", 1, &self) {
            $0 == 0 ? "none" : enumeration(DeviationTensor.self)($0)
        }
        let runCount = cursor.number("runCount", 2, &self)
        for index in 0..<runCount where !cursor.isBroken {
            cursor.number("runs[\(index)].repeat", 2, &self)
            cursor.number("runs[\(index)].kvHeadCount", 4, &self)
            cursor.number("runs[\(index)].headDimension", 4, &self)
            cursor.number("runs[\(index)].windowTokenCount", 4, &self) { $0 == 0 ? "all" : nil }
        }
    }

    /// The entries of a journal block.
    mutating func journalEntries(_ bytes: [UInt8], base: UInt64) {
        var cursor = StreamCursor(bytes: bytes, base: base)
        while cursor.remaining > 0 {
            let kind = cursor.number("entryKind", 2, &self) {
                [1: "tombstone", 2: "namespace operation", 3: "freed use"][$0] ?? "unknown"
            }
            let count = cursor.number("entryBytes", 2, &self)
            let offset = base &+ UInt64(cursor.position)
            guard let body = cursor.take(Int(count), "entry", &self) else { return }
            switch kind {
            case 1: structure(Tombstone.layout, body, base: offset)
            case 2: namespaceOperation(body, base: offset)
            case 3: structure(FreedUse.layout, body, base: offset)
            default: line("entry", "unknown", offset: offset, bytes: body)
            }
        }
    }
}
