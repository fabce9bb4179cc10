// The Safetensors container: planes leave the store in it, model weights come in it.
//
//     [u64 little-endian: header bytes][header: JSON, may end in spaces][data, no gaps]
//
// The header comes from strangers, so the scanner accepts exactly the one shape of JSON the format
// has, without recursion, and every number is checked before it is used. Invariants of a value of
// `Safetensors`: names are unique; tensors, sorted by place, tile the data section from its first
// byte to its last; a tensor's bytes are its shape times its element.
// Format: github.com/huggingface/safetensors, "Format".

/// Why a Safetensors file is refused.
public struct SafetensorsError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The tensor concerned; `nil` when it is the file as a whole.
    public let tensor: String?
    /// Where in the file, in bytes.
    public let offset: Int
    public let reason: String
    public init(tensor: String? = nil, offset: Int, reason: String) {
        self.tensor = tensor
        self.offset = offset
        self.reason = reason
    }
    public var description: String {
        "safetensors: \(tensor.map { "tensor \"\($0)\": " } ?? "")\(reason) (at byte \(offset))"
    }
}

/// The table of contents of one file; the bytes stay with the caller.
public struct Safetensors: Sendable {
    /// Longest header read, as in the reference implementation.
    public static let headerBytesMax = 100_000_000
    public static let rankMax = 8

    public struct Tensor: Hashable, Sendable {
        public var name: String
        public var elementType: ElementType
        /// Outermost first; empty for one number.
        public var shape: [Int]
        /// Where the bytes are in the *file*.
        public var fileRange: Range<Int>
        public var elementCount: Int { shape.reduce(1, *) }
    }

    /// In the order of their bytes.
    public let tensors: [Tensor]
    public let metadata: [(name: String, value: String)]
    private let indexByName: [String: Int]

    public subscript(name: String) -> Tensor? { indexByName[name].map { tensors[$0] } }

    /// Reads the table of contents of a whole file in memory.
    /// *Throws:* the first thing that is wrong; no input traps.
    public init(parsing file: Span<UInt8>) throws(SafetensorsError) {
        try self.init(
            parsing: file.extracting(first: min(file.count, 8 + Self.headerBytesMax)),
            fileByteCount: file.count)
    }

    /// The same from the beginning of a file: its length word and the whole header.
    public init(parsing start: Span<UInt8>, fileByteCount: Int) throws(SafetensorsError) {
        guard start.count >= 8 else {
            throw SafetensorsError(offset: 0, reason: "\(fileByteCount) bytes hold no length word")
        }
        var length: UInt64 = 0
        for index in (0..<8).reversed() { length = length << 8 | UInt64(start[index]) }
        guard length <= UInt64(Self.headerBytesMax) else {
            throw SafetensorsError(
                offset: 0, reason: "a header of \(length) bytes exceeds \(Self.headerBytesMax)")
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= start.count, dataStart <= fileByteCount else {
            throw SafetensorsError(
                offset: 0, reason: "a header of \(length) bytes exceeds the file's \(fileByteCount)"
            )
        }
        var scanner = HeaderScanner(end: dataStart)
        let found = try scanner.scan(start)
        tensors = try Self.place(found, dataStart: dataStart, fileByteCount: fileByteCount)
        metadata = scanner.metadata
        var indices: [String: Int] = [:]
        for (index, tensor) in tensors.enumerated() {
            guard indices.updateValue(index, forKey: tensor.name) == nil else {
                throw SafetensorsError(tensor: tensor.name, offset: 8, reason: "named twice")
            }
        }
        indexByName = indices
    }

    /// Sorts by place, checks sizes and that no byte is missing, shared or outside.
    private static func place(
        _ found: [HeaderScanner.Entry], dataStart: Int, fileByteCount: Int
    ) throws(SafetensorsError) -> [Tensor] {
        let dataBytes = fileByteCount - dataStart
        var placed: [Tensor] = []
        placed.reserveCapacity(found.count)
        var next = 0
        for entry in found.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
            func refuse(_ reason: String) -> SafetensorsError {
                SafetensorsError(tensor: entry.name, offset: entry.offset, reason: reason)
            }
            guard entry.begin <= entry.end, entry.end <= dataBytes else {
                throw refuse(
                    "offsets \(entry.begin)..<\(entry.end) leave the \(dataBytes) data bytes")
            }
            var bytes = entry.elementType.byteCount
            for extent in entry.shape {
                let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
                if overflow { throw refuse("shape \(entry.shape) overflows") }
                bytes = product
            }
            guard bytes == entry.end - entry.begin else {
                throw refuse(
                    "shape \(entry.shape) of \(entry.elementType) has \(bytes) bytes, offsets say "
                        + "\(entry.end - entry.begin)")
            }
            guard entry.begin == next else {
                throw refuse(
                    entry.begin < next
                        ? "overlaps the tensor before it" : "leaves a gap before it")
            }
            next = entry.end
            placed.append(
                Tensor(
                    name: entry.name, elementType: entry.elementType, shape: entry.shape,
                    fileRange: dataStart + entry.begin..<dataStart + entry.end))
        }
        guard next == dataBytes else {
            throw SafetensorsError(
                offset: dataStart + next, reason: "\(dataBytes - next) bytes belong to no tensor")
        }
        return placed
    }

