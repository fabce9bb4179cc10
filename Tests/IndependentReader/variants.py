"""Replay of the commits that count, and the live variants that come of it (11, steps 5 to 7)."""

from basics import FormatError, digest_agrees, need
from chains import member_record, read_region
from payloads import is_plane, payload, planes
from byteplanes import decode
from records import namespace_record, tombstones

SAME = (
    "chunkKey variantID namespace bindingDigest tokenCount basePosition recordCount variantBytes"
).split()


def name_of(f):
    return f["namespace"], f["chunkKey"], f["variantID"]  # IDY-6


def decode_payload(seg, region, offset):
    try:
        return payload(region, seg, offset)
    except FormatError as error:
        raise error.place(seg["file"], offset)


def sibling(store, first, row, index):
    """SIB-1 to SIB-3, PAY-9: the record that a row of record 0 names."""
    seg, region = read_region(store, row["segment"], row["offset"], row["headerBytes"])
    f = decode_payload(seg, region, row["offset"])
    p = f["prefix"]
    try:
        for field in ("seal", "headerBytes", "recordBytes"):
            need(p[field] == row[field], "siblingRow", field, "SIB-2", "that of the record", "")
        need(f["recordIndex"] == index, "payloadHeader", "recordIndex", "SIB-3", index, "another")
        for field in SAME:
            need(f[field] == first[field], "payloadHeader", field, "PAY-9", "that of record 0", "")
        for field in ("layerFirst", "layerCount"):
            need(f[field] == row[field], "payloadHeader", field, "PAY-12", row[field], f[field])
    except FormatError as error:
        raise error.place(seg["file"], row["offset"])
    return seg, row["offset"], f


def check_payload(store, records):
    """All digests of all extents (DIG-1 to DIG-3), and what is coded decodes (COD-8); returns what
    does not agree."""
    bad = []
    for seg, offset, f in records:
        for row in f["extents"]:
            block, before = 1 << f["digestBlockShift"], len(bad)
            for i in range(row["slotCount"]):
                at = offset + row["offset"] + i * block
                count = min(block, row["padded"] - i * block)
                piece = store.read(seg["file"], at, count)
                if not digest_agrees(piece, f["slots"][row["firstDigestSlot"] + i]):
                    what = f"layer {row['layer']} kind {row['kind']}: block {i} of the digest grid"
                    bad.append(FormatError(seg["file"], at, "DIG-2", what))
            if len(bad) == before and is_plane(row) and row["codec"] == 1:
                at = offset + row["offset"]
                try:
                    decode(row, store.read(seg["file"], at, row["storedBytes"]))
                except FormatError as error:
                    bad.append(error.place(seg["file"], at))
    return bad


def check_planes(op, records):
    """PAY-7, EXT-7, PAY-11: by the binding of the namespace; variantBytes adds up."""
    for seg, offset, f in records:
        try:
            planes(f, op)
        except FormatError as error:
            raise error.place(seg["file"], offset)
    seg, offset, f = records[0]
    layers = [row["layer"] for _, _, r in records for row in r["extents"] if is_plane(row)]
    want = [n for n in range(len(op["layers"])) for _ in (1, 2)]
    try:
        need(sorted(layers) == want, "payloadHeader", "extents", "PAY-7", "all planes", layers)
    except FormatError as error:
        raise error.place(seg["file"], offset)
    stored = sum(row["storedBytes"] for r in records for row in r[2]["extents"])
    try:
        need(stored == f["variantBytes"], "payloadHeader", "variantBytes", "PAY-9", stored, "other")
    except FormatError as error:
        raise error.place(seg["file"], offset)


class Variant:
    def __init__(self, name, records, commit, damage=()):
        self.name, self.records, self.commit, self.damage = name, records, commit, list(damage)


