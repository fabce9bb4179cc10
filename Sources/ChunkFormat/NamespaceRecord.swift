import Primitives

/// A namespace operation as a record of the log; it stands in the metadata journal too.
public struct NamespaceRecord: Hashable, Sendable {
    public var prefix: RecordPrefix
    public var operation: NamespaceOperation

    public init(prefix: RecordPrefix, operation: NamespaceOperation) {
        self.prefix = prefix
        self.operation = operation
    }

    static let layout = Layout(
        "namespaceHeader",
        RecordPrefix.fields + [("operationBytes", .u32), ("reservedCount", .reserved(12))])

    /// Bytes of the record for this operation, before rounding up to the unit.
    public static func byteCount(_ operation: NamespaceOperation) -> Int {
        layout.byteCount + operation.encode().count
    }

    public func encode(key: SealKey) -> SealedRegion {
        let encoded = operation.encode()
        var writer = FieldWriter(byteCount: Int(prefix.headerBytes))
        prefix.write(to: &writer)
        writer.put(Self.layout["operationBytes"], UInt32(encoded.count))
        writer.put(at: Self.layout.byteCount, encoded)
        return prefix.sealed(writer, key: key)
    }

    public init(decoding bytes: [UInt8], prefix: RecordPrefix) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        try reader.requireZeroReserved("FMT-3")
        let count = Int(reader.u32(layout["operationBytes"]))
        // What lies behind the header region is under no seal.
        let room = min(bytes.count, Int(prefix.headerBytes)) - layout.byteCount
        try reader.require(
            count <= room, layout["operationBytes"], "NSP-1", expected: "at most \(room)")
        self.init(
            prefix: prefix,
            operation: try NamespaceOperation(
                decoding: Array(bytes[layout.byteCount..<layout.byteCount + count])))
    }
}
