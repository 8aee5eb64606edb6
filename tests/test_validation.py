"""What changed is judged as if everything were judged anew: against pySHACL over the whole view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyoxigraph as ox
import pyshacl
import pytest
import rdflib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import RDF, SH

from kg.draft import Draft
from kg.loading import ensure_content
from kg.reasoning import derive
from kg.report import Finding
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ID, PREFIXES, RDF_TYPE, SOURCE, TRADE
from kg.validation import validate
from kg.view import View
from tests.effort import tries
from tests.sources import CONTENT, document, small_content

#: What a result says: focus node, path, constraint component, value, severity.
Result = tuple[str, str, str, str, str]
CONTEXT, USER = ox.NamedNode(SOURCE + "context"), ox.NamedNode(SOURCE + "user")


def as_rdflib(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> rdflib.URIRef | rdflib.Literal:
    if isinstance(term, ox.Literal):
        datatype = None if term.language else rdflib.URIRef(term.datatype.value)
        datatype = None if datatype == rdflib.XSD.string else datatype
        return rdflib.Literal(term.value, lang=term.language, datatype=datatype, normalize=False)
    assert isinstance(term, ox.NamedNode)
    return rdflib.URIRef(term.value)


def from_scratch(store: ox.Store, own: set[str]) -> set[Result]:
    """The results of pySHACL over all facts of a store as the sources `own` see them, however long it takes."""
    view, data, shapes = View(store), rdflib.Graph(bind_namespaces="none"), rdflib.Graph(bind_namespaces="none")
    for subject in {q.subject for q in store.quads_for_pattern(None, None, None, ox.DefaultGraph())}:
        assert isinstance(subject, ox.NamedNode)
        for quad in view.description(subject, own):
            data.add((as_rdflib(quad.subject), as_rdflib(quad.predicate), as_rdflib(quad.object)))
    for path in CONTENT.shapes:
        shapes.parse(path)
    _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True)
    assert isinstance(report, rdflib.Graph)
    return set(results(report))


def results(report: rdflib.Graph) -> Iterator[Result]:
    for node in report.objects(None, SH.result):
        path, value = report.value(node, SH.resultPath), report.value(node, SH.value)
        inverse = report.value(path, SH.inversePath) if isinstance(path, rdflib.BNode) else None
        yield (
            str(report.value(node, SH.focusNode)),
            f"^{inverse}" if inverse is not None else str(path or ""),
            str(report.value(node, SH.sourceConstraintComponent)).rpartition("#")[2],
            "" if value is None else value.n3(),
            str(report.value(node, SH.resultSeverity)).rpartition("#")[2].lower(),
        )


def told(findings: list[Finding]) -> set[Result]:
    """The findings as results. That a graph names no document is no result of the facts themselves."""
    shown = (f for f in findings if not f.shape.endswith("#GraphShape"))
    return {(f.focus, f.path, f.constraint, f.value, f.severity) for f in shown}


def judge(versions: Versions, change: Callable[[Draft], object], own: set[str]) -> tuple[set[Result], set[Result]]:
    """The results of judging what a change touches, and of judging everything after it. Nothing is published."""
    with versions.writing() as draft:
        change(draft)
        derive(draft)
        return told(validate(draft, CONTENT.shapes).findings), from_scratch(draft.store, own)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """A store with the ontology and the one source of the shape tests."""
    root = tmp_path_factory.mktemp("content")
    versions = Versions.create(tmp_path_factory.mktemp("store") / "small", bare=False)
    ensure_content(versions, small_content(root))
    return versions


@pytest.fixture(scope="module")
def before(small: Versions) -> set[Result]:
    """The results that the small store has from the start."""
    with small.reading() as (_, store):
        return from_scratch(store, set())


def iri(name: str) -> ox.NamedNode:
    prefix, _, local = name.partition(":")
    return ox.NamedNode(PREFIXES[prefix] + local)


#: What is taken out of the context (subject, predicate or None for all of the subject), and what the user adds.
CHANGES: dict[str, tuple[list[tuple[str, str | None]], str]] = {
    "a type that others rely on goes": ([("person:scott-bessent", "rdf:type")], ""),
    "a node that others rely on goes": ([("negotiation:us-jp", None)], ""),
    "the meeting of a participation goes": ([("meeting:us-jp-5", None)], ""),
    "the meeting of a participation is one no more": ([("meeting:us-jp-5", "rdf:type")], ""),
    "a participation gets a second meeting": (
        [],
        "meeting:second a trade:Meeting ; trade:hasParticipation participation:us-jp-5-akazawa .",
    ),
    "the user lets a rate begin after its end": (
        [],
        'rate:us-232-autos trade:from "2025-09-01"^^xsd:date ; trade:until "2025-08-01"^^xsd:date .',
    ),
    "a country becomes a union as well": ([], "country:JP a trade:CustomsUnion ; trade:alpha2Code 'jp' ."),
    "a product becomes broader than itself": ([], "product:87 skos:broader product:8703 , country:JP ."),
    "a label too many": ([], 'person:scott-bessent rdfs:label "Bessent"@en , "Bessent" .'),
}


@pytest.mark.parametrize("case", CHANGES)
def test_change_gets_the_results_of_validating_everything(small: Versions, before: set[Result], case: str) -> None:
    gone, facts = CHANGES[case]

    def change(draft: Draft) -> None:
        for subject, predicate in gone:
            path = None if predicate is None else iri(predicate)
            quads: list[ox.Quad] = list(draft.store.quads_for_pattern(iri(subject), path, None, CONTEXT))
            draft.remove(quads)
        draft.set_graph(USER, document(facts, "user", head="").quads())

    changed, everything = judge(small, change, {USER.value})
    assert changed <= everything
    assert everything - before <= changed
    assert everything != before


@contextmanager
def context_of(small: Versions) -> Iterator[list[ox.Quad]]:
    with small.reading() as (_, store):
        found: list[ox.Quad] = list(store.quads_for_pattern(None, None, None, CONTEXT))
        yield sorted(found, key=str)


@pytest.fixture(scope="module")
def pool(small: Versions) -> tuple[list[ox.Quad], list[ox.Quad]]:
    """Quads of the context that may go, and triples of its names, crossed, that may come."""
    with context_of(small) as quads:
        ours = [q for q in quads if q.subject.value.startswith(ID)]  # type: ignore[union-attr]
    other = [(q, p) for q in ours for p in ours if p.predicate == q.predicate or p.subject == q.subject]
    crossed = {ox.Quad(q.subject, p.predicate, p.object, USER) for q, p in other} - {
        ox.Quad(q.subject, q.predicate, q.object, USER) for q in ours
    }
    odd = {ox.Quad(q.subject, q.predicate, ox.Literal("odd"), USER) for q in ours}
    kinds = {TRADE + name for name in ("Tariff", "Meeting", "Concession", "StatusEvent", "Claim", "Correction")}
    types = {ox.Quad(q.subject, ox.NamedNode(RDF_TYPE), ox.NamedNode(kind), USER) for q in ours for kind in kinds}
    return ours, sorted(crossed | odd | types, key=str)


# Each example derives and validates a small store twice.
costly = settings(max_examples=tries(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@costly
@given(data=st.data())
def test_random_changes_get_the_results_of_validating_everything(
    small: Versions, before: set[Result], pool: tuple[list[ox.Quad], list[ox.Quad]], data: st.DataObject
) -> None:
    removable, addable = pool
    gone = data.draw(st.lists(st.sampled_from(removable), max_size=4), label="gone")
    new = data.draw(st.lists(st.sampled_from(addable), max_size=4), label="new")

    def change(draft: Draft) -> None:
        draft.remove(gone)
        draft.add(new)

    changed, everything = judge(small, change, {USER.value})
    assert changed <= everything
    assert everything - before <= changed


@costly
@given(data=st.data())
def test_random_changes_of_one_source_get_the_results_of_validating_everything(
    small: Versions, before: set[Result], pool: tuple[list[ox.Quad], list[ox.Quad]], data: st.DataObject
) -> None:
    """As above, but the source that gains is the one that loses, so that it may contradict itself."""
    removable, addable = pool
    gone = data.draw(st.lists(st.sampled_from(removable), max_size=3), label="gone")
    new = data.draw(st.lists(st.sampled_from(addable), max_size=3), label="new")

    def change(draft: Draft) -> None:
        draft.remove(gone)
        draft.add(ox.Quad(q.subject, q.predicate, q.object, CONTEXT) for q in new)

    changed, everything = judge(small, change, {CONTEXT.value})
    assert changed <= everything
    assert everything - before <= changed


def test_entailments_are_not_judged(small: Versions) -> None:
    """A rule may type a node that its source leaves without one; the source is judged by what it says."""
    entailed = ox.NamedNode(ENTAILED_GRAPH)
    with small.writing() as draft:
        draft.add([ox.Quad(iri("person:nobody"), iri("rdf:type"), iri("trade:Tariff"), entailed)])
        assert validate(draft, CONTENT.shapes).findings == []


def test_report_as_turtle_is_the_report_of_shacl(small: Versions) -> None:
    with small.writing() as draft:
        draft.set_graph(USER, document("rate:us-232-autos trade:percent -5.0 .", "user", head="").quads())
        report = validate(draft, CONTENT.shapes)
    graph = rdflib.Graph().parse(data=report.turtle)
    # Without the value: rdflib reads -5 as it was written in the report, but prints it as -5.0.
    judged = [r[:3] for r in results(graph) if r[0] != USER.value]
    assert judged == [r[:3] for r in told(report.findings)] != []
    assert [str(c) for c in graph.objects(None, SH.conforms)] == ["false"]
    assert (None, RDF.type, SH.ValidationReport) in graph


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ('"2025-06-31"^^xsd:date', '"2025-07-01"^^xsd:date'),
        ('"2025-06-01"^^xsd:date', '"2025-06-31"^^xsd:date'),
        ('"2025-07"^^xsd:gYearMonth', '"2025-06"^^xsd:gYearMonth'),
        ('"many"^^xsd:integer', "3"),
    ],
)
def test_days_that_cannot_be_compared_are_a_finding(small: Versions, begin: str, end: str) -> None:
    with small.writing() as draft:
        facts = f"rate:us-232-autos trade:from {begin} ; trade:until {end} ."
        draft.set_graph(USER, document(facts, "user", head="").quads())
        findings = validate(draft, CONTENT.shapes).findings
    assert "violation" in {f.severity for f in findings if f.focus == ID + "rate/us-232-autos"}
