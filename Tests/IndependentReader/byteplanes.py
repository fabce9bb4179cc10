"""Codec 1: byte planes and LZ4 (05-payload.md, "Codec 1")."""

from basics import need

NAME = "extent"


def form(row):
    """(bytes of a number, bytes of a block); COD-1, COD-2."""
    p = row["codecParameters"]
    width, shift = p & 0xFF, p >> 8 & 0xFF
    good = p >> 16 == 0 and width in (1, 2, 4) and 12 <= shift <= 20
    need(good, NAME, "codecParameters", "COD-1", "bytes of a number, block shift", p)
    raw = row["rawBytes"]
    good = raw >= 1 and raw % width == 0 and raw <= 255 * row["storedBytes"] + 254
    need(good, NAME, "rawBytes", "COD-2", f"of {row['storedBytes']} stored", raw)
    return width, 1 << shift


def lz4_block(data, size):
    """The `size` bytes of an LZ4 block; None when it gives fewer, more, or is none (COD-5)."""
    out, at, end = bytearray(), 0, len(data)

    def length(first):
        nonlocal at
        total = first
        while first == 15:
            if at >= end:
                return None
            total += data[at]
            at += 1
            if data[at - 1] != 255:
                break
        return total

    while at < end:
        token = data[at]
        at += 1
        count = length(token >> 4)
        if count is None or at + count > end or len(out) + count > size:
            return None
        out += data[at : at + count]
        at += count
        if at == end:  # the last sequence has no match
            return bytes(out) if len(out) == size else None
        if at + 2 > end:
            return None
        distance = data[at] | data[at + 1] << 8
        at += 2
        count = length(token & 15)
        if count is None or not 1 <= distance <= len(out) or len(out) + count + 4 > size:
            return None
        count += 4
        start = len(out) - distance
        piece = out[start : start + count]
        while len(piece) < count:  # a match may overlap what it makes
            piece += piece[: count - len(piece)]
        out += piece
    return None


def decode(row, stored):
    """The raw bytes of an extent, without its padding; COD-3 to COD-6."""
    width, block = form(row)
    raw, out = row["rawBytes"], bytearray()
    blocks = -(-raw // block)
    at = 4 * width * blocks
    need(at <= len(stored), NAME, "table", "COD-4", at, len(stored))
    for b in range(blocks):
        size = min(block, raw - b * block) // width
        numbers = bytearray(size * width)
        for p in range(width):
            entry = 4 * (b * width + p)
            count = int.from_bytes(stored[entry : entry + 4], "little")
            good = 1 <= count <= size <= 255 * count
            need(good, NAME, f"block {b}, plane {p}", "COD-3", f"for {size} bytes", count)
            need(at + count <= len(stored), NAME, f"block {b}, plane {p}", "COD-4", "room", count)
            plane = stored[at : at + count]
            if count < size:
                plane = lz4_block(plane, size)
            need(plane is not None, NAME, f"block {b}, plane {p}", "COD-5", size, "not that")
            numbers[p::width] = plane
            at += count
        out += numbers
    need(at == len(stored), NAME, "table", "COD-4", len(stored), at)
    return bytes(out)
