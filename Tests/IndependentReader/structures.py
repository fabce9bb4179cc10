"""One decoder for each structure: bytes in, fields out, or FormatError with the clause."""

import struct

from basics import (
    StoreRefused,
    be64,
    below62,
    decode,
    digest_agrees,
    is_unit,
    need,
    padded,
    seal_key,
    seal_opens,
    standing,
)
from operations import namespace_operation, tombstone_row

KINDS = {
    1: "payload",
    2: "tombstone",
    3: "annotation",
    4: "namespaceOperation",
    5: "object",
    6: "commit",
}
WIDTH = {1: 4, 2: 2, 3: 2, 4: 1, 5: 1}


def block4096(name, data, magic, clause):
    need(len(data) >= 4096, name, "length", "FMT-1", "4096 bytes", f"{len(data)}: truncated")
    need(data[:8] == magic, name, "magic", clause, magic.hex(), data[:8].hex())
    return bytes(data[:4096])


def sealed(name, data, key, location, at, clause):
    need(
        seal_opens(key, location, data, at),
        name,
        "seal",
        clause,
        "a seal that agrees",
        data[at : at + 16].hex(),
    )


def superblock(data, index, trace=None):
    name = "superblock"
    data = block4096(name, data, bytes.fromhex("8943484b0d0a1a0a"), "SUP-1")
    sealed(name, data, seal_key(data[32:64], "superblock"), be64(index), 4080, "SUP-2")
    f = decode(name, data, check_zero=False)
    need(f["copyIndex"] == index, name, "copyIndex", "SUP-2", index, f["copyIndex"])
    if f["formatVersion"] != 1 or f["requiredFeatures"] != 0:
        raise StoreRefused(
            None,
            8,
            "SUP-3",
            "superblock: another version, "
            f"{f['formatVersion']}, required features {f['requiredFeatures']:#x}",
        )
    f = decode(name, data, trace=trace)
    need(f["digestAlgorithm"] == 1, name, "digestAlgorithm", "SUP-7", 1, f["digestAlgorithm"])
    need(f["sealAlgorithm"] == 1, name, "sealAlgorithm", "SUP-7", 1, f["sealAlgorithm"])
    u, s = f["alignmentUnit"], f["segmentBytes"]
    need(is_unit(u), name, "alignmentUnit", "SUP-4", "a power of two, 4096 to 65536", u)
    need(
        65536 <= s <= 1 << 32 and s % u == 0,
        name,
        "segmentBytes",
        "SUP-5",
        "65536 to 2^32, a multiple of U",
        s,
    )
    below62(name, f, "generation")
    return f


def mark(data, index, sb, trace=None):
    name = "markBlock"
    data = block4096(name, data, b"CHKMARK0", "MRK-1")
    sealed(name, data, seal_key(sb["secret"], "mark"), be64(index), 4080, "MRK-2")
    f = decode(name, data, trace=trace)
    need(
        f["storeID"] == sb["storeID"],
        name,
        "storeID",
        "MRK-3",
        sb["storeID"].hex(),
        f["storeID"].hex(),
    )
    need(
        f["turn"] % 2 == index and f["turn"] >= 1,
        name,
        "turn",
        "MRK-4",
        f"a turn of block {index}, from 1",
        f["turn"],
    )
    below62(name, f, "turn", "syncedCommit")
    return f


def segment_header(data, segment, sb, trace=None):
    name = "segmentHeader"
    data = block4096(name, data, b"CHKSEGM0", "SEG-1")
    sealed(name, data, seal_key(sb["secret"], "segment header"), be64(segment), 4080, "SEG-2")
    f = decode(name, data, trace=trace)
    need(f["segment"] == segment, name, "segment", "SEG-2", segment, f["segment"])
    need(
        f["storeID"] == sb["storeID"],
        name,
        "storeID",
        "SEG-3",
        sb["storeID"].hex(),
        f["storeID"].hex(),
    )
    u, s, c = f["alignmentUnit"], f["segmentBytes"], f["firstCommitOffset"]
    need(is_unit(u), name, "alignmentUnit", "SEG-4", "a power of two, 4096 to 65536", u)
    need(
        4 * u <= s <= 1 << 32 and s % u == 0,
        name,
        "segmentBytes",
        "SEG-5",
        "4 U to 2^32, a multiple of U",
        s,
    )
    need(
        u <= c and c + u <= s and c % u == 0,
        name,
        "firstCommitOffset",
        "SEG-6",
        "a unit behind the header",
        c,
    )
    t = f["secondCommitOffset"]
    ok = t == 0 or (t > c and t % u == 0 and t + u <= s)
    need(ok, name, "secondCommitOffset", "SEG-6", "a unit behind the first slot, or 0", t)
    below62(name, f, "useSequence")
    f["key"] = seal_key(sb["secret"], "segment use", f["salt"])
    return f


def journal_header(data, index, sb, trace=None):
    name = "journalHeader"
    data = block4096(name, data, b"CHKJRNL0", "JRN-1")
    sealed(name, data, seal_key(sb["secret"], "journal header"), be64(index), 4080, "JRN-2")
    f = decode(name, data, trace=trace)
    need(f["copyIndex"] == index, name, "copyIndex", "JRN-2", index, f["copyIndex"])
    need(
        f["storeID"] == sb["storeID"],
        name,
        "storeID",
        "JRN-2",
        sb["storeID"].hex(),
        f["storeID"].hex(),
    )
    f["key"] = seal_key(sb["secret"], "journal block", f["salt"])
    return f


