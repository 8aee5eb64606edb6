"""A worker's copy in memory is made of the commits or follows them, and holds what the version on disk holds."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import worker
from kg.store import Versions, in_memory
from kg.worker import _Current
from tests.sources import CONCESSION, put
from tests.test_past import Steps, content, histories
from tests.test_store import commit, quad


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of facts of the versions that were copied from disk."""
    seen: list[int] = []

    def seen_in_memory(store: ox.Store, *, bare: bool) -> ox.Store:
        seen.append(len(store))
        return in_memory(store, bare=bare)

    monkeypatch.setattr(worker, "in_memory", seen_in_memory)
    return seen


def held(current: _Current) -> tuple[int, set[ox.Quad], set[object]]:
    number, store = current.get()
    return number, set(store), set(store.named_graphs())


@pytest.mark.parametrize("bare", [False, True])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_after_any_commits_the_copy_is_what_stands_on_disk(bare: bool, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        versions = Versions.create(Path(folder) / "home", bare=bare)
        commit(versions, quad("first"))
        current = _Current(versions)
        assert held(current) == (1, *content(versions))
        for steps in data.draw(histories(bare)):
            _commit(versions, steps)
            if data.draw(st.booleans()):  # else it follows several at once
                assert held(current) == (versions.current(), *content(versions))
        assert held(current) == held(_Current(versions)) == (versions.current(), *content(versions))


def _commit(versions: Versions, steps: Steps) -> None:
    with versions.writing() as draft:
        for adds, changed in steps:
            (draft.add if adds else draft.remove)(changed)
        draft.publish("steps")


def test_the_copy_of_the_shipped_graph_follows_a_load(home: Path, opened: list[int]) -> None:
    versions = Versions(home)
    current = _Current(versions)
    assert held(current) == (1, *content(versions))
    put(home, CONCESSION)
    assert held(current) == held(_Current(versions)) == (2, *content(versions))
    assert not opened


@pytest.fixture
def one(tmp_path: Path) -> Iterator[tuple[Versions, _Current]]:
    """A store of one version, which a worker has opened."""
    versions = Versions.create(tmp_path / "home", bare=False)
    commit(versions, quad("first"))
    current = _Current(versions)
    current.get()
    yield versions, current


def test_what_changed_much_is_copied_anew(
    opened: list[int], one: tuple[Versions, _Current], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, current = one
    monkeypatch.setattr(worker, "MOST_BYTES", 10)
    commit(versions, quad("second"))
    assert held(current) == (2, *content(versions))
    assert len(opened) == 1


def test_many_commits_are_copied_at_once(
    opened: list[int], one: tuple[Versions, _Current], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, current = one
    monkeypatch.setattr(worker, "MOST_STEPS", 2)
    for name in "abc":
        commit(versions, quad(name))
    assert held(current) == (4, *content(versions))
    assert len(opened) == 1


def _damage(file: Path, damage: str) -> None:
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.write_bytes(gzip.compress(b"D " + gzip.decompress(file.read_bytes())))


DAMAGES = ["gone", "cut", "strange"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_change_set_leaves_no_copy_that_is_half_changed(
    damage: str, opened: list[int], one: tuple[Versions, _Current]
) -> None:
    versions, current = one
    for name in "ab":
        commit(versions, quad(name))
    _damage(versions.change_file(3), damage)
    assert held(current) == (3, *content(versions))
    assert len(opened) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_the_first_change_set_is_damaged_the_version_is_copied_from_disk(
    damage: str, opened: list[int], one: tuple[Versions, _Current]
) -> None:
    versions, _ = one
    _damage(versions.change_file(1), damage)
    assert held(_Current(versions)) == (1, *content(versions))
    assert len(opened) == 1


@pytest.mark.parametrize(("name", "most"), [("MOST_STEPS", 1), ("MOST_BYTES", 10)])
def test_what_is_far_from_the_first_version_is_copied_from_disk(
    name: str, most: int, opened: list[int], one: tuple[Versions, _Current], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, _ = one
    for text in "ab":
        commit(versions, quad(text))
    monkeypatch.setattr(worker, name, most)
    assert held(_Current(versions)) == (3, *content(versions))
    assert len(opened) == 1


def test_a_large_version_is_read_on_disk(
    opened: list[int], one: tuple[Versions, _Current], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, _ = one
    commit(versions, quad("second"))
    monkeypatch.setattr(worker, "IN_MEMORY", versions.record(2).quads - 1)
    monkeypatch.setattr(worker, "first_version", None)  # nor is it begun with the first
    assert held(_Current(versions)) == (2, *content(versions))
    assert not opened
