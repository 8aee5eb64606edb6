"""What pySHACL finds in all facts of a store, to hold against what the validation of a change finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyoxigraph as ox
import pyshacl
import rdflib
from rdflib import RDF, SH
from rdflib.collection import Collection
from rdflib.term import Node

from kg.draft import Draft
from kg.quads import Facts, is_stated
from kg.report import Finding, Report
from kg.screening import screen
from kg.shacl import as_rdflib
from kg.store import Versions
from kg.terms import PREFIXES, RDF_TYPE
from kg.validation import _affected, validate
from kg.view import View


class Result(NamedTuple):
    """What a result says; the shape only if it has an IRI, or stands in one that has."""

    focus: str
    path: str
    value: str
    constraint: str
    severity: str
    shape: str


Results = frozenset[Result]


def whole(facts: Facts, shapes: Iterable[Path]) -> Results:
    """The results of pySHACL over all that the sources state, however long it takes."""
    data, known = rdflib.Graph(bind_namespaces="none"), rdflib.Graph(bind_namespaces="none")
    for quad in facts.quads_for_pattern(None, None, None, None):
        if is_stated(quad):
            data.add((as_rdflib(quad.subject), as_rdflib(quad.predicate), as_rdflib(quad.object)))
    for path in shapes:
        known.parse(path, format="turtle")
    conforms, report, _ = pyshacl.validate(
        data, shacl_graph=known, inplace=True, do_owl_imports=False, allow_warnings=True
    )
    assert isinstance(report, rdflib.Graph), report
    found = frozenset(results(report, known))
    # A shape that only warns hides what its parts find from the verdict of pySHACL; the results have it all the same.
    assert conforms or conforming(found) is False
    return found


def results(report: rdflib.Graph, shapes: rdflib.Graph) -> Iterable[Result]:
    top = report.value(None, RDF.type, SH.ValidationReport)
    for node in report.objects(top, SH.result):
        focus, value = report.value(node, SH.focusNode), report.value(node, SH.value)
        yield Result(
            named(focus),
            path_text(report, report.value(node, SH.resultPath)),
            "" if value is None else value.n3(),
            str(report.value(node, SH.sourceConstraintComponent)).removeprefix(str(SH)),
            severity(report.value(node, SH.resultSeverity)),
            owner(shapes, report.value(node, SH.sourceShape)),
        )


def named(term: Node | None) -> str:
    """An IRI as it is, a literal in N-Triples form."""
    assert term is not None
    return str(term) if isinstance(term, rdflib.URIRef) else term.n3()


def severity(term: Node | None) -> str:
    return {SH.Warning: "warning", SH.Info: "info"}.get(term, "violation")  # type: ignore[call-overload, no-any-return]


def owner(shapes: rdflib.Graph, shape: Node | None) -> str:
    while isinstance(shape, rdflib.BNode):
        shape = next(shapes.subjects(SH.property, shape), None)
    return "" if shape is None else str(shape)


def path_text(graph: rdflib.Graph, path: Node | None) -> str:
    """A path as SPARQL writes it; one of a single property without the brackets around its IRI."""
    if path is None:
        return ""
    text = _path(graph, path)
    return text.replace("<", "").replace(">", "") if text.count("<") == 1 and text[-1] == ">" else text


def _path(graph: rdflib.Graph, path: Node) -> str:
    if isinstance(path, rdflib.URIRef):
        return f"<{path}>"
    if (choice := graph.value(path, SH.alternativePath)) is not None:
        return f"({'|'.join(_path(graph, way) for way in Collection(graph, choice))})"
    for name, form in (("inverse", "^{}"), ("zeroOrMore", "{}*"), ("oneOrMore", "{}+"), ("zeroOrOne", "{}?")):
        if (inner := graph.value(path, SH[f"{name}Path"])) is not None:
            return form.format(_path(graph, inner))
    return f"({'/'.join(_path(graph, step) for step in Collection(graph, path))})"


def told(findings: Iterable[Finding]) -> Results:
    """Findings as results."""
    return frozenset(Result(f.focus, f.path, f.value, f.constraint, f.severity, f.shape) for f in findings)


def conforming(found: Iterable[Result]) -> bool:
    return all(result.severity != "violation" for result in found)


def check(draft: Draft, shapes: list[Path], before: Results) -> Results:
    """Hold the validation of a draft to the equation, and return what pySHACL finds in all facts of it.

    `before` is what it finds in all facts that the draft began with. Nothing may be in dispute between sources.
    """
    after, report = whole(draft.facts, shapes), validate(draft, shapes)
    affected = {
        named(as_rdflib(n)) for n in _affected(draft, View(draft.facts), screen(tuple(shapes)).reach, frozenset())
    }
    standing = {result for result in before if result.focus not in affected}
    assert after == told(report.findings) | standing
    assert conforming(after) == (report.conforms and conforming(standing))
    agrees(report)
    return after


def agrees(report: Report) -> None:
    """The graph of the report says the same as its findings."""
    graph = rdflib.Graph().parse(data=report.turtle, format="turtle")
    reports = set(graph.subjects(RDF.type, SH.ValidationReport))
    verdicts = {bool(getattr(v, "value", None)) for r in reports for v in graph.objects(r, SH.conforms)}
    assert all(verdicts) == report.conforms
    top = [result for r in reports for result in graph.objects(r, SH.result)]
    components = {str(graph.value(result, SH.sourceConstraintComponent)).removeprefix(str(SH)) for result in top}
    assert components == {f.constraint for f in report.findings}


@contextmanager
def drafted(folder: Path, facts: Iterable[ox.Quad]) -> Iterator[Draft]:
    """A draft in a folder that began with some facts, each of its sources a document."""
    with Versions.create(folder / "store", bare=False).writing() as draft:
        draft.add(facts)
        draft.add(heads(draft))
        rebase(draft)
        yield draft


def heads(draft: Draft) -> list[ox.Quad]:
    """What makes each graph a document: one that is none gets a warning that its facts do not have."""
    document = ox.NamedNode(PREFIXES["foaf"] + "Document")
    graphs = [g for g in draft.store.named_graphs() if isinstance(g, ox.NamedNode)]
    return [ox.Quad(g, ox.NamedNode(RDF_TYPE), document, g) for g in graphs]


def rebase(draft: Draft) -> None:
    """Take the draft as it stands for what it began with, as if it had been published."""
    draft.added.clear()
    draft.removed.clear()
