// Puts reserve, commits name (PRODUCT D9a, format-spec 07). A commit record stands in a slot that
// the commit before it reserved, so recovery walks a chain of known places and never searches bytes
// a tenant chose. It names every member's place, length and seal; a put is there when a commit says
// so.
//
// `previousCommit` is the number of the commit that this one builds on. Numbers in between belong
// to commits that a recovery dropped, and stay dropped whatever a later crash brings back.

import Primitives

/// A record that a commit makes visible, or a reservation that it gives up.
public struct CommitMember: Hashable, Sendable {
    public var kind: UInt16
    /// Reserved and never to be read: a put that failed, or a torn record that recovery dropped.
    public var isAbandoned: Bool
    /// After a crash all members of a commit that say so are there, or none (RCV-11).
    public var isBatched: Bool
    /// An earlier commit named it too, here or at the place that it was copied from, and is needed
    /// until this one is proven (RCV-23).
    public var isAgain: Bool = false
    public var location: RecordLocation
    public var headerBytes: UInt32
    public var recordBytes: UInt64
    public var seal: Digest128

    /// As one that says so.
    public var again: Self {
        var member = self
        member.isAgain = true
        return member
    }

    /// Of the kinds that have a header region and nothing else.
    public var isTombstoneOrNamespace: Bool {
        kind == RecordKind.tombstone.rawValue || kind == RecordKind.namespaceOperation.rawValue
    }

    public init(
        kind: RecordKind, isAbandoned: Bool = false, isBatched: Bool = false,
        location: RecordLocation,
        headerBytes: UInt32, recordBytes: UInt64, seal: Digest128
    ) {
        self.kind = kind.rawValue
        self.isAbandoned = isAbandoned
        self.isBatched = isBatched
        self.location = location
        self.headerBytes = headerBytes
        self.recordBytes = recordBytes
        self.seal = seal
    }

    static let layout = Layout(
        "commitMember",
        [
            ("kind", .u16), ("flags", .u16), ("segment", .u32), ("offset", .u64),
            ("recordBytes", .u64), ("headerBytes", .u32), ("reservedRow", .reserved(4)),
            ("seal", .digest),
        ])

    func write(to writer: inout FieldWriter) {
        let layout = Self.layout
        writer.put(layout["kind"], kind)
        let flags: UInt16 = (isAbandoned ? 1 : 0) + (isBatched ? 2 : 0) + (isAgain ? 4 : 0)
        writer.put(layout["flags"], flags)
        writer.put(layout["segment"], location.segment.raw)
        writer.put(layout["offset"], location.offset)
        writer.put(layout["recordBytes"], recordBytes)
        writer.put(layout["headerBytes"], headerBytes)
        writer.put(layout["seal"], seal)
    }

    init(decoding bytes: [UInt8], at base: Int, unit: UInt32) throws(FormatError) {
        let layout = Self.layout
        let reader = try FieldReader(layout, bytes, at: base)
        try reader.requireZeroReserved("FMT-3")
        let flags = reader.u16(layout["flags"])
        try reader.require(flags <= 7, layout["flags"], "COM-4", expected: "0 to 7")
        kind = reader.u16(layout["kind"])
        isAbandoned = flags & 1 != 0
        isBatched = flags & 2 != 0
        isAgain = flags & 4 != 0
        location = RecordLocation(
            segment: SegmentID(reader.u32(layout["segment"])),
            offset: reader.u64(layout["offset"]))
        headerBytes = reader.u32(layout["headerBytes"])
        recordBytes = reader.u64(layout["recordBytes"])
        seal = reader.digest(layout["seal"])
        try reader.require(
            location.offset.isMultiple(of: UInt64(unit)) && location.offset >= UInt64(unit)
                && location.offset <= Superblock.segmentBytesRange.upperBound,
            layout["offset"], "COM-4", expected: "a unit behind a segment header")
        try reader.require(
            headerBytes >= unit && headerBytes.isMultiple(of: unit)
                && headerBytes <= RecordPrefix.headerBytesMax,
            layout["headerBytes"], "REC-3", expected: "a multiple of \(unit), at most 64 MiB")
        try reader.require(
            recordBytes >= UInt64(headerBytes)
                && recordBytes <= Superblock.segmentBytesRange.upperBound
                && recordBytes.isMultiple(of: UInt64(unit)),
            layout["recordBytes"], "REC-4", expected: "the header region and whole units behind it")
    }
}

public struct CommitRecord: Hashable, Sendable {
    public var prefix: RecordPrefix
    public var commit: UInt64
    public var previousCommit: UInt64
    /// Every commit up to this one had been flushed when this record was written.
    public var syncedCommit: UInt64
    public var useSequence: UInt64
    /// Where the next commit of this segment use will stand; 0 when there is no room for one.
    public var nextCommitOffset: UInt64
    /// Where the one after that will stand, so that one bad block never ends a chain; 0 for none.
    public var laterCommitOffset: UInt64
    public var members: [CommitMember]

