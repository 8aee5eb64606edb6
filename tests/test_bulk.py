"""Facts that come in bulk are held in memory until the commit, and nothing else is different for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.content import Content
from kg.draft import Draft
from kg.errors import Refused
from kg.loading import ensure_content, load
from kg.parsing import Document
from kg.quads import TOP, is_stated
from kg.reasoning import derive
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, OVERRULED_GRAPH, PREFIXES, SOURCE
from tests.effort import tries
from tests.invented import quads
from tests.sources import CONCESSION, HEAD, document, small_content

#: Thresholds by which everything comes in bulk, and nothing.
BULK, SMALL = -1, 10**9
TIME = ox.NamedNode(PREFIXES["prov"] + "generatedAtTime")


@pytest.fixture
def threshold(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr("kg.draft._BULK", size)


def published(versions: Versions) -> tuple[set[ox.Quad], list[tuple[str, str]], dict[str, Any]]:
    """All that the current version is, but for the time of the commit: its quads, its change set, its record."""
    number = versions.current()
    with versions.reading() as (_, store):
        state = {q for q in store if q.predicate != TIME}
    record = asdict(versions.record(number))
    return state, sorted(versions.changes(number)), {**record, "at": ""}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with some facts of one source. Not to be written to."""
    folder = tmp_path_factory.mktemp("tiny") / "store"
    with Versions.create(folder, bare=False).writing() as draft:
        draft.add(quads("x:a x:p 1 , 2 . x:b x:p x:a .", "one"))
        draft.publish("before")
    return folder


TEXTS = ["x:a x:p 1 .", "x:a x:p 1 , 3 . x:c x:q x:a .", "x:b x:p x:a . x:c x:p 2 .", "x:d x:p x:d ."]
names, texts = st.sampled_from(["one", "two", "three"]), st.sampled_from(TEXTS)
steps = st.lists(
    st.tuples(st.sampled_from(["put", "keep", "set", "clear", "add", "remove"]), names, names, texts, texts),
    min_size=1,
    max_size=6,
)


def step(draft: Draft, step: tuple[str, str, str, str, str]) -> None:
    """One step of a commit, with one or two sources."""
    name, one, other, text, further = step
    said = [*quads(text, one), *quads(further, other)]
    if name == "set":
        draft.set_graph(ox.NamedNode(SOURCE + one), quads(text, one))
    elif name == "clear":
        draft.set_graph(ox.NamedNode(SOURCE + one), ())
    elif name in ("add", "remove"):
        getattr(draft, name)(said)
    else:
        incoming = ox.Store()
        incoming.extend(said)
        draft.put(incoming, keep=name == "keep")


def seen(draft: Draft) -> Iterator[set[ox.Quad]]:
    """What a draft shows: all that is stated, and the merged graph as a whole and by subject."""
    yield {q for q in draft.facts.quads_for_pattern(None, None, None, None) if is_stated(q)}
    for subject in (None, *(ox.NamedNode(f"urn:x:{name}") for name in "abcd")):
        found = list(draft.facts.quads_for_pattern(subject, None, None, TOP))
        yield set(found)
        assert len(set(found)) == len(found)


@settings(max_examples=tries(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=steps)
def test_any_steps_publish_the_same_in_bulk(
    tiny: Path,
    tmp_path_factory: pytest.TempPathFactory,
    threshold: Callable[[int], None],
    changes: list[tuple[str, str, str, str, str]],
) -> None:
    results = []
    for size in (BULK, SMALL):
        threshold(size)
        versions = Versions(Path(shutil.copytree(tiny, tmp_path_factory.mktemp("bulk") / "store")))
        shown: list[set[ox.Quad]] = []
        with versions.writing() as draft:
            for change in changes:
                step(draft, change)
                shown += seen(draft)
            draft.publish("after")
        results.append((shown, published(versions)))
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """The folder of a store with the ontology and one source, and its content. Not to be written to."""
    content = small_content(tmp_path_factory.mktemp("content"))
    folder = tmp_path_factory.mktemp("small") / "store"
    ensure_content(Versions.create(folder, bare=False), content)
    return folder, content


def test_first_content_is_published_the_same_in_bulk(
    small: tuple[Path, Content], tmp_path: Path, threshold: Callable[[int], None]
) -> None:
    """With its entailments and overruled values; the store of the fixture is below the real threshold."""
    threshold(BULK)
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, small[1])
    assert published(versions) == published(Versions(small[0]))


