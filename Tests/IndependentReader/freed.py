"""Segment uses that ended: what they held is neither there nor missing (08, JRN-10 to JRN-12)."""

from bisect import bisect


class FreedUses:
    def __init__(self, facts):
        self.facts = [fact for kind, fact in facts if kind == "freedUse"]
        self.uses, self.commits = {}, {}  # by segment: last use that ended, last commit before it
        for f in self.facts:
            n = f["segment"]
            self.uses[n] = max(f["useSequence"], self.uses.get(n, 0))
            self.commits[n] = max(f["commit"], self.commits.get(n, 0))
        self.ranges = one_range_each(self.facts)
        self.last = max([f["lastCommit"] for f in self.facts], default=0)
        self.newest = max([f["commit"] for f in self.facts], default=0)
        said = [f["from"] for f in self.facts if f["commit"] == self.newest]
        self.file = min(said, default="journal-0")

    def has(self, segment):
        return segment in self.uses

    def ended(self, segment, use):  # JRN-10: that use and all before it
        return self.has(segment) and use <= self.uses[segment]

    def gone(self, segment, commit):  # JRN-11
        return self.has(segment) and commit <= self.commits[segment]

    def needed(self, n):
        """JRN-12: commit `n`, or the next one it builds on that is still needed; 0 for none."""
        while n:
            at = holding(self.ranges, n)
            if at is None:
                break
            n = self.ranges[at][2]
        return n


def one_range_each(facts):
    """JRN-12: [first, last, previous], ascending; what overlaps or builds on another is one."""
    ranges = []
    rows = [(f["firstCommit"], f["lastCommit"], f["previousCommit"]) for f in facts]
    for first, last, previous in sorted(row for row in rows if row[0]):
        at = holding(ranges, previous)
        if at is None:
            at = len(ranges) - 1 if ranges and first <= ranges[-1][1] else len(ranges)
        for other in ranges[at:]:
            first, last = min(first, other[0]), max(last, other[1])
            previous = min(previous, other[2])
        ranges[at:] = [[first, last, previous]]
    return ranges


def holding(ranges, n):
    at = bisect(ranges, [n, float("inf")]) - 1
    return at if at >= 0 and n <= ranges[at][1] else None
