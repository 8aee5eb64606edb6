"""The graph of the history: what each version changed, source by source, as facts beside the facts."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg import formats
from kg.draft import Draft
from kg.engines import StoreReader
from kg.exporting import export
from kg.loading import load, remove
from kg.store import Versions
from kg.terms import DERIVED_GRAPHS, HISTORY_GRAPH, ID, SOURCE
from tests.sources import CONCESSION, CONTENT, document, put

HISTORY = ox.NamedNode(HISTORY_GRAPH)
CHANGES = """
SELECT ?version ?source ?added ?removed { GRAPH graph:history {
    ?change a trade:Change ; trade:inVersion ?version ; trade:changedSource ?source ;
        trade:factsAdded ?added ; trade:factsRemoved ?removed } }"""
VERSIONS = """
SELECT ?version ?at ?message { GRAPH graph:history {
    ?version a trade:Version ; prov:generatedAtTime ?at ; dcterms:description ?message } }"""


def quad(subject: str, graph: str = "g") -> ox.Quad:
    return ox.Quad(*(ox.NamedNode(f"urn:{name}") for name in (subject, "p", "o", graph)))


def rows(versions: Versions, text: str) -> list[dict[str, str]]:
    with versions.reading() as (_, store):
        found = StoreReader(store).rows(text)
    return [{name: str(term.value).removeprefix(ID + "version/") for name, term in row.items()} for row in found]


def told(versions: Versions) -> dict[tuple[int, str], tuple[int, int]]:
    """Version and source to the numbers of facts added and removed, as the graph tells it."""
    found = rows(versions, CHANGES)
    assert len({(row["version"], row["source"]) for row in found}) == len(found)
    return {(int(r["version"]), r["source"]): (int(r["added"]), int(r["removed"])) for r in found}


def counted(versions: Versions) -> dict[tuple[int, str], tuple[int, int]]:
    """The same, counted in the change sets."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for version in range(1, versions.current() + 1):
        for sign, line in versions.changes(version):
            [changed] = ox.parse(line, ox.RdfFormat.N_QUADS)
            graph = str(getattr(changed.graph_name, "value", ""))
            if graph not in DERIVED_GRAPHS:
                counts[version, graph, sign] += 1
    return {(v, g): (counts[v, g, "A"], counts[v, g, "D"]) for v, g, _ in counts}


def change(versions: Versions, *, add: tuple[ox.Quad, ...] = (), drop: tuple[ox.Quad, ...] = ()) -> None:
    with versions.writing() as draft:
        draft.add(add)
        draft.remove(drop)
        draft.publish("test")


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """A store with three versions: of one source, of two, and one that takes away."""
    versions = Versions.create(tmp_path / "store", bare=False)
    change(versions, add=(quad("a"), quad("b")))
    change(versions, add=(quad("c"), quad("d", "h")), drop=(quad("a"),))
    change(versions, drop=(quad("b"), quad("d", "h")))
    return versions


def test_each_version_has_its_changes_by_source(versions: Versions) -> None:
    assert told(versions) == {
        (1, "urn:g"): (2, 0),
        (2, "urn:g"): (1, 1),
        (2, "urn:h"): (1, 0),
        (3, "urn:g"): (0, 1),
        (3, "urn:h"): (0, 1),
    }
    assert told(versions) == counted(versions)


def test_each_version_is_told_as_its_record_says(versions: Versions) -> None:
    described = {int(row["version"]): row for row in rows(versions, VERSIONS)}
    assert sorted(described) == [1, 2, 3]
    for record in versions.records():
        sums = [pair for (version, _), pair in told(versions).items() if version == record.version]
        assert (sum(a for a, _ in sums), sum(d for _, d in sums)) == (record.added, record.removed)
        assert described[record.version]["message"] == record.message == "test"
        assert described[record.version]["at"].removesuffix("Z") == record.at.removesuffix("+00:00")


def test_history_of_loads_equals_records_and_change_sets(home: Path) -> None:
    """With all that a load derives beside what it changes, which no source said."""
    put(home, CONCESSION)
    put(home, CONCESSION.replace("More imports", "Fewer imports"))
    versions = Versions(home)
    remove(versions, [SOURCE + "my-notes"], CONTENT)
    assert [told(versions)[n, SOURCE + "my-notes"] for n in (2, 3, 4)] == [(18, 0), (1, 1), (0, 18)]
    assert told(versions) == counted(versions)
    for record in versions.records():
        sums = [pair for (version, _), pair in told(versions).items() if version == record.version]
        assert (sum(a for a, _ in sums), sum(d for _, d in sums)) == (record.added, record.removed)


def test_history_is_not_in_the_default_graph(versions: Versions) -> None:
    with versions.reading() as (_, store):
        history = list(store.quads_for_pattern(None, None, None, HISTORY))
        assert history
        assert not [q for q in history if ox.Quad(q.subject, q.predicate, q.object) in store]
    assert rows(versions, CHANGES.replace("GRAPH graph:history", "")) == []


def test_history_is_not_counted_and_not_in_the_change_set(versions: Versions) -> None:
    assert [record.quads for record in versions.records()] == [1, 3, 2]
    assert all(HISTORY_GRAPH not in record.graphs for record in versions.records())
    assert not [line for n in (1, 2, 3) for _, line in versions.changes(n) if HISTORY_GRAPH in line]


def test_history_is_not_exported(versions: Versions) -> None:
    output = BytesIO()
    with versions.reading() as (_, store):
        export(store, None, formats.named("nquads", formats.DATASETS), output)
    assert output.getvalue().decode() == f"{quad('c')} .\n"


def test_history_of_an_older_version_ends_with_it(versions: Versions) -> None:
    with versions.reading(2) as (_, store):
        assert {int(str(r["version"].value).rpartition("/")[2]) for r in StoreReader(store).rows(VERSIONS)} == {1, 2}


def test_commit_that_changes_nothing_is_not_told(versions: Versions) -> None:
    before = told(versions)
    change(versions, add=(quad("c"),))
    assert versions.current() == 3
    assert told(versions) == before


def test_discarded_draft_is_not_told(versions: Versions) -> None:
    def fail(draft: Draft) -> None:
        draft.add([quad("z")])
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), versions.writing() as draft:
        fail(draft)
    assert max(version for version, _ in told(versions)) == 3


def test_message_and_source_of_any_characters_are_told(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=False)
    message = 'Reisabkommen "5" \\ – 米\n\t2'
    with versions.writing() as draft:
        draft.add([ox.Quad(*(ox.NamedNode(x) for x in ("urn:s", "urn:p", "urn:o", "urn:源?a=1&b=%20")))])
        draft.publish(message)
    assert [row["message"] for row in rows(versions, VERSIONS)] == [message]
    assert told(versions) == {(1, "urn:源?a=1&b=%20"): (1, 0)}


def test_bare_store_has_no_history(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    change(versions, add=(quad("a"),))
    load(versions, [document(CONCESSION)], CONTENT)
    assert versions.current() == 2
    with versions.reading() as (_, store):
        assert not store.contains_named_graph(HISTORY)
        assert not list(store.quads_for_pattern(None, None, None, HISTORY))
