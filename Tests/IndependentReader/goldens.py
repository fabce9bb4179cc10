"""Reads every golden, bytes and text, and compares each field, seal and digest (golden/README)."""

import os
import struct

from annotation import compare, uncovered
from basics import FormatError, Trace, binding_digest, chunk_key, digest, padded, variant_id
from operations import namespace_operation
from payloads import metadata, payload, planes
from records import commit, namespace_record, open_record, tombstones
from store import Store
from structures import checkpoint_header, checkpoint_rows, heat, journal_block, journal_header
from structures import mark, segment_header, superblock
from turned import turned_over_store
from variants import check_payload

STORE_ID, SECRET = bytes(range(0xA0, 0xB0)), bytes(range(0x20, 0x40))
SALT = bytes(range(0x60, 0x80))
PLACES = {
    "namespace-create-record": 8192,
    "namespace-drop-record": 8192,
    "payload-record": 16384,
    "commit-record": 36864,
    "payload-first-of-two": 40960,
    "payload-second-of-two": 53248,
    "tombstone-record": 69632,
    "payload-coded": 73728,
}


def agree(file, what, found, wanted):
    if found != wanted:
        raise FormatError(file, 0, "golden", f"{what}: found {found}, expected {wanted}")


def one_record(data, seg, offset, trace, name=""):
    kind = struct.unpack_from("<H", data, 4)[0]
    if kind == 1:
        return payload(data, seg, offset, trace)
    if kind == 6:
        return commit(data, seg, offset, trace)
    open_record(data, seg, offset, trace)
    return tombstones(data, trace) if kind == 2 else namespace_record(data, trace)


def structure(name, data, sb, seg, trace):
    if name in PLACES:
        trace.base = PLACES[name]
        return one_record(data, seg, PLACES[name], trace)
    if name == "superblock":
        return superblock(data, 2, trace)
    if name == "mark":
        return mark(data, 1, sb, trace)
    if name == "segment-header":
        f = segment_header(data, 0, sb, trace)
        agree(name, "salt", f["salt"], SALT)
        return f
    if name == "journal-header":
        f = journal_header(data, 1, sb, trace)
        agree(name, "salt", f["salt"], b"\x91" * 32)
        return f
    if name == "journal-blocks":
        return StoreFiles(None, sb).journal(data, trace, 0)
    if name == "checkpoint-header":
        return checkpoint_header(data, sb, trace)
    if name == "checkpoint-rows":
        return checkpoint_rows(data, 1, 1, trace, labels=False)
    if name == "heat":
        return heat(data, sb, trace)
    if name in ("metadata", "metadata-sections"):
        return metadata(data, trace)
    if name.startswith("namespace-"):
        return namespace_operation(data, trace)
    raise FormatError(name, 0, "golden", "a golden that golden/README.md does not list")


