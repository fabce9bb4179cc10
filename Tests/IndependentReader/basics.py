"""Errors, seals, digests, fixed tables and streams. Written from format-spec/*.md alone."""

import contextlib
import functools
import hashlib
import hmac
import struct

try:
    import xxhash
except ImportError:
    xxhash = None

from tables import FIELD_AT, LAYOUTS
from xxh import xxh3_128

LIMIT62 = 1 << 62


class FormatError(Exception):
    """The one error: bytes that are not used, with file, offset, clause and finding (FMT-10)."""

    def __init__(self, file, offset, clause, what):
        self.file, self.offset, self.clause, self.what = file, offset, clause, what
        super().__init__(what)

    def place(self, file, base):
        """A decoder knows places in its structure only; the caller knows where that stands."""
        if self.file is None:
            self.file, self.offset = file, base + (self.offset or 0)
        return self

    def __str__(self):
        return f"{self.file}: byte {self.offset}: {self.clause}: {self.what}"


class StoreRefused(FormatError):
    """The whole store is refused (SUP-3, SUP-6, JRN-1, REC-7, RCV-3)."""


def refused(structure, field, clause, expected, found):
    what = f"{structure}.{field}: expected {expected}, found {found}"
    return FormatError(None, FIELD_AT.get((structure, field), 0), clause, what)


def need(ok, structure, field, clause, expected, found):
    if not ok:
        raise refused(structure, field, clause, expected, found)


@contextlib.contextmanager
def standing(at):
    """Errors from within are of a part that stands `at` bytes into the structure around it."""
    try:
        yield
    except FormatError as error:
        if error.file is None:
            error.offset += at
        raise


def seal_key(secret, label, salt=b""):  # FMT-8
    return hmac.new(secret, label.encode("ascii") + salt, hashlib.sha256).digest()


def seal_of(key, location, data, at):  # FMT-7
    body = data[:at] + bytes(16) + data[at + 16 :]
    return hmac.new(key, location + body, hashlib.sha256).digest()[:16]


def seal_opens(key, location, data, at):
    return hmac.compare_digest(seal_of(key, location, data, at), data[at : at + 16])


def be64(*numbers):
    return struct.pack(">%dQ" % len(numbers), *numbers)


@functools.lru_cache(maxsize=4096)  # images that differ in a byte share nearly all blocks
def digest_of(data):
    return xxhash.xxh3_128(data, seed=0).digest() if xxhash else xxh3_128(data)


def digest(data):  # FMT-9
    return digest_of(bytes(data))


def digest_agrees(data, slot):
    return digest(data) == slot


def padded(n, unit):
    return (n + unit - 1) // unit * unit


def is_unit(u):
    return 4096 <= u <= 65536 and u & (u - 1) == 0


class Trace:
    """What a decoder saw, as (first, last + 1, name, value), to compare with the texts."""

    def __init__(self, base=0):
        self.base, self.lines = base, []

    def add(self, start, end, name, value=None):
        self.lines.append((self.base + start, self.base + end, name, value))


def decode(name, data, at=0, trace=None, label=None, check_zero=True):
    """One fixed table at `at`. All bytes there (FMT-1), reserved bytes zero (FMT-3)."""
    size, rows = LAYOUTS[name]
    if len(data) - at < size:
        raise refused(
            name, "length", "FMT-1", f"{size} bytes", f"{max(0, len(data) - at)}: truncated"
        )
    out = {}
    skip = next((w for _, w, t, _ in rows if t == "struct"), 0)
    if trace is not None:
        if skip:
            decode("recordPrefix", data, at, trace, check_zero=check_zero)
        trace.add(at + skip, at + size, label or name)
    for off, width, kind, field in rows:
        raw = bytes(data[at + off : at + off + width])
        if kind == "struct":
            out.update(
                {
                    f"prefix.{k}": v
                    for k, v in decode(field, data, at + off, check_zero=check_zero).items()
                }
            )
            continue
        if kind == "zero":
            value = "zero" if not any(raw) else raw
            if check_zero and value != "zero":
                raise refused(name, field, "FMT-3", "zero", raw.hex()[:32])
        elif kind[0] == "u":
            value = int.from_bytes(raw, "little")
        elif kind == "f32":
            value = struct.unpack("<f", raw)[0]
        else:
            value = raw
        out[field] = value
        if trace is not None:
            trace.add(at + off, at + off + width, field, value)
    return out


