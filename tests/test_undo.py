"""Taking back a version, as a new commit."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.differences import difference
from kg.errors import Conflict, NotFound, Refused, StoreFailure
from kg.loading import Outcome, ensure_content, load, undo
from kg.quads import DERIVED, TOP
from kg.store import Versions
from kg.terms import HISTORY_GRAPH, OVERRULED_GRAPH, SOURCE
from tests.damage import within
from tests.effort import tries
from tests.sources import CONCESSION, CONTENT, document, put, small_content
from tests.test_cli import done, kg, refused
from tests.test_past import Steps, content, histories, run
from tests.test_store import commit, quad


def take_back(versions: Versions, version: int, *, dry_run: bool = False, message: str = "") -> Outcome:
    return undo(versions, version, CONTENT, dry_run=dry_run, message=message)


def held(versions: Versions, version: int | None = None) -> set[ox.Quad]:
    """All that a version holds but its history."""
    return {q for q in content(versions, version)[0] if q.graph_name != ox.NamedNode(HISTORY_GRAPH)}


@pytest.fixture
def bare(tmp_path: Path) -> Versions:
    return Versions.create(tmp_path / "bare", bare=True)


def test_undo_of_the_last_commit_gives_the_state_before() -> None:
    @settings(max_examples=tries(5), deadline=None)
    @given(histories(bare=True))
    def check(history: list[Steps]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions = Versions.create(Path(folder) / "store", bare=True)
            before = run(versions, history)
            if versions.current():
                outcome = take_back(versions, versions.current())
                assert outcome.record is not None
                assert outcome.skipped == 0
                assert content(versions) == before[-2]

    check()


def test_undo_of_any_commit_inverts_what_later_ones_left_of_it() -> None:
    @settings(max_examples=tries(5), deadline=None)
    @given(histories(bare=True), st.data())
    def check(history: list[Steps], data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions = Versions.create(Path(folder) / "store", bare=True)
            run(versions, history)
            if not versions.current():
                return
            number = data.draw(st.integers(1, versions.current()))
            change, now = difference(versions, number - 1, number), held(versions)
            outcome = take_back(versions, number)
            assert held(versions) == now - set(change.added) | set(change.removed)
            untouched = len(set(change.added) - now) + len(set(change.removed) & now)
            assert outcome.skipped == untouched
            assert (outcome.record is None) == (untouched == len(change.added) + len(change.removed))

    check()


def test_undo_takes_back_facts_and_all_that_followed(home: Path) -> None:
    """Entailments, overruled values and the merged graph are again as if the load had not been."""
    versions = Versions(home)
    before = held(versions)
    put(home, CONCESSION + "rate:us-232-autos-jp-15 trade:percent 17.0 .\n")
    assert any(q.graph_name == ox.NamedNode(OVERRULED_GRAPH) for q in held(versions) - before)
    outcome = take_back(versions, 2)
    assert outcome.record is not None
    assert (outcome.record.version, outcome.record.added, outcome.record.removed) == (3, 0, 19)
    assert outcome.record.message == "Undo version 2"
    assert held(versions) == before


def test_undo_of_an_undo_brings_back_what_was(home: Path) -> None:
    versions = Versions(home)
    put(home, CONCESSION)
    loaded = held(versions)
    take_back(versions, 2)
    outcome = take_back(versions, 3, message="After all")
    assert outcome.record is not None
    assert (outcome.record.message, outcome.report.conforms) == ("After all", True)
    assert held(versions) == loaded


def test_facts_that_others_rely_on_are_not_taken_away(home: Path) -> None:
    versions = Versions(home)
    put(home, CONCESSION)
    event = """event:test-later a trade:StatusEvent ; trade:ofProposal proposal:test-rice ;
        trade:status status:agreed ; trade:date "2025-06-28"^^xsd:date ."""
    load(versions, [document(event, "my-later-notes")], CONTENT)
    before = content(versions)
    with pytest.raises(Refused) as refusal:
        take_back(versions, 2)
    assert "event:test-later trade:ofProposal" in refusal.value.report.text()
    assert (versions.current(), content(versions)) == (3, before)


def test_facts_that_changed_again_since_are_skipped_and_counted(home: Path) -> None:
    versions = Versions(home)
    put(home, CONCESSION)
    put(home, CONCESSION.replace("More imports", "Fewer imports"))
    outcome = take_back(versions, 2)
    assert outcome.record is not None
    # The old label is gone already; the new one is no fact of version 2 and stays.
    assert (outcome.record.removed, outcome.skipped) == (17, 1)


def test_nothing_is_left_to_undo_after_an_undo(bare: Versions) -> None:
    commit(bare, quad("a"), quad("b"))
    assert take_back(bare, 1).record is not None
    assert take_back(bare, 1) == Outcome(None, take_back(bare, 1).report, skipped=2)
    assert bare.current() == 2


def test_undo_brings_back_what_was_removed(home: Path) -> None:
    versions = Versions(home)
    put(home, CONCESSION)
    loaded = held(versions)
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode(SOURCE + "my-notes"), ())
        draft.publish("By hand")
    take_back(versions, 3)
    assert {q for q in held(versions) if q.graph_name not in (*DERIVED, TOP)} == {
        q for q in loaded if q.graph_name not in (*DERIVED, TOP)
    }


def test_undo_of_a_load_into_a_shipped_graph_brings_the_shipped_facts_back(tmp_path: Path) -> None:
    small = small_content(tmp_path)
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, small)
    before = held(versions)
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode(SOURCE + "context"), [within(quad("a"), SOURCE + "context")])
        draft.publish("Replaced")
    undo(versions, 2, small)
    assert held(versions) == before


def test_shipped_content_is_not_taken_back(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = small_content(tmp_path / "old"), small_content(tmp_path / "new")
    with (tmp_path / "new" / "facts" / "context.ttl").open("a") as file:
        file.write("\n<urn:x> <http://purl.org/dc/terms/description> 'new' .\n")
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, old)
    ensure_content(versions, new)
    for number in (1, 2):
        with pytest.raises(Conflict, match=f"Version {number} brought the shipped facts, which cannot be taken back"):
            undo(versions, number, new)
    assert versions.current() == 2


def test_dry_run_of_an_undo_changes_nothing(home: Path) -> None:
    versions = Versions(home)
    put(home, CONCESSION)
    before = content(versions)
    outcome = take_back(versions, 2, dry_run=True)
    assert (outcome.record, outcome.report.conforms, outcome.skipped) == (None, True, 0)
    assert (versions.current(), content(versions)) == (2, before)


@pytest.mark.parametrize("number", [0, 2])
def test_unknown_version_cannot_be_undone(bare: Versions, number: int) -> None:
    commit(bare, quad("a"))
    with pytest.raises(NotFound, match=rf"There is no version {number}\. The versions go from 1 to 1"):
        take_back(bare, number)


def test_damaged_change_set_cannot_be_undone(bare: Versions) -> None:
    commit(bare, quad("a"))
    bare.change_file(1).write_bytes(b"")
    with pytest.raises(StoreFailure, match=r"The change set of version 1 .* Run `kg repair`"):
        take_back(bare, 1)
    assert bare.current() == 1


def test_old_version_whose_database_is_gone_is_undone(bare: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.store.KEEP", 2)
    for name in "abcde":
        commit(bare, quad(name))
    take_back(bare, 1)
    assert held(bare) == {quad(name) for name in "bcde"}


def test_kg_undo_takes_back_the_current_version(home: Path) -> None:
    put(home, CONCESSION)
    assert done(home, "undo", "--dry-run") == "The facts conform. Nothing was changed.\n"
    assert done(home, "undo", "--message", "Not yet") == "Version 3: 0 added, 18 removed.\n"
    assert json.loads(done(home, "history", "--format", "json"))[0]["message"] == "Not yet"
    result = kg(home, "undo", "2")
    assert (result.returncode, result.stdout) == (0, "Nothing to do: nothing is left of version 2.\n")
    assert result.stderr == "Changed again since, and left as they are: 18 facts.\n"
    assert json.loads(done(home, "undo", "--format", "json"))["conforms"] is True
    assert Versions(home).current() == 4


def test_kg_undo_refuses_what_it_cannot_do(home: Path) -> None:
    assert "Version 1 brought the shipped facts" in refused(home, 2, "undo")
    assert "There is no version 4" in refused(home, 2, "undo", "4")
    assert kg(home, "undo", "0").returncode == 2
    assert kg(home, "undo", "soon").returncode == 2
