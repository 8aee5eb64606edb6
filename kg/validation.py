"""Validate what changed with pySHACL, each source in its own light.

Sources may disagree, a source may not contradict itself. So the facts of a source are judged in the view that takes
its own word for every functional property it states, and the prevailing word of the other sources for the rest.
Sources that do not contradict each other share a view, which keeps the number of pySHACL runs small.

Nodes that surely conform are screened out first (see `kg.screening`). Of the rest pySHACL sees a plain rdflib graph,
with the nodes they point to and those that point to them: the shapes use predicates and one-step inverse paths only.
"""

from __future__ import annotations

import difflib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.parsing import Document
from kg.report import Contradiction, Finding, Report
from kg.screening import screen
from kg.terms import DERIVED_GRAPHS, ID, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE, TRADE, compact
from kg.verdicts import Term
from kg.view import View

if TYPE_CHECKING:
    import rdflib

    from kg.store import Draft

_SH = PREFIXES["sh"]
_NAMED_GRAPH = ox.NamedNode("http://www.w3.org/ns/sparql-service-description#NamedGraph")
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
_NOTHING_FOUND = f"@prefix sh: <{_SH}> .\n\n[] a sh:ValidationReport ;\n    sh:conforms true .\n"
#: Nodes between two words on progress.
_STRIDE = 500
_SEVERITY = {"Violation": "violation", "Warning": "warning", "Info": "info"}