def below62(structure, fields, *names):  # FMT-12
    for n in names:
        if fields[n] > LIMIT62:
            raise refused(structure, n, "FMT-12", "at most 2^62", fields[n])


class Stream:
    """Values one after another, no padding (FMT-4)."""

    def __init__(self, structure, data, clause, trace=None, base=0):
        self.structure, self.data, self.clause = structure, bytes(data), clause
        self.trace, self.base, self.pos = trace, base, 0

    def raw(self, width, name, convert=bytes):
        if len(self.data) - self.pos < width:
            raise refused(
                self.structure, name, "FMT-4", f"{width} bytes", f"{len(self.data) - self.pos} left"
            )
        value = convert(self.data[self.pos : self.pos + width])
        if self.trace is not None and width:
            self.trace.add(self.base + self.pos, self.base + self.pos + width, name, value)
        self.pos += width
        return value

    def u(self, width, name):
        return self.raw(width, name, lambda b: int.from_bytes(b, "little"))

    def f32(self, name):
        return self.raw(4, name, lambda b: struct.unpack("<f", b)[0])

    def f16(self, name):
        return self.raw(2, name, lambda b: struct.unpack("<e", b)[0])

    def count(self, name, limit, each):
        n = self.u(4, name)
        if n > limit:
            raise refused(self.structure, name, self.clause, f"at most {limit}", n)
        if n * each > len(self.data) - self.pos:
            raise refused(
                self.structure,
                name,
                "FMT-4",
                f"{n} values of {each} bytes",
                f"{len(self.data) - self.pos} left",
            )
        return n

    def end(self):
        if self.pos != len(self.data):
            raise refused(
                self.structure, "end", "FMT-4", f"end at {self.pos}", f"{len(self.data)} bytes"
            )


# Identities (01-store.md)
def text(s):
    b = s.encode("utf-8")
    return b"\1" + be64(len(b)) + b


def byte_field(b):
    return b"\2" + be64(len(b)) + bytes(b)


def number(n):
    return b"\3" + be64(8) + be64(n)


def tokens_field(ids):
    return b"\4" + be64(4 * len(ids)) + struct.pack("<%dI" % len(ids), *ids)


def f32_bits(x):
    return int.from_bytes(struct.pack("<f", x), "little")


def binding_digest(op):  # IDY-2; op is a decoded creation
    f = [
        text("chunkdb.model-binding.v1"),
        byte_field(op["weightsDigest"]),
        number(len(op["layers"])),
    ]
    for heads, dim, window in op["layers"]:
        f += [number(heads), number(dim), number(window)]
    f += [
        number(op["elementType"]),
        number(op["rotaryBaseBits"]),
        number(op["rotaryDimension"]),
        number(op["pairing"]),
        number(op["scaling"]),
    ]
    f += [number(bits) for bits in op["scalingBits"]]
    if op["scaling"] >= 2:
        f.append(number(op["originalPositionCount"]))
    if op["scaling"] == 3:
        f.append(number(op["roundsRamp"]))
    f += [number(op["keyForm"]), number(op["tensorParallelRank"]), number(op["tensorParallelSize"])]
    return hashlib.sha256(b"".join(f)).digest()


def chunk_key(domain, parent, binding, adapter, extras, tokens):  # IDY-3
    f = [
        text("chunkdb.chunk-key.v1"),
        number(domain),
        byte_field(parent),
        byte_field(binding),
        text(adapter),
        number(len(extras)),
        *map(byte_field, extras),
        tokens_field(tokens),
    ]
    return hashlib.sha256(b"".join(f)).digest()


def variant_id(prefix_keys, position):  # IDY-4
    f = [
        text("chunkdb.variant.v1"),
        number(len(prefix_keys)),
        *map(byte_field, prefix_keys),
        number(position),
    ]
    return int.from_bytes(hashlib.sha256(b"".join(f)).digest()[:8], "big") or 1
