"""What a store must hold, kept beside it: the change sets of its versions, put together without its databases."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pyoxigraph as ox

from kg.changes import HISTORY, read
from kg.store import Versions
from kg.terms import PREFIXES


class Lost(Exception):
    """Something was lost, or is in the way."""


class Ledger:
    """What the store must hold: the acknowledged change sets, put together without it."""

    def __init__(self) -> None:
        #: Facts of all graphs but the history, copies in the default graph included.
        self.facts: set[ox.Quad] = set()
        self.version = 0
        self._holders: Counter[ox.Triple] = Counter()
        #: What changed since the last comparison.
        self._touched: set[ox.Quad] = set()
        #: Version to the fingerprint of its record and its change set.
        self._papers: dict[int, str] = {}

    def take(self, versions: Versions) -> None:
        """Take in the next version."""
        self.version += 1
        change = read(versions, self.version)
        self._require(not change.added & self.facts, "adds what was there")
        self._require(change.removed <= self.facts, "removes what was not there")
        self.facts |= change.added
        self.facts -= change.removed
        for quads, step in ((change.added, 1), (change.removed, -1)):
            for quad in quads:
                self._holders[quad.triple] += step
                copy = ox.Quad(*quad.triple)
                (self.facts.add if self._holders[quad.triple] else self.facts.discard)(copy)
                self._touched |= {quad, copy}
        record = versions.record(self.version)
        self._require((record.version, len(change.asserted.added)) == (self.version, record.added), "miscounts")
        self._papers[self.version] = self._fingerprint(versions, self.version)

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise Lost(f"version {self.version} {what}")

    @staticmethod
    def _fingerprint(versions: Versions, number: int) -> str:
        record = versions.home / "records" / f"{number}.json"
        return sha256(record.read_bytes() + versions.change_file(number).read_bytes()).hexdigest()

    def compare(self, versions: Versions, *, whole: bool) -> None:
        """See that the store holds this: every fact, or only as many, and what changed since the last time.

        Raises: Lost, if it does not.
        """
        with versions.reading() as (number, opened):
            told = set(opened.quads_for_pattern(None, None, None, HISTORY))
            if whole:
                held = set(opened) - told
                missing, more = self.facts - held, held - self.facts
            else:
                missing = {q for q in self._touched & self.facts if q not in opened}
                more = {q for q in self._touched - self.facts if q in opened}
                self._require(len(opened) - len(told) == len(self.facts), f"has {len(opened):,} quads")
        self._touched.clear()
        self._require(number == self.version, f"is the last that should be there, and {number} is current")
        if missing or more:
            raise Lost(f"version {number} lacks {len(missing)} facts and has {len(more)} more: {[*missing, *more][:3]}")
        version = ox.NamedNode(PREFIXES["trade"] + "Version")
        self._require(sum(q.object == version for q in told) == number, "does not tell of all versions")
        for earlier, papers in self._papers.items():
            self._require(papers == self._fingerprint(versions, earlier), f"found other papers of version {earlier}")