def validate(
    draft: Draft,
    shapes: list[Path],
    documents: Iterable[Document] = (),
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Report:
    """Judge the changes of a draft. `documents` are the files they came from, for file and line in the report."""
    view, screened = View(draft.store), screen(tuple(shapes))
    inverse = screened.inverse_paths
    findings: dict[Finding, None] = {}
    turtle: list[str] = []
    affected = _affected(draft, view, inverse)
    done = 0
    for graphs, nodes in _batches(view, draft.changed_graphs, affected):
        scene, unnamed = _Scene(view, graphs), _without_document(view, graphs)
        flagged = set()
        for node in nodes:
            if done % _STRIDE == 0:
                progress("validating", done, len(affected))
            done += 1
            if not screened.passes(scene, node, scene.properties(node)):
                flagged.add(node)
        if not flagged | unnamed:
            continue
        data = _data_graph(view, graphs, flagged, inverse)
        for graph in unnamed:
            data.add((_term(graph), _term(ox.NamedNode(RDF_TYPE)), _term(_NAMED_GRAPH)))
        shapes_graph = _shapes_graph(tuple(shapes))
        results = _run(data, shapes_graph)
        _drop_others(results, flagged | unnamed)
        turtle.append(results.serialize(format="turtle"))
        findings.update(dict.fromkeys(_findings(results, shapes_graph)))
    located = _Locator(view, draft.changed_graphs, list(documents)).locate(findings)
    return Report(located, _contradictions(view, draft), "\n".join(turtle) or _NOTHING_FOUND)


class _Scene:
    """The facts as the sources of one batch see them, for the screen."""

    def __init__(self, view: View, own: set[str]) -> None:
        self._view, self._own = view, own
        self._described: dict[Term, dict[str, list[Term]]] = {}
        self._superclasses: dict[str, set[str]] = {}

    def _describe(self, node: Term) -> dict[str, list[Term]]:
        if node not in self._described:
            found: dict[str, dict[Term, None]] = defaultdict(dict)
            for quad in self._view.description(node, self._own) if isinstance(node, ox.NamedNode) else ():
                found[quad.predicate.value][quad.object] = None
            self._described[node] = {predicate: list(values) for predicate, values in found.items()}
        return self._described[node]

    def properties(self, node: ox.NamedNode) -> Iterable[str]:
        return self._describe(node)

    def values(self, node: Term, predicate: str) -> list[Term]:
        return self._describe(node).get(predicate, [])

    def subjects(self, predicate: str, node: Term) -> list[Term]:
        pointing = {q.subject for q in _merged(self._view, None, predicate, node)}
        return [subject for subject in pointing if node in self.values(subject, predicate)]

    def superclasses(self, kind: str) -> set[str]:
        """The class and all above it."""
        if kind not in self._superclasses:
            found, queue = {kind}, [kind]
            while queue:
                for quad in _merged(self._view, ox.NamedNode(queue.pop()), _SUBCLASS, None):
                    if isinstance(quad.object, ox.NamedNode) and quad.object.value not in found:
                        found.add(quad.object.value)
                        queue.append(quad.object.value)
            self._superclasses[kind] = found
        return self._superclasses[kind]


def _affected(draft: Draft, view: View, inverse: set[str]) -> set[ox.NamedNode]:
    """Nodes whose verdict the changes can turn.

    These are the subjects of changed triples; what they point or pointed to by a property that a shape looks back
    along; and whatever points to a node that lost something, since it may rely on the type that is gone.
    """
    derived = {ox.NamedNode(iri) for iri in DERIVED_GRAPHS}
    changed = [q for q in draft.added | draft.removed if q.graph_name not in derived]
    nodes = {q.subject for q in changed} | {q.object for q in changed if q.predicate.value in inverse}
    for subject in {q.subject for q in changed}:
        for predicate in inverse:
            nodes.update(q.object for q in _merged(view, subject, predicate, None))
    for subject in {q.subject for q in changed if q in draft.removed}:
        nodes.update(q.subject for q in _merged(view, None, None, subject))
    return {node for node in nodes if isinstance(node, ox.NamedNode)}


def _merged(view: View, subject: Any, predicate: str | None, object: Any) -> Iterator[ox.Quad]:
    """The matches in the default graph, which holds what any source says."""
    name = None if predicate is None else ox.NamedNode(predicate)
    return view.store.quads_for_pattern(subject, name, object, ox.DefaultGraph())


def _batches(view: View, changed: set[str], affected: set[ox.NamedNode]) -> list[tuple[set[str], set[ox.NamedNode]]]:
    """Share the changed sources out so that those in one batch agree on every functional property.

    Affected nodes that no changed source describes are judged in the first batch, in the prevailing view.
    """
    by_graph: dict[str, set[ox.NamedNode]] = defaultdict(set)
    values: dict[str, dict[tuple[str, str], frozenset[str]]] = defaultdict(dict)
    collected: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    described = set()
    for node in affected:
        for quad in view.quads(node):
            graph = quad.graph_name.value  # type: ignore[union-attr]
            if graph in changed:
                described.add(node)
                by_graph[graph].add(node)
                if quad.predicate.value in view.functional:
                    collected[graph][node.value, quad.predicate.value].add(str(quad.object))
    for graph, stated in collected.items():
        values[graph] = {key: frozenset(v) for key, v in stated.items()}
    batches: list[tuple[set[str], set[ox.NamedNode], dict[tuple[str, str], frozenset[str]]]] = []
    for graph in sorted(by_graph):
        for graphs, nodes, said in batches:
            if all(said.get(key, value) == value for key, value in values[graph].items()):
                graphs.add(graph)
                nodes |= by_graph[graph]
                said.update(values[graph])
                break
        else:
            batches.append(({graph}, set(by_graph[graph]), dict(values[graph])))
    rest = affected - described
    if rest and batches:
        batches[0][1].update(rest)
    elif rest:
        batches.append((set(), rest, {}))
    return [(graphs, nodes) for graphs, nodes, _ in batches]


def _data_graph(view: View, own: set[str], focus: set[ox.NamedNode], inverse: set[str]) -> rdflib.Graph:
    """The focus nodes, what they point to, what points to them where a shape looks back, and the class hierarchy."""
    import rdflib

    nodes = set(focus)
    for node in focus:
        nodes.update(q.object for q in view.quads(node) if isinstance(q.object, ox.NamedNode))
        for predicate in inverse:
            pointing = _merged(view, None, predicate, node)
            nodes.update(q.subject for q in pointing if isinstance(q.subject, ox.NamedNode))
    quads = [quad for node in nodes for quad in view.description(node, own)]
    quads += _merged(view, None, _SUBCLASS, None)
    graph = rdflib.Graph(bind_namespaces="none")
    for quad in quads:
        graph.add((_term(quad.subject), _term(quad.predicate), _term(quad.object)))
    return graph


def _without_document(view: View, graphs: set[str]) -> set[ox.NamedNode]:
    """Graphs of facts that do not say which document they are: the shapes see them as graphs."""
    kind, document = ox.NamedNode(RDF_TYPE), ox.NamedNode(PREFIXES["foaf"] + "Document")
    names = {ox.NamedNode(g) for g in graphs if not g.startswith(ONTOLOGY_GRAPH)}
    return {
        name
        for name in names
        if ox.Quad(name, kind, document, name) not in view.store and view.store.contains_named_graph(name)
    }


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
    # sh:qualifiedValueShape pass or fail wrongly. Results of nodes that are only neighbours are dropped afterwards.
    import pyshacl
    import rdflib

    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True, do_owl_imports=False, allow_warnings=True)
    if not isinstance(results, rdflib.Graph):
        raise RuntimeError(f"pySHACL gave no report: {results}")
    return results


