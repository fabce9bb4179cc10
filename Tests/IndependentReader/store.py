"""A store directory: what a reader computes (11-recovery.md), changing nothing."""

import os

from basics import FormatError, StoreRefused, digest_agrees, need, padded, refused, standing
from chains import Chains
from freed import FreedUses
from structures import (
    checkpoint_header,
    checkpoint_rows,
    heat,
    journal_block,
    journal_header,
    mark,
    segment_header,
    superblock,
)
from variants import Replay

KNOWN = {"superblock", "journal-0", "journal-1", "checkpoint", "heat", "segments"}
UNFINISHED = {"checkpoint.new", "heat.new", "superblock.new"}
PIECE = 1 << 20


class Store:
    """Everything found. `damage` makes the reader fail; `notes` are what a crash may leave."""

    def __init__(self, directory):
        self.directory = directory
        self.damage, self.notes = [], []
        self.sb = self.mark = self.checkpoint = self.heat = None
        self.entries, self.rows, self.facts = [], {}, []
        self.freed = FreedUses(())
        self.segments, self.commits, self.journals = {}, [], []
        self.variants, self.lost = [], []  # lost: entries whose record does not open (CKP-11)
        self.torn = []  # headers that do not open, of segments with a freed use (RCV-22)
        self.damaged_records = set()  # members of proven commits (RCV-13): segment, offset

    def path(self, name):
        return os.path.join(self.directory, name)

    def size(self, name):
        try:
            return os.path.getsize(self.path(name))
        except OSError as error:
            raise FormatError(name, 0, "DIR-1", f"cannot be read: {error.strerror}") from None

    def read(self, name, offset, count):
        """At most `count` bytes; fewer at the end of the file."""
        try:
            with open(self.path(name), "rb") as f:
                f.seek(offset)
                return f.read(count)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise FormatError(name, offset, "RCV-7", why) from None

    def bad(self, error, file, base=0):
        self.damage.append(error.place(file, base))

    def note(self, file, offset, clause, what):
        self.notes.append(FormatError(file, offset, clause, what))

    def open(self):
        self.names()
        self.read_superblock()
        self.read_marks()
        self.read_journals()
        self.read_segments()
        self.read_checkpoint()
        Chains(self).run()
        Replay(self).run()
        (self.damage if self.damage else self.notes).extend(self.torn)  # RCV-22
        self.read_heat()
        return self

    def names(self):
        if not os.path.isfile(self.path("superblock")):
            raise StoreRefused("superblock", 0, "RCV-3", "no store here: no file of this name")
        for name in sorted(os.listdir(self.directory)):
            if name in UNFINISHED:
                self.note(name, 0, "DIR-4", "left by a crash, not read")
            elif name not in KNOWN:
                self.note(name, 0, "DIR-3", "not a file of a store, not opened")

    def read_superblock(self):
        copies = []
        for i in range(4):
            try:
                data = self.read("superblock", 65536 * i, 4096)
                copies.append((superblock(data, i), data[:12] + data[16:4080]))  # SUP-6
            except StoreRefused as error:
                raise error.place("superblock", 65536 * i)
            except FormatError as error:
                self.bad(error, "superblock", 65536 * i)
        same = [c for c in copies if sum(c[1] == d[1] for d in copies) >= 2]
        if not same:
            first = self.damage[0] if self.damage else "copies differ"
            raise StoreRefused("superblock", 0, "SUP-6", f"no two copies agree; first: {first}")
        self.sb, body = max(same, key=lambda c: c[0]["generation"])
        if any(s["generation"] == self.sb["generation"] and b != body for s, b in same):
            raise StoreRefused("superblock", 0, "SUP-6", "two pairs of copies disagree")
        for f, other in copies:
            if other != body:
                e = refused("superblock", "generation", "SUP-6", "the chosen copy", "another")
                self.bad(e, "superblock", 65536 * f["copyIndex"])

    def read_marks(self):
        for i in range(2):
            at = 262144 + 4096 * i
            data = self.read("superblock", at, 4096)
            if not any(data):
                continue  # MRK-1: never written
            try:
                f = mark(data, i, self.sb)
                if self.mark is None or f["turn"] > self.mark["turn"]:  # MRK-4
                    self.mark = f
            except FormatError as error:  # a torn write leaves this: no damage
                self.notes.append(error.place("superblock", at))
        self.synced = self.mark["syncedCommit"] if self.mark else 0  # MRK-6

    def read_journals(self):
        for i in range(2):
            name, header = f"journal-{i}", None
            try:
                header = journal_header(self.read(name, 0, 4096), i, self.sb)
            except FormatError as error:
                error.what += " (RCV-19)"
                self.bad(error, name)
                continue
            self.journals.append(i)
            self.journal_blocks(name, header)
        if not self.journals:
            raise StoreRefused("journal-0", 0, "JRN-1", "neither journal opens")
        if len(self.journals) == 2:
            self.compare_journals()
        self.freed = FreedUses(self.facts)

    def compare_journals(self):
        """JRN-8: a fact of one file only is a fact; a crash or a fault left it so."""
        held = [set(), set()]
        for kind, fact in self.facts:
            body = repr((kind, {k: v for k, v in fact.items() if k != "from"}))
            held[fact["from"] == "journal-1"].add(body)
        for i in range(2):
            lacks = len(held[1 - i] - held[i])
            if lacks:
                self.note(f"journal-{i}", 4096, "JRN-8", f"lacks {lacks} facts of the other file")

    def journal_blocks(self, name, header):
        closed = []
        for number in range(1, self.size(name) // 4096):
            data = self.read(name, 4096 * number, 4096)
            if not any(data):
                continue  # JRN-3: never written
            try:
                for kind, fact in journal_block(data, number, header):
                    fact["from"] = name
                    self.facts.append((kind, fact))
            except FormatError as error:
                closed.append((number, error.place(name, 4096 * number)))
            else:
                # blocks are written one behind the other: a hole is no torn append (JRN-7)
                self.damage += [e for n, e in closed]
                closed = []
        self.notes += [e for n, e in closed]

    def read_segments(self):
        folder = self.path("segments")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if not os.path.isdir(folder):
            self.bad(FormatError("segments", 0, "DIR-2", "the folder is missing"), "segments")
        for name in names:
            file = f"segments/{name}"
            if not (name.isascii() and name.isdigit() and name == f"{int(name):08d}"):
                self.note(file, 0, "DIR-2", "not a segment's name, not opened")
                continue
            number = int(name)
            try:
                data = self.read(file, 0, 65536)
            except FormatError as error:
                self.bad(error, file)
                continue
            if not any(data):  # RCV-6; that nothing names it shows when members are read
                self.note(file, 0, "RCV-6", "a segment whose header was never flushed")
                continue
            try:
                f = segment_header(data[:4096], number, self.sb)
            except FormatError as error:
                closed = self.torn if self.freed.has(number) else self.damage
                closed.append(error.place(file, 0))
                continue
            f["file"] = file
            if not self.freed.ended(number, f["useSequence"]):  # JRN-10: else it is free
                self.segments[number] = f

    def read_checkpoint(self):
        name = "checkpoint"
        self.base = 0  # C of 11-recovery
        if not os.path.exists(self.path(name)):
            return
        try:
            f = checkpoint_header(self.read(name, 0, 4096), self.sb)
            rows, entries = self.checkpoint_table(name, f)
            self.checkpoint_sanity(rows, entries)
        except FormatError as error:  # CKP-7: ignored as a whole, and said so
            self.bad(error, name)
            return
        self.checkpoint, self.base, self.entries = f, f["commit"], entries
        self.rows = {r["segment"]: r for r in rows}

    def checkpoint_table(self, name, f):
        size = 48 * f["segmentCount"] + 72 * f["entryCount"]
        body = padded(size, 4096)
        pieces = (body + PIECE - 1) // PIECE
        table_at, table_bytes = 4096 + body, max(4096, padded(16 * pieces, 4096))
        have = self.size(name)
        want = table_at + table_bytes
        need(want <= have, "checkpointHeader", "entryCount", "CKP-3", f"{want} bytes", have)
        table = self.read(name, table_at, table_bytes)
        ok = digest_agrees(table, f["tableDigest"])
        need(ok, "checkpointHeader", "tableDigest", "CKP-5", "agreement", "another digest")
        data = bytearray()
        for i in range(pieces):
            piece = self.read(name, 4096 + i * PIECE, min(PIECE, body - i * PIECE))
            if not digest_agrees(piece, table[16 * i : 16 * i + 16]):
                raise FormatError(name, 4096 + i * PIECE, "CKP-5", f"piece {i} is not its slot's")
            data += piece
        with standing(4096):
            return checkpoint_rows(bytes(data), f["segmentCount"], f["entryCount"])

    def checkpoint_sanity(self, rows, entries):
        """CKP-6, CKP-10: what the rows say fits the segments and the journals."""
        unit, seen = self.sb["alignmentUnit"], set()
        known = {f["namespace"] for k, f in self.facts if k == "namespace" and f["operation"] == 1}
        for r in rows:
            seg = self.segments.get(r["segment"])  # perhaps of a later use, and shorter (SEG-12)
            same = seg is not None and seg["useSequence"] == r["useSequence"]
            size = seg["segmentBytes"] if same else 1 << 32
            used, at, later = r["usedBytes"], r["nextCommitOffset"], r["laterCommitOffset"]
            ok = used % unit == at % unit == later % unit == 0 and unit <= used <= size
            ok = ok and (at == 0 or unit <= at < size) and (later == 0 or at < later < size)
            need(ok, "checkpointSegment", "usedBytes", "CKP-10", "units of the segment", used)
            need(r["segment"] not in seen, "checkpointSegment", "segment", "CKP-10", "one", "two")
            seen.add(r["segment"])
        for e in entries:
            n = e["namespace"]
            need(n in known, "checkpointEntry", "namespace", "CKP-6", "one a journal knows", n)

    def read_heat(self):
        if not os.path.exists(self.path("heat")):
            return
        try:
            f, rows = heat(self.read("heat", 0, self.size("heat")), self.sb)
            if self.checkpoint is None or f["generation"] != self.checkpoint["generation"]:
                self.note("heat", 24, "HEA-4", "of another generation than the checkpoint, ignored")
            else:
                self.heat = rows
        except FormatError as error:  # HEA-5: never damage
            self.notes.append(error.place("heat", 0))
