"""Validate what changed with pySHACL, each source in its own light.

Sources may disagree, a source may not contradict itself. So the facts of a source are judged in the view that takes
its own word for every functional property it states, and the prevailing word of the other sources for the rest.
Sources that do not contradict each other share a view, which keeps the number of pySHACL runs small.

Nodes that surely conform are screened out first (see `kg.screening`). Of the rest pySHACL sees a plain rdflib graph
with all that the shapes look at from there (see `kg.reach`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from functools import cached_property
from itertools import chain, islice, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.locating import locate
from kg.parsing import Document
from kg.quads import DERIVED, TOP, is_stated, matching
from kg.reach import Edge, Reach
from kg.report import Contradiction, Finding, Report
from kg.scene import Scene, data_graph
from kg.screening import screen
from kg.shacl import as_rdflib, judge, read_shapes
from kg.terms import DERIVED_GRAPHS, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE
from kg.verdicts import Term
from kg.view import View

if TYPE_CHECKING:
    from kg.draft import Draft

_SH = PREFIXES["sh"]
_TYPE = ox.NamedNode(RDF_TYPE)
_NAMED_GRAPH = ox.NamedNode("http://www.w3.org/ns/sparql-service-description#NamedGraph")
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
#: Nodes between two words on progress.
_STRIDE = 500
#: Nodes that pySHACL is shown at once; each has all that it needs around it.
_AT_ONCE = 10_000
_SEVERITY = {"Violation": "violation", "Warning": "warning", "Info": "info"}


def validate(
    draft: Draft,
    shapes: list[Path],
    documents: Iterable[Document] = (),
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    *,
    view: View | None = None,
    swayed: Set[Term] = frozenset(),
) -> Report:
    """Judge the changes of a draft. `documents` are the files they came from, for file and line in the report; `view`
    is one of the draft, if there is one; `swayed` are nodes of which nothing new is said, but another source may
    prevail.

    Every result of pySHACL over the whole graph is either in the report or on a node that the changes do not concern.
    """
    view, screened = view or View(draft.facts), screen(tuple(shapes))
    findings: dict[Finding, None] = {}
    affected = _affected(draft, view, screened.reach, swayed)
    changed = draft.changed_graphs - DERIVED_GRAPHS
    done = 0
    for graphs, nodes in _batches(view, changed, affected):
        scene, unnamed = Scene(view, graphs), _without_document(view, graphs)
        flagged = set[Term](unnamed)  # with all that is said of them, lest the part that others look at breaks a shape
        for node in nodes:
            if done % _STRIDE == 0:
                progress("validating", done, len(affected))
            done += 1
            if not screened.passes(scene, node, scene.properties(node)):
                flagged.add(node)
        judged = iter(flagged)
        while some := set(islice(judged, _AT_ONCE)):
            data = data_graph(scene, affected.keys() if screened.reach.everywhere else some, screened.reach)
            for graph in some & unnamed:
                data.add((as_rdflib(graph), as_rdflib(_TYPE), as_rdflib(_NAMED_GRAPH)))
            findings.update(dict.fromkeys(judge(data, read_shapes(tuple(shapes)), some)))
    ordered = sorted(findings, key=lambda f: (f.focus, f.path, f.message, f.value, f.constraint, f.shape, f.severity))
    return Report(locate(ordered, view, changed, documents), _contradictions(view, draft, affected))


def _affected(draft: Draft, view: View, reach: Reach, swayed: Set[Term]) -> dict[Term, None]:
    """Nodes whose verdict the changes can turn: the subjects of changed triples, and whoever looks at those triples.

    They are in the order of the changes: what stands near in a file is looked at together.
    """
    ground = _Ground(draft, view.functional, swayed)
    changes = _changes(draft, view)
    if reach.everywhere:
        ends = ((q.subject, q.object) for q in chain(changes, view.merged(None, None, None)))
        return dict.fromkeys(chain(reach.named, chain.from_iterable(ends)))
    nodes: dict[Term, None] = dict.fromkeys(swayed)
    for quad in chain(changes, *(view.quads(node) for node in swayed if isinstance(node, ox.NamedNode))):
        nodes[quad.subject] = None
        for concerned in reach.concerned(quad, ground):
            nodes[concerned] = None
    return nodes


def _changes(draft: Draft, view: View) -> Iterator[ox.Quad]:
    """What sources say no more and say now; and of properties that have one value, the others that are given: one of
    them may count from now on, or count no more."""
    for quad in draft.removed:
        if quad.graph_name not in DERIVED:
            yield quad
            yield from _rivals(view, quad)
    for quad in draft.additions():
        if quad.graph_name not in DERIVED:
            yield quad
            if quad.predicate.value in view.functional and view.disputed(quad.subject):  # type: ignore[arg-type]
                yield from _rivals(view, quad)


def _rivals(view: View, quad: ox.Quad) -> Iterator[ox.Quad]:
    if quad.predicate.value in view.functional and isinstance(quad.subject, ox.NamedNode):
        yield from (q for q in view.quads(quad.subject) if q.predicate == quad.predicate and q.object != quad.object)


class _Ground:
    """The facts that a draft has on disk. What changes speaks for itself, so it is enough to look from there at what
    was there before."""

    def __init__(self, draft: Draft, functional: Set[str], swayed: Set[Term]) -> None:
        self._store, self._functional, self._swayed = draft.store, functional, swayed
        self._added, self._removed, self._fresh = draft.added, draft.removed, draft.fresh
        self._gone = {q.triple for q in draft.removed if is_stated(q)}
        self._incoming: tuple[Term | None, dict[str, list[Term]]] = (None, {})

    def knows(self, node: Term) -> bool:
        if self._pointing(node):
            return True
        return isinstance(node, ox.NamedNode) and any(self._store.quads_for_pattern(node, None, None, TOP))

    def follow(self, node: Term, edge: Edge) -> Iterable[Term]:
        predicate, inverse = edge
        if inverse:
            pointing = self._pointing(node)
            return chain(*pointing.values()) if predicate is None else pointing.get(predicate, ())
        if not isinstance(node, ox.NamedNode):
            return ()
        name = None if predicate is None else ox.NamedNode(predicate)
        return (q.object for q in self._store.quads_for_pattern(node, name, None, None) if is_stated(q))

    def has(self, least: int, node: Term, predicate: str) -> bool:
        name = ox.NamedNode(predicate)
        pointing = (q.subject for q in matching(self._store, None, name, node, TOP))
        return len(list(islice((s for s in pointing if self._always_says(s, name, node)), least))) == least

    def _always_says(self, subject: Term, name: ox.NamedNode, value: Term) -> bool:
        """Whether that is the one value that sources give, and the change says nothing of the subject."""
        if subject in self._touched or any(self._fresh.quads_for_pattern(subject, None, None, None)):  # type: ignore[arg-type]
            return False
        found = self._store.quads_for_pattern(subject, name, None, None)  # type: ignore[arg-type]
        return {q.object for q in found if is_stated(q)} == {value}

    @cached_property
    def _touched(self) -> set[Term]:
        return {*self._swayed, *(q.subject for q in chain(self._added, self._removed))}

    def changes(self, quad: ox.Quad) -> bool:
        if quad.predicate.value in self._functional or quad.subject in self._swayed:  # who says it counts
            return True
        found = matching(self._store, quad.subject, quad.predicate, quad.object, None)
        holders = filter(is_stated, found)
        if quad in self._removed:
            return not any(True for _ in holders)
        return quad.triple not in self._gone and all(h in self._added for h in holders)

    def _pointing(self, node: Term) -> dict[str, list[Term]]:
        """Whatever points to a node, by predicate; kept for the last node asked for, of which many edges are asked."""
        if self._incoming[0] != node:
            found: dict[str, list[Term]] = defaultdict(list)
            for quad in matching(self._store, None, None, node, None):
                if is_stated(quad):
                    found[quad.predicate.value].append(quad.subject)
            self._incoming = (node, found)
        return self._incoming[1]


def _batches(view: View, changed: set[str], affected: dict[Term, None]) -> Iterator[tuple[set[str], Collection[Term]]]:
    """Share the changed sources out so that those in one batch agree on every functional property.

    Affected nodes that no changed source describes are judged in the first batch, in the prevailing view.
    """
    stated: dict[str, dict[tuple[str, str], frozenset[Any]]] = defaultdict(dict)
    for node in affected:
        disputed = view.disputed(node) if isinstance(node, ox.NamedNode) else {}
        for predicate, sources in disputed.items():
            for graph in sources.keys() & changed:
                stated[graph][str(node), predicate.value] = frozenset(sources[graph])
    first = changed - stated.keys()  # their own word is the prevailing one, so it does for all that no other batch has
    batches: list[tuple[set[str], dict[tuple[str, str], frozenset[Any]]]] = []
    for graph in sorted(stated):
        for graphs, said in batches:
            if all(said.get(key, value) == value for key, value in stated[graph].items()):
                graphs.add(graph)
                said.update(stated[graph])
                break
        else:
            batches.append(({graph}, dict(stated[graph])))
    later = [(graphs, {n: None for g in graphs for n in _subjects(view, g) if n in affected}) for graphs, _ in batches]
    apart = {n for _, nodes in later for n in nodes if not _sources(view, n) & first}
    yield first, [n for n in affected if n not in apart] if apart else affected
    yield from later


def _subjects(view: View, graph: str) -> Iterator[Term]:
    return (q.subject for q in view.facts.quads_for_pattern(None, None, None, ox.NamedNode(graph)))


def _sources(view: View, node: Term) -> set[str]:
    quads = view.quads(node) if isinstance(node, ox.NamedNode) else ()
    return {getattr(q.graph_name, "value", "") for q in quads}


def _without_document(view: View, graphs: set[str]) -> set[ox.NamedNode]:
    """Graphs of facts that do not say which document they are: the shapes see them as graphs."""
    kind, document = ox.NamedNode(RDF_TYPE), ox.NamedNode(PREFIXES["foaf"] + "Document")
    find = view.facts.quads_for_pattern
    names = {ox.NamedNode(g) for g in graphs if g and not g.startswith(ONTOLOGY_GRAPH)}
    return {n for n in names if not any(find(n, kind, document, n)) and any(find(None, None, None, n))}


def _contradictions(view: View, draft: Draft, affected: Iterable[Term]) -> list[Contradiction]:
    """Where a changed source gives another value for a functional property than some other source."""
    found: dict[Contradiction, None] = {}
    changed = draft.changed_graphs
    for subject in affected:
        if not isinstance(subject, ox.NamedNode):
            continue
        for predicate in view.disputed(subject):
            quads = [q for q in view.quads(subject) if q.predicate == predicate]
            if not any(draft.adds(q) for q in quads):
                continue
            for a, b in permutations(quads, 2):
                one, other = a.graph_name.value, b.graph_name.value  # type: ignore[union-attr]
                if a.object == b.object or one == other or one not in changed or (other in changed and other < one):
                    continue
                prevails = view.prevailing((one, other))
                found[
                    Contradiction(subject.value, predicate.value, str(a.object), one, str(b.object), other, prevails)
                ] = None
    return sorted(found, key=lambda c: (c.subject, c.property, c.value, c.other_value, c.source, c.other_source))