def _drop_others(results: rdflib.Graph, focus: set[ox.NamedNode]) -> None:
    """Take the results of nodes that are not in focus out of a report."""
    import rdflib

    sh = rdflib.Namespace(_SH)
    wanted = {rdflib.URIRef(node.value) for node in focus}
    report = next(results.subjects(rdflib.RDF.type, sh.ValidationReport))
    for result in list(results.objects(report, sh.result)):
        if results.value(result, sh.focusNode) not in wanted:
            results.remove((report, sh.result, result))
            results.remove((result, None, None))
    violations = list(results.subjects(sh.resultSeverity, sh.Violation))
    results.remove((report, sh.conforms, None))
    results.add((report, sh.conforms, rdflib.Literal(not violations)))


def _findings(results: rdflib.Graph, shapes: rdflib.Graph) -> Iterator[Finding]:
    import rdflib

    sh = rdflib.Namespace(_SH)

    def text(node: Any, predicate: Any) -> str:
        value = results.value(node, predicate)
        return "" if value is None else str(value)

    def _owner(shape: Any) -> str:
        """The shape itself, or the node shape that an anonymous property shape stands in."""
        while isinstance(shape, rdflib.BNode) and (outer := shapes.value(None, sh.property, shape)) is not None:
            shape = outer
        return "" if shape is None else str(shape)

    top = results.objects(None, sh.result)
    for node in sorted(top, key=lambda n: (text(n, sh.focusNode), text(n, sh.resultPath), text(n, sh.resultMessage))):
        value, path = results.value(node, sh.value), results.value(node, sh.resultPath)
        inverse = results.value(path, sh.inversePath) if isinstance(path, rdflib.BNode) else None
        yield Finding(
            severity=_SEVERITY.get(text(node, sh.resultSeverity).removeprefix(_SH), "violation"),
            focus=text(node, sh.focusNode),
            path=f"^{inverse}" if inverse is not None else "" if path is None else str(path),
            value="" if value is None else value.n3(),
            message=text(node, sh.resultMessage),
            constraint=text(node, sh.sourceConstraintComponent).removeprefix(_SH),
            shape=_owner(results.value(node, sh.sourceShape)),
        )


