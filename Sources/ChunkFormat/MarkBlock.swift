// The mark: after each flush, how far the log is known to be durable (CONTRACT L-1, format-spec
// 02). Two blocks in turn, written without a flush of their own: a torn one leaves the other.

import Primitives

public struct MarkBlock: Hashable, Sendable {
    /// Counts marks; the larger of the two blocks is the newer.
    public var turn: UInt64
    /// Every commit up to this one was flushed.
    public var syncedCommit: UInt64

    public init(turn: UInt64, syncedCommit: UInt64) {
        self.turn = turn
        self.syncedCommit = syncedCommit
    }

    static let layout = Layout(
        "markBlock",
        [
            ("magic", .bytes(8)), ("storeID", .bytes(16)), ("turn", .u64), ("syncedCommit", .u64),
            ("reserved", .reserved(4_040)), ("seal", .digest),
        ])
    private static let magic = Array("CHKMARK0".utf8)

    public static func sealKey(secret: [UInt8]) -> SealKey {
        SealKey(secret: secret, label: "mark", salt: [])
    }

    public func encode(storeID: [UInt8], key: SealKey) -> [UInt8] {
        var writer = FieldWriter(byteCount: Superblock.blockBytes)
        writer.put(Self.layout["magic"], Self.magic)
        writer.put(Self.layout["storeID"], storeID)
        writer.put(Self.layout["turn"], turn)
        writer.put(Self.layout["syncedCommit"], syncedCommit)
        let seal = key.seal(location: bigEndianBytes(turn & 1), bytes: writer.bytes)
        writer.put(Self.layout["seal"], seal)
        return writer.bytes
    }

    public init(decoding bytes: [UInt8], index: Int, storeID: [UInt8], key: SealKey)
        throws(FormatError)
    {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes)
        guard reader.bytes(layout["magic"]) == Self.magic else {
            throw FormatError(
                .notRecognised, structure: "markBlock", field: "magic", clause: "MRK-1",
                expected: hexadecimal(Self.magic), found: reader.describe(layout["magic"]))
        }
        let block = Array(bytes.prefix(layout.byteCount))
        let unsealed = block.replacingSubrange(layout["seal"], with: 0)
        let seal = key.seal(location: bigEndianBytes(UInt64(index)), bytes: unsealed)
        try reader.require(
            seal.isEqualInConstantTime(to: reader.digest(layout["seal"])), layout["seal"], "MRK-2",
            expected: "the seal of mark \(index)")
        try reader.require(
            reader.bytes(layout["storeID"]) == storeID, layout["storeID"], "MRK-3",
            expected: hexadecimal(storeID))
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(layout["turn"], layout["syncedCommit"])
        turn = reader.u64(layout["turn"])
        syncedCommit = reader.u64(layout["syncedCommit"])
        try reader.require(
            Int(turn & 1) == index, layout["turn"], "MRK-4", expected: "a turn of block \(index)")
    }
}