    public init(
        prefix: RecordPrefix, commit: UInt64, previousCommit: UInt64, syncedCommit: UInt64,
        useSequence: UInt64, nextCommitOffset: UInt64, laterCommitOffset: UInt64,
        members: [CommitMember]
    ) {
        self.prefix = prefix
        self.commit = commit
        self.previousCommit = previousCommit
        self.syncedCommit = syncedCommit
        self.useSequence = useSequence
        self.nextCommitOffset = nextCommitOffset
        self.laterCommitOffset = laterCommitOffset
        self.members = members
    }

    static let layout = Layout(
        "commitHeader",
        RecordPrefix.fields + [
            ("commit", .u64), ("previousCommit", .u64), ("syncedCommit", .u64),
            ("useSequence", .u64), ("nextCommitOffset", .u64), ("memberCount", .u32),
            ("reservedCommit", .reserved(4)), ("laterCommitOffset", .u64),
            ("reservedTail", .reserved(8)),
        ])

    /// Members that fit a commit record, which is one unit long.
    public static func memberCapacity(unit: UInt32) -> Int {
        (Int(unit) - layout.byteCount) / CommitMember.layout.byteCount
    }

    public func encode(key: SealKey) -> SealedRegion {
        let layout = Self.layout
        var writer = FieldWriter(byteCount: Int(prefix.headerBytes))
        prefix.write(to: &writer)
        writer.put(layout["commit"], commit)
        writer.put(layout["previousCommit"], previousCommit)
        writer.put(layout["syncedCommit"], syncedCommit)
        writer.put(layout["useSequence"], useSequence)
        writer.put(layout["nextCommitOffset"], nextCommitOffset)
        writer.put(layout["laterCommitOffset"], laterCommitOffset)
        writer.put(layout["memberCount"], UInt32(members.count))
        for (index, member) in members.enumerated() {
            writer.move(to: layout.byteCount + index * CommitMember.layout.byteCount)
            member.write(to: &writer)
        }
        writer.move(to: 0)
        return prefix.sealed(writer, key: key)
    }

    /// Decodes the commit record that stands, or does not, in the slot at `location`.
    public init(
        decoding bytes: [UInt8], at location: RecordLocation, unit: UInt32, useSequence: UInt64,
        segmentBytes: UInt64, key: SealKey
    ) throws(FormatError) {
        let layout = Self.layout
        let (prefix, _) = try RecordPrefix.open(bytes, at: location, unit: unit, key: key)
        let reader = try FieldReader(layout, bytes)
        try reader.requireZeroReserved("FMT-3")
        try reader.require(
            prefix.kind == RecordKind.commit.rawValue && prefix.headerBytes == unit
                && prefix.recordBytes == UInt64(unit),
            layout["kind"], "COM-1", expected: "a commit record of one unit")
        try reader.require(
            reader.u64(layout["useSequence"]) == useSequence, layout["useSequence"], "COM-1",
            expected: "\(useSequence)")
        try reader.requireCounters(layout["commit"])
        let commit = reader.u64(layout["commit"])
        let previous = reader.u64(layout["previousCommit"])
        try reader.require(
            previous < commit && reader.u64(layout["syncedCommit"]) < commit, layout["commit"],
            "COM-2", expected: "more than previousCommit and syncedCommit")
        let next = reader.u64(layout["nextCommitOffset"])
        try reader.require(
            next == 0
                || (next > location.offset && next.isMultiple(of: UInt64(unit))
                    && next < segmentBytes),
            layout["nextCommitOffset"], "COM-3",
            expected: "0, or a later unit inside the segment")
        let later = reader.u64(layout["laterCommitOffset"])
        try reader.require(
            later == 0
                || (next != 0 && later > next && later.isMultiple(of: UInt64(unit))
                    && later < segmentBytes),
            layout["laterCommitOffset"], "COM-14",
            expected: "0, or a later unit than the next slot, inside the segment")
        let count = Int(reader.u32(layout["memberCount"]))
        try reader.require(
            count <= Self.memberCapacity(unit: unit), layout["memberCount"], "COM-4",
            expected: "at most \(Self.memberCapacity(unit: unit))")
        var members: [CommitMember] = []
        for index in 0..<count {
            members.append(
                try CommitMember(
                    decoding: bytes,
                    at: layout.byteCount + index * CommitMember.layout.byteCount, unit: unit))
        }
        self.init(
            prefix: prefix, commit: commit, previousCommit: previous,
            syncedCommit: reader.u64(layout["syncedCommit"]), useSequence: useSequence,
            nextCommitOffset: next, laterCommitOffset: later, members: members)
    }
}
