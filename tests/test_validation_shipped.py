"""Single changes to the shipped facts are judged as if all facts were judged anew: types, labels, days and links that
go, and others that come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyoxigraph as ox

from kg.quads import is_stated
from kg.screening import screen
from kg.store import Versions
from kg.terms import RDF_TYPE, RDFS_LABEL, SOURCE
from kg.validation import _affected, validate
from kg.view import View
from tests.sources import CONTENT
from tests.test_validation import Result, from_scratch, told

#: Changes that are made, and nodes that one of them may concern: the more, the fewer others leave them alone.
MADE, MOST = 40, 400
Change = tuple[list[ox.Quad], list[ox.Quad]]


def kind(quad: ox.Quad) -> str:
    if quad.predicate.value in (RDF_TYPE, RDFS_LABEL):
        return quad.predicate.value
    return "link" if isinstance(quad.object, ox.NamedNode) else quad.object.datatype.value  # type: ignore[union-attr]


def agreeing(store: ox.Store) -> list[ox.Quad]:
    """What the sources say that contradict no other: those that do are judged in their own light."""
    view = View(store)
    facts = [q for q in store if is_stated(q) and q.graph_name.value.startswith(SOURCE)]
    subjects = {q.subject for q in facts if isinstance(q.subject, ox.NamedNode)}
    disputes = [by for s in subjects for by in view.disputed(s).values()]
    contrary = {graph for by_source in disputes for graph in by_source}
    return sorted((q for q in facts if q.graph_name.value not in contrary), key=str)


def changes(facts: list[ox.Quad], functional: set[str]) -> Iterator[Change]:
    """Single quads that go, and single ones that come: what one node says, said of another by its own source."""
    chance = random.Random(20261124)
    by_kind: dict[str, list[ox.Quad]] = {}
    for quad in facts:
        by_kind.setdefault(kind(quad), []).append(quad)
    for name in sorted(by_kind):
        chance.shuffle(by_kind[name])
    while True:
        for name in sorted(by_kind):
            quad, other = by_kind[name].pop(), chance.choice(by_kind[name])
            yield [quad], []
            if quad.predicate.value not in functional:
                yield [], [ox.Quad(other.subject, quad.predicate, quad.object, other.graph_name)]


def test_single_changes_to_the_shipped_facts_give_what_making_them_all_gives(shipped_home: Path) -> None:
    """Each is judged alone, and none concerns a node that another does. So the results of all facts, with all changes
    made, are those of each change and, on the nodes that none concerns, those from before."""
    reach = screen(tuple(CONTENT.shapes)).reach
    made: Change = ([], [])
    concerned: set[str] = set()
    found: set[Result] = set()
    with Versions(shipped_home).writing() as draft:
        before = from_scratch(draft.store, set())
        functional = View(draft.facts).functional
        for gone, new in islice(changes(agreeing(draft.store), functional), 10 * MADE):
            draft.remove(gone)
            draft.add(new)
            nodes = {getattr(n, "value", "") for n in _affected(draft, View(draft.facts), reach, frozenset())}
            if len(nodes) <= MOST and not nodes & concerned and draft.changed and len(made[0]) + len(made[1]) < MADE:
                found |= told(validate(draft, CONTENT.shapes).findings)
                concerned |= nodes
                made[0].extend(gone)
                made[1].extend(new)
            added, removed = set(draft.added), set(draft.removed)
            draft.remove(added)
            draft.add(removed)
            assert not draft.changed
        draft.remove(made[0])
        draft.add(made[1])
        after = from_scratch(draft.store, set())
    assert len(made[0]) + len(made[1]) == MADE
    assert len(after - before) >= MADE // 2
    assert after == found | {result for result in before if result[0] not in concerned}
