"""What sources came to say, or no longer say, between two versions: for people and for programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

import pyoxigraph as ox

from kg.changes import Change, between
from kg.report import readable
from kg.store import Versions
from kg.terms import PREFIXES, RDFS_LABEL, compact

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple | ox.DefaultGraph
_STRING = ox.NamedNode(PREFIXES["xsd"] + "string")
_LABEL = ox.NamedNode(RDFS_LABEL)


@dataclass(frozen=True)
class Difference:
    """The net change from version `start` to version `end`, sorted. `labels` are English, by subject."""

    start: int
    end: int
    added: list[ox.Quad]
    removed: list[ox.Quad]
    labels: dict[str, str]

    def text(self) -> Iterator[str]:
        """Lines for people: what changed of each entity, what went before what came."""
        if not (self.added or self.removed):
            yield f"Versions {self.start} and {self.end} say the same."
            return
        yield f"From version {self.start} to {self.end}: {len(self.added):,} added, {len(self.removed):,} removed."
        rows = [("-", q) for q in self.removed] + [("+", q) for q in self.added]
        rows.sort(key=lambda row: (str(row[1].subject), str(row[1].predicate), row[0] == "+", str(row[1])))
        for subject, changes in groupby(rows, key=lambda row: row[1].subject):
            label = self.labels.get(str(subject))
            yield f"\n{_shown(subject)}" + (f"  {label}" if label else "")
            for sign, quad in changes:
                source = "" if isinstance(quad.graph_name, ox.DefaultGraph) else f"  [{_shown(quad.graph_name)}]"
                yield f"  {sign} {_shown(quad.predicate)} {_shown(quad.object)}{source}"

    def patch(self) -> Iterator[str]:
        """The rows of an RDF Patch in one transaction. Its identifier depends on the rows alone."""
        rows = [f"D {quad} ." for quad in self.removed] + [f"A {quad} ." for quad in self.added]
        digest = hashlib.sha256("\n".join(rows).encode()).digest()
        yield f"H id <uuid:{UUID(bytes=digest[:16], version=5)}> ."
        yield "TX ."
        yield from rows
        yield "TC ."

    def nquads(self, *, removed: bool = False) -> Iterator[str]:
        """The quads that came, or those that went, as N-Quads."""
        return (f"{quad} ." for quad in (self.removed if removed else self.added))

    def json(self) -> Iterator[str]:
        """One JSON object; objects of triples are terms in N-Triples form, all other names are bare IRIs."""
        parts = {"added": [_members(q) for q in self.added], "removed": [_members(q) for q in self.removed]}
        yield json.dumps({"from": self.start, "to": self.end, **parts}, ensure_ascii=False, indent=1)


def difference(versions: Versions, start: int, end: int) -> Difference:
    """What changed from one version to another, in either direction. What came and went again on the way is left out.

    Raises:
        NotFound: there is no such version.
        StoreFailure: a change set on the way is missing or damaged.
    """
    change = between(versions, start, end).asserted
    with versions.reading(end) as (_, store):
        labels = _labels(store, change)
    return Difference(start, end, sorted(change.added, key=str), sorted(change.removed, key=str), labels)


def _labels(store: ox.Store, change: Change) -> dict[str, str]:
    """The English label of each subject in a store, or else the one that went."""
    went = [q for q in change.removed if q.predicate == _LABEL]
    stand = (
        quad
        for subject in {q.subject for quads in change for q in quads}
        for quad in store.quads_for_pattern(subject, _LABEL, None, None)
    )
    return {
        str(quad.subject): quad.object.value
        for quad in (*sorted(went, key=str), *stand)
        if isinstance(quad.object, ox.Literal) and (quad.object.language or "").split("-")[0] == "en"
    }


def _shown(term: Term) -> str:
    """A term as people read it. Strings keep their quotes and languages, so that a change of either is seen."""
    if isinstance(term, ox.NamedNode):
        return compact(term.value)
    if isinstance(term, ox.Literal) and not term.language and term.datatype != _STRING:
        return readable(str(term))
    return str(term)


def _members(quad: ox.Quad) -> dict[str, str]:
    return {
        "subject": _bare(quad.subject),
        "predicate": quad.predicate.value,
        "object": str(quad.object),
        "graph": "" if isinstance(quad.graph_name, ox.DefaultGraph) else _bare(quad.graph_name),
    }


def _bare(term: Term) -> str:
    return term.value if isinstance(term, ox.NamedNode) else str(term)
