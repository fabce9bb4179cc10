"""Payload records, their extents and their metadata part (05-payload.md)."""

import struct

from basics import FormatError, Stream, binding_digest, decode, digest_agrees, need, padded, standing
from byteplanes import form
from records import kind_is, open_record, pad, place
from structures import WIDTH


def metadata(data, trace=None, base=0):
    name = "metadata"
    if trace is not None:
        trace.add(base, base + len(data), name)
    s = Stream(name, data, "MET-3", trace, base)
    f = {"revision": s.u(2, "revision"), "flags": s.u(2, "flags")}
    need(f["revision"] == 1, name, "revision", "MET-1", 1, f["revision"])
    need(f["flags"] <= 1, name, "flags", "MET-2", "0 or 1", f["flags"])
    for field in ("creationMilliseconds", "interMean", "intraMean"):
        f[field] = s.f32(field)
    zero = s.u(4, "reserved")
    need(zero == 0, name, "reserved", "FMT-3", 0, zero)
    f["tokens"] = [s.u(4, f"tokens[{i}]") for i in range(s.count("tokensCount", 1 << 24, 4))]
    f["prefix"] = [
        (
            s.raw(32, f"prefix[{i}].chunkKey"),
            s.u(4, f"prefix[{i}].tokenCount"),
            s.f32(f"prefix[{i}].interMean"),
        )
        for i in range(s.count("prefixCount", 4096, 40))
    ]
    for field in ("tokenScores", "deviationProfile"):
        f[field] = [s.f16(f"{field}[{i}]") for i in range(s.count(field + "Count", 1 << 24, 2))]
    f["sections"] = sections(s, len(f["tokens"]), len(f["prefix"]))
    s.end()
    return f


def sections(s, tokens, prefix):
    """{kind: bytes}; MET-5 to MET-8."""
    name, out, last = "metadata", {}, -1
    for i in range(s.count("sectionsCount", 64, 6)):
        kind = s.u(2, f"sections[{i}].kind")
        need(kind > last, name, "sections.kind", "MET-5", f"more than {last}", kind)
        last = kind
        body = s.raw(s.u(4, f"sections[{i}].byteCount"), f"sections[{i}].bytes")
        size = len(body)
        if kind == 1:
            right = size == 8
        elif kind == 2:
            try:
                body.decode("utf-8")
                right = 1 <= size <= 32
            except UnicodeDecodeError:
                right = False
        elif kind == 3:
            right = tokens > 0 and size == 4 * tokens
        elif kind in (4, 5):
            row = 2 * (prefix if kind == 5 else 1)
            right = row > 0 and size % row == 0 and 1 <= size // row <= 1024
        else:
            right = True
        need(right, name, "sections.bytes", "MET-7", f"the bytes of kind {kind}", size)
        if kind == 3:
            at = struct.unpack("<%dI" % tokens, body)
            need(all(a < b for a, b in zip(at, at[1:])), name, "positions", "MET-8", "rising", at)
        out[kind] = body
    return out


def payload(region, seg, offset, trace=None, check_metadata=True):
    p = open_record(region, seg, offset, trace)
    kind_is(p, 1)
    name, unit = "payloadHeader", seg["alignmentUnit"]
    f = decode(name, region, 0, trace)
    for field, limit in (
        ("tokenCount", 1 << 24),
        ("extentCount", 65536),
        ("siblingCount", 4096),
        ("metadataBytes", 1 << 25),
    ):
        need(f[field] <= limit, name, field, "PAY-1", f"at most {limit}", f[field])
    need(f["extentCount"] >= 1, name, "extentCount", "PAY-1", "at least 1", 0)
    need(f["digestAlgorithm"] == 1, name, "digestAlgorithm", "PAY-2", 1, f["digestAlgorithm"])
    need(
        12 <= f["digestBlockShift"] <= 20,
        name,
        "digestBlockShift",
        "PAY-2",
        "12 to 20",
        f["digestBlockShift"],
    )
    for field, known in (
        ("retention", (0, 1)),
        ("hashDomain", (1, 2, 3)),
        ("keyForm", (1, 2)),
        ("elementType", WIDTH),
    ):
        need(f[field] in known, name, field, "PAY-6", "a known value", f[field])
    i, n, sib = f["recordIndex"], f["recordCount"], f["siblingCount"]
    need(i < n <= 4097, name, "recordIndex", "PAY-5", f"below {n}", i)
    need(
        sib == (n - 1 if i == 0 else 0), name, "siblingCount", "PAY-5", n - 1 if i == 0 else 0, sib
    )
    need(
        f["layerFirst"] + f["layerCount"] <= 1024,
        name,
        "layerCount",
        "PAY-12",
        "at most 1024",
        f["layerFirst"] + f["layerCount"],
    )
    need(
        (f["metadataBytes"] > 0) == (i == 0),
        name,
        "metadataBytes",
        "PAY-8",
        "a part in record 0 only",
        f["metadataBytes"],
    )
    at_sib = 256 + 48 * f["extentCount"]
    at_slots = at_sib + 48 * sib
    at_meta = at_slots + 16 * f["digestSlotCount"]
    end = at_meta + f["metadataBytes"]
    need(end <= len(region), name, "digestSlotCount", "PAY-3", f"parts of {len(region)} bytes", end)
    f["extents"] = []
    for e in range(f["extentCount"]):
        with standing(256 + 48 * e):
            f["extents"].append(extent(region, 256 + 48 * e, e, f, p, unit, trace))
    disjoint(f["extents"])
    f["siblings"] = []
    for s in range(sib):
        with standing(at_sib + 48 * s):
            row = decode("siblingRow", region, at_sib + 48 * s, trace, f"siblingRow[{s}]")
            place(row, "siblingRow", unit, "SIB-1")
            n = row["layerFirst"] + row["layerCount"]
            need(n <= 1024, "siblingRow", "layerCount", "PAY-12", "at most 1024", n)
        f["siblings"].append(row)
    f["slots"] = [
        region[at_slots + 16 * k : at_slots + 16 * k + 16] for k in range(f["digestSlotCount"])
    ]
    if trace is not None:
        for k, slot in enumerate(f["slots"]):
            trace.add(at_slots + 16 * k, at_slots + 16 * k + 16, f"digest[{k}]", slot)
    part = region[at_meta:end]
    if check_metadata:
        need(
            digest_agrees(part, f["metadataDigest"]),
            name,
            "metadataDigest",
            "PAY-4",
            "agreement",
            f["metadataDigest"].hex(),
        )
    f["metadata"] = f["metadataError"] = None
    try:
        with standing(at_meta):
            f["metadata"] = metadata(part, trace, at_meta) if part else None
    except FormatError as error:  # the part is refused (MET-1), not the record
        f["metadataError"] = error
    pad(region, end, trace)
    f["prefix"] = p
    return f


