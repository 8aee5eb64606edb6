"""The folder of versions: commits, readers, crashes."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.errors import Conflict, NotFound, StoreFailure
from kg.records import Record
from kg.store import FORMAT, Versions
from kg.terms import HISTORY_GRAPH

TOP = ox.DefaultGraph()

#: Commits one fact a time, for ever, and ends itself before the N-th fsync if there is a third argument.
WRITER = """
import os, signal, sys
from pathlib import Path
import pyoxigraph as ox
from kg.store import Versions

fsync, left = os.fsync, int(sys.argv[3]) if len(sys.argv) > 3 else -1

def counted(handle):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    fsync(handle)

os.fsync = counted
name, number = sys.argv[2], 0
print("ready", flush=True)
while True:
    number += 1
    with Versions(Path(sys.argv[1])).writing() as draft:
        draft.add([ox.Quad(*(ox.NamedNode(f"urn:{x}") for x in (f"{name}-{number}", "p", "o", "g")))])
        draft.publish(f"{name} {number}")
"""
FSYNCS_OF_A_COMMIT = 7


def quad(subject: str, graph: str = "g", value: str = "o") -> ox.Quad:
    return ox.Quad(*(ox.NamedNode(f"urn:{name}") for name in (subject, "p", value, graph)))


def triple(subject: str, value: str = "o") -> ox.Quad:
    """The copy of a triple in the default graph."""
    return ox.Quad(*(ox.NamedNode(f"urn:{name}") for name in (subject, "p", value)))


def commit(versions: Versions, *quads: ox.Quad, message: str = "test") -> Record | None:
    with versions.writing() as draft:
        draft.add(quads)
        return draft.publish(message)


def held(versions: Versions, version: int | None = None) -> set[ox.Quad]:
    """All quads of a version but those of its history."""
    with versions.reading(version) as (_, store):
        return {q for q in store if q.graph_name != ox.NamedNode(HISTORY_GRAPH)}


def changes(versions: Versions, version: int) -> set[tuple[str, str]]:
    return set(versions.changes(version))


def leftovers(versions: Versions) -> list[str]:
    return [path.name for path in (versions.home / "staging").iterdir()]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions.create(tmp_path / "store", bare=False)


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> int:
    """A small number of versions kept, since each commit waits for the disk."""
    monkeypatch.setattr("kg.store.KEEP", 3)
    return 3


def test_new_store_is_empty_version_0(versions: Versions) -> None:
    assert versions.current() == 0
    assert held(versions) == set()
    assert versions.records() == []


def test_create_opens_the_store_that_is_there(versions: Versions) -> None:
    commit(versions, quad("a"))
    again = Versions.create(versions.home, bare=True)
    assert (again.current(), again.bare) == (1, False)


def test_commit_makes_a_version_with_its_record(versions: Versions) -> None:
    record = commit(versions, quad("a"), quad("b"), message="Two facts")
    assert record == versions.record(1)
    assert record is not None
    assert (record.version, record.message, record.graphs) == (1, "Two facts", ["urn:g"])
    assert (record.added, record.removed, record.quads) == (2, 0, 2)
    assert held(versions) == {quad("a"), quad("b"), triple("a"), triple("b")}


def test_unchanged_commit_makes_no_version(versions: Versions) -> None:
    commit(versions, quad("a"))
    assert commit(versions, quad("a")) is None
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:g"), [quad("a")])
        assert draft.publish("the same again") is None
    assert versions.current() == 1
    assert leftovers(versions) == []


def test_record_counts_what_came_and_went(versions: Versions) -> None:
    commit(versions, quad("a"), quad("b"))
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:g"), [quad("b"), quad("c"), quad("d")])
        record = draft.publish("Replace")
    assert record is not None
    assert (record.added, record.removed, record.quads) == (2, 1, 3)


def test_change_set_is_exact(versions: Versions) -> None:
    commit(versions, quad("a"), quad("b"))
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:g"), [quad("b"), quad("c")])
        draft.publish("Replace")
    assert changes(versions, 1) == {("A", f"{quad(name)} .") for name in "ab"}
    assert changes(versions, 2) == {("D", f"{quad('a')} ."), ("A", f"{quad('c')} .")}


def test_change_set_leaves_out_what_was_undone_in_the_same_draft(versions: Versions) -> None:
    commit(versions, quad("stays"))
    with versions.writing() as draft:
        draft.add([quad("passes"), quad("new")])
        draft.remove([quad("passes"), quad("stays")])
        draft.add([quad("stays")])
        assert (draft.added, draft.removed) == ({quad("new")}, set())
        draft.publish("Only one of them is new")
    assert changes(versions, 2) == {("A", f"{quad('new')} .")}
    assert held(versions) == {quad("stays"), triple("stays"), quad("new"), triple("new")}


def test_draft_whose_changes_cancel_out_makes_no_version(versions: Versions) -> None:
    with versions.writing() as draft:
        draft.add([quad("a")])
        draft.remove([quad("a")])
        assert draft.publish("Nothing") is None
    assert versions.current() == 0


def test_change_set_is_sorted_n_quads(versions: Versions) -> None:
    commit(versions, *(quad(name) for name in "dbca"))
    lines = [line for _, line in versions.changes(1)]
    assert lines == sorted(lines)
    assert set(ox.parse("\n".join(lines), ox.RdfFormat.N_QUADS)) == {quad(name) for name in "dbca"}


def test_change_sets_replay_to_the_current_version(versions: Versions) -> None:
    rng = random.Random(5)
    for _ in range(12):
        with versions.writing() as draft:
            draft.set_graph(ox.NamedNode("urn:g"), [quad(str(rng.randrange(8))) for _ in range(5)])
            draft.publish("Shuffle")
    replayed: set[str] = set()
    for number in range(1, versions.current() + 1):
        for sign, line in versions.changes(number):
            assert (line in replayed) == (sign == "D")
            replayed ^= {line}
    assert replayed == {f"{q} ." for q in held(versions) if q.graph_name != TOP}


def test_default_graph_holds_a_triple_of_two_graphs_once(versions: Versions) -> None:
    commit(versions, quad("a", "g"), quad("a", "h"))
    with versions.reading() as (_, store):
        assert list(store.quads_for_pattern(None, None, None, TOP)) == [triple("a")]


def test_triple_stays_in_the_default_graph_until_the_last_graph_drops_it(versions: Versions) -> None:
    commit(versions, quad("a", "g"), quad("a", "h"))
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:g"), ())
        draft.publish("One of two")
    assert held(versions) == {quad("a", "h"), triple("a")}
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:h"), ())
        draft.publish("The last")
    assert held(versions) == set()


def test_triple_dropped_by_two_graphs_at_once_leaves_the_default_graph(versions: Versions) -> None:
    commit(versions, quad("a", "g"), quad("a", "h"))
    with versions.writing() as draft:
        draft.remove([quad("a", "g"), quad("a", "h")])
        draft.publish("Both")
    assert held(versions) == set()


def test_bare_store_keeps_its_own_default_graph(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "bare", bare=True)
    commit(versions, triple("mine"), quad("a"))
    assert held(versions) == {triple("mine"), quad("a")}
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:g"), ())
        draft.publish("Drop the named graph")
    assert held(versions) == {triple("mine")}


def test_reader_of_an_old_version_is_undisturbed_by_commits(versions: Versions) -> None:
    commit(versions, quad("a"))
    with versions.reading() as (number, store):
        before = set(store)
        for name in "bcd":
            commit(versions, quad(name))
        assert set(store) == before
    assert number == 1
    assert versions.current() == 4
    assert held(versions, 1) == {quad("a"), triple("a")}


def test_change_sets_and_records_outlive_their_databases(versions: Versions, keep: int) -> None:
    for number in range(keep + 3):
        commit(versions, quad(str(number)))
    kept = {int(path.name) for path in (versions.home / "versions").iterdir()}
    assert kept == set(range(4, keep + 4))
    assert len(versions.records()) == keep + 3
    assert changes(versions, 1) == {("A", f"{quad('0')} .")}
    assert held(versions, 1) == {quad("0"), triple("0")}


def test_pruning_spares_a_version_that_is_read(versions: Versions, keep: int) -> None:
    commit(versions, quad("held"))
    with versions.reading(1) as (_, store):
        for number in range(keep + 2):
            commit(versions, quad(str(number)))
        assert {quad("held"), triple("held")} <= set(store)
        assert (versions.home / "versions" / "1").is_dir()
    commit(versions, quad("last"))
    assert not (versions.home / "versions" / "1").exists()


def test_draft_that_raises_changes_nothing(versions: Versions) -> None:
    commit(versions, quad("a"))
    with pytest.raises(RuntimeError, match="half way"), versions.writing() as draft:
        draft.add([quad("b")])
        raise RuntimeError("half way")
    assert versions.current() == 1
    assert held(versions) == {quad("a"), triple("a")}
    assert leftovers(versions) == []
    commit(versions, quad("c"))
    assert held(versions) == {quad(n) for n in "ac"} | {triple(n) for n in "ac"}


def test_draft_that_is_not_published_changes_nothing(versions: Versions) -> None:
    with versions.writing() as draft:
        draft.add([quad("a")])
    assert versions.current() == 0
    assert leftovers(versions) == []


@pytest.mark.parametrize("step", range(FSYNCS_OF_A_COMMIT + 1))
def test_kill_at_any_step_of_a_commit_leaves_a_whole_version(versions: Versions, step: int) -> None:
    """The new version is current from the rename of the pointer on, before it the old one is."""
    commit(versions, quad("old"))
    writer = subprocess.run([sys.executable, "-c", WRITER, str(versions.home), "killed", str(step)], timeout=60)
    assert writer.returncode == -signal.SIGKILL
    published = step >= FSYNCS_OF_A_COMMIT - 1
    names = ["old", "killed-1"] if published else ["old"]
    assert versions.current() == len(names)
    assert held(versions) == {quad(n) for n in names} | {triple(n) for n in names}
    record = commit(versions, quad("next"))
    assert record is not None
    assert (record.version, record.quads) == (len(names) + 1, len(names) + 1)
    assert changes(versions, record.version) == {("A", f"{quad('next')} .")}
    assert leftovers(versions) == []


def test_kills_at_random_moments_leave_a_working_store(versions: Versions) -> None:
    rng = random.Random(20250606)
    for kill in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(versions.home), f"k{kill}"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer, writer.stdout as output:
            assert output.readline() == "ready\n"
            try:
                writer.wait(rng.uniform(0, 0.15))
            except subprocess.TimeoutExpired:
                writer.kill()
            assert writer.wait() == -signal.SIGKILL
        facts = {q for q in held(versions) if q.graph_name != TOP}
        assert len(facts) == versions.current()
        if versions.current():
            assert versions.record(versions.current()).quads == len(facts)
        record = commit(versions, quad(f"after-{kill}"))
        assert record is not None
        assert record.quads == len(facts) + 1
        assert leftovers(versions) == []


def test_two_processes_that_write_at_once_lose_nothing(versions: Versions) -> None:
    script = WRITER.replace("while True:", "for _ in range(12):")
    writers = [subprocess.Popen([sys.executable, "-c", script, str(versions.home), name]) for name in ("a", "b")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    facts = {q for q in held(versions) if q.graph_name != TOP}
    assert facts == {quad(f"{name}-{number}") for name in "ab" for number in range(1, 13)}
    assert [record.quads for record in versions.records()] == list(range(24, 0, -1))


def test_folder_without_a_store_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(StoreFailure, match="holds no readable Parley store"):
        Versions(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '{"bare": false}', "null"])
def test_corrupt_store_file_is_one_clear_error(versions: Versions, text: str) -> None:
    (versions.home / "store.json").write_text(text)
    with pytest.raises(StoreFailure, match=str(versions.home)):
        Versions(versions.home)


def test_unreadable_store_file_points_to_repair(versions: Versions) -> None:
    (versions.home / "store.json").write_text("{")
    with pytest.raises(StoreFailure, match=r"holds no readable Parley store: .* Run `kg repair`"):
        Versions(versions.home)


def test_store_of_another_format_is_refused_with_both_formats(versions: Versions) -> None:
    (versions.home / "store.json").write_text(json.dumps({"format": FORMAT + 1, "bare": False}))
    with pytest.raises(StoreFailure, match=rf"has format {FORMAT + 1}, this package reads {FORMAT}\. Use the package"):
        Versions(versions.home)


@pytest.mark.parametrize("text", ["", "one", "1 2"])
def test_corrupt_pointer_is_one_clear_error(versions: Versions, text: str) -> None:
    (versions.home / "current").write_text(text)
    with pytest.raises(StoreFailure, match="no readable current version"):
        versions.current()


def test_pointer_to_a_missing_version_is_one_clear_error(versions: Versions) -> None:
    (versions.home / "current").write_text("7\n")
    with pytest.raises(StoreFailure, match=r"Version 7 in .* is missing.* Run `kg repair`"), versions.reading():
        pass


def test_damaged_database_is_one_clear_error(versions: Versions) -> None:
    commit(versions, quad("a"))
    (versions.home / "versions" / "1" / "CURRENT").write_text("nothing\n")
    with pytest.raises(StoreFailure, match=r"Version 1 in .* cannot be opened.* Run `kg repair`"), versions.reading():
        pass


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict, match="is not empty and holds no Parley store"):
        Versions.create(tmp_path, bare=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_interrupted_creation_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "versions" / "0").mkdir(parents=True)
    (tmp_path / "staging").mkdir()
    (tmp_path / "current").write_text("0\n")
    (tmp_path / "store.json.new").write_text("{")
    versions = Versions.create(tmp_path, bare=False)
    assert commit(versions, quad("a")) is not None


def test_store_that_lost_its_kind_is_not_made_anew(versions: Versions) -> None:
    commit(versions, quad("a"))
    for name in ("store.json", "current"):
        (versions.home / name).unlink()
    with pytest.raises(StoreFailure, match=r"holds versions of a store, but no store\.json\. Run `kg repair`"):
        Versions.create(versions.home, bare=False)
    assert (versions.home / "versions" / "1").is_dir()


def test_unknown_version_has_no_record(versions: Versions) -> None:
    commit(versions, quad("a"))
    with pytest.raises(NotFound, match=r"no version 9\. The versions go from 1 to 1"):
        versions.record(9)


def test_equal_commits_write_equal_change_sets(tmp_path: Path) -> None:
    stores = [Versions.create(tmp_path / name, bare=False) for name in ("one", "two")]
    for versions, order in zip(stores, ("abc", "cba"), strict=True):
        commit(versions, *(quad(name) for name in order))
    one, two = ((v.home / "changes" / "1.nq.gz").read_bytes() for v in stores)
    assert one == two
    assert gzip.decompress(one).count(b"\n") == 3


def test_number_leaves_the_default_graph_though_the_next_one_stays(versions: Versions) -> None:
    """The engine takes 256 for 255 when it looks on disk."""
    s, p, g = (ox.NamedNode(f"urn:{name}") for name in "spg")
    commit(versions, ox.Quad(s, p, ox.Literal(255), g), ox.Quad(s, p, ox.Literal(256), g))
    with versions.writing() as draft:
        draft.remove([ox.Quad(s, p, ox.Literal(255), g)])
        draft.publish("one goes")
    assert held(versions) == {ox.Quad(s, p, ox.Literal(256), g), ox.Quad(s, p, ox.Literal(256))}