#: What makes a graph a source that conforms, by a publisher that the small store knows.
SOURCED = HEAD.replace("body:asahi-shimbun", "body:us-treasury")
#: A conforming fact from which follows that a person holds an office.
OFFICE = """
person:x a foaf:Person ; rdfs:label "X"@en .
tenure:x a trade:Tenure ; org:member person:x ; trade:ofOffice office:us-treasury-secretary ;
    trade:from "2025-01-28"^^xsd:date .
"""
CONTRARY = "rate:us-232-autos trade:percent 26.0 ."
WRONG = "rate:us-232-autos trade:percent -5.0 . person:x trade:from 5 ."
#: Loads one after the other: the facts, the name of the source, the mode.
LOADS: dict[str, list[tuple[str, str, Any]]] = {
    "a new source": [(CONCESSION, "notes", "replace")],
    "a source that says more later": [(CONCESSION, "notes", "replace"), (CONCESSION + OFFICE, "notes", "replace")],
    "a source that says less later": [(CONCESSION + OFFICE, "notes", "replace"), (CONCESSION, "notes", "replace")],
    "a source in two parts": [(CONCESSION, "notes", "merge"), (OFFICE, "notes", "merge")],
    "two sources that say the same": [(OFFICE, "notes", "replace"), (OFFICE, "other-notes", "replace")],
    "a source that contradicts": [(CONTRARY, "notes", "replace"), (CONTRARY, "later-notes", "replace")],
    "a source that is wrong": [(WRONG, "notes", "replace")],
}


@pytest.mark.parametrize("case", LOADS)
def test_loads_are_judged_and_published_the_same_in_bulk(
    small: tuple[Path, Content], tmp_path: Path, threshold: Callable[[int], None], case: str
) -> None:
    folder, content = small
    outcomes = []
    for size in (BULK, SMALL):
        threshold(size)
        versions = Versions(Path(shutil.copytree(folder, tmp_path / f"store{size}")))
        for facts, name, mode in LOADS[case]:
            outcomes.append((size, *loaded(versions, [document(facts, name, head=SOURCED)], content, mode)))
        assert (versions.current() == 1) == (case == "a source that is wrong")
    assert [rest for size, *rest in outcomes if size == BULK] == [rest for size, *rest in outcomes if size == SMALL]


def test_new_sources_that_contradict_each_other_on_a_new_node_are_told_in_bulk(
    small: tuple[Path, Content], tmp_path: Path, threshold: Callable[[int], None]
) -> None:
    """The dispute stands in what comes in bulk alone."""
    folder, content = small
    contrary = 'event:test-rice trade:date "2025-05-29"^^xsd:date .'
    outcomes = []
    for size in (BULK, SMALL):
        threshold(size)
        versions = Versions(Path(shutil.copytree(folder, tmp_path / f"store{size}")))
        both = [document(CONCESSION, "notes", head=SOURCED), document(contrary, "other-notes", head=SOURCED)]
        outcomes.append(loaded(versions, both, content, "replace"))
    (_, contradictions, (state, _, _)), other = outcomes
    assert outcomes[0] == other
    assert len(contradictions) == len([q for q in state if q.graph_name == ox.NamedNode(OVERRULED_GRAPH)]) == 1


def loaded(versions: Versions, documents: list[Document], content: Content, mode: Any) -> tuple[Any, Any, Any]:
    """The report of a load, in two parts, and what it publishes."""
    try:
        report = load(versions, documents, content, mode=mode).report
    except Refused as refusal:
        report = refusal.report
    return sorted(map(str, report.findings)), sorted(map(str, report.contradictions)), published(versions)


@pytest.mark.parametrize("size", [BULK, SMALL])
def test_entailments_are_derived_again_for_the_same_draft(
    small: tuple[Path, Content], tmp_path: Path, threshold: Callable[[int], None], size: int
) -> None:
    threshold(size)
    (ground,) = document("tenure:x trade:ofOffice office:us-treasury-secretary .", "notes", head="").quads()
    (said,) = document("person:x trade:holdsOffice office:us-treasury-secretary .", "notes", head="").quads()
    held = ox.Quad(said.subject, said.predicate, said.object, ox.NamedNode(ENTAILED_GRAPH))
    versions = Versions(Path(shutil.copytree(small[0], tmp_path / "store")))
    with versions.writing() as draft:
        incoming = ox.Store()
        incoming.extend(document(OFFICE, "notes").quads())
        draft.put(incoming)
        derive(draft)
        derive(draft)
        assert held in set(draft.additions())
        draft.remove([ground])
        derive(draft)
        assert held not in set(draft.additions())
