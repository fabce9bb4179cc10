// That the use of a segment has ended (format-spec 08). What lives was moved, the rest forgotten,
// and the file may be written over; a reader who finds commits or records of that use missing knows
// from this fact that they are not lost.

import Primitives

public struct FreedUse: Hashable, Sendable {
    public var segment: SegmentID
    /// Of the use that ended; all earlier ones of the segment had ended before.
    public var useSequence: UInt64
    /// Numbers of the first and the last commit record in the use; 0 when it held none.
    public var firstCommit: UInt64
    public var lastCommit: UInt64
    /// What the first one builds on: there the walk back goes on.
    public var previousCommit: UInt64
    /// The newest commit of the store when the use ended: members in this segment, of commits up
    /// to that one, are gone.
    public var commit: UInt64

    public init(
        segment: SegmentID, useSequence: UInt64, firstCommit: UInt64, lastCommit: UInt64,
        previousCommit: UInt64, commit: UInt64
    ) {
        self.segment = segment
        self.useSequence = useSequence
        self.firstCommit = firstCommit
        self.lastCommit = lastCommit
        self.previousCommit = previousCommit
        self.commit = commit
    }

    static let layout = Layout(
        "freedUse",
        [
            ("segment", .u32), ("reservedWord", .reserved(4)), ("useSequence", .u64),
            ("firstCommit", .u64), ("lastCommit", .u64), ("previousCommit", .u64),
            ("commit", .u64), ("reservedRow", .reserved(16)),
        ])

    func write(to writer: inout FieldWriter) {
        let layout = Self.layout
        writer.put(layout["segment"], segment.raw)
        writer.put(layout["useSequence"], useSequence)
        writer.put(layout["firstCommit"], firstCommit)
        writer.put(layout["lastCommit"], lastCommit)
        writer.put(layout["previousCommit"], previousCommit)
        writer.put(layout["commit"], commit)
    }

    init(decoding bytes: [UInt8], at base: Int) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes, at: base)
        try reader.requireZeroReserved("FMT-3")
        try reader.requireCounters(
            layout["useSequence"], layout["firstCommit"], layout["lastCommit"],
            layout["previousCommit"], layout["commit"])
        self.init(
            segment: SegmentID(reader.u32(layout["segment"])),
            useSequence: reader.u64(layout["useSequence"]),
            firstCommit: reader.u64(layout["firstCommit"]),
            lastCommit: reader.u64(layout["lastCommit"]),
            previousCommit: reader.u64(layout["previousCommit"]),
            commit: reader.u64(layout["commit"]))
        try reader.require(
            firstCommit == 0
                ? lastCommit == 0 && previousCommit == 0
                : previousCommit < firstCommit && firstCommit <= lastCommit,
            layout["firstCommit"], "JRN-9",
            expected: "above previousCommit and up to lastCommit, or 0 with both")
        try reader.require(
            lastCommit <= commit, layout["lastCommit"], "JRN-9", expected: "at most commit")
    }
}
