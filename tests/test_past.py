"""Past versions: made again from their neighbours, found by number and by time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.changes import Change, apply, between, read
from kg.errors import BadRequest, NotFound, StoreFailure
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, HISTORY_GRAPH, PREFIXES
from tests.effort import tries
from tests.sources import CONCESSION, put
from tests.test_cli import done, refused
from tests.test_store import commit, quad, triple

KEPT = 3
INTEGER = ox.NamedNode(PREFIXES["xsd"] + "integer")
SUBJECTS = [ox.NamedNode("urn:a"), ox.BlankNode("b1")]
VALUES = [
    ox.NamedNode("urn:o"),
    ox.Literal("1", datatype=INTEGER),
    ox.Literal('a\n"b"\u2028 D <urn:x>', language="en-GB"),
    ox.Triple(ox.NamedNode("urn:a"), ox.NamedNode("urn:p"), ox.Literal("said")),
]
NAMED = [ox.NamedNode("urn:g"), ox.NamedNode("urn:h"), ox.NamedNode(ENTAILED_GRAPH)]
P = ox.NamedNode("urn:p")

#: What a draft does, step by step: True to add, False to remove.
Steps = list[tuple[bool, set[ox.Quad]]]


def histories(bare: bool) -> st.SearchStrategy[list[Steps]]:
    graphs: list[ox.NamedNode | ox.DefaultGraph] = [*NAMED[:2], NAMED[2] if not bare else ox.DefaultGraph()]
    quads = st.builds(ox.Quad, st.sampled_from(SUBJECTS), st.just(P), st.sampled_from(VALUES), st.sampled_from(graphs))
    steps = st.lists(st.tuples(st.booleans(), st.sets(quads, max_size=6)), min_size=1, max_size=4)
    return st.lists(steps, min_size=1, max_size=7)


def content(versions: Versions, version: int | None = None) -> tuple[set[ox.Quad], set[object]]:
    """Everything that a version holds, history and merged graph included, and the graphs that it lists."""
    with versions.reading(version) as (_, store):
        return set(store), set(store.named_graphs())


def run(versions: Versions, history: list[Steps]) -> list[tuple[set[ox.Quad], set[object]]]:
    """Commit a draft for each list of steps; what each version held when it was current."""
    held = [content(versions)]
    for number, steps in enumerate(history):
        with versions.writing() as draft:
            for adds, changed in steps:
                (draft.add if adds else draft.remove)(changed)
            if draft.publish(f"step {number}"):
                held.append(content(versions))
    return held


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    monkeypatch.setattr("kg.store.KEEP", KEPT)
    return Versions.create(tmp_path / "store", bare=False)


@pytest.mark.parametrize("bare", [False, True])
def test_past_versions_hold_what_they_held(bare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version of any history, to the last quad: kept, or made again from later ones or from the beginning."""
    monkeypatch.setattr("kg.store.KEEP", 2)

    @settings(max_examples=tries(6), deadline=None)
    @given(histories(bare))
    def check(history: list[Steps]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions = Versions.create(Path(folder) / "store", bare=bare)
            held = run(versions, history)
            assert [content(versions, number) for number in range(len(held))] == held
            assert versions.kept() == list(range(len(held)))[-2:]

    check()


@pytest.mark.parametrize("bare", [False, True])
def test_changes_between_any_two_versions_lead_from_one_to_the_other(bare: bool) -> None:
    @settings(max_examples=tries(5), deadline=None)
    @given(histories(bare), st.data())
    def check(history: list[Steps], data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions = Versions.create(Path(folder) / "store", bare=bare)
            held = run(versions, history)
            start, end = (data.draw(st.integers(0, len(held) - 1)) for _ in range(2))
            apart = {ox.NamedNode(HISTORY_GRAPH)} | (set() if bare else {ox.DefaultGraph()})
            before, after = ({q for q in held[n][0] if q.graph_name not in apart} for n in (start, end))
            assert between(versions, start, end) == Change(after - before, before - after)

    check()


def test_number_leaves_the_merged_graph_though_its_neighbour_stays(tmp_path: Path) -> None:
    """On disk the engine finds 256 as well when it is asked for 255."""
    store = ox.Store(str(tmp_path / "store"))
    few, more = (ox.Quad(ox.NamedNode("urn:a"), P, ox.Literal(number), NAMED[0]) for number in (255, 256))
    apply(store, Change({few, more}, set()), bare=False)
    apply(store, Change(set(), {few}), bare=False)
    assert set(store) == {more, ox.Quad(more.subject, more.predicate, more.object)}


def test_past_version_is_made_again_from_the_nearest(versions: Versions) -> None:
    """Far from the beginning it is taken backwards from a kept one: the change sets before it are not needed."""
    for number in range(8):
        commit(versions, quad(str(number)))
    versions.change_file(1).unlink()
    with versions.reading(4) as (number, store):
        assert number == 4
        assert {triple(str(n)) for n in range(4)} == set(store.quads_for_pattern(None, None, None, ox.DefaultGraph()))


def test_past_version_is_made_again_from_the_beginning_where_that_is_nearer(versions: Versions) -> None:
    for number in range(8):
        commit(versions, quad(str(number)))
    versions.change_file(4).unlink()
    with versions.reading(2) as (_, store):
        assert quad("1") in store
        assert quad("2") not in store


def test_past_version_is_not_made_again_without_the_records_of_its_history(versions: Versions) -> None:
    for number in range(8):
        commit(versions, quad(str(number)))
    (versions.home / "records" / "1.json").unlink()
    with pytest.raises(StoreFailure, match=r"The record of version 1 .*cannot be read"):
        content(versions, 2)


def test_past_version_that_no_change_set_leads_to_is_one_clear_error(versions: Versions) -> None:
    for number in range(8):
        commit(versions, quad(str(number)))
    for number in (2, 5):
        versions.change_file(number).unlink()
    with pytest.raises(StoreFailure, match=r"Version 3 cannot be made again: change sets are missing.*`kg repair`"):
        content(versions, 3)
    assert list((versions.home / "past").iterdir()) == [versions.home / "past" / "lock"]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08", b"A <urn:a> <urn:p> <urn:o> <urn:g> .\n"])
def test_damaged_change_set_is_one_clear_error(versions: Versions, damage: bytes) -> None:
    for number in range(8):
        commit(versions, quad(str(number)))
    versions.change_file(2).write_bytes(damage)
    with pytest.raises(StoreFailure, match=r"The change set of version 2 in .* cannot be read: .*Run `kg repair`"):
        read(versions, 2)


def test_change_set_cut_short_is_one_clear_error(versions: Versions) -> None:
    commit(versions, *(quad(str(number)) for number in range(1000)))
    data = versions.change_file(1).read_bytes()
    for cut in (1, 8, len(data) // 2):
        versions.change_file(1).write_bytes(data[:-cut])
        with pytest.raises(StoreFailure, match=r"The change set of version 1 in .* cannot be read"):
            read(versions, 1)


def test_past_version_is_read_only_and_gone_afterwards(versions: Versions) -> None:
    for number in range(KEPT + 3):
        commit(versions, quad(str(number)))
    with versions.reading(1) as (_, store):
        with pytest.raises(RuntimeError, match="only possible on read-write"):
            store.add(quad("z"))
        assert len(list((versions.home / "past").iterdir())) == 2
    assert [path.name for path in (versions.home / "past").iterdir()] == ["lock"]


def test_past_version_stays_while_others_write_and_prune(versions: Versions) -> None:
    """The writer's sweep spares the folder of a reader that lives."""
    for number in range(KEPT + 3):
        commit(versions, quad(str(number)))
    with versions.reading(1) as (_, store):
        commit(versions, quad("x"))
        commit(versions, quad("y"))
        assert quad("0") in store
        assert len(list((versions.home / "past").iterdir())) == 2


def test_past_version_of_a_dead_reader_is_swept_by_the_next_writer(versions: Versions) -> None:
    for number in range(KEPT + 3):
        commit(versions, quad(str(number)))
    script = """
import os, sys
from pathlib import Path
from kg.store import Versions
with Versions(Path(sys.argv[1])).reading(1):
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(versions.home)], timeout=60, check=False)
    assert len(list((versions.home / "past").iterdir())) == 2
    commit(versions, quad("x"))
    assert [path.name for path in (versions.home / "past").iterdir()] == ["lock"]


def test_store_without_the_folder_for_past_versions_is_read(versions: Versions) -> None:
    for number in range(KEPT + 3):
        commit(versions, quad(str(number)))
    shutil.rmtree(versions.home / "past")
    again = Versions(versions.home)
    commit(again, quad("x"))
    assert quad("0") in content(again, 1)[0]


def test_store_without_one_of_its_folders_points_to_repair(versions: Versions) -> None:
    (versions.home / "staging").rmdir()
    with pytest.raises(StoreFailure, match=r"lacks its folder staging. Run `kg repair`"):
        Versions(versions.home)


@pytest.mark.parametrize("number", [-1, 9, 10**8])
def test_version_that_never_was_is_not_found(versions: Versions, number: int) -> None:
    commit(versions, quad("a"))
    with pytest.raises(NotFound, match=rf"There is no version {number}\. The versions go from 0 to 1"):
        content(versions, number)


def test_locks_of_pruned_versions_go_with_them(versions: Versions) -> None:
    for number in range(KEPT + 5):
        commit(versions, quad(str(number)))
        content(versions, max(0, number - KEPT))
    assert {path.name for path in (versions.home / "locks").iterdir()} <= {"writer", *map(str, versions.kept())}
    assert versions.kept() == [6, 7, 8]


def test_lock_that_is_held_stays_with_its_version(versions: Versions) -> None:
    commit(versions, quad("held"))
    with versions.reading(1):
        for number in range(KEPT + 2):
            commit(versions, quad(str(number)))
        assert (versions.home / "locks" / "1").exists()
    commit(versions, quad("last"))
    assert not (versions.home / "locks" / "1").exists()


def test_readers_and_a_pruning_writer_do_not_meet_half_a_version(versions: Versions) -> None:
    """Readers of the oldest versions in another process, while this one commits and prunes."""
    for number in range(KEPT):
        commit(versions, quad(str(number)))
    script = """
import sys
from pathlib import Path
from kg.store import Versions
versions = Versions(Path(sys.argv[1]))
while versions.current() < 20:
    number = max(1, versions.current() - 3)
    with versions.reading(number) as (_, store):
        assert sum(q.graph_name.value == "urn:g" for q in store.quads_for_pattern(None, None, None, None)
                   if hasattr(q.graph_name, "value")) == number
"""
    readers = [subprocess.Popen([sys.executable, "-c", script, str(versions.home)]) for _ in range(2)]
    for number in range(KEPT, 20):
        commit(versions, quad(str(number)))
    assert [reader.wait(timeout=120) for reader in readers] == [0, 0]


def record_at(home: Path, number: int, at: str) -> None:
    """Have a version be of another time."""
    path = home / "records" / f"{number}.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "at": at}), "utf-8")


def dated(versions: Versions, *times: str) -> None:
    """Commits that were made at these times."""
    for number, at in enumerate(times, 1):
        commit(versions, quad(str(number)))
        record_at(versions.home, number, at)


TIMES = ("2026-11-18T23:30:00+00:00", "2026-11-20T08:00:00+00:00", "2026-11-20T23:59:59+00:00")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0", 0),
        ("2", 2),
        ("2026-11-18", 1),
        ("2026-11-19", 1),
        ("2026-11-20", 3),
        ("9999-12-31", 3),
        ("2026-11-20T07:59:59", 1),
        ("2026-11-20T08:00:00", 2),
        ("2026-11-20T08:00:00Z", 2),
        ("2026-11-20 12:00:00.5", 2),
        ("2026-11-20T08:30:00+09:00", 1),
        ("9999-12-31T23:59:59-14:00", 3),
    ],
)
def test_version_is_found_by_number_day_and_moment(versions: Versions, text: str, version: int) -> None:
    dated(versions, *TIMES)
    assert versions.at(text) == version


@pytest.mark.parametrize("text", ["2026-11-17", "2026-11-18T23:29:59Z", "0001-01-01T00:00:00+14:00"])
def test_time_before_the_first_version_says_when_that_was(versions: Versions, text: str) -> None:
    dated(versions, *TIMES)
    with pytest.raises(NotFound, match=r"There was no version at .*The first is of 2026-11-18T23:30:00\+00:00"):
        versions.at(text)


def test_empty_store_has_no_version_at_any_time(versions: Versions) -> None:
    with pytest.raises(NotFound, match="The store is empty"):
        versions.at("2026-11-17")


def test_number_of_no_version_is_not_found(versions: Versions) -> None:
    with pytest.raises(NotFound, match=r"There is no version 3\. The versions go from 0 to 0"):
        versions.at("3")


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1.5", "²", "2026-13-01", "2026-11-20T25:00", "9" * 5000])
def test_text_that_is_no_version_and_no_time_is_refused(versions: Versions, text: str) -> None:
    commit(versions, quad("a"))
    with pytest.raises(BadRequest, match="is neither a version nor a time"):
        versions.at(text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "at": "x", "who": "", "message": ""}']
)
def test_damaged_record_is_one_clear_error(versions: Versions, text: str) -> None:
    commit(versions, quad("a"))
    (versions.home / "records" / "1.json").write_text(text)
    with pytest.raises(StoreFailure, match=r"The record of version 1 in .* cannot be read: .*Run `kg repair`"):
        versions.records()


def test_damage_that_shows_while_reading_points_to_repair(versions: Versions) -> None:
    """A block of the database with a turned bit: it opens, and a query comes upon it."""
    commit(versions, *(quad(f"subject-{number}") for number in range(5000)))
    for file in (versions.home / "versions" / "1").glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x55
        file.write_bytes(data)
    with pytest.raises(StoreFailure, match=r"Version 1 in .* cannot be .*Corruption.*Run `kg repair`"):
        content(versions)


def test_kg_asks_a_past_version_by_number_and_time(home: Path) -> None:
    """With `query`, `ask`, `rate` and `export`, also when the database of that version is gone."""
    put(home, CONCESSION)
    query = ["query", "ASK { proposal:test-rice ?p ?o }", "--format", "csv"]
    ask = ["ask", "concessions-by-tariff", "tariff=us-232-autos", "--format", "csv"]
    rate = ["rate", "--importer", "US", "--origin", "JP", "--product", "8703.23.01", "--on", "2025-06-07"]
    assert "test-rice" in done(home, *ask)
    shutil.rmtree(home / "versions" / "1")
    record_at(home, 1, "2020-01-01T00:00:00+00:00")
    for at in ("1", "2020-01-01"):
        assert done(home, *query, "--at", at) == "false\n"
        assert "test-rice" not in done(home, *ask, "--at", at)
        assert done(home, *rate, "--at", at) == done(home, *rate)
        assert "test-rice" not in done(home, "export", "--at", at)
    assert done(home, *query, "--at", "9999-12-31") == done(home, *query) == "true\n"
    assert "test-rice" in done(home, "export", "--at", "2")
    assert done(home, *query, "--at", "0") == "false\n"


def test_kg_refuses_a_past_version_that_it_cannot_ask(shipped_home: Path) -> None:
    ask = ["query", "ASK {}", "--at"]
    assert "There is no version 7. The versions go from 0 to 1" in refused(shipped_home, 2, *ask, "7")
    assert "'soon' is neither a version nor a time" in refused(shipped_home, 2, *ask, "soon")
    assert "There was no version at 2020-01-01. The first is of 20" in refused(shipped_home, 2, *ask, "2020-01-01")
    message = refused(shipped_home, 2, *ask, "1", KG_STORE="http://127.0.0.1:1/sparql")
    assert "works on the embedded store" in message