class StoreFiles:
    """Traces of the small store's files."""

    def __init__(self, read, sb):
        self.read, self.sb, self.records = read, sb, []

    def superblock(self, data, trace):
        for i in range(4):
            t = Trace(65536 * i)
            f = superblock(data[65536 * i :][:4096], i, t)
            agree(
                "superblock", "secret and identity", (f["secret"], f["storeID"]), (SECRET, STORE_ID)
            )
            t.lines[0] = (*t.lines[0][:2], f"superblock, copy {i}", None)
            trace.lines += t.lines
        for i in range(2):
            block, t = data[262144 + 4096 * i :][:4096], Trace(262144 + 4096 * i)
            if any(block):
                mark(block, i, self.sb, t)
                t.lines[0] = (*t.lines[0][:2], f"mark {i}", None)
            else:
                t.add(0, 4096, f"mark {i}", "never written")
            trace.lines += t.lines

    def journal(self, data, trace, index):
        header = journal_header(data[:4096], index, self.sb, trace)
        agree(f"journal-{index}", "salt", header["salt"], bytes([0x90 + index]) * 32)
        for n in range(1, len(data) // 4096):
            block = data[4096 * n :][:4096]
            if any(block):
                t = Trace(4096 * n)
                t.add(0, 4096, f"journal block {n}")
                journal_block(block, n, header, t)
                trace.lines += t.lines

    def checkpoint(self, data, trace):
        f = checkpoint_header(data, self.sb, trace)
        table_at = 4096 + padded(48 * f["segmentCount"] + 72 * f["entryCount"], 4096)
        body, table = data[4096:table_at], data[table_at:]  # one piece
        agree("checkpoint", "tableDigest", digest(table), f["tableDigest"])
        agree("checkpoint", "digest[0]", digest(body), table[:16])
        trace.base = 4096
        checkpoint_rows(data[4096:], f["segmentCount"], f["entryCount"], trace)
        trace.base = 0
        at = len(data) - len(table)
        trace.add(at, at + 16, "digest[0]", table[:16])

    def segment(self, data, trace, number=0):
        self.seg = seg = segment_header(data, number, self.sb, trace)
        at, later = seg["firstCommitOffset"], seg["secondCommitOffset"]
        while at:
            if data[at : at + 6] != b"CKER\6\0":  # COM-13
                for slot in filter(None, (at, later)):
                    empty = not any(data[slot : slot + 4096])
                    what = "empty" if empty else "no commit record here"
                    trace.add(slot, slot + 4096, "commit slot", what)
                break
            t = Trace(at)
            c = commit(data[at : at + 4096], seg, at, t)
            trace.lines += t.lines
            for m in c["members"]:
                if m["segment"] != number:  # COM-6: another file's text shows it, or none
                    continue
                t = Trace(m["offset"])
                region = data[m["offset"] : m["offset"] + m["headerBytes"]]
                f = one_record(region, seg, m["offset"], t)
                agree("segment", "member's seal", region[48:64], m["seal"])
                if m["kind"] == 1:
                    self.records.append((m["offset"], f))
                trace.lines += t.lines
            agree("segment", "COM-14", c["nextCommitOffset"], later)
            at, later = c["nextCommitOffset"], c["laterCommitOffset"]


def rest_is_zero(file, data, trace, spare=()):
    """FMT-5: what no line describes is zero, the extents apart."""
    for start, end in uncovered(trace, len(data)):
        piece = bytearray(data[start:end])
        for a, b in spare:
            lo, hi = max(a, start), min(b, end)
            if lo < hi:
                piece[lo - start : hi - start] = bytes(hi - lo)
        if any(piece):
            raise FormatError(file, start, "FMT-5", f"not zero up to byte {end}")


def extents_agree(file, store_dir, files, op, data):
    """Digests, planes and the numbers themselves: 1,000 x layer + b + i, in f32."""
    store = Store(store_dir)
    files.seg["file"] = "segments/00000000"
    spare = []
    for offset, f in files.records:
        bad = check_payload(store, [(files.seg, offset, f)])
        if bad:
            raise bad[0]
        planes(f, op)
        for e in f["extents"]:
            at, n = offset + e["offset"], e["storedBytes"] // 4
            first = (1 if f["tokenCount"] == 3 else 9) + 500 * (e["kind"] - 1)
            want = [1000.0 * e["layer"] + first + i for i in range(n)]
            agree(file, f"numbers at {at}", list(struct.unpack_from(f"<{n}f", data, at)), want)
            spare.append((at, at + e["storedBytes"]))
    return spare


def whole_store(files, name, fetch, segments, has_heat, spare):
    """(files read, lines): every file of a store against its text, and FMT-5 of the rest.

    `spare(number, data)` checks what a segment holds that its text does not show."""
    lines, counted = 0, set()
    parts = {
        "superblock": files.superblock,
        "checkpoint": files.checkpoint,
        "journal-0": lambda d, t: files.journal(d, t, 0),
        "journal-1": lambda d, t: files.journal(d, t, 1),
    }
    if has_heat:
        parts["heat"] = lambda d, t: heat(d, files.sb, t)
    for n in range(segments):
        parts[f"segments/{n:08d}"] = lambda d, t, n=n: files.segment(d, t, n)
    for part, read in parts.items():
        file, text = f"{name}/{part}", f"{name}.{part.replace('/', '-')}.txt"
        data, trace = fetch(file), Trace()
        try:
            read(data, trace)
        except FormatError as error:
            raise error.place(file, trace.base)
        lines += compare(text, fetch(text).decode("utf-8"), data, trace)
        number = int(part[9:]) if part.startswith("segments/") else None
        rest_is_zero(file, data, trace, () if number is None else spare(number, data))
        counted |= {file, text}
    return counted, lines


def small_store(folder, fetch, sb):
    """(files, lines): the store's files against their texts, then what a reader computes of it."""
    directory = os.path.join(folder, "small-store")
    files, file = StoreFiles(fetch, sb), "small-store"
    op = namespace_operation(fetch("namespace-operation.bin"))

    def spare(_, data):
        return extents_agree(f"{file}/segments/00000000", directory, files, op, data)

    counted, lines = whole_store(files, file, fetch, 1, True, spare)
    store = Store(directory).open()
    for error in store.damage + store.notes:
        raise error
    key_a = chunk_key(1, b"", binding_digest(op), "", [], [101, 7, 70000])
    key_b = chunk_key(1, b"", binding_digest(op), "", [], [5, 6, 7, 8])
    agree(file, "keys", {f["chunkKey"] for _, f in files.records}, {key_a, key_b})
    agree(file, "variants", [v.name for v in store.variants], [(1, key_b, variant_id([key_a], 3))])
    agree(file, "commits", [c["commit"] for c in store.commits], [3, 4])
    agree(file, "checkpoint", [e["chunkKey"] for e in store.entries], [key_a])
    agree(file, "proven", (store.synced, store.proven), (3, 3))
    agree(file, "names", [n["name"] for n in store.created.values()], ["acme"])
    agree(file, "heat rows", len(store.heat), 1)
    return counted, lines


def turned_over(folder, fetch, sb):
    return turned_over_store(folder, fetch, whole_store, StoreFiles(fetch, sb))


def run_goldens(folder):
    if os.path.isdir(os.path.join(folder, "v1")):
        folder = os.path.join(folder, "v1")

    def fetch(name):
        try:
            with open(os.path.join(folder, name), "rb") as f:
                return f.read()
        except OSError as error:
            raise FormatError(name, 0, "golden", f"cannot be read: {error.strerror}") from None

    there = {
        os.path.relpath(os.path.join(at, n), folder)
        for at, _, names in os.walk(folder)
        for n in names
    }
    sb = {"secret": SECRET, "storeID": STORE_ID}
    done, lines, failed = set(), 0, 0
    seg = segment_header(fetch("segment-header.bin"), 0, sb)
    for file in sorted(n for n in there if n.endswith(".bin") and "/" not in n):
        name, trace, data = file[:-4], Trace(), fetch(file)
        try:
            structure(name, data, sb, seg, trace)
            text = fetch(name + ".txt").decode("utf-8")
            n = compare(name + ".txt", text, data, trace)
            shifted = bytes(trace.base) + data
            edge = Trace()
            edge.lines = [(0, trace.base, "", None)] + trace.lines
            rest_is_zero(file, shifted, edge)
            print(f"{file}: {n} lines agree")
            done |= {file, name + ".txt"}
            lines += n
        except FormatError as error:
            failed += 1
            print(f"FAILED {error.place(file, 0)}")
    stores = {"small-store": small_store, "turned-over-store": turned_over}
    for name, read in stores.items():
        try:
            counted, n = read(folder, fetch, sb)
            print(f"{name}: {len(counted)} files, {n} lines agree; recovery as described")
            done |= counted
            lines += n
        except FormatError as error:
            failed += 1
            print(f"FAILED {error.place(name, 0)}")
    for file in sorted(there - done):
        print(f"NOT READ {file}")
    print(f"{len(done)} of {len(there)} golden files read, {lines} lines agree, {failed} failed")
    return 0 if done == there and not failed else 1
