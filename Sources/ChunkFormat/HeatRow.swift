// The heat table (PRODUCT D9b, format-spec 10): counters that move, by the ordinal in the index
// value. May be lossy in a crash; a file whose generation is not the checkpoint's is ignored.

import Primitives

public struct HeatRow: Hashable, Sendable {
    public var useCount: UInt32
    /// Seconds since the store was created.
    public var lastUseSeconds: UInt32
    public var score: Float
    public var lastFixCost: Float

    public init(useCount: UInt32, lastUseSeconds: UInt32, score: Float, lastFixCost: Float) {
        self.useCount = useCount
        self.lastUseSeconds = lastUseSeconds
        self.score = score
        self.lastFixCost = lastFixCost
    }

    static let layout = Layout(
        "heatRow",
        [("useCount", .u32), ("lastUseSeconds", .u32), ("score", .f32), ("lastFixCost", .f32)])
}

public struct HeatFile: Hashable, Sendable {
    private static let magic = Array("CHKHEAT0".utf8)
    public static let rowCountMax: UInt64 = 1 << 32
    public var generation: UInt64
    /// Under whose rules the scores were made; zeros for none (HEA-6).
    public var policyDigest: Digest128
    public var rows: [HeatRow]

    public init(generation: UInt64, policyDigest: Digest128, rows: [HeatRow]) {
        self.generation = generation
        self.policyDigest = policyDigest
        self.rows = rows
    }

    static let layout = Layout(
        "heatHeader",
        [
            ("magic", .bytes(8)), ("storeID", .bytes(16)), ("generation", .u64),
            ("rowCount", .u64), ("rowDigest", .digest), ("policyDigest", .digest),
            ("reserved", .reserved(4_008)), ("seal", .digest),
        ])

    public static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "heat", salt: [])
    }

    public func encode(storeID: [UInt8], key: SealKey) -> [UInt8] {
        let layout = Self.layout
        let row = HeatRow.layout
        let rowBytes = aligned(rows.count * row.byteCount, to: Superblock.blockBytes)
        var body = FieldWriter(byteCount: rowBytes)
        for (index, heat) in rows.enumerated() {
            body.move(to: index * row.byteCount)
            body.put(row["useCount"], heat.useCount)
            body.put(row["lastUseSeconds"], heat.lastUseSeconds)
            body.put(row["score"], heat.score)
            body.put(row["lastFixCost"], heat.lastFixCost)
        }
        var header = FieldWriter(byteCount: Superblock.blockBytes)
        header.put(layout["magic"], Self.magic)
        header.put(layout["storeID"], storeID)
        header.put(layout["generation"], generation)
        header.put(layout["rowCount"], UInt64(rows.count))
        header.put(layout["rowDigest"], Digest128(hashing: body.bytes))
        header.put(layout["policyDigest"], policyDigest)
        header.put(layout["seal"], key.seal(location: [], bytes: header.bytes))
        return header.bytes + body.bytes
    }

    public init(decoding bytes: [UInt8], storeID: [UInt8], key: SealKey) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        guard reader.bytes(layout["magic"]) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "heatHeader", field: "magic", clause: "HEA-1",
                expected: hexadecimal(Self.magic), found: reader.describe(layout["magic"]))
        }
        let block = Array(bytes.prefix(layout.byteCount))
        let seal = key.seal(
            location: [], bytes: block.replacingSubrange(layout["seal"], with: 0))
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(layout["seal"]))
                && reader.bytes(layout["storeID"]) == storeID,
            layout["seal"], "HEA-2", expected: "the seal of this store's heat table")
        try reader.requireZeroReserved("FMT-3")
        let count = reader.u64(layout["rowCount"])
        let rowLayout = HeatRow.layout
        try reader.require(
            count <= Self.rowCountMax
                && Int(count) * rowLayout.byteCount <= bytes.count - layout.byteCount,
            layout["rowCount"], "HEA-3", expected: "rows that fit the file")
        let rowBytes = aligned(Int(count) * rowLayout.byteCount, to: Superblock.blockBytes)
        let body = Array(bytes[layout.byteCount...].prefix(rowBytes))
        try reader.require(
            Digest128(hashing: body) == reader.digest(layout["rowDigest"]), layout["rowDigest"],
            "HEA-3", expected: "the digest of the rows")
        var rows: [HeatRow] = []
        rows.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            let row = try FieldReader(rowLayout, body, at: index * rowLayout.byteCount)
            rows.append(
                HeatRow(
                    useCount: row.u32(rowLayout["useCount"]),
                    lastUseSeconds: row.u32(rowLayout["lastUseSeconds"]),
                    score: row.f32(rowLayout["score"]),
                    lastFixCost: row.f32(rowLayout["lastFixCost"])))
        }
        self.init(
            generation: reader.u64(layout["generation"]),
            policyDigest: reader.digest(layout["policyDigest"]), rows: rows)
    }
}