def journal_block(data, number, header, trace=None):
    name = "journalBlock"
    need(len(data) == 4096, name, "length", "FMT-1", "4096 bytes", f"{len(data)}: truncated")
    need(data[:4] == b"CJRN", name, "magic", "JRN-3", "CJRN", data[:4].hex())
    sealed(name, data, header["key"], be64(number), 32, "JRN-4")
    f = decode(name, data, trace=trace)
    need(f["blockIndex"] == number, name, "blockIndex", "JRN-4", number, f["blockIndex"])
    need(f["entryBytes"] <= 4048, name, "entryBytes", "JRN-5", "at most 4048", f["entryBytes"])
    at, end, facts = 48, 48 + f["entryBytes"], []
    while at < end:
        need(
            end - at >= 4,
            "journalEntry",
            "entryKind",
            "JRN-5",
            "entries that fill entryBytes",
            f"{end - at} left",
        )
        kind, size = struct.unpack_from("<HH", data, at)
        if trace is not None:
            trace.add(at, at + 2, "entryKind", kind)
            trace.add(at + 2, at + 4, "entryBytes", size)
        need(
            at + 4 + size <= end,
            "journalEntry",
            "entryBytes",
            "JRN-5",
            f"at most {end - at - 4}",
            size,
        )
        need(kind in (1, 2, 3), "journalEntry", "entryKind", "JRN-5", "1 to 3", kind)
        need(kind == 2 or size == 64, "journalEntry", "entryBytes", "JRN-5", 64, size)
        if kind == 1:
            with standing(at + 4):
                facts.append(("tombstone", tombstone_row(data, at + 4, trace)))
        elif kind == 3:
            with standing(at + 4):
                facts.append(("freedUse", freed_use(data, at + 4, trace)))
        else:
            body = data[at + 4 : at + 4 + size]
            with standing(at + 4):
                facts.append(("namespace", namespace_operation(body, trace, at + 4)))
        at += 4 + size
    if trace is not None:
        trace.add(end, 4096, "padding", "zero" if not any(data[end:]) else "not zero")
    return facts


def freed_use(data, at, trace=None):
    name = "freedUse"
    f = decode(name, data, at, trace)
    below62(name, f, "useSequence", "firstCommit", "lastCommit", "previousCommit", "commit")
    previous, first, last = f["previousCommit"], f["firstCommit"], f["lastCommit"]
    ok = previous < first <= last <= f["commit"] or previous == first == last == 0
    what = f"{previous}, {first}, {last}, {f['commit']}"
    need(ok, name, "firstCommit", "JRN-9", "previous < first <= last <= commit, or 0", what)
    return f


def checkpoint_header(data, sb, trace=None):
    name = "checkpointHeader"
    data = block4096(name, data, b"CHKCKPT0", "CKP-1")
    sealed(name, data, seal_key(sb["secret"], "checkpoint"), b"", 4080, "CKP-2")
    f = decode(name, data, trace=trace)
    need(
        f["storeID"] == sb["storeID"],
        name,
        "storeID",
        "CKP-2",
        sb["storeID"].hex(),
        f["storeID"].hex(),
    )
    need(f["nextCommit"] > f["commit"], name, "nextCommit", "CKP-13", "above commit", f["nextCommit"])
    need(
        f["segmentCount"] <= 1 << 24,
        name,
        "segmentCount",
        "CKP-3",
        "at most 2^24",
        f["segmentCount"],
    )
    need(f["entryCount"] <= 1 << 34, name, "entryCount", "CKP-3", "at most 2^34", f["entryCount"])
    below62(name, f, "generation", "commit", "writeSequence", "nextCommit")
    return f


def checkpoint_rows(data, segments, entries, trace=None, labels=True):
    rows = []
    for i in range(segments):
        label = f"checkpointSegment[{i}]" if labels else None
        with standing(48 * i):
            f = decode("checkpointSegment", data, 48 * i, trace, label)
            below62("checkpointSegment", f, "useSequence")
        rows.append(f)
    out, last = [], None
    for i in range(entries):
        at, label = 48 * segments + 72 * i, f"checkpointEntry[{i}]" if labels else None
        with standing(at):
            f = decode("checkpointEntry", data, at, trace, label)
            n = f["headerBlocks"]
            need(n >= 1, "checkpointEntry", "headerBlocks", "CKP-4", "at least 1", n)
            order = (f["namespace"], f["chunkKey"], f["variantID"])
            ok = last is None or last < order
            need(ok, "checkpointEntry", "order", "CKP-6", "rows in order, each once", f"row {i}")
        last = order
        out.append(f)
    return rows, out


def heat(data, sb, trace=None):
    name = "heatHeader"
    head = block4096(name, data, b"CHKHEAT0", "HEA-1")
    sealed(name, head, seal_key(sb["secret"], "heat"), b"", 4080, "HEA-2")
    f = decode(name, head, trace=trace)
    need(
        f["storeID"] == sb["storeID"],
        name,
        "storeID",
        "HEA-2",
        sb["storeID"].hex(),
        f["storeID"].hex(),
    )
    below62(name, f, "generation")
    size = padded(16 * f["rowCount"], 4096)
    need(
        f["rowCount"] <= 1 << 32 and 4096 + size <= len(data),
        name,
        "rowCount",
        "HEA-3",
        "rows that fit",
        f["rowCount"],
    )
    need(
        digest_agrees(data[4096 : 4096 + size], f["rowDigest"]),
        name,
        "rowDigest",
        "HEA-3",
        "agreement",
        f["rowDigest"].hex(),
    )
    return f, [
        decode("heatRow", data, 4096 + 16 * i, trace, f"heatRow[{i}]") for i in range(f["rowCount"])
    ]
