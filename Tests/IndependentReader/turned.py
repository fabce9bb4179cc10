"""The golden store that turned over (golden/README): its files, and what a reader finds in it."""

import os
import shutil
import struct
import tempfile

from basics import FormatError, binding_digest, chunk_key, seal_key
from payloads import payload
from store import Store
from variants import check_payload

UNIT, FILE = 4096, "turned-over-store"
# letter: segment, use, unit, and how many of its three units still stand
STANDING = {
    "A": (0, 1, 5, 3),
    "D": (0, 1, 8, 3),
    "F": (0, 1, 12, 2),  # its last one never reached the medium
    "G": (1, 2, 3, 3),
    "E": (1, 2, 7, 3),
    "K": (2, 3, 11, 3),
    "L": (3, 4, 3, 3),
    "B": (3, 4, 7, 3),
    "H": (3, 4, 13, 3),
    "J": (2, 5, 3, 3),
    "A'": (2, 5, 6, 3),
}
UNITS = {1: 16, 2: 10, 3: 14, 4: 16, 5: 16}  # of each use
LIVING = {"A": None, "B": 8, "E": 8, "G": 4, "H": 10, "J": 10, "L": 7}  # None: the checkpoint
WITHOUT_CHECKPOINT = {**LIVING, "A": 2}
LEFT = (9 * UNIT, 10 * UNIT)  # C's values, of which nothing else is left


def agree(what, found, wanted):
    if found != wanted:
        raise FormatError(FILE, 0, "golden", f"{what}: found {found}, expected {wanted}")


def use_of(files, number, use):
    """What opens the records of a use, by its salt; of the use that ended no header is left."""
    key = seal_key(files.sb["secret"], "segment use", bytes([0xC0 + use]) * 32)
    return {
        "segment": number,
        "alignmentUnit": UNIT,
        "segmentBytes": UNITS[use] * UNIT,
        "useSequence": use,
        "key": key,
        "file": f"segments/{number:08d}",
    }


def numbers_agree(letter, f, offset, data, units):
    code = ord(letter[0])
    agree(f"tokens of {letter}", f["metadata"]["tokens"], [code, code + 100])
    out = []
    for e in f["extents"][: units - 1]:
        at, n = offset + e["offset"], e["storedBytes"] // 4
        want = [100.0 * code + 50 * (e["kind"] - 1) + i for i in range(n)]
        agree(f"numbers of {letter}", list(struct.unpack_from(f"<{n}f", data, at)), want)
        out.append((at, at + e["storedBytes"]))
    return out


def records_of(files, store, number, data):
    """Every record that stands, those included that no text shows: E's, and the leftovers'."""
    spare = []
    for letter, (segment, use, unit, units) in STANDING.items():
        if segment != number:
            continue
        seg, offset = use_of(files, number, use), unit * UNIT
        f = payload(data[offset : offset + UNIT], seg, offset)
        if units == 3 and check_payload(store, [(seg, offset, f)]):
            raise FormatError(FILE, offset, "DIG-2", f"the digests of {letter}")
        spare.append((offset, offset + UNIT))
        spare += numbers_agree(letter, f, offset, data, units)
    if number == 2:
        f = {"metadata": {"tokens": [67, 167]}, "extents": [{"offset": 0, "storedBytes": 64}]}
        f["extents"][0]["kind"] = 2
        spare += numbers_agree("C", f, LEFT[0], data, 2)
    return spare


def recovery_agrees(directory, replayed, living):
    store = Store(directory).open()
    for error in store.damage:
        raise error
    # COM-13: of the slots that wait in the use that began over another
    notes = [(e.file, e.offset, e.clause) for e in store.notes]
    agree("notes", notes, [("segments/00000002", LEFT[0], "REC-1")])
    op = store.created[1]
    binding = binding_digest(op)
    keys = {n: chunk_key(1, b"", binding, "", [], [ord(n), ord(n) + 100]) for n in "ABCDEFGHJKL"}
    first = {v: v.records[0] for v in store.variants}
    found = {v.name: (v.commit, first[v][0]["segment"], first[v][1]) for v in store.variants}
    places = {n: (STANDING[n][0], STANDING[n][2] * UNIT) for n in living}
    want = {(1, keys[n], 0): (commit, *places[n]) for n, commit in living.items()}
    agree("variants", found, want)
    agree("commits", [c["commit"] for c in store.commits], replayed)
    agree("segments", sorted(store.segments), [0, 1, 2, 3])
    agree("proven", (store.synced, store.proven, store.newest), (9, 9, 11))
    agree("entries that are lost", [v.name for v in store.lost], [])
    return store, keys


def turned_over_store(folder, fetch, whole_store, files):
    directory = os.path.join(folder, FILE)
    store = Store(directory)
    counted, lines = whole_store(
        files, FILE, fetch, 4, False, lambda n, data: records_of(files, store, n, data)
    )
    store, keys = recovery_agrees(directory, [4, 7, 8, 9, 10, 11], LIVING)
    agree("entries", {e["chunkKey"] for e in store.entries}, {keys[n] for n in "ABCDEG"})
    agree("checkpoint", (store.base, store.checkpoint["nextCommit"]), (2, 7))
    agree("journals", len(store.facts), 6)
    with tempfile.TemporaryDirectory() as place:  # a hint: the log alone says the same (09)
        copy = os.path.join(place, FILE)
        shutil.copytree(directory, copy)
        os.remove(os.path.join(copy, "checkpoint"))
        recovery_agrees(copy, [1, 2, 4, 7, 8, 9, 10, 11], WITHOUT_CHECKPOINT)
    return counted, lines
