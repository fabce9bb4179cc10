"""The texts beside the goldens: parsed, and compared line for line with what a decoder saw."""

import re
from collections import Counter

from basics import FormatError

LINE = re.compile(r"^ *([0-9a-f]{8})-([0-9a-f]{8})  (.*)$")
HEX = re.compile(r"^((?:[0-9a-f]{2})+)( …)?  +(\S.*)$")
SIZE = re.compile(r"^(\d+(?:\.\d+)?) (B|KiB|MiB|GiB)( blocks)?$")
UNIT = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
KIND = {
    1: "payload",
    2: "tombstone",
    3: "annotation",
    4: "namespaceOperation",
    5: "object",
    6: "commit",
}
MEANING = {  # what the tables of the spec say of a number
    "digestAlgorithm": {1: "XXH3-128"},
    "sealAlgorithm": {1: "HMAC-SHA-256/128"},
    "operation": {1: "create", 2: "drop"},
    "scope": {1: "one variant", 2: "all variants"},
    "elementType": {1: "f32", 2: "f16", 3: "bf16", 4: "i8", 5: "f8e4m3"},
    "keyForm": {1: "beforeRotation", 2: "afterRotation"},
    "pairing": {1: "halves", 2: "interleaved"},
    "scaling": {0: "none", 1: "linear", 2: "llama3", 3: "yarn"},
    "deviationTensor": {0: "none", 1: "realignedKeys", 2: "values"},
    "retention": {0: "evictable", 1: "pinned"},
    "hashDomain": {1: "standalone", 2: "prefixChained", 3: "callerMade"},
    "codec": {0: "raw", 1: "byte planes, LZ4"},
    "entryKind": {1: "tombstone", 2: "namespace operation", 3: "freed use"},
    "expirySeconds": {0: "never"},
    "windowTokenCount": {0: "all"},
    "ordinal": {(1 << 32) - 1: "none"},
}
SPECIAL = {
    ("extentRow", "kind"): {
        1: "K",
        2: "V",
        3: "layer input",
        4: "latent",
        5: "codes",
        6: "sidecar",
    },
    ("recordPrefix", "kind"): KIND,
    ("commitMember", "kind"): KIND,
    ("recordPrefix", "flags"): {1: "required"},
    ("commitMember", "flags"): {1: "abandoned", 2: "batched", 4: "named again"},
    ("metadata", "flags"): {1: "context impact"},
    ("metadata", "kind"): {
        1: "parent",
        2: "deviceClass",
        3: "positions",
        4: "layerIntra",
        5: "layerInter",
        900: "unknown",
    },
    ("checkpointEntry", "flags"): {
        1: "pinned",
        2: "several records",
        3: "pinned, several records",
    },
}
SIZED = {
    "alignmentUnit": 1,
    "segmentBytes": 1,
    "capacityBytes": 1,
    "usedBytes": 1,
    "block": 4096,
    "headerBlocks": 4096,
    "variantBlocks": 4096,
    "variantBytes": 1,
}


def quoted(raw):
    """The annotator shows a dot for each byte that is not printable ASCII."""
    return '"' + "".join(chr(b) if 32 <= b < 127 else "." for b in raw) + '"'


def comment_is_right(heading, field, value, comment, raw):
    if field == "magic":
        return comment == quoted(raw)
    short = re.sub(r"^.*\.", "", field)
    meanings = SPECIAL.get((re.sub(r"\[.*", "", heading), short)) or MEANING.get(short, {})
    if value in meanings:
        return comment == meanings[value]
    if field == "checkLayer":
        return comment == (f"layer {value - 1}" if value else "none")
    m = SIZE.match(comment)
    if field == "digestBlockShift" and m and m.group(3):
        return int(float(m.group(1)) * UNIT[m.group(2)]) == 1 << value
    if m and short in SIZED:  # rounded for people
        want, shown = value * SIZED[short], float(m.group(1)) * UNIT[m.group(2)]
        return abs(want - shown) <= 0.05 * UNIT[m.group(2)] + want * 0.01
    return False


def parse(file, text, data, base):
    """[(first, last, name, value)]; every hexadecimal column is compared with the bytes."""
    out, heading = [], ""
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        m = LINE.match(line)
        if not m:
            raise FormatError(file, number, "golden", f"line {number} is no annotation: {line}")
        start, end = int(m.group(1), 16), int(m.group(2), 16)
        body, raw, h = m.group(3), data[start - base : end + 1 - base], HEX.match(m.group(3))
        if h:
            shown, cut, body = h.groups()
            full = raw.hex()
            if not (full.startswith(shown) if cut else full == shown):
                raise FormatError(file, start, "golden", f"bytes are {full}, the text says {shown}")
        name, _, value = body.partition(" = ")
        if not h and not value:
            heading = name
        if h and not value.startswith('"') and ", " in value:
            value, _, comment = value.partition(", ")
            if not comment_is_right(heading, name, int(value), comment, raw):
                what = f"{heading}.{name} = {value} is not said to be {comment!r}"
                raise FormatError(file, start, "golden", what)
        out.append((start, end, name, value))
    return out


def render(name, value):
    if value is None or name.startswith("digest["):  # a digest's hexadecimal is its value
        return ""
    if isinstance(value, bytes) and name in ("magic", "name", "model"):
        return quoted(value)
    return bytes(value).hex() if isinstance(value, bytes) else str(value)


def compare(file, text, data, trace):
    """Both ways: nothing the text says may be missing, and nothing the decoder saw either."""
    said = Counter(parse(file, text, data, trace.base))
    seen = Counter((a, b - 1, n, render(n, v)) for a, b, n, v in trace.lines if b > a)
    for what, one, other in (("text only", said, seen), ("decoder only", seen, said)):
        for row in sorted((one - other).elements()):
            raise FormatError(file, row[0], "golden", f"{what}: {row[2]} = {row[3]}")
    return sum(said.values())


def uncovered(trace, size):
    """Ranges that no annotated line covers."""
    at, out = 0, []
    for start, end, _, _ in sorted(trace.lines, key=lambda r: r[:2]):
        if start > at:
            out.append((at, start))
        at = max(at, end)
    return out + ([(at, size)] if at < size else [])
