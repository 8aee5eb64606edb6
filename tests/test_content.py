"""The shipped facts as files: one source each, well-formed, and nothing without a name or a type."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.content import Content
from kg.terms import CONCEPT_KINDS, ENTITY_KINDS, ID, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE, SOURCE, TRADE, expand
from tests.sources import CONTENT

DOCUMENT = ox.NamedNode(PREFIXES["foaf"] + "Document")
FILES = {path.stem: (graph, path) for graph, path in CONTENT.facts.items()}
PARTIAL_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


@pytest.fixture(scope="module")
def parsed() -> dict[str, list[ox.Quad]]:
    """Each file's triples, by the stem of the file, with blank nodes as they are."""
    return {stem: list(ox.parse(path=str(path), base_iri=graph)) for stem, (graph, path) in FILES.items()}


def values(quads: list[ox.Quad], subject: str, name: str) -> list[str]:
    prefix, _, local = name.partition(":")
    wanted = ox.NamedNode(subject), ox.NamedNode(PREFIXES[prefix] + local)
    return [str(getattr(q.object, "value", "")) for q in quads if (q.subject, q.predicate) == wanted]


def test_every_file_of_facts_is_a_source_of_its_own() -> None:
    files = list((CONTENT.root / "facts").rglob("*"))
    assert {path for path in files if path.is_file()} == set(CONTENT.facts.values())
    assert len(FILES) == len(CONTENT.facts) > 100


@pytest.mark.parametrize("stem", FILES)
def test_file_describes_its_source(parsed: dict[str, list[ox.Quad]], stem: str) -> None:
    source, quads = SOURCE + stem, parsed[stem]
    assert FILES[stem][0] == source
    assert [q.subject.value for q in quads if q.object == DOCUMENT] == [source]  # type: ignore[union-attr]
    (issued,) = values(quads, source, "dcterms:issued")
    (publisher,) = values(quads, source, "dcterms:publisher")
    (kind,) = values(quads, source, "dcterms:type")
    (grade,) = values(quads, source, "trade:grade")
    assert values(quads, source, "dcterms:title")
    assert publisher.startswith(PREFIXES["body"])
    assert kind.startswith(PREFIXES["source-kind"])
    assert grade.startswith(PREFIXES["grade"])
    assert PARTIAL_DATE.fullmatch(issued)
    assert stem.startswith(issued[:4]) or "-" not in issued
    urls = values(quads, source, "schema:url")
    assert all(url.startswith(("https://", "http://")) for url in urls)
    assert urls or kind.endswith("/editorial"), kind
    assert PREFIXES["dossier"] + FILES[stem][1].parent.name in values(quads, source, "dcterms:isPartOf")


@pytest.mark.parametrize("stem", FILES)
def test_file_is_tidy_turtle(parsed: dict[str, list[ox.Quad]], stem: str) -> None:
    text = FILES[stem][1].read_bytes().decode("utf-8")
    assert not text.startswith("\ufeff")
    assert "\r" not in text
    assert text.endswith(" .\n")
    assert all(line == line.rstrip() for line in text.splitlines())
    declared = dict(re.findall(r"^@prefix ([\w-]+): <([^>]+)> \.$", text, re.MULTILINE))
    assert {name: PREFIXES.get(name, iri) for name, iri in declared.items()} == declared
    body = "\n".join(line for line in text.splitlines() if not line.startswith("@prefix"))
    assert f"<{ID}" not in body
    assert [name for name in declared if f"{name}:" not in body] == []
    assert not any(isinstance(term, ox.BlankNode) for q in parsed[stem] for term in (q.subject, q.object))


@pytest.mark.parametrize("stem", FILES)
def test_days_are_days_of_the_calendar(parsed: dict[str, list[ox.Quad]], stem: str) -> None:
    day = ox.NamedNode(PREFIXES["xsd"] + "date")
    for quad in parsed[stem]:
        if isinstance(quad.object, ox.Literal) and quad.object.datatype == day:
            assert 1787 <= date.fromisoformat(quad.object.value).year <= 2040