    // MARK: Writing

    /// What a file begins with: length word and header, padded with spaces to a multiple of eight.
    /// The caller appends the tensors' bytes in the same order.
    public static func header(
        tensors: [(name: String, elementType: ElementType, shape: [Int])],
        metadata: [(name: String, value: String)] = []
    ) -> [UInt8] {
        var fields: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.map { "\(quoted($0.name)):\(quoted($0.value))" }
            fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var offset = 0
        for (name, elementType, shape) in tensors {
            let end = offset + shape.reduce(elementType.byteCount, *)
            fields.append(
                "\(quoted(name)):{\"dtype\":\"\(elementType.safetensorsName)\","
                    + "\"shape\":[\(shape.map(String.init).joined(separator: ","))],"
                    + "\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        var json = Array("{\(fields.joined(separator: ","))}".utf8)
        while !json.count.isMultiple(of: 8) { json.append(UInt8(ascii: " ")) }
        return (0..<8).map { UInt8(truncatingIfNeeded: UInt64(json.count) >> (8 * $0)) } + json
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension ElementType {
    /// The format's own name of the type.
    public var safetensorsName: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int8: "I8"
        case .float8E4M3: "F8_E4M3"
        }
    }
}

/// Reads `{"name": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …}` and nothing else.
private struct HeaderScanner {
    struct Entry {
        var name: String
        var offset: Int
        var elementType: ElementType
        var shape: [Int]
        var begin: Int
        var end: Int
    }

    var metadata: [(name: String, value: String)] = []
    private let end: Int
    private var position = 8

    init(end: Int) { self.end = end }

    mutating func scan(_ bytes: Span<UInt8>) throws(SafetensorsError) -> [Entry] {
        var entries: [Entry] = []
        var seenMetadata = false
        try members(bytes) { (scanner, name, offset) throws(SafetensorsError) in
            if name != "__metadata__" {
                entries.append(try scanner.entry(bytes, name: name, offset: offset))
                return
            }
            if seenMetadata { throw scanner.refuse("__metadata__ stands twice") }
            seenMetadata = true
            try scanner.members(bytes) { (scanner, name, _) throws(SafetensorsError) in
                scanner.metadata.append((name, try scanner.string(bytes)))
            }
        }
        skipSpace(bytes)
        guard position == end else { throw refuse("text after the header's object") }
        return entries
    }

    private mutating func entry(
        _ bytes: Span<UInt8>, name: String, offset: Int
    ) throws(SafetensorsError) -> Entry {
        var elementType: ElementType?
        var shape: [Int]?
        var offsets: [Int]?
        try members(bytes) { (scanner, field, _) throws(SafetensorsError) in
            switch field {
            case "dtype" where elementType == nil:
                let text = try scanner.string(bytes)
                elementType = ElementType.allCases.first { $0.safetensorsName == text }
                if elementType == nil { throw scanner.refuse("dtype \(text) is not read", name) }
            case "shape" where shape == nil:
                shape = try scanner.numbers(bytes, countMax: Safetensors.rankMax)
            case "data_offsets" where offsets == nil:
                offsets = try scanner.numbers(bytes, countMax: 2)
            default: throw scanner.refuse("field \"\(field)\" is unknown or stands twice", name)
            }
        }
        guard let elementType, let shape, let offsets, offsets.count == 2 else {
            throw refuse("needs dtype, shape and two data_offsets", name)
        }
        return Entry(
            name: name, offset: offset, elementType: elementType, shape: shape,
            begin: offsets[0], end: offsets[1])
    }

    func refuse(_ reason: String, _ tensor: String? = nil) -> SafetensorsError {
        SafetensorsError(tensor: tensor, offset: position, reason: "header: \(reason)")
    }

    /// One object; `body` reads each member's value.
    private mutating func members(
        _ bytes: Span<UInt8>,
        _ body: (inout Self, String, Int) throws(SafetensorsError) -> Void
    ) throws(SafetensorsError) {
        try expect("{", bytes)
        if accept("}", bytes) { return }
        repeat {
            skipSpace(bytes)
            let offset = position
            let name = try string(bytes)
            try expect(":", bytes)
            try body(&self, name, offset)
        } while accept(",", bytes)
        try expect("}", bytes)
    }

    private mutating func numbers(
        _ bytes: Span<UInt8>, countMax: Int
    ) throws(SafetensorsError) -> [Int] {
        var result: [Int] = []
        try expect("[", bytes)
        if accept("]", bytes) { return result }
        repeat {
            if result.count == countMax { throw refuse("a list of more than \(countMax) numbers") }
            result.append(try number(bytes))
        } while accept(",", bytes)
        try expect("]", bytes)
        return result
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(SafetensorsError) -> Int {
        skipSpace(bytes)
        var value = 0
        let first = position
        while position < end, case let digit = bytes[position], (0x30...0x39).contains(digit) {
            let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tenfold.addingReportingOverflow(Int(digit - 0x30))
            if overflow || carry { throw refuse("a number too large") }
            value = sum
            position += 1
        }
        if position == first { throw refuse("a whole number is due here") }
        return value
    }

    private mutating func string(_ bytes: Span<UInt8>) throws(SafetensorsError) -> String {
        try expect("\"", bytes)
        var units: [UInt8] = []
        while position < end {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else {
                    throw refuse("a string that is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): units += try escape(bytes)
            case 0..<0x20: throw refuse("a control character in a string")
            default: units.append(byte)
            }
        }
        throw refuse("a string without end")
    }

    private mutating func escape(_ bytes: Span<UInt8>) throws(SafetensorsError) -> [UInt8] {
        guard position < end else { throw refuse("a string without end") }
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [letter]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "u"):
            var code = try hexadecimalUnit(bytes)
            if (0xD800..<0xDC00).contains(code), position + 1 < end,
                bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try hexadecimalUnit(bytes)
                guard (0xDC00..<0xE000).contains(low) else { throw refuse("half a surrogate") }
                code = 0x1_0000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw refuse("half a surrogate") }
            return Array(String(Character(scalar)).utf8)
        default: throw refuse("an unknown escape")
        }
    }

    private mutating func hexadecimalUnit(_ bytes: Span<UInt8>) throws(SafetensorsError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard position < end,
                let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue
            else { throw refuse("four hexadecimal digits are due here") }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while position < end, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func accept(_ mark: Unicode.Scalar, _ bytes: Span<UInt8>) -> Bool {
        skipSpace(bytes)
        guard position < end, bytes[position] == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    private mutating func expect(
        _ mark: Unicode.Scalar, _ bytes: Span<UInt8>
    ) throws(SafetensorsError) {
        if !accept(mark, bytes) { throw refuse("\"\(mark)\" is due here") }
    }
}
