"""The facts of a store as its sources state them: who says what of a node, and whose word prevails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import pyoxigraph as ox

from kg.terms import DERIVED_GRAPHS, OVERRULED_GRAPH, PREFIXES

if TYPE_CHECKING:
    from kg.store import Draft

_OVERRULED = ox.NamedNode(OVERRULED_GRAPH)
#: What the rank of a source depends on.
_RANKING = {PREFIXES["dcterms"] + "issued", PREFIXES["dcterms"] + "type"}
_PRECEDENCE = PREFIXES["trade"] + "precedence"
_FUNCTIONAL = ox.NamedNode(PREFIXES["owl"] + "FunctionalProperty")
_COARSE = {PREFIXES["xsd"] + "gYear", PREFIXES["xsd"] + "gYearMonth"}
_RANK = """
SELECT ?source ?precedence ?issued {
    ?source dcterms:issued ?issued ; dcterms:type ?kind . ?kind trade:precedence ?precedence
}"""


@dataclass
class View:
    """The facts of a store by subject, read once, and the rank of their sources."""

    store: ox.Store
    functional: set[str] = field(init=False)
    ranks: dict[str, tuple[int, str]] = field(init=False)
    _quads: dict[ox.NamedNode, list[ox.Quad]] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        rows = self.store.query("SELECT ?p { ?p a owl:FunctionalProperty }", prefixes=PREFIXES)
        self.functional = {row["p"].value for row in rows}  # type: ignore[union-attr]
        self.ranks = {}
        for row in self.store.query(_RANK, prefixes=PREFIXES):  # type: ignore[union-attr]
            rank = (int(row["precedence"].value), row["issued"].value)
            self.ranks[row["source"].value] = max(rank, self.ranks.get(row["source"].value, rank))

    def quads(self, subject: ox.NamedNode) -> list[ox.Quad]:
        """What the sources assert of a node: neither what Parley derived nor the merged copy."""
        if subject not in self._quads:
            self._quads[subject] = [
                quad
                for quad in self.store.quads_for_pattern(subject, None, None, None)
                if isinstance(quad.graph_name, ox.NamedNode) and quad.graph_name.value not in DERIVED_GRAPHS
            ]
        return self._quads[subject]

    def prevailing(self, graphs: Iterable[str]) -> str:
        """The source that counts among several: by kind, then the later one, then by name."""
        return max(graphs, key=lambda g: (*self.ranks.get(g, (0, "")), g))

    def description(self, subject: ox.NamedNode, own: set[str]) -> Iterator[ox.Quad]:
        """The node as the sources `own` see it: their values where they give one, else the prevailing ones."""
        by_property: dict[str, dict[str, list[ox.Quad]]] = defaultdict(lambda: defaultdict(list))
        for quad in self.quads(subject):
            by_property[quad.predicate.value][quad.graph_name.value].append(quad)  # type: ignore[union-attr]
        for predicate, stated in by_property.items():
            graphs: Iterable[str] = stated
            if predicate in self.functional:
                graphs = own & stated.keys() or {self.prevailing(stated)}
            for graph in graphs:
                yield from stated[graph]

    def overruled(self, subject: ox.NamedNode) -> Iterator[ox.Quad]:
        """The values of a node that a source gives and a prevailing one contradicts, as quads of their own graph.

        Of a month and a day in that month, which both may be right, the month gives way.
        """
        values: dict[ox.NamedNode, dict[str, set[ox.NamedNode | ox.Literal]]] = defaultdict(lambda: defaultdict(set))
        for quad in self.quads(subject):
            if quad.predicate.value in self.functional:
                values[quad.predicate][quad.graph_name.value].add(quad.object)  # type: ignore[union-attr, arg-type]
        for predicate, stated in values.items():
            given = set().union(*stated.values())
            if len(given) == 1:
                continue
            coarse = {v for v in given if any(_within(other, v) for other in given)}
            exact = {graph: said - coarse for graph, said in stated.items() if said - coarse}
            for value in given - exact[self.prevailing(exact)]:
                yield ox.Quad(subject, predicate, value, _OVERRULED)


def overrule(draft: Draft) -> None:
    """Bring the graph of overruled values up to date: what a query leaves out to hear the prevailing source alone.

    The cost follows the change, unless the change is one to the rank of sources or to what has one value only.
    """
    view = View(draft.store)
    subjects, ranking = set(), []
    for quad in chain(draft.additions(), draft.removed):
        predicate = quad.predicate.value
        if predicate in view.functional:
            subjects.add(quad.subject)
        if predicate in _RANKING or predicate == _PRECEDENCE or quad.object == _FUNCTIONAL:
            ranking.append(quad)
    for graph in _reranked(view, ranking):
        subjects |= {q.subject for q in draft.facts.quads_for_pattern(None, None, None, graph)}
    present: set[ox.Quad] = set()
    wanted: set[ox.Quad] = set()
    for subject in subjects:
        if isinstance(subject, ox.NamedNode):
            present.update(draft.facts.quads_for_pattern(subject, None, None, _OVERRULED))
            wanted.update(view.overruled(subject))
    draft.remove(present - wanted)
    draft.add(wanted - present)


def _reranked(view: View, changed: Sequence[ox.Quad]) -> set[ox.NamedNode]:
    """The graphs of the sources whose rank a change may have turned; all if it is to a kind or to the ontology."""
    touched = {q.subject for q in changed if q.predicate.value in _RANKING}
    if any(q.predicate.value == _PRECEDENCE or q.object == _FUNCTIONAL for q in changed):
        return {g for g in view.store.named_graphs() if isinstance(g, ox.NamedNode)}
    return {s for s in touched if isinstance(s, ox.NamedNode)}


def _within(day: ox.NamedNode | ox.Literal, month: ox.NamedNode | ox.Literal) -> bool:
    """Whether a literal gives a day (or month) within the month (or year) that the other gives."""
    if not (isinstance(day, ox.Literal) and isinstance(month, ox.Literal)):
        return False
    return month.datatype.value in _COARSE and day.value.startswith(month.value + "-")
