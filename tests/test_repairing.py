"""Damage to the store and its repair: what is found, what is made again, and what is said to be lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import Conflict, NotFound, StoreFailure
from kg.loading import ensure_content
from kg.records import Record
from kg.repairing import repair
from kg.store import FORMAT, Versions
from kg.tidying import Finding
from tests.damage import KEPT, MENDED, TOP, Snapshot, cut, drop, edit_record, fill, snapshot, turn_a_bit, wound
from tests.effort import tries
from tests.sources import CONCESSION, put, small_content
from tests.test_past import content
from tests.test_store import commit, quad

Made = tuple[Path, Snapshot]


def silent(step: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


def texts(home: Path, *, dry_run: bool = False) -> list[str]:
    """What a repair says, a line a finding."""
    return [finding.text for finding in repair(home, silent, dry_run=dry_run)]


@pytest.fixture(autouse=True, scope="module")
def keep() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kg.store.KEEP", KEPT)
        patch.setattr("kg.repairing.KEEP", KEPT)
        yield


@pytest.fixture(scope="module")
def made_full(tmp_path_factory: pytest.TempPathFactory, keep: None) -> Made:
    versions = fill(Versions.create(tmp_path_factory.mktemp("full") / "store", bare=False))
    return versions.home, snapshot(versions)


@pytest.fixture(scope="module")
def made_bare(tmp_path_factory: pytest.TempPathFactory, keep: None) -> Made:
    versions = fill(Versions.create(tmp_path_factory.mktemp("bare") / "store", bare=True))
    return versions.home, snapshot(versions)


@pytest.fixture(params=["full", "bare"])
def made(request: pytest.FixtureRequest) -> Made:
    found: Made = request.getfixturevalue(f"made_{request.param}")
    return found


def copied(home: Path, copy: Path) -> Path:
    """A copy in which versions share files as in the store itself."""
    subprocess.run(["cp", "-a", home, copy], check=True)
    return copy


@pytest.fixture
def store(made: Made, tmp_path: Path) -> Made:
    """A store to damage, full or bare, and what it held."""
    return copied(made[0], tmp_path / "store"), dict(made[1])


@pytest.fixture
def full(made_full: Made, tmp_path: Path) -> Made:
    return copied(made_full[0], tmp_path / "store"), dict(made_full[1])


def held(home: Path) -> list[tuple[set[ox.Quad], set[object]]]:
    versions = Versions(home)
    return [content(versions, number) for number in range(versions.current() + 1)]


def recorded(before: Snapshot, number: int) -> Record:
    record = before[number][1]
    assert record is not None
    return record


def test_whole_store_is_left_as_it_is(store: Made) -> None:
    home, before = store
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert texts(home) == []
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files
    assert snapshot(Versions(home)) == before


def test_shipped_store_with_a_load_is_whole(home: Path) -> None:
    """Also without its older databases, as after a restore."""
    put(home, CONCESSION)
    for number in ("0", "1"):
        drop(home / "versions" / number)
    assert texts(home) == []


def test_new_store_is_whole(tmp_path: Path) -> None:
    assert texts(Versions.create(tmp_path / "store", bare=False).home) == []


def test_folder_without_a_store_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NotFound, match="holds no Parley store"):
        repair(tmp_path, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_store_of_another_format_is_not_touched(full: Made) -> None:
    (full[0] / "store.json").write_text(json.dumps({"format": FORMAT + 1, "bare": False}))
    (full[0] / "current").write_text("odd")
    with pytest.raises(StoreFailure, match=f"has format {FORMAT + 1}"):
        repair(full[0], silent)
    assert (full[0] / "current").read_text() == "odd"


def beginnings(said: list[str], lines: list[str]) -> list[str]:
    """What was said, each line cut to the length of what is expected."""
    return [text[: len(line)] for text, line in zip(said, lines, strict=True)]


@pytest.mark.parametrize("case", MENDED)
def test_what_the_rest_of_the_store_tells_is_made_again(store: Made, case: str) -> None:
    """To the last quad, in every version; and then the store is whole."""
    (home, before), (damage, lines) = store, MENDED[case]
    damage(home)
    said = texts(home)
    assert beginnings(said, lines) == lines
    assert not any("Lost" in text for text in said)
    assert snapshot(Versions(home)) == before
    assert texts(home) == []
    assert commit(Versions(home), quad("next")) is not None


@pytest.mark.parametrize("case", MENDED)
def test_dry_run_tells_the_same_and_changes_nothing(full: Made, case: str) -> None:
    (home, _), (damage, lines) = full, MENDED[case]
    damage(home)
    files = {p: p.read_bytes() for p in home.rglob("*") if p.is_file() and "past" not in p.parts}
    said = texts(home, dry_run=True)
    assert beginnings(said, lines) == lines
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file() and "past" not in p.parts} == files
    assert texts(home) == said


def test_block_that_is_damaged_in_all_versions_is_made_again(store: Made) -> None:
    """Versions share files: one bad block of the disk is in all of them."""
    home, before = store
    files = [{f.stat().st_ino: f for f in (home / "versions" / str(n)).glob("*.sst")} for n in (4, 5, 6)]
    shared = set.intersection(*map(set, files))
    turn_a_bit(max((files[0][inode] for inode in shared), key=lambda file: file.stat().st_size))
    said = texts(home)
    assert [text[: len("version 4 is damaged (Corruption")] for text in said] == [
        f"version {number} is damaged (Corruption" for number in (4, 5, 6)
    ]
    assert snapshot(Versions(home)) == before
    assert texts(home) == []


def test_damage_to_any_file_of_a_database_is_found(full: Made) -> None:
    """Also in an index that no reading of the facts goes through."""
    home, _ = full
    files = sorted((home / "versions" / str(TOP)).glob("*.sst"))
    assert len(files) > 10
    for file in files:
        data = file.read_bytes()
        turn_a_bit(file)
        assert any(f"version {TOP} is damaged" in text for text in texts(home, dry_run=True)), file.name
        file.write_bytes(data)
    assert texts(home) == []


def test_missing_record_is_recalled_from_the_history(full: Made) -> None:
    home, before = full
    drop(home / "records" / "3.json")
    assert texts(home) == [
        "record 3 is missing: made again from its change set and the history. "
        "Lost: who made it and how many warnings it had."
    ]
    assert Versions(home).record(3) == Record(**{**vars(recorded(before, 3)), "who": "unknown"})
    assert held(home) == [pair[0] for pair in before.values()]
    assert texts(home) == []


def test_all_records_are_recalled(full: Made) -> None:
    home, before = full
    drop(home / "records")
    assert len(texts(home)) == TOP + 1
    assert held(home) == [pair[0] for pair in before.values()]
    assert texts(home) == []


def test_damaged_record_of_a_bare_store_is_made_again_without_its_message(made_bare: Made, tmp_path: Path) -> None:
    """It has no history that would tell. The damaged file is kept, for who can read it."""
    home = copied(made_bare[0], tmp_path / "store")
    (home / "records" / "2.json").write_text("{")
    [finding] = repair(home, silent)
    assert finding.lost == "who made it and how many warnings it had, when, and why"
    record = Versions(home).record(2)
    assert (record.added, record.removed, record.quads, record.graphs) == (2, 0, 42, ["urn:e", "urn:h"])
    assert (record.who, record.message) == ("unknown", "(its message is lost)")
    assert (home / "lost" / "records-2.json").read_text() == "{"


@pytest.mark.parametrize("lost", [{1}, {2}, {3}, {1, 2, 3}], ids=str)
def test_recalled_records_keep_apart_what_was_shipped(tmp_path: Path, lost: set[int]) -> None:
    """A graph of the user's whose record is lost is not taken for a shipped one, which an upgrade would remove."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = small_content(tmp_path / "old"), small_content(tmp_path / "new")
    with (tmp_path / "new" / "facts" / "context.ttl").open("a") as file:
        file.write("\n<urn:x> <http://purl.org/dc/terms/description> 'new' .\n")
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, old)
    commit(versions, quad("mine"))
    commit(versions, quad("more"))
    for number in lost:
        drop(versions.home / "records" / f"{number}.json")
    assert len(texts(versions.home)) == len(lost)
    assert len({versions.record(number).content for number in (1, 2, 3)}) == 1
    ensure_content(versions, new)
    assert quad("mine") in content(versions)[0]


