"""What `kg check` finds: a defect of each kind, and none in what ships (see also `tests/test_cli.py`)."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from kg import checks
from kg.checks import Result
from kg.content import Content
from kg.loading import ensure_content
from kg.past import in_memory
from kg.store import Versions
from kg.terms import PREFIXES, TRADE
from tests.sources import document, small_content, turtle

QUERY = """#+ title: Test
#+ question: Who is it?
#+ parameters:
#+   - {{name: a, kind: iri{example}}}
#+ columns: [{columns}]

SELECT ?a ?b {{ VALUES ?a {{ UNDEF }} ?a <urn:p> ?b {end}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    versions = Versions.create(tmp_path_factory.mktemp("store") / "small", bare=False)
    ensure_content(versions, small_content(tmp_path_factory.mktemp("content")))
    return versions


def content_with(root: Path, folder: str, name: str, text: str) -> Content:
    (root / folder).mkdir()
    (root / folder / name).write_text(text)
    return Content(root)


def questions(root: Path, *, columns: str = "a, b", example: str = ", example: 'urn:x'", end: str = "}") -> Result:
    text = QUERY.format(columns=columns, example=example, end=end)
    return checks.check_questions(content_with(root, "queries", "test.rq", text), ox.Store())


def labelled(*labels: ox.Literal) -> Result:
    store, label = ox.Store(), ox.NamedNode(PREFIXES["rdfs"] + "label")
    store.extend(ox.Quad(ox.NamedNode("urn:x"), label, text) for text in labels)
    return checks.check_labels(store)


def test_shapes_that_are_no_shacl_are_found(tmp_path: Path) -> None:
    text = turtle("[] a sh:NodeShape ; sh:property [ sh:path rdfs:label ; sh:minCount 'one' ] .", head="")
    result = checks.check_shapes(content_with(tmp_path, "shapes", "odd.ttl", text))
    assert result.passed is False
    assert "minCount" in result.detail


@pytest.mark.parametrize(
    ("facts", "detail"),
    [
        ("person:x a foaf:Person .", "odd.ttl"),
        ("person:x a", "odd.ttl:"),
    ],
    ids=["not conforming", "not Turtle"],
)
def test_facts_that_cannot_enter_are_found_and_end_the_check(tmp_path: Path, facts: str, detail: str) -> None:
    content = small_content(tmp_path)
    (tmp_path / "facts" / "odd.ttl").write_text(turtle(facts))
    *_, last = checks.run(content)
    assert (last.name, last.passed) == ("facts", False)
    assert detail in last.detail


def test_a_question_that_is_true_to_its_header_passes(tmp_path: Path) -> None:
    assert questions(tmp_path) == Result("questions", True, "1 questions run, true to their headers")


@pytest.mark.parametrize(
    ("defect", "detail"),
    [
        ({"columns": "a"}, "test: the columns are a, b, the header says a"),
        ({"end": ""}, "test: does not parse"),
        ({"end": "}\nPREFIX late: <urn:x>"}, "test: does not parse"),
        ({"end": "?a owned:by ?b }"}, "test: does not parse"),
        ({"example": ""}, "test: the parameter a has no example"),
        ({"example": ", example: 'a b'"}, "test: a='a b' is not an IRI"),
    ],
    ids=["columns", "no end", "a prefix too late", "a prefix unknown", "no example", "an example of another kind"],
)
def test_a_question_with_a_fault_is_named(tmp_path: Path, defect: dict[str, str], detail: str) -> None:
    result = questions(tmp_path, **defect)
    assert result.passed is False
    assert result.detail.startswith(detail)


def test_a_term_that_nothing_uses_is_named(tmp_path: Path) -> None:
    text = QUERY.format(columns="a", example="", end="} # trade:used is used, and xtrade:idle is another's")
    content = content_with(tmp_path, "queries", "test.rq", text)
    store, kind = ox.Store(), ox.NamedNode(PREFIXES["rdf"] + "type")
    for name in ("used", "idle"):
        store.add(ox.Quad(ox.NamedNode(TRADE + name), kind, ox.NamedNode(PREFIXES["owl"] + "Class")))
    assert checks.check_terms_are_used(content, store) == Result(
        "ontology terms", False, "no question and no shape uses idle"
    )


def test_an_entity_has_one_english_label() -> None:
    english, german = ox.Literal("Cars", language="en"), ox.Literal("Autos", language="de")
    assert labelled(english, german).passed
    for wrong in ((german,), (english, german, ox.Literal("Motor cars", language="en"))):
        assert labelled(*wrong) == Result("labels", False, "urn:x")


#: What is stated further, what is taken for derived, what is not derived any more; and what the check says of it.
REASONING: dict[str, tuple[tuple[str, str, str], list[tuple[str, bool]], str]] = {
    "nothing": (("", "", ""), [("reasoning", True), ("entailments", True)], "and types equal HermiT's answer"),
    "a contradiction": (
        ("person:x a foaf:Person , trade:Tariff .", "", ""),
        [("reasoning", False)],
        "HermiT finds the ontology with the facts inconsistent",
    ),
    "a class that can have no members": (
        ("trade:Odd a owl:Class ; rdfs:subClassOf trade:Tariff , foaf:Person .", "", ""),
        [("reasoning", False), ("entailments", True)],
        f"HermiT: unsatisfiable: {TRADE}Odd",
    ),
    "too much derived": (
        ("", "country:JP a trade:Proposal .", ""),
        [("reasoning", True), ("entailments", False)],
        f"derived but not entailed: ('{PREFIXES['country']}JP', '{PREFIXES['rdf']}type', '{TRADE}Proposal')",
    ),
    "too little derived": (
        ("", "", "country:JP a trade:TradeParty ."),
        [("reasoning", True), ("entailments", False)],
        f"entailed but not derived: ('{PREFIXES['country']}JP', '{PREFIXES['rdf']}type', '{TRADE}TradeParty')",
    ),
}


def merged(facts: str) -> set[ox.Quad]:
    """Facts in the default graph."""
    return {ox.Quad(*quad.triple) for quad in document(facts, head="").quads()}


@pytest.mark.parametrize("case", REASONING)
def test_what_follows_is_held_against_hermit(small: Versions, case: str) -> None:
    (stated, much, little), verdicts, detail = REASONING[case]
    with small.reading() as (number, on_disk):
        store = in_memory(small, number, on_disk)
    store.extend(document(stated, head="").quads())
    store.extend(merged(stated) | merged(much))
    for quad in merged(little):
        assert quad in store
        store.remove(quad)
    results = list(checks.check_reasoning(store))
    assert [(result.name, result.passed) for result in results] == verdicts
    assert [result.detail for result in results if detail in result.detail]