def extent(region, at, index, f, p, unit, trace):
    name = "extentRow"
    row = decode(name, region, at, trace, f"extentRow[{index}]")
    o, stored, total = row["offset"], row["storedBytes"], p["recordBytes"]
    need(
        o % unit == 0 and p["headerBytes"] <= o < total,
        name,
        "offset",
        "EXT-1",
        "a unit behind the header region",
        o,
    )
    need(
        stored >= 1 and o + padded(stored, unit) <= total,
        name,
        "storedBytes",
        "EXT-2",
        "an end inside the record",
        stored,
    )
    if row["codec"] == 0:
        need(
            row["rawBytes"] == stored and stored <= 1 << 32,
            name,
            "rawBytes",
            "EXT-3",
            stored,
            row["rawBytes"],
        )
    limit = row["rawBytes"] <= 1 << 32
    need(limit, name, "rawBytes", "EXT-3", "at most 4 GiB", row["rawBytes"])
    row["padded"] = padded(stored, unit)
    row["slotCount"] = (row["padded"] + (1 << f["digestBlockShift"]) - 1) >> f["digestBlockShift"]
    need(
        row["firstDigestSlot"] + row["slotCount"] <= f["digestSlotCount"],
        name,
        "firstDigestSlot",
        "EXT-4",
        f"slots below {f['digestSlotCount']}",
        row["firstDigestSlot"] + row["slotCount"],
    )
    return row


def disjoint(rows):  # EXT-8
    for first, size in (("offset", "padded"), ("firstDigestSlot", "slotCount")):
        spans = sorted((r[first], r[first] + r[size]) for r in rows)
        for (_, end), (start, _) in zip(spans, spans[1:]):
            need(start >= end, "extentRow", first, "EXT-8", f"at least {end}", start)


def is_plane(row):
    """EXT-6: under a codec that is not known, or in no form of it, a plane is not there."""
    if row["kind"] not in (1, 2):
        return False
    if row["codec"] == 1:
        try:
            form(row)
        except FormatError:
            return False
    return row["codec"] in (0, 1)


def is_sidecar(row):
    """EXT-10; of a type beyond its range it is skipped."""
    return row["kind"] == 6 and row["codec"] == 0 and row["codecParameters"] < 1 << 32


def planes(f, op):
    """PAY-7, PAY-11, EXT-7, EXT-9: each plane of binding and layer range is there, and complete."""
    need(
        f["bindingDigest"] == binding_digest(op),
        "payloadHeader",
        "bindingDigest",
        "PAY-11",
        binding_digest(op).hex(),
        f["bindingDigest"].hex(),
    )
    last = f["layerFirst"] + f["layerCount"]
    need(
        last <= len(op["layers"]),
        "payloadHeader",
        "layerCount",
        "PAY-7",
        f"layers below {len(op['layers'])}",
        last,
    )
    have = {}
    for row in f["extents"]:
        if is_plane(row):
            need(
                (row["layer"], row["kind"]) not in have,
                "extentRow",
                "layer",
                "PAY-7",
                "one extent a plane",
                row["layer"],
            )
            need(
                f["layerFirst"] <= row["layer"] < last,
                "extentRow",
                "layer",
                "PAY-7",
                "a layer of the record",
                row["layer"],
            )
            heads, dim, _ = op["layers"][row["layer"]]
            want = row["tokenCount"] * heads * dim * WIDTH[op["elementType"]]
            clause = "EXT-9" if row["codec"] else "EXT-7"  # raw: storedBytes is the same (EXT-3)
            need(row["rawBytes"] == want, "extentRow", "rawBytes", clause, want, row["rawBytes"])
            have[row["layer"], row["kind"]] = row
    for layer in range(f["layerFirst"], last):
        for kind in (1, 2):
            row = have.get((layer, kind))
            need(
                row is not None and row["tokenCount"] == f["tokenCount"],
                "payloadHeader",
                "extents",
                "PAY-7",
                f"layer {layer} kind {kind} of {f['tokenCount']} tokens",
                row and row["tokenCount"],
            )
