"""Commit chains: which commits were collected, and which of them count (07, 11)."""

from basics import FormatError, StoreRefused, need
from records import commit, open_record


class Chains:
    def __init__(self, store):
        self.store, self.found = store, {}

    def run(self):
        for segment in sorted(self.store.segments):
            self.walk(self.store.segments[segment])
        s = self.store
        synced = [c["syncedCommit"] for c in self.found.values()]
        s.proven = max([s.synced, s.base, s.freed.newest] + synced)  # RCV-9, JRN-12
        s.commits = self.counting()
        newest = max([s.base, s.freed.last] + [c["commit"] for c in s.commits])
        if newest < s.synced:  # REC-9
            what = f"the mark says commit {s.synced} was flushed, the newest found is {newest}"
            s.damage.append(FormatError("superblock", 262144, "REC-9", what))
        if newest < s.freed.newest:  # as proven as by a mark
            what = f"a freed use says commit {s.freed.newest} stood, the newest found is {newest}"
            s.damage.append(FormatError(s.freed.file, 4096, "REC-9", what))
        s.newest = newest

    def first_slots(self, seg):
        row = self.store.rows.get(seg["segment"])
        if row is None or row["useSequence"] != seg["useSequence"]:  # CKP-8
            return seg["firstCommitOffset"], seg["secondCommitOffset"]
        return row["nextCommitOffset"], row["laterCommitOffset"]

    def walk(self, seg):
        """RCV-7: at a slot that does not open the later one is tried; neither: the end."""
        at, later = self.first_slots(seg)
        while at:
            f = self.slot(seg, at)
            if f is None and later > at:
                closed, at, later = at, later, None  # its own successor is not known yet
                f = self.slot(seg, at)
                if f is not None:
                    what = "a slot that does not open, though the one behind it does"
                    self.store.note(seg["file"], closed, "RCV-7", what)
            if f is None:
                return
            self.collect(f, seg)
            if later not in (None, f["nextCommitOffset"]):  # COM-14
                what = f"next slot {f['nextCommitOffset']}, the commit before it said {later}"
                self.store.damage.append(FormatError(seg["file"], at + 96, "COM-14", what))
            at, later = f["nextCommitOffset"], f["laterCommitOffset"]

    def slot(self, seg, at):
        """The commit in a slot, or None where none opens (COM-13)."""
        store = self.store
        try:
            region = store.read(seg["file"], at, seg["alignmentUnit"])
        except FormatError as error:
            store.damage.append(error)  # RCV-7: an I/O error is damage
            return None
        if not any(region):
            return None  # the ordinary end
        try:
            open_record(region, seg, at)
        except FormatError as error:
            error.place(seg["file"], at)
            error.what += " (a slot that does not open, COM-13)"
            store.notes.append(error)
            return None
        try:
            return commit(region, seg, at)
        except FormatError as error:  # sealed by the writer and still wrong
            store.bad(error, seg["file"], at)
            return None

    def collect(self, f, seg):
        old = self.found.get(f["commit"])
        f["file"] = seg["file"]
        if old is not None:
            what = f"commit {f['commit']} stands in two uses; the later one counts"
            self.store.note(seg["file"], f["offset"], "RCV-8", what)
        if old is None or old["useSequence"] <= f["useSequence"]:
            self.found[f["commit"]] = f

    def counting(self):
        """Step 4 of "What a reader computes": from the newest back, by previousCommit."""
        store, counted, needed = self.store, [], self.store.freed.needed
        numbers = sorted(n for n in self.found if n > store.base)
        n = needed(max(numbers + [store.freed.last]))
        by = (store.freed.file, 4096, "a freed use")  # what names commit n
        while n > store.base:
            if n in self.found:
                c = self.found[n]
                counted.append(c)
                n, by = needed(c["previousCommit"]), (c["file"], c["offset"], c["commit"])
                continue
            if n <= store.proven:  # REC-9: damage, the other commits stand
                what = f"commit {n}, that {by[2]} builds on, is proven and not found"
                store.damage.append(FormatError(*by[:2], "REC-9", what))
            else:  # RCV-20: a hole above what is proven; nothing above it ever counted
                what = f"commit {n} was never flushed; {len(counted)} above it do not count"
                store.note(*by[:2], "RCV-20", what)
                counted = []
            lower = [m for m in numbers if m < n]
            n, by = needed(lower[-1] if lower else 0), (store.freed.file, 4096, "a freed use")
        return counted[::-1]


def read_region(store, place, offset, header_bytes):
    """The header region at a named place, with its segment; nothing is believed yet (REC-5)."""
    seg = store.segments.get(place)
    if seg is None:
        raise FormatError(f"segments/{place:08d}", offset, "RCV-13", "no such segment opens")
    limit = seg["segmentBytes"]
    need(offset + header_bytes <= limit, "recordPrefix", "headerBytes", "REC-10", limit, offset)
    region = store.read(seg["file"], offset, header_bytes)
    return seg, region


def member_record(store, m):
    """COM-5: the record at a member's place has its seal, kind and recordBytes."""
    seg, region = read_region(store, m["segment"], m["offset"], m["headerBytes"])
    try:
        p = open_record(region, seg, m["offset"])
        need(p["seal"] == m["seal"], "recordPrefix", "seal", "COM-5", m["seal"].hex(), "another")
        for field in ("kind", "recordBytes", "headerBytes"):
            need(p[field] == m[field], "recordPrefix", field, "COM-5", m[field], p[field])
        if p["kind"] not in range(1, 7) and p["flags"] & 1:
            what = f"a required record of unknown kind {p['kind']}"
            raise StoreRefused(seg["file"], m["offset"] + 4, "REC-7", what)
    except FormatError as error:
        raise error.place(seg["file"], m["offset"])
    return seg, region, p
