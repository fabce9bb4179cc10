"""Segment uses that ended: what they held is neither there nor missing (08, JRN-10 to JRN-12)."""


class FreedUses:
    def __init__(self, facts):
        self.facts = [fact for kind, fact in facts if kind == "freedUse"]
        self.uses, self.commits = {}, {}  # by segment: last use that ended, last commit before it
        for f in self.facts:
            n = f["segment"]
            self.uses[n] = max(f["useSequence"], self.uses.get(n, 0))
            self.commits[n] = max(f["commit"], self.commits.get(n, 0))
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
            below = [f["previousCommit"] for f in self.facts if holds(f, n)]
            if not below:
                break
            n = min(below)  # facts that overlap: one took over the commits of the other (JRN-14)
        return n


def holds(fact, n):
    return fact["firstCommit"] <= n <= fact["lastCommit"]
