"""The shipped facts, and changes to them, are judged as if all facts were judged anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pyoxigraph as ox
import pytest

from kg.loading import ensure_content
from kg.quads import is_stated
from kg.report import Report
from kg.screening import screen
from kg.store import Versions
from kg.terms import RDF_TYPE, RDFS_LABEL, SOURCE
from kg.validation import _affected, validate
from kg.view import View
from tests.sources import CONTENT, document
from tests.test_validation import USER, Result, from_scratch, judge, told

#: Facts of a user, most of which break a shape.
WRONG = (
    "rate:us-232-autos-jp-15 trade:percent 1700.0 . proposal:x a trade:Concession ; trade:targets country:JP ."
    'round:us-jp-5 trade:until "2025-06-01"^^xsd:date . meeting:us-jp-5-lutnick-2025-06-05 trade:date 5 .'
)
#: Changes that are made, and nodes that one of them may concern: the more, the fewer others leave them alone.
MADE, MOST = 40, 400
Change = tuple[list[ox.Quad], list[ox.Quad]]


@dataclass(frozen=True)
class Shipped:
    """A store with the shipped facts, what was said when they came, and the results of judging all of them at once."""

    versions: Versions
    report: Report
    results: set[Result]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    versions = Versions.create(tmp_path_factory.mktemp("shipped") / "home", bare=False)
    outcome = ensure_content(versions, CONTENT)
    assert outcome is not None
    with versions.reading() as (_, store):
        return Shipped(versions, outcome.report, from_scratch(store, set()))


def test_shipped_content_gets_the_verdict_of_validating_all_of_it_at_once(shipped: Shipped) -> None:
    """In the view in which the prevailing source speaks. What a source says in its own light adds no violation."""
    assert {severity for *_, severity in shipped.results} <= {"warning"}
    assert shipped.results <= told(shipped.report.findings)
    assert shipped.report.conforms


def test_change_to_the_shipped_facts_gets_the_results_of_validating_everything(shipped: Shipped) -> None:
    changed, everything = judge(
        shipped.versions, lambda draft: draft.set_graph(USER, document(WRONG, "user").quads()), {USER.value}
    )
    assert changed <= everything
    assert everything - shipped.results <= changed
    assert len([r for r in changed if r[-1] == "violation"]) >= 8


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


@pytest.mark.long
def test_single_changes_to_the_shipped_facts_give_what_making_them_all_gives(shipped: Shipped) -> None:
    """Types, labels, days and links go, and others come. Each is judged alone, and none concerns a node that another
    does. So the results of all facts, with all changes made, are those of each change and, on the nodes that none
    concerns, those from before."""
    reach = screen(tuple(CONTENT.shapes)).reach
    made: Change = ([], [])
    concerned: set[str] = set()
    found: set[Result] = set()
    with shipped.versions.writing() as draft:
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
    assert len(after - shipped.results) >= MADE // 2
    assert after == found | {result for result in shipped.results if result[0] not in concerned}