@pytest.fixture(scope="module")
def everything(parsed: dict[str, list[ox.Quad]]) -> list[ox.Quad]:
    ontology = [q for iri, path in CONTENT.ontology.items() for q in ox.parse(path=str(path), base_iri=iri)]
    return [q for quads in parsed.values() for q in quads] + ontology


def test_every_entity_mentioned_has_a_type(everything: list[ox.Quad]) -> None:
    ours = (ID, SOURCE)
    mentioned = {
        term.value
        for quad in everything
        for term in (quad.subject, quad.object)
        if isinstance(term, ox.NamedNode) and term.value.startswith(ours)
    }
    typed = {q.subject.value for q in everything if q.predicate.value == RDF_TYPE}  # type: ignore[union-attr]
    assert mentioned - typed == set()


def test_every_entity_is_of_a_known_kind(everything: list[ox.Quad]) -> None:
    kinds = {
        q.subject.value.removeprefix(ID).partition("/")[0]
        for q in everything
        if isinstance(q.subject, ox.NamedNode) and q.subject.value.startswith(ID)
    }
    assert kinds <= {*ENTITY_KINDS, *CONCEPT_KINDS}


def test_facts_leave_the_terms_of_the_ontology_alone(parsed: dict[str, list[ox.Quad]]) -> None:
    subjects = {str(q.subject) for quads in parsed.values() for q in quads}
    assert not [s for s in subjects if s.startswith((f"<{TRADE}", f"<{ONTOLOGY_GRAPH}"))]


def test_digest_changes_with_any_file_and_with_nothing_else(tmp_path: Path) -> None:
    for name in ("ontology", "facts"):
        (tmp_path / name).mkdir()
    (tmp_path / "ontology" / "parley.ttl").write_text("<urn:a> <urn:b> 1 .")
    facts = tmp_path / "facts" / "a.ttl"
    facts.write_text("<urn:a> <urn:b> 2 .")
    first = Content(tmp_path).digest()
    (tmp_path / "facts" / "README.md").write_text("Not a fact.")
    assert Content(tmp_path).digest() == first
    facts.write_text("<urn:a> <urn:b> 3 .")
    second = Content(tmp_path).digest()
    facts.rename(tmp_path / "facts" / "b.ttl")
    assert len({first, second, Content(tmp_path).digest()}) == 3


def test_graphs_are_those_of_ontology_and_facts() -> None:
    assert set(CONTENT.ontology) == {ONTOLOGY_GRAPH, f"{ONTOLOGY_GRAPH}/schemes", f"{ONTOLOGY_GRAPH}/alignments"}
    assert set(CONTENT.graphs) == {*CONTENT.ontology, *CONTENT.facts}
    assert CONTENT.shapes
    assert CONTENT.queries


#: Details that are widely told but that no source read so far bears out. Whoever finds one adds it with its source and
#: takes it off this list.
UNSOURCED = [
    ("tenure:jamieson-greer-trade-representative", "trade:from"),
    ("tenure:karoline-leavitt-press-secretary", "trade:from"),
    ("tenure:yun-cheol-koo-finance-minister", "trade:from"),
    ("tenure:jung-kwan-kim-industry-minister", "trade:from"),
    ("person:ursula-von-der-leyen", "skos:exactMatch"),
    ("person:antonio-costa", "skos:exactMatch"),
    ("person:jamieson-greer", "skos:exactMatch"),
]


@pytest.mark.parametrize(("subject", "predicate"), UNSOURCED)
def test_detail_without_a_source_stays_out(everything: list[ox.Quad], subject: str, predicate: str) -> None:
    node, name = expand(subject), expand(predicate)
    assert any(q.subject.value == node for q in everything if isinstance(q.subject, ox.NamedNode))
    assert not any(
        q.subject.value == node and q.predicate.value == name for q in everything if isinstance(q.subject, ox.NamedNode)
    )
