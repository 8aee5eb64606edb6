"""Validate what changed with pySHACL, each source in its own light.

Sources may disagree, a source may not contradict itself. So the facts of a source are judged in the view that takes
its own word for every functional property it states, and the prevailing word of the other sources for the rest.
Sources that do not contradict each other share a view, which keeps the number of pySHACL runs small.

Nodes that surely conform are screened out first (see `kg.screening`). Of the rest pySHACL sees a plain rdflib graph
with all that the shapes look at from there (see `kg.reach`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from functools import lru_cache, partial
from itertools import chain, islice, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.locating import locate
from kg.parsing import Document
from kg.quads import DERIVED, TOP, is_stated
from kg.reach import Edge, Reach
from kg.report import Contradiction, Finding, Report
from kg.screening import screen
from kg.terms import DERIVED_GRAPHS, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE
from kg.verdicts import Term
from kg.view import View

if TYPE_CHECKING:
    import rdflib

    from kg.draft import Draft

_SH = PREFIXES["sh"]
_TYPE = ox.NamedNode(RDF_TYPE)
_NAMED_GRAPH = ox.NamedNode("http://www.w3.org/ns/sparql-service-description#NamedGraph")
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
#: Nodes between two words on progress.
_STRIDE = 500
#: Nodes that pySHACL is shown at once; each has all that it needs around it.
_AT_ONCE = 10_000
#: Nodes whose description is remembered.
_REMEMBERED = 20_000
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
    affected = _affected(draft, view, screened.reach) | dict.fromkeys(swayed)
    changed = draft.changed_graphs - DERIVED_GRAPHS
    done = 0
    for graphs, nodes in _batches(view, changed, affected):
        scene, unnamed = _Scene(view, graphs), _without_document(view, graphs)
        flagged: set[Term] = set()
        for node in nodes:
            if done % _STRIDE == 0:
                progress("validating", done, len(affected))
            done += 1
            if not screened.passes(scene, node, scene.properties(node)):
                flagged.add(node)
        judged = iter([*flagged, *unnamed])
        while some := set(islice(judged, _AT_ONCE)):
            data = _data_graph(scene, some - unnamed, screened.reach)
            for graph in some & unnamed:
                data.add((_term(graph), _term(_TYPE), _term(_NAMED_GRAPH)))
            shapes_graph = _shapes_graph(tuple(shapes))
            results = _run(data, shapes_graph)
            findings.update(dict.fromkeys(_findings(results, shapes_graph, some)))
    ordered = sorted(findings, key=lambda f: (f.focus, f.path, f.message, f.value, f.constraint, f.shape, f.severity))
    return Report(locate(ordered, view, changed, documents), _contradictions(view, draft, affected))


class _Scene:
    """The facts as the sources of one batch see them."""

    def __init__(self, view: View, own: set[str]) -> None:
        self.view = view
        # Memories of functions, not of methods: those would keep the scene, and with it the store, open.
        self._describe = lru_cache(_REMEMBERED)(partial(_described, view, own))
        above = lru_cache(_REMEMBERED)(lambda kinds: frozenset(_superclasses(view, kinds)))
        self._classes = lru_cache(10 * _REMEMBERED)(lambda node: above(tuple(_kinds(view, node))))

    def properties(self, node: Term) -> Iterable[str]:
        return self._describe(node)

    def values(self, node: Term, predicate: str) -> list[Term]:
        return list(self._describe(node).get(predicate, ()))

    def subjects(self, predicate: str, node: Term) -> list[Term]:
        pointing = {q.subject for q in self.view.merged(None, predicate, node)}
        return [subject for subject in pointing if node in self.values(subject, predicate)]

    def classes(self, node: Term) -> frozenset[str]:
        return self._classes(node)

    def edges(self, node: Term, predicate: str | None, *, inverse: bool) -> list[str]:
        """The predicate alone, or if it is None those that lead from (or, inverse, to) the node."""
        if predicate is not None:
            return [predicate]
        pointing = (q.predicate.value for q in self.view.merged(None, None, node)) if inverse else self.properties(node)
        return list(dict.fromkeys(pointing))


def _described(view: View, own: set[str], node: Term) -> dict[str, dict[Term, None]]:
    found: dict[str, dict[Term, None]] = {}
    for quad in view.description(node, own) if isinstance(node, ox.NamedNode) else ():
        found.setdefault(quad.predicate.value, {})[quad.object] = None
    return found


def _kinds(view: View, node: Term) -> Iterator[ox.NamedNode]:
    """The classes that a node is said to be of, without looking at all that is said of it."""
    if isinstance(node, ox.NamedNode):
        for quad in view.facts.quads_for_pattern(node, _TYPE, None, None):
            if is_stated(quad) and isinstance(quad.object, ox.NamedNode):
                yield quad.object


def _superclasses(view: View, kinds: Iterable[ox.NamedNode]) -> Iterator[str]:
    """The classes and all above them."""
    seen, queue = set[ox.NamedNode](), list(kinds)
    while queue:
        kind = queue.pop()
        if kind not in seen:
            seen.add(kind)
            queue += [q.object for q in view.merged(kind, _SUBCLASS, None) if isinstance(q.object, ox.NamedNode)]
            yield kind.value


def _affected(draft: Draft, view: View, reach: Reach) -> dict[Term, None]:
    """Nodes whose verdict the changes can turn: the subjects of changed triples, and whoever looks at those triples.

    They are in the order of the changes: what stands near in a file is looked at together.
    """
    ground = _Ground(draft.store, view.functional)
    nodes: dict[Term, None] = {}
    for quad in chain(draft.removed, draft.additions()):
        if quad.graph_name in DERIVED:
            continue
        nodes[quad.subject] = None
        nodes.update(dict.fromkeys(reach.concerned(quad, ground)))
        if reach.everywhere:
            nodes[quad.object] = None
    if reach.everywhere:
        nodes.update((q.subject, None) for q in view.merged(None, None, None))
    return nodes


class _Ground:
    """The facts that a draft has on disk. What changes speaks for itself, so it is enough to look from there at what
    was there before."""

    def __init__(self, store: ox.Store, functional: Set[str]) -> None:
        self._store, self._functional = store, functional
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
        return (q.object for q in self._store.quads_for_pattern(node, name, None, TOP))

    def changes(self, quad: ox.Quad) -> bool:
        if quad.predicate.value in self._functional:  # who says it counts
            return True
        holders = self._store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)
        return not any(h.graph_name != quad.graph_name and is_stated(h) for h in holders)

    def _pointing(self, node: Term) -> dict[str, list[Term]]:
        """Whatever points to a node, by predicate; kept for the last node asked for, of which many edges are asked."""
        if self._incoming[0] != node:
            found: dict[str, list[Term]] = defaultdict(list)
            for quad in self._store.quads_for_pattern(None, None, node, TOP):
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
    batches: list[tuple[set[str], dict[tuple[str, str], frozenset[Any]]]] = [(changed - stated.keys(), {})]
    for graph in sorted(stated):
        for graphs, said in batches:
            if all(said.get(key, value) == value for key, value in stated[graph].items()):
                graphs.add(graph)
                said.update(stated[graph])
                break
        else:
            batches.append(({graph}, dict(stated[graph])))
    first, *others = (graphs for graphs, _ in batches)
    later = [(graphs, {n: None for g in graphs for n in _subjects(view, g) if n in affected}) for graphs in others]
    apart = {n for _, nodes in later for n in nodes if not _sources(view, n) & first}
    yield first, [n for n in affected if n not in apart] if apart else affected
    yield from later


def _subjects(view: View, graph: str) -> Iterator[Term]:
    return (q.subject for q in view.facts.quads_for_pattern(None, None, None, ox.NamedNode(graph)))


def _sources(view: View, node: Term) -> set[str]:
    quads = view.quads(node) if isinstance(node, ox.NamedNode) else ()
    return {getattr(q.graph_name, "value", "") for q in quads}


def _data_graph(scene: _Scene, focus: set[Term], reach: Reach) -> rdflib.Graph:
    """The focus nodes and all that the shapes look at from there, as pySHACL takes it."""
    import rdflib

    graph = rdflib.Graph(bind_namespaces="none")

    def follow(node: Term, edge: Edge) -> Iterator[Term]:
        predicate, inverse = edge
        for name in scene.edges(node, predicate, inverse=inverse):
            for end in scene.subjects(name, node) if inverse else scene.values(node, name):
                subject, object = (end, node) if inverse else (node, end)
                graph.add((_term(subject), rdflib.URIRef(name), _term(object)))
                yield end

    for node in focus:
        for _ in follow(node, (None, False)):
            pass
        reach.visit(node, follow)
    return graph


def _without_document(view: View, graphs: set[str]) -> set[ox.NamedNode]:
    """Graphs of facts that do not say which document they are: the shapes see them as graphs."""
    kind, document = ox.NamedNode(RDF_TYPE), ox.NamedNode(PREFIXES["foaf"] + "Document")
    find = view.facts.quads_for_pattern
    names = {ox.NamedNode(g) for g in graphs if g and not g.startswith(ONTOLOGY_GRAPH)}
    return {n for n in names if not any(find(n, kind, document, n)) and any(find(None, None, None, n))}


def _term(term: Any) -> Any:
    import rdflib

    if isinstance(term, ox.NamedNode):
        return rdflib.URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return rdflib.BNode(term.value)
    literal = _literal()
    if term.language:
        return literal(term.value, lang=term.language)
    string = PREFIXES["xsd"] + "string"
    datatype = None if term.datatype.value == string else rdflib.URIRef(term.datatype.value)
    return literal(term.value, datatype=datatype, normalize=False)


@lru_cache(maxsize=1)
def _literal() -> type[rdflib.Literal]:
    """Literals of which none is less than the other if they cannot be compared, as SHACL says.

    rdflib raises TypeError there (31 June, a month and an earlier one), and pySHACL lets that through.
    """
    import rdflib

    class Literal(rdflib.Literal):
        def __lt__(self, other: Any) -> bool:
            return super().__lt__(other) is True

        def __le__(self, other: Any) -> bool:
            try:
                return self < other or self.eq(other)
            except TypeError:
                return False

    return Literal


@lru_cache(maxsize=4)
def _shapes_graph(files: tuple[Path, ...]) -> rdflib.Graph:
    import rdflib

    # An ill-formed literal is a finding of the shapes; rdflib would print a traceback beside it.
    logging.getLogger("rdflib.term").setLevel(logging.CRITICAL)
    graph = rdflib.Graph(bind_namespaces="none")
    for file in files:
        graph.parse(file, format="turtle")
    return graph


def _run(data: rdflib.Graph, shapes: rdflib.Graph) -> rdflib.Graph:
    # Not with pySHACL's focus_nodes: 0.40 applies that filter to nested shapes too, so that sh:not, sh:or and
    # sh:qualifiedValueShape pass or fail wrongly. Results of nodes that are only neighbours are passed over afterwards.
    import pyshacl
    import rdflib

    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True, do_owl_imports=False, allow_warnings=True)
    if not isinstance(results, rdflib.Graph):
        raise RuntimeError(f"pySHACL gave no report: {results}")
    return results


def _findings(results: rdflib.Graph, shapes: rdflib.Graph, focus: Set[Term]) -> Iterator[Finding]:
    """The results of the nodes in focus, in any order."""
    import rdflib

    sh = rdflib.Namespace(_SH)
    wanted = {_term(node) for node in focus}

    def text(node: Any, predicate: Any) -> str:
        value = results.value(node, predicate)
        return "" if value is None else str(value)

    def _owner(shape: Any) -> str:
        """The shape itself, or the node shape that an anonymous property shape stands in."""
        while isinstance(shape, rdflib.BNode) and (outer := shapes.value(None, sh.property, shape)) is not None:
            shape = outer
        return "" if shape is None else str(shape)

    for node in results.objects(None, sh.result):
        if results.value(node, sh.focusNode) not in wanted:
            continue
        value, path = results.value(node, sh.value), results.value(node, sh.resultPath)
        inverse = results.value(path, sh.inversePath) if isinstance(path, rdflib.BNode) else None
        yield Finding(
            severity=_SEVERITY.get(text(node, sh.resultSeverity).removeprefix(_SH), "violation"),
            focus=text(node, sh.focusNode),
            path=f"^{inverse}" if inverse is not None else "" if path is None else str(path),
            value="" if value is None else _written(value),
            message=text(node, sh.resultMessage),
            constraint=text(node, sh.sourceConstraintComponent).removeprefix(_SH),
            shape=_owner(results.value(node, sh.sourceShape)),
        )


def _written(term: Any) -> str:
    """A term of rdflib in N-Triples, on one line; its own n3() breaks a literal with line breaks into several."""
    import rdflib

    if not isinstance(term, rdflib.Literal):
        return str(term.n3())
    if term.language:
        return str(ox.Literal(str(term), language=term.language))
    return str(ox.Literal(str(term), datatype=None if term.datatype is None else ox.NamedNode(term.datatype)))


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
