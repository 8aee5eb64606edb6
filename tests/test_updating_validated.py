"""An update on a store with shapes: derived and validated like a load, published as one commit, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.content import Content
from kg.errors import BadData, BadQuery, BadRequest, Refused
from kg.evaluation import Question, solve
from kg.loading import Outcome, ensure_content, update
from kg.operations import Using
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ID, ONTOLOGY_GRAPH, PREFIXES, SOURCE
from tests.sources import CONCESSION, HEAD, small_content

MINE = SOURCE + "mine"
DOCUMENT = HEAD.replace("body:asahi-shimbun", "body:us-treasury").replace("<>", f"<{MINE}>")


def mine(facts: str) -> str:
    """The facts in the graph of these tests."""
    return f"GRAPH <{MINE}> {{ {facts} }}"


INSERT = f"INSERT DATA {{ {mine(DOCUMENT + CONCESSION)} }}"


@pytest.fixture
def small(tmp_path: Path) -> tuple[Content, Versions]:
    """A small edition of the content, and a store that holds it as version 1."""
    root = tmp_path / "content"
    root.mkdir()
    content = small_content(root)
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, content)
    return content, versions


def apply(small: tuple[Content, Versions], text: str, *, message: str = "", dry_run: bool = False) -> Outcome:
    content, versions = small
    return update(versions, text, content, message=message, dry_run=dry_run)


def asked(small: tuple[Content, Versions], pattern: str) -> bool:
    with small[1].reading() as (_, store):
        return bool(solve(store, Question(f"ASK {{ {pattern} }}")))


def changes(versions: Versions, version: int, sign: str) -> list[str]:
    """What a version says that it added (A) or removed (D) in the graph of these tests."""
    return [line for kind, line in versions.changes(version) if kind == sign and line.endswith(f"<{MINE}> .")]


def test_facts_that_conform_become_one_commit_with_what_follows_from_them(small: tuple[Content, Versions]) -> None:
    outcome = apply(small, INSERT)
    assert outcome.record is not None
    assert (outcome.record.version, outcome.record.added, outcome.record.removed) == (2, 18, 0)
    assert outcome.record.graphs == [ENTAILED_GRAPH, MINE]
    assert outcome.record.message == "Update: INSERT DATA { GRAPH <https://w3id.org/parley/source/mine> { …"
    assert outcome.report.conforms
    assert asked(small, mine("proposal:test-rice a trade:Concession"))
    assert asked(small, "proposal:test-rice a trade:Proposal")


def test_change_set_holds_what_the_update_came_to(small: tuple[Content, Versions]) -> None:
    apply(small, INSERT)
    text = f"""WITH <{MINE}> DELETE {{ ?it rdfs:label ?label }} INSERT {{ ?it rdfs:label ?new }}
        WHERE {{ ?it a trade:Concession ; rdfs:label ?label BIND(STRLANG(CONCAT(STR(?label), '!'), 'en') AS ?new) }} ;
        DELETE DATA {{ {mine("proposal:test-rice rdfs:label 'not there'@en")} }}"""
    outcome = apply(small, text, message="Louder")
    assert outcome.record is not None
    assert (outcome.record.added, outcome.record.removed, outcome.record.message) == (1, 1, "Louder")
    said = f"<{ID}proposal/test-rice> <{PREFIXES['rdfs']}label>"
    assert changes(small[1], 3, "D") == [f'{said} "More imports of rice"@en <{MINE}> .']
    assert changes(small[1], 3, "A") == [f'{said} "More imports of rice!"@en <{MINE}> .']


def test_patterns_see_what_is_entailed(small: tuple[Content, Versions]) -> None:
    apply(small, INSERT)
    text = f"INSERT {{ GRAPH <{MINE}> {{ ?it rdfs:comment 'A proposal'@en }} }} WHERE {{ ?it a trade:Proposal }}"
    outcome = apply(small, text)
    assert outcome.record is not None
    assert asked(small, mine("proposal:test-rice rdfs:comment 'A proposal'@en"))


TARGETS = "proposal:test-rice trade:targets ?tariff"
REFUSED = {
    "a target that is no tariff": INSERT.replace("tariff:us-232-autos", "country:JP"),
    "a fact that loses what it needs": f"{INSERT} ; DELETE WHERE {{ GRAPH <{MINE}> {{ {TARGETS} }} }}",
    "a graph that others rely on": f"{INSERT} ; CLEAR GRAPH source:context",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_conform_is_refused_and_changes_nothing(small: tuple[Content, Versions], case: str) -> None:
    with pytest.raises(Refused, match="nothing was changed") as refusal:
        apply(small, REFUSED[case])
    assert f"{ID}proposal/test-rice" in {finding.focus for finding in refusal.value.report.violations}
    assert small[1].current() == 1
    assert not asked(small, "proposal:test-rice ?p ?o")


VOCABULARY = {
    f"INSERT DATA {{ {mine('proposal:test-rice trade:formm 1')} }}": "Did you mean trade:form?",
    f"INSERT {{ {mine('<urn:x> a ?t')} }} WHERE {{ BIND(IRI(CONCAT(STR(trade:), 'Rond')) AS ?t) }}": (
        "trade:Rond is not a term of the ontology. Did you mean trade:Round?"
    ),
    f"INSERT DATA {{ {mine('trade:Round rdfs:subClassOf trade:Meeting')} }}": "states facts, not what terms mean",
    f"INSERT DATA {{ {mine('<urn:x> owl:sameAs <urn:y>')} }}": "states facts, not what terms mean",
    f"INSERT DATA {{ {mine('<urn:Class> a owl:Class')} }}": "cannot declare owl:Class",
    f"COPY <{ONTOLOGY_GRAPH}> TO <{MINE}>": "A source cannot declare owl:",
}


@pytest.mark.parametrize("text", VOCABULARY)
def test_terms_that_the_ontology_lacks_and_axioms_are_refused(small: tuple[Content, Versions], text: str) -> None:
    with pytest.raises(BadData, match=VOCABULARY[text]):
        apply(small, text)
    assert small[1].current() == 1


@pytest.mark.parametrize("text", ["INSERT DATA { proposal:test-rice a trade:Round }", "CLEAR ALL", "INSERT DATA {"])
def test_what_cannot_be_applied_changes_nothing(small: tuple[Content, Versions], text: str) -> None:
    with pytest.raises((BadRequest, BadQuery)):
        apply(small, f"{INSERT} ; {text}")
    assert small[1].current() == 1


def test_dry_run_reports_and_changes_nothing(small: tuple[Content, Versions]) -> None:
    outcome = apply(small, INSERT, dry_run=True)
    assert (outcome.record, outcome.report.conforms, small[1].current()) == (None, True, 1)
    with pytest.raises(Refused):
        apply(small, REFUSED["a target that is no tariff"], dry_run=True)


def test_update_that_comes_to_nothing_makes_no_version(small: tuple[Content, Versions]) -> None:
    apply(small, INSERT)
    for text in (INSERT, f"DELETE WHERE {{ GRAPH <{MINE}> {{ round:nobody ?p ?o }} }}", f"COPY <{MINE}> TO <{MINE}>"):
        assert apply(small, text).record is None
    assert small[1].current() == 2


def test_dataset_of_the_request_reaches_the_patterns(small: tuple[Content, Versions]) -> None:
    apply(small, INSERT)
    content, versions = small
    count = "SELECT (STR(COUNT(*)) AS ?n) { ?s ?p ?o }"
    text = f"INSERT {{ {mine('proposal:test-rice rdfs:comment ?n')} }} WHERE {{ {count} }}"
    update(versions, text, content, using=Using((MINE,)))
    assert asked(small, "proposal:test-rice rdfs:comment '18'")


def test_bare_store_takes_any_quads(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "bare", bare=True)
    content = Content.shipped()
    text = f"INSERT DATA {{ trade:nonsense owl:sameAs <urn:x> GRAPH <{ONTOLOGY_GRAPH}> {{ <urn:a> <urn:b> 1 }} }}"
    assert update(versions, text, content).record is not None
    with versions.reading() as (_, store):
        assert {getattr(quad.graph_name, "value", "") for quad in store} == {"", ONTOLOGY_GRAPH}
    assert update(versions, "CLEAR ALL", content).record is not None
    with versions.reading() as (_, store):
        assert (len(store), list(store.named_graphs())) == (0, [])