def test_current_version_that_cannot_be_made_again_gives_way_to_the_newest_that_can(store: Made) -> None:
    home, before = store
    drop(home / "versions" / "6")
    cut(home / "changes" / "6.nq.gz")
    record = recorded(before, 6)
    assert texts(home) == [
        "version 6 is missing and cannot be made again: what is left of it is in the folder lost. "
        f"Lost: the commit of {record.at} by {record.who} (test), which added 1 facts and removed 0 in urn:g.",
        "version 6 was the current one: version 5 is now.",
    ]
    del before[6]
    assert snapshot(Versions(home)) == before
    assert {path.name for path in (home / "lost").iterdir()} == {"changes-6.nq.gz", "records-6.json"}
    assert texts(home) == []
    assert commit(Versions(home), quad("next")) is not None


def test_store_of_which_nothing_can_be_read_is_empty_again(full: Made) -> None:
    home, _ = full
    drop(home / "versions")
    drop(home / "changes" / "1.nq.gz")
    assert len([finding for finding in repair(home, silent) if finding.lost]) == TOP
    assert held(home) == [(set(), set())]
    assert texts(home) == []


def test_versions_between_two_lost_change_sets_are_named(store: Made) -> None:
    """Version 4 and those after it are kept, 1 follows from the beginning; 2 and 3 follow from nothing."""
    home, before = store
    for number in (2, 4):
        drop(home / "changes" / f"{number}.nq.gz")
    said = [
        "change set 2 is missing: it cannot be worked out. Lost: what version 2 changed.",
        "change set 4 is missing: it cannot be worked out. Lost: what version 4 changed.",
        "no change sets lead to versions 2 to 3: nothing can be done. Lost: reading versions 2 to 3.",
    ]
    assert texts(home) == said
    assert texts(home) == said
    versions = Versions(home)
    for number in (0, 1, 4, 5, 6):
        assert content(versions, number) == before[number][0]
    with pytest.raises(StoreFailure, match="Version 3 cannot be made again"):
        content(versions, 3)


