"""Records of the log: prefix, tombstones, namespace operations, commits, metadata."""

from basics import be64, below62, decode, need, seal_opens, standing
from structures import KINDS
from operations import namespace_operation, tombstone_row


def prefix_sizes(head, unit, segment_bytes, offset):
    """Needed before the seal can be computed; nothing else is believed (REC-5)."""
    need(len(head) >= 64, "recordPrefix", "length", "FMT-1", "64 bytes", f"{len(head)}: truncated")
    need(head[:4] == b"CKER", "recordPrefix", "magic", "REC-1", "CKER", head[:4].hex())
    size = int.from_bytes(head[8:12], "little")
    need(
        unit <= size <= 1 << 26 and size % unit == 0,
        "recordPrefix",
        "headerBytes",
        "REC-3",
        "a multiple of U, U to 2^26",
        size,
    )
    need(
        offset + size <= segment_bytes,
        "recordPrefix",
        "headerBytes",
        "REC-10",
        "a region inside the segment",
        size,
    )
    return size


def open_record(region, seg, offset, trace=None):
    """The prefix of a record whose header region is `region`, at (seg, offset)."""
    name, unit = "recordPrefix", seg["alignmentUnit"]
    size = prefix_sizes(region, unit, seg["segmentBytes"], offset)
    need(len(region) == size, name, "length", "FMT-1", f"{size} bytes", f"{len(region)}: truncated")
    ok = seal_opens(seg["key"], be64(seg["segment"], offset), region, 48)
    need(ok, name, "seal", "REC-5", "a seal that agrees", region[48:64].hex())
    f = decode(name, region)
    need(
        f["segment"] == seg["segment"] and f["offset"] == offset,
        name,
        "offset",
        "REC-2",
        f"{seg['segment']}:{offset}",
        f"{f['segment']}:{f['offset']}",
    )
    n = f["recordBytes"]
    need(
        size <= n <= 1 << 32 and n % unit == 0,
        name,
        "recordBytes",
        "REC-4",
        "a multiple of U, headerBytes to 2^32",
        n,
    )
    need(f["flags"] <= 1, name, "flags", "REC-7", "0 or 1", f["flags"])
    need(
        offset + n <= seg["segmentBytes"],
        name,
        "recordBytes",
        "REC-10",
        "a record inside the segment",
        n,
    )
    below62(name, f, "writeSequence")
    if trace is not None:
        trace.add(
            0,
            size,
            f"record at segment {seg['segment']:08d} byte {offset}",
            KINDS.get(f["kind"], "unknown"),
        )
        trace.add(0, size, "seal opens")
    return f


def pad(region, at, trace):
    if trace is not None and at < len(region):
        trace.add(at, len(region), "padding", "zero" if not any(region[at:]) else "not zero")


def kind_is(p, kind, clause="REC-6"):
    need(p["kind"] == kind, "recordPrefix", "kind", clause, KINDS[kind], p["kind"])


def commit(region, seg, offset, trace=None):
    p = open_record(region, seg, offset, trace)
    kind_is(p, 6)
    name, unit = "commitHeader", seg["alignmentUnit"]
    need(
        p["headerBytes"] == unit == p["recordBytes"],
        name,
        "recordBytes",
        "COM-1",
        "one unit",
        p["recordBytes"],
    )
    f = decode(name, region, 0, trace)
    need(
        f["useSequence"] == seg["useSequence"],
        name,
        "useSequence",
        "COM-1",
        seg["useSequence"],
        f["useSequence"],
    )
    below62(name, f, "commit", "previousCommit", "syncedCommit")
    need(
        f["previousCommit"] < f["commit"],
        name,
        "previousCommit",
        "COM-2",
        f"below {f['commit']}",
        f["previousCommit"],
    )
    need(
        f["syncedCommit"] < f["commit"],
        name,
        "syncedCommit",
        "COM-2",
        f"below {f['commit']}",
        f["syncedCommit"],
    )
    nxt = f["nextCommitOffset"]
    need(
        nxt == 0 or (nxt > offset and nxt % unit == 0 and nxt + unit <= seg["segmentBytes"]),
        name,
        "nextCommitOffset",
        "COM-3",
        "a later unit, or 0",
        nxt,
    )
    later = f["laterCommitOffset"]
    ok = later == 0 or (later > nxt > 0 and later % unit == 0)
    ok = ok and later + unit <= seg["segmentBytes"]
    need(ok, name, "laterCommitOffset", "COM-14", "a unit behind the next slot, or 0", later)
    count = f["memberCount"]
    need(
        count <= (unit - 128) // 48,
        name,
        "memberCount",
        "COM-4",
        f"at most {(unit - 128) // 48}",
        count,
    )
    f["members"] = []
    for i in range(count):
        with standing(128 + 48 * i):
            m = decode("commitMember", region, 128 + 48 * i, trace, f"commitMember[{i}]")
            need(m["flags"] <= 7, "commitMember", "flags", "COM-4", "0 to 7", m["flags"])
            place(m, "commitMember", unit, "COM-4")
        f["members"].append(m)
    pad(region, 128 + 48 * count, trace)
    f.update(offset=offset, segment=seg["segment"])
    return f


def place(row, name, unit, clause):
    o, h, n = row["offset"], row["headerBytes"], row["recordBytes"]
    need(
        o % unit == 0 and unit <= o <= 1 << 32,
        name,
        "offset",
        clause,
        "a multiple of U, U to 2^32",
        o,
    )
    need(
        h % unit == 0 and unit <= h <= 1 << 26,
        name,
        "headerBytes",
        "REC-3",
        "a multiple of U, U to 2^26",
        h,
    )
    need(
        n % unit == 0 and h <= n <= 1 << 32,
        name,
        "recordBytes",
        "REC-4",
        "a multiple of U, headerBytes to 2^32",
        n,
    )


def tombstones(region, trace=None):
    f = decode("tombstoneHeader", region, 0, trace)
    room = (len(region) - 80) // 64
    need(1 <= f["count"] <= room, "tombstoneHeader", "count", "TMB-2", f"1 to {room}", f["count"])
    rows = []
    for i in range(f["count"]):
        with standing(80 + 64 * i):
            rows.append(tombstone_row(region, 80 + 64 * i, trace, f"tombstoneRow[{i}]"))
    pad(region, 80 + 64 * f["count"], trace)
    return rows


def namespace_record(region, trace=None):
    f = decode("namespaceHeader", region, 0, trace)
    n = f["operationBytes"]
    need(
        80 + n <= len(region),
        "namespaceHeader",
        "operationBytes",
        "NSP-1",
        f"at most {len(region) - 80}",
        n,
    )
    with standing(80):
        op = namespace_operation(region[80 : 80 + n], trace, 80)
    pad(region, 80 + n, trace)
    return op
