"""Reads ChunkDB stores by format-spec alone: `store DIR [--json]`, `goldens DIR`, `images`."""

import json
import os
import sys

sys.dont_write_bytecode = True

from basics import FormatError, StoreRefused  # noqa: E402
from store import Store  # noqa: E402


def describe(store):
    """The store as plain values, for people and for --json."""
    namespaces = [
        {
            "namespace": n,
            "name": op["name"],
            "model": op["model"],
            "layers": len(op["layers"]),
            "dropped": n in store.dropped,
        }
        for n, op in sorted(store.created.items())
    ]
    variants = []
    for v in store.variants:
        first = v.records[0][2]
        extents = [
            {
                "layer": e["layer"],
                "kind": e["kind"],
                "codec": e["codec"],
                "file": seg["file"],
                "offset": offset + e["offset"],
                "storedBytes": e["storedBytes"],
                "tokenCount": e["tokenCount"],
            }
            for seg, offset, f in v.records
            for e in f["extents"]
        ]
        variants.append(
            {
                "namespace": v.name[0],
                "chunkKey": v.name[1].hex(),
                "variantID": v.name[2],
                "commit": v.commit,
                "tokenCount": first["tokenCount"],
                "basePosition": first["basePosition"],
                "variantBytes": first["variantBytes"],
                "pinned": first["retention"] == 1,
                "expirySeconds": first["expirySeconds"],
                "records": len(v.records),
                "extents": extents,
                "tokens": first["metadata"]["tokens"],
                "damage": [str(e) for e in v.damage],
            }
        )
    return {
        "storeID": store.sb["storeID"].hex(),
        "generation": store.sb["generation"],
        "syncedCommit": store.synced,
        "provenCommit": store.proven,
        "newestCommit": store.newest,
        "checkpointCommit": store.base,
        "commitsReplayed": [c["commit"] for c in store.commits],
        "segments": sorted(store.segments),
        "namespaces": namespaces,
        "variants": variants,
        "tombstones": len(store.tombs),
        "notes": [str(e) for e in store.notes],
        "damage": [str(e) for e in store.damage],
    }


def show(d):
    print(f"store {d['storeID']}, generation {d['generation']}")
    print(
        f"commits: newest {d['newestCommit']}, proven {d['provenCommit']}, "
        f"checkpoint {d['checkpointCommit']}, replayed {d['commitsReplayed']}"
    )
    for n in d["namespaces"]:
        gone = ", dropped" if n["dropped"] else ""
        print(
            f"namespace {n['namespace']} {n['name']!r}: model {n['model']!r}, "
            f"{n['layers']} layers{gone}"
        )
    for v in d["variants"]:
        origin = "checkpoint" if v["commit"] is None else f"commit {v['commit']}"
        print(
            f"variant {v['namespace']} {v['chunkKey']} {v['variantID']}: {origin}, "
            f"{v['tokenCount']} tokens at {v['basePosition']}, {v['records']} records, "
            f"{v['variantBytes']} bytes{', DAMAGED' if v['damage'] else ''}"
        )
        for e in v["extents"]:
            print(
                f"  layer {e['layer']} kind {e['kind']}: {e['file']} byte {e['offset']}, "
                f"{e['storedBytes']} bytes, {e['tokenCount']} tokens"
            )
    for line in d["notes"]:
        print("note:", line)


def run_store(directory, as_json):
    d = describe(Store(directory).open())
    if as_json:
        print(json.dumps(d, indent=1))
    else:
        show(d)
    for line in d["damage"]:
        print("damage:", line, file=sys.stderr)
    return 1 if d["damage"] else 0


def main(arguments):
    try:
        if len(arguments) in (2, 3) and arguments[0] == "store":
            if not os.path.isdir(arguments[1]) or arguments[2:] not in ([], ["--json"]):
                print(f"not a directory, or an unknown option: {arguments[1:]}", file=sys.stderr)
                return 64
            return run_store(arguments[1], arguments[2:] == ["--json"])
        if len(arguments) == 2 and arguments[0] == "goldens":
            from goldens import run_goldens

            return run_goldens(arguments[1])
        if arguments == ["images"]:
            from images import run_images

            return run_images()
    except StoreRefused as error:
        print("refused:", error, file=sys.stderr)
        return 2
    except FormatError as error:
        print("damage:", error, file=sys.stderr)
        return 1
    print("usage: reader.py store DIR [--json] | goldens DIR | images", file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