def test_pointer_to_a_version_of_which_nothing_is_there_is_set_back(store: Made) -> None:
    home, before = store
    (home / "current").write_text("123456789012\n")
    assert texts(home) == [
        "current names version 123456789012, of which nothing is there: set to 6. Lost: what came after version 6."
    ]
    assert snapshot(Versions(home)) == before


def tamper(database: Path, *, add: tuple[ox.Quad, ...] = (), remove: tuple[ox.Quad, ...] = ()) -> None:
    store = ox.Store(str(database))
    store.extend(add)
    for gone in remove:
        store.remove(gone)
    store.flush()


def bare_triple(quad: ox.Quad) -> ox.Quad:
    return ox.Quad(quad.subject, quad.predicate, quad.object)


def test_database_with_a_fact_too_few_is_made_again(store: Made) -> None:
    """All its blocks are whole, and what its version added is in it: only the number of facts tells."""
    home, before = store
    tamper(home / "versions" / "6", remove=(quad("20"), bare_triple(quad("20"))))
    facts = recorded(before, 6).quads - 1
    assert texts(home) == [f"version 6 holds {facts} facts, which its record contradicts: made again from version 5."]
    assert snapshot(Versions(home)) == before


def test_default_graph_that_is_not_the_merge_is_made_again(full: Made) -> None:
    home, before = full
    tamper(home / "versions" / "6", add=(bare_triple(quad("z")),))
    [said] = texts(home)
    assert said.startswith("version 6 is damaged (its default graph is not the merge of the others): made again from")
    assert snapshot(Versions(home)) == before


def test_damaged_version_that_is_read_is_not_taken_away(store: Made) -> None:
    home, before = store
    with Versions(home).reading(6):
        (home / "versions" / "6" / "CURRENT").write_text("x")
        drop(home / "versions" / "5")
        with pytest.raises(Conflict, match=r"Version 6 is damaged, and a process reads it\. End `kg serve`"):
            repair(home, silent)
        assert (home / "versions" / "6" / "CURRENT").exists()
    assert len(texts(home)) == 2
    assert snapshot(Versions(home)) == before


def test_repair_waits_for_the_writer(full: Made) -> None:
    """What a writer at work has in staging is not taken for a leftover."""
    home, _ = full
    script = "import sys; from pathlib import Path; from kg.repairing import repair\n"
    script += "print(len(repair(Path(sys.argv[1]), lambda step, done=0, total=0: None)))"
    with Versions(home).writing() as draft:
        other = subprocess.Popen([sys.executable, "-c", script, str(home)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(2)
        draft.add([quad("slow")])
        draft.publish("Slow")
    assert other.communicate(timeout=60)[0] == "0\n"
    assert Versions(home).current() == TOP + 1


#: What cannot be done is told each time.
HOPELESS = ("it cannot be worked out", "nothing can be done")


@settings(max_examples=tries(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_after_any_damage_versions_are_what_they_were_or_said_to_be_lost(
    made: Made, tmp_path: Path, data: st.DataObject
) -> None:
    (source, before), home = made, tmp_path / "store"
    shutil.rmtree(home, ignore_errors=True)
    copied(source, home)
    names = sorted(str(path.relative_to(home)) for path in home.rglob("*") if "past" not in path.parts)
    for _ in range(data.draw(st.integers(1, 4))):
        wound(home, data.draw(st.sampled_from(names)), data.draw(st.sampled_from(["drop", "cut", "turn"])))
    try:
        found = repair(home, silent)
    except StoreFailure as error:
        assert "has format" in str(error)  # the one thing that damage can make of store.json
        return
    versions, lost = Versions(home), " ".join(finding.lost for finding in found)
    assert versions.current() == TOP or "the commit of" in lost or "what came after" in lost
    for number in range(versions.current() + 1):
        try:
            assert content(versions, number) == before[number][0] or "when" in lost
        except StoreFailure:
            assert "reading version" in lost
    assert [finding for finding in repair(home, silent) if finding.done not in HOPELESS] == []
    assert commit(versions, quad("next")) is not None


def test_finding_says_what_is_wrong_what_was_done_and_what_is_lost() -> None:
    assert Finding("x is damaged", "made again").text == "x is damaged: made again."
    assert Finding("x is damaged", "removed", "all of it").text == "x is damaged: removed. Lost: all of it."


def test_dry_run_of_losses_loses_nothing(full: Made) -> None:
    home, before = full
    drop(home / "versions" / "6")
    edit_record(home, 6, message="mine")
    data = (home / "changes" / "6.nq.gz").read_bytes()
    cut(home / "changes" / "6.nq.gz")
    assert any("Lost" in text for text in texts(home, dry_run=True))
    (home / "changes" / "6.nq.gz").write_bytes(data)
    edit_record(home, 6, message="test")
    assert texts(home) == ["version 6 is missing: made again from version 5."]
    assert snapshot(Versions(home)) == before