class Replay:
    def __init__(self, store):
        self.store = store
        self.live = {}
        self.torn = set()  # places of members that do not verify, of commits that are not proven
        self.created, self.dropped, self.tombs = {}, {}, []

    def run(self):
        store = self.store
        for kind, fact in store.facts:
            if kind != "freedUse":  # store.freed knows those
                self.fact(kind, fact)
        self.from_checkpoint()
        for c in store.commits:
            self.commit(c)
        self.hide()
        self.check()
        living = [self.live[n] for n in sorted(self.live)]  # IDY-5
        store.variants = [v for v in living if v.records]
        store.lost = [v for v in living if not v.records]  # CKP-11
        store.created, store.dropped, store.tombs = self.created, self.dropped, self.tombs

    def fact(self, kind, fact):
        if kind == "tombstone":
            self.tombs.append(fact)
        elif fact["operation"] == 2:
            n = fact["namespace"]
            self.dropped[n] = max(fact["commit"], self.dropped.get(n, 0))  # RCV-4
        else:
            old = self.created.setdefault(fact["namespace"], fact)
            same = all(old[k] == v for k, v in fact.items() if k != "from")
            if not same:  # a number is given once (06)
                what = f"namespace {fact['namespace']} is described in two ways"
                file = fact.get("from", "segments")
                self.store.damage.append(FormatError(file, 0, "NSP-11", what))

    def from_checkpoint(self):
        for i, e in enumerate(self.store.entries):
            offset, size = e["block"] * 4096, e["headerBlocks"] * 4096
            if self.hidden(name_of(e), self.store.base):  # CKP-9; its place may be gone
                continue
            if self.gone_with_use(e):
                continue
            try:
                seg, region = read_region(self.store, e["segment"], offset, size)
                f = decode_payload(seg, region, offset)
                try:
                    right = name_of(f) == name_of(e) and f["recordIndex"] == 0
                    need(right, "payloadHeader", "chunkKey", "PAY-7", "the entry's", "another")
                except FormatError as error:
                    raise error.place(seg["file"], offset)
                self.live[name_of(e)] = self.load(seg, offset, f, None)
            except FormatError as error:  # CKP-11
                error.place(f"segments/{e['segment']:08d}", offset)
                self.live[name_of(e)] = Variant(name_of(e), [], None, [error])

    def gone_with_use(self, e):
        """CKP-12: a use ended, and no row says that the entry is of a later one."""
        row, freed = self.store.rows.get(e["segment"]), self.store.freed
        if row is None:
            return freed.has(e["segment"])
        return freed.ended(e["segment"], row["useSequence"])

    def load(self, seg, offset, first, commit):
        """All records of a variant; a sibling that does not open damages the whole of it."""
        v = Variant(name_of(first), [(seg, offset, first)], commit)
        for i, row in enumerate(first["siblings"]):
            try:
                v.records.append(sibling(self.store, first, row, i + 1))
            except FormatError as error:
                v.damage.append(error.place(f"segments/{row['segment']:08d}", row["offset"]))
        return v

    def commit(self, c):
        proven = c["commit"] <= self.store.proven
        whole = proven or self.batch_is_whole(c)
        opened = []
        for m in c["members"]:
            again = m["flags"] & 4 and not proven  # RCV-23: an earlier commit names it still
            if m["flags"] & 1 or again or self.store.freed.gone(m["segment"], c["commit"]):
                continue  # COM-7, JRN-11
            try:
                opened.append((m, *member_record(self.store, m)))
            except FormatError as error:
                if getattr(error, "clause", "") == "REC-7" and "required" in error.what:
                    raise
                self.failed(error, proven, m)
        for m, seg, region, p in opened:  # COM-12: removals first
            try:
                self.removal(p["kind"], region, c)
            except FormatError as error:
                self.failed(error.place(seg["file"], m["offset"]), proven, m)
        for m, seg, region, p in opened:
            if p["kind"] == 1 and (whole or not m["flags"] & 2):
                try:
                    f = decode_payload(seg, region, m["offset"])
                    if f["recordIndex"] == 0:  # PAY-8; the others hang on its sibling rows
                        self.put(seg, m["offset"], f, c, proven)
                except FormatError as error:
                    self.failed(error, proven, m)

    def batch_is_whole(self, c):
        """COM-15, RCV-11: the batched members of a commit that is not proven, all or none."""
        for m in c["members"]:
            place = (m["segment"], m["offset"])
            if m["flags"] & 3 != 2 or m["flags"] & 4:  # RCV-23: never called for here
                continue
            try:
                seg, region, _ = member_record(self.store, m)
                f = decode_payload(seg, region, m["offset"])
                if f["recordIndex"] == 0:
                    v = self.load(seg, m["offset"], f, c["commit"])
                    if self.follow(c, place, f) or v.damage or check_payload(self.store, v.records):
                        return False
            except FormatError:
                return False
        return True

    def failed(self, error, proven, m):
        if proven:  # RCV-13
            self.store.damaged_records.add((m["segment"], m["offset"]))
            self.store.bad(error, f"segments/{m['segment']:08d}", m["offset"])
        else:  # RCV-11
            self.torn.add((m["segment"], m["offset"]))
            error.place(f"segments/{m['segment']:08d}", m["offset"])
            error.what += " (commit not proven: dropped, RCV-11)"
            self.store.notes.append(error)

    def removal(self, kind, region, c):
        if kind == 2:
            for row in tombstones(region):  # TMB-3: the commit that names the record counts
                self.fact("tombstone", {**row, "commit": c["commit"]})
        elif kind == 4:
            self.fact("namespace", namespace_record(region))

    def follow(self, c, place, first):
        """COM-10: the commit names record 0 and, right behind it, each sibling."""
        puts = [m for m in c["members"] if m["kind"] == 1 and not m["flags"] & 1]
        named = [(m["segment"], m["offset"]) for m in puts]
        at = named.index(place) + 1
        rows = [(row["segment"], row["offset"]) for row in first["siblings"]]
        ok = named[at : at + len(rows)] == rows
        try:
            need(ok, "commitMember", "offset", "COM-10", "record 0, then its siblings", "other")
        except FormatError as error:
            return [error.place(f"segments/{place[0]:08d}", place[1])]
        return []

    def torn_of(self, first):
        """RCV-11: one record whose member does not verify takes the variant with it."""
        places = [(row["segment"], row["offset"]) for row in first["siblings"]]
        lost = [place for place in places if place in self.torn]
        what = "a member of the variant does not verify"
        return [FormatError(f"segments/{s:08d}", o, "RCV-11", what) for s, o in lost]

    def put(self, seg, offset, f, c, proven):
        commit = c["commit"]
        v = self.load(seg, offset, f, commit)
        if not proven:  # RCV-10: in full, or the whole variant is dropped
            bad = self.follow(c, (seg["segment"], offset), f) or self.torn_of(f)
            bad = bad or v.damage or check_payload(self.store, v.records)
            if bad:
                bad[0].what += " (commit not proven: variant dropped, RCV-11)"
                self.store.notes.append(bad[0])
                return
        if not self.hidden(v.name, commit):  # RCV-14: the later one counts
            self.live[v.name] = v

    def hidden(self, name, commit):
        """TMB-3: a fact of a later commit hides it; a drop hides all, for good (NSP-6)."""
        ns, key, variant = name
        if ns in self.dropped:
            return True
        return any(
            t["namespace"] == ns
            and t["chunkKey"] == key
            and t["commit"] > commit
            and (t["scope"] == 2 or t["variantID"] == variant)
            for t in self.tombs
        )

    def hide(self):
        base = self.store.base
        for name, v in list(self.live.items()):
            if self.hidden(name, base if v.commit is None else v.commit):
                del self.live[name]

    def check(self):
        """Every live variant in full; damage stays with the variant and is reported."""
        for name in sorted(self.live):
            v = self.live[name]
            if not v.records:
                self.store.damage += v.damage
                continue
            seg, offset, first = v.records[0]
            if v.name[0] not in self.created:  # NSP-10
                why = f"namespace {v.name[0]} has no description"
                v.damage.append(FormatError(seg["file"], offset + 64, "NSP-10", why))
            elif not v.damage:
                if first["metadataError"]:
                    v.damage.append(first["metadataError"].place(seg["file"], offset))
                try:
                    check_planes(self.created[v.name[0]], v.records)
                except FormatError as error:
                    v.damage.append(error)
            try:
                v.damage += check_payload(self.store, v.records)
            except FormatError as error:
                v.damage.append(error)
            self.store.damage += v.damage
