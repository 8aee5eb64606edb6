"""The facts of a store as its sources state them: who says what of a node, and whose word prevails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.quads import NOT_STATED, TOP, Facts, matching
from kg.terms import OVERRULED_GRAPH, PREFIXES, RDF_TYPE

if TYPE_CHECKING:
    from kg.draft import Draft

_OVERRULED = ox.NamedNode(OVERRULED_GRAPH)
_ISSUED, _KIND = PREFIXES["dcterms"] + "issued", PREFIXES["dcterms"] + "type"
_PRECEDENCE = PREFIXES["trade"] + "precedence"
#: What the rank of a source depends on.
_RANKING = {_ISSUED, _KIND}
_FUNCTIONAL = ox.NamedNode(PREFIXES["owl"] + "FunctionalProperty")
_COARSE = {PREFIXES["xsd"] + "gYear", PREFIXES["xsd"] + "gYearMonth"}
#: Nodes whose facts are remembered.
_REMEMBERED = 20_000


class View:
    """The facts of a store by subject, and the rank of their sources. Nothing is read before it is asked for."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        functional = self.merged(None, RDF_TYPE, _FUNCTIONAL)
        self.functional = {q.subject.value for q in functional if isinstance(q.subject, ox.NamedNode)}
        self._ranks: dict[str, tuple[int, str]] = {}
        #: What the sources assert of a node: neither what Parley derived nor the merged copy.
        self.quads = lru_cache(_REMEMBERED)(partial(_stated, facts))
        #: Nodes that were looked at and found undisputed.
        self._agreed: set[ox.NamedNode] = set()
        #: Tells of many a node without a look at it that it is undisputed.
        self.surely_agreed: Callable[[ox.NamedNode], bool] = lambda node: False

    def merged(self, subject: Any, predicate: str | None, object: Any) -> Iterator[ox.Quad]:
        """The matches in the default graph, which holds what any source says."""
        name = None if predicate is None else ox.NamedNode(predicate)
        return matching(self.facts, subject, name, object, TOP)

    def rank(self, source: str) -> tuple[int, str]:
        """What counts among sources: the precedence of its kind, then the day of issue; (0, "") if unknown."""
        if source not in self._ranks:
            node = ox.NamedNode(source)
            issued = [getattr(q.object, "value", "") for q in self.merged(node, _ISSUED, None)]
            precedences = [
                int(getattr(p.object, "value", 0))
                for kind in self.merged(node, _KIND, None)
                for p in self.merged(kind.object, _PRECEDENCE, None)
            ]
            self._ranks[source] = (max(precedences), max(issued)) if issued and precedences else (0, "")
        return self._ranks[source]

    def prevailing(self, graphs: Iterable[str]) -> str:
        """The source that counts among several: by kind, then the later one, then by name."""
        return max(graphs, key=lambda g: (*self.rank(g), g))

    def description(self, subject: ox.NamedNode, own: set[str]) -> Iterator[ox.Quad]:
        """The node as the sources `own` see it: their values where they give one, else the prevailing ones. Where
        they contradict each other, so that the node is none that they share, the prevailing one of them is heard."""
        quads = self.quads(subject)
        if len({q.graph_name for q in quads}) < 2:
            yield from quads
            return
        by_property: dict[str, dict[str, list[ox.Quad]]] = defaultdict(lambda: defaultdict(list))
        for quad in quads:
            by_property[quad.predicate.value][quad.graph_name.value].append(quad)  # type: ignore[union-attr]
        for predicate, stated in by_property.items():
            graphs: Iterable[str] = stated
            if predicate in self.functional:
                graphs = {self.prevailing(own & stated.keys() or stated)}
            for graph in graphs:
                yield from stated[graph]

    def disputed(self, subject: ox.NamedNode) -> dict[ox.NamedNode, dict[str, set[Any]]]:
        """The functional properties of which a node is given different values: property to source to values."""
        if subject in self._agreed or self.surely_agreed(subject):
            return {}
        quads = self.quads(subject)
        found: dict[ox.NamedNode, dict[str, set[Any]]] = {}
        if len({q.predicate for q in quads}) < len(quads):
            values: dict[ox.NamedNode, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
            for quad in quads:
                if quad.predicate.value in self.functional:
                    values[quad.predicate][quad.graph_name.value].add(quad.object)  # type: ignore[union-attr]
            found = {name: stated for name, stated in values.items() if len(set().union(*stated.values())) > 1}
        if not found:
            self._agreed.add(subject)
        return found

    def overruled(self, subject: ox.NamedNode) -> Iterator[ox.Quad]:
        """The values of a node that a source gives and a prevailing one contradicts, as quads of their own graph.

        Of a month and a day in that month, which both may be right, the month gives way.
        """
        for predicate, stated in self.disputed(subject).items():
            given = set().union(*stated.values())
            coarse = {v for v in given if any(_within(other, v) for other in given)}
            exact = {graph: said - coarse for graph, said in stated.items() if said - coarse}
            for value in given - exact[self.prevailing(exact)]:
                yield ox.Quad(subject, predicate, value, _OVERRULED)


def _stated(facts: Facts, subject: ox.NamedNode) -> list[ox.Quad]:
    # No method, since a memory of the view in the view would keep the store open; and not by `is_stated`, since a bulk
    # load comes here for each of its nodes.
    return [q for q in facts.quads_for_pattern(subject, None, None, None) if q.graph_name not in NOT_STATED]


def overrule(draft: Draft, view: View | None = None) -> set[ox.NamedNode]:
    """Bring the graph of overruled values up to date: what a query leaves out to hear the prevailing source alone.

    The cost follows the change, unless the change is one to the rank of sources or to what has one value only.
    `view` is one of the draft, if there is one.

    Returns the disputed nodes on which another source may prevail now, though nothing new is said of them.
    """
    view = view or View(draft.facts)
    subjects = _given(draft, view)
    view.surely_agreed = lambda node: draft.is_new(node) and node not in subjects
    ranked = {ox.NamedNode(name) for name in (*_RANKING, _PRECEDENCE, RDF_TYPE)}
    ranking = [
        q
        for q in chain(draft.removed, draft.additions(ranked))
        if q.predicate.value in _RANKING or q.predicate.value == _PRECEDENCE or q.object == _FUNCTIONAL
    ]
    anew = {
        q.subject
        for graph in _reranked(view, draft, ranking)
        for q in draft.store.quads_for_pattern(None, None, None, graph)
        if isinstance(q.subject, ox.NamedNode)
    }
    wanted = {q for s in subjects | anew if isinstance(s, ox.NamedNode) for q in view.overruled(s)}
    present = set(_present(draft.store, subjects | anew))
    draft.remove(present - wanted)
    draft.add(wanted - present)
    return {s for s in anew if view.disputed(s)} | anew & {q.subject for q in present}


def _given(draft: Draft, view: View) -> set[Any]:
    """The nodes that are given a functional property, or lose it, but for those that surely have one value of each."""
    changed = chain(draft.removed, draft.added)
    given = {q.subject for q in changed if q.predicate.value in view.functional}
    for name in view.functional:
        once = set[Any]()
        for quad in draft.fresh.quads_for_pattern(None, ox.NamedNode(name), None, None):
            if quad.subject in once or not draft.is_new(quad.subject):
                given.add(quad.subject)
            once.add(quad.subject)
    return given


def _present(store: ox.Store, subjects: set[Any]) -> Iterator[ox.Quad]:
    """What stands overruled of some nodes; of many, all of it is looked through once."""
    if len(subjects) > _REMEMBERED:
        yield from (q for q in store.quads_for_pattern(None, None, None, _OVERRULED) if q.subject in subjects)
    else:
        for subject in subjects:
            yield from store.quads_for_pattern(subject, None, None, _OVERRULED)


def _reranked(view: View, draft: Draft, ranking: Iterable[ox.Quad]) -> set[ox.NamedNode]:
    """The graphs on disk of the sources whose rank has changed; all if a kind or the ontology has."""
    if any(q.predicate.value == _PRECEDENCE or q.object == _FUNCTIONAL for q in ranking):
        return {g for g in draft.store.named_graphs() if isinstance(g, ox.NamedNode)}
    touched = {q.subject for q in ranking if q.predicate.value in _RANKING}
    return {s for s in touched if isinstance(s, ox.NamedNode)}


def _within(day: ox.NamedNode | ox.Literal, month: ox.NamedNode | ox.Literal) -> bool:
    """Whether a literal gives a day (or month) within the month (or year) that the other gives."""
    if not (isinstance(day, ox.Literal) and isinstance(month, ox.Literal)):
        return False
    return month.datatype.value in _COARSE and day.value.startswith(month.value + "-")
