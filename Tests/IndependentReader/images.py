"""Many stores in one process: what each holds, as one line of JSON for each line of input."""

import json
import sys
import traceback

from basics import FormatError, StoreRefused, digest
from payloads import is_plane, is_sidecar
from byteplanes import decode
from store import Store


def living_bytes(store, variant):
    """The planes as they were put, record by record, row by row; then the sidecars."""
    planes, sidecars = [], []
    for seg, offset, f in variant.records:
        for row in f["extents"]:
            stored = store.read(seg["file"], offset + row["offset"], row["storedBytes"])
            if is_plane(row):
                planes.append(decode(row, stored) if row["codec"] else stored)
            elif is_sidecar(row):
                sidecars.append(stored)
    return b"".join(planes + sidecars)


def verdict(directory):
    """`refused` with the reason, or the living: named, each with its digest or as damaged."""
    try:
        store = Store(directory).open()
    except StoreRefused as error:
        return {"refused": str(error)}
    except FormatError as error:
        return {"refused": str(error)}
    living = {}
    for v in store.variants + store.lost:
        name = f"{v.name[0]}/{v.name[1].hex()}/{v.name[2]}"
        living[name] = "damaged" if v.damage else digest(living_bytes(store, v)).hex()
    return {
        "living": living,
        "damagedRecords": sorted(f"{segment}/{at}" for segment, at in store.damaged_records),
        "damage": [str(e) for e in store.damage],
    }


def run_images():
    for line in sys.stdin:
        try:
            answer = verdict(line.rstrip("\n"))
        except Exception:  # our mistake, whatever it was: the comparison tells it
            answer = {"crashed": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
    return 0
