// What is gone (format-spec 06). A tombstone names one variant of a chunk, or all of them; it
// stands in the log, in order with the puts, and in the metadata journal, so that one fault of the
// medium never brings a removed key back (CONTRACT D-2).

import Primitives

public struct Tombstone: Hashable, Sendable {
    public var namespace: NamespaceID
    public var key: ChunkKey
    /// `nil`: all variants of the key.
    public var variant: VariantID?
    /// The commit that removed it: what earlier commits made visible is gone, what the same commit
    /// or a later one makes visible is not.
    public var commit: UInt64

    public init(
        namespace: NamespaceID, key: ChunkKey, variant: VariantID?, commit: UInt64
    ) {
        self.namespace = namespace
        self.key = key
        self.variant = variant
        self.commit = commit
    }

    static let layout = Layout(
        "tombstoneRow",
        [
            ("namespace", .u32), ("scope", .u32), ("chunkKey", .bytes(32)), ("variantID", .u64),
            ("commit", .u64), ("reservedRow", .reserved(8)),
        ])

    func write(to writer: inout FieldWriter) {
        let layout = Self.layout
        writer.put(layout["namespace"], namespace.raw)
        writer.put(layout["scope"], variant == nil ? UInt32(2) : 1)
        writer.put(layout["chunkKey"], key.bytes)
        writer.put(layout["variantID"], variant?.raw ?? 0)
        writer.put(layout["commit"], commit)
    }

    init(decoding bytes: [UInt8], at base: Int) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes, at: base)
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(layout["commit"])
        let scope = reader.u32(layout["scope"])
        try reader.require(
            scope == 1 || (scope == 2 && reader.u64(layout["variantID"]) == 0), layout["scope"],
            "TMB-1", expected: "1, one variant, or 2, all, with variantID 0")
        guard let key = ChunkKey(bytes: reader.bytes(layout["chunkKey"])) else {
            preconditionFailure("a 32-byte field has 32 bytes")
        }
        self.init(
            namespace: NamespaceID(reader.u32(layout["namespace"])), key: key,
            variant: scope == 1 ? VariantID(reader.u64(layout["variantID"])) : nil,
            commit: reader.u64(layout["commit"]))
    }
}

/// A header-only record of one or more tombstones of one group.
public struct TombstoneRecord: Hashable, Sendable {
    public var prefix: RecordPrefix
    public var tombstones: [Tombstone]

    public init(prefix: RecordPrefix, tombstones: [Tombstone]) {
        self.prefix = prefix
        self.tombstones = tombstones
    }

    static let layout = Layout(
        "tombstoneHeader",
        RecordPrefix.fields + [("count", .u32), ("reservedCount", .reserved(12))])

    /// Tombstones that fit a record of one unit.
    public static func capacity(unit: UInt32) -> Int {
        (Int(unit) - layout.byteCount) / Tombstone.layout.byteCount
    }

    public func encode(key: SealKey) -> SealedRegion {
        var writer = FieldWriter(byteCount: Int(prefix.headerBytes))
        prefix.write(to: &writer)
        writer.put(Self.layout["count"], UInt32(tombstones.count))
        for (index, tombstone) in tombstones.enumerated() {
            writer.move(to: Self.layout.byteCount + index * Tombstone.layout.byteCount)
            tombstone.write(to: &writer)
        }
        writer.move(to: 0)
        return prefix.sealed(writer, key: key)
    }

    public init(decoding bytes: [UInt8], prefix: RecordPrefix) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        try reader.requireZeroReserved("FMT-3")
        let count = Int(reader.u32(layout["count"]))
        try reader.require(
            count > 0 && count <= Self.capacity(unit: prefix.headerBytes), layout["count"],
            "TMB-2", expected: "1 to \(Self.capacity(unit: prefix.headerBytes))")
        var tombstones: [Tombstone] = []
        for index in 0..<count {
            tombstones.append(
                try Tombstone(
                    decoding: bytes,
                    at: layout.byteCount + index * Tombstone.layout.byteCount))
        }
        self.init(prefix: prefix, tombstones: tombstones)
    }
}