class _Locator:
    """Finds the source, the file and the line of a finding, and names what may have been meant."""

    def __init__(self, view: View, changed: set[str], documents: list[Document]) -> None:
        self._view, self._changed = view, changed
        self._documents = {d.graph: d for d in documents}
        self._lines: dict[str, dict[tuple[str, str, str], int]] = {}

    def locate(self, findings: Iterable[Finding]) -> list[Finding]:
        return [self._locate(f) for f in findings]

    def _locate(self, finding: Finding) -> Finding:
        if not finding.focus.startswith(("http://", "https://", "urn:")):
            return finding
        quads = list(self._view.quads(ox.NamedNode(finding.focus)))
        exact = [q for q in quads if q.predicate.value == finding.path and str(q.object) == finding.value]
        same = [q for q in quads if q.predicate.value == finding.path]
        typed = [q for q in quads if q.predicate.value == RDF_TYPE]
        for candidates in (exact, same, typed, quads):
            ours = [q for q in candidates if q.graph_name.value in self._changed]  # type: ignore[union-attr]
            for quad in ours:
                source = quad.graph_name.value  # type: ignore[union-attr]
                document = self._documents.get(source)
                line = self._line(source, quad) if document else None
                file = document.name if document else ""
                return replace(finding, source=source, file=file, line=line, hint=self._hint(finding))
        source = quads[0].graph_name.value if quads else finding.focus  # type: ignore[union-attr]
        own = self._documents.get(finding.focus)
        return replace(finding, source=source, file=own.name if own else "", hint=self._hint(finding))

    def _line(self, source: str, quad: ox.Quad) -> int | None:
        if source not in self._lines:
            self._lines[source] = self._documents[source].lines()
        return self._lines[source].get((str(quad.subject), str(quad.predicate), str(quad.object)))

    def _hint(self, finding: Finding) -> str:
        """For a name that the graph does not know: the nearest of the same kind that it does."""
        name = finding.value[1:-1]
        if finding.constraint != "ClassConstraintComponent" or not name.startswith(ID):
            return ""
        if any(True for _ in self._view.quads(ox.NamedNode(name))):
            return ""
        kind = name[: name.rindex("/") + 1]
        rows = self._view.store.quads_for_pattern(None, ox.NamedNode(RDF_TYPE), None, ox.DefaultGraph())
        known = {
            q.subject.value for q in rows if isinstance(q.subject, ox.NamedNode) and q.subject.value.startswith(kind)
        }
        code = ox.Literal(name.removeprefix(kind))
        by_code = self._view.store.quads_for_pattern(None, ox.NamedNode(TRADE + "alpha3Code"), code, ox.DefaultGraph())
        near = [q.subject.value for q in by_code if isinstance(q.subject, ox.NamedNode)]
        local = [iri.removeprefix(kind) for iri in sorted(known)]
        near = near or [kind + n for n in difflib.get_close_matches(name.removeprefix(kind), local, n=3, cutoff=0.5)]
        return f"The graph knows no {compact(name)}." + (
            f" Did you mean {', '.join(map(compact, near))}?" if near else ""
        )


def _contradictions(view: View, draft: Draft) -> list[Contradiction]:
    """Where a changed source gives another value for a functional property than some other source."""
    found: dict[Contradiction, None] = {}
    changed = draft.changed_graphs
    stated = {(q.subject, q.predicate) for q in draft.added if q.predicate.value in view.functional}
    for subject, predicate in stated:
        if not isinstance(subject, ox.NamedNode):
            continue
        quads = [q for q in view.quads(subject) if q.predicate == predicate]
        for a in quads if len(quads) > 1 else ():
            for b in quads:
                one, other = a.graph_name.value, b.graph_name.value  # type: ignore[union-attr]
                if a.object == b.object or one == other or one not in changed or (other in changed and other < one):
                    continue
                prevails = view.prevailing((one, other))
                found[
                    Contradiction(subject.value, predicate.value, str(a.object), one, str(b.object), other, prevails)
                ] = None
    return sorted(found, key=lambda c: (c.subject, c.property, c.value, c.other_value))
