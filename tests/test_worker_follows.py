"""A worker's copy in memory is made of the commits or follows them, and holds what the version on disk holds."""

from __future__ import annotations

import gzip
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import past, worker
from kg.store import Versions
from kg.wire import receive, send
from kg.worker import Worker, _Current
from tests.effort import tries
from tests.sources import CONCESSION, put
from tests.test_past import Steps, content, histories
from tests.test_store import commit, quad

PLENTY = 1 << 34


class Copying(_Current):
    """One that waits for its copies, and tells of which versions they were."""

    def __init__(self, versions: Versions, memory: float = PLENTY) -> None:
        super().__init__(versions, memory)
        self.versions, self.made = versions, list[int]()

    def held(self) -> tuple[int, set[ox.Quad], set[object]]:
        """What it gives when there is no copy in the making."""
        self.get()
        if self._copy is not None:
            self._copy.join()
        number, store = self.get()
        return number, set(store), set(store.named_graphs())

    def _take_copy(self) -> None:
        copy = self._copy
        super()._take_copy()
        if copy is not None and self._copy is None:
            self.made.append(copy.number)

    def agrees(self) -> bool:
        return self.held() == (self.versions.current(), *content(self.versions))

    @property
    def is_in_memory(self) -> bool:
        return self._copied


@pytest.mark.parametrize("bare", [False, True])
@settings(max_examples=tries(6), deadline=None)
@given(data=st.data())
def test_after_any_commits_the_copy_is_what_stands_on_disk(bare: bool, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        versions = Versions.create(Path(folder) / "home", bare=bare)
        current = Copying(versions)
        assert current.agrees()
        for steps in data.draw(histories(bare)):
            _commit(versions, steps)
            if data.draw(st.booleans()):  # else it follows several at once
                assert current.agrees()
        assert current.agrees()
        anew = Copying(versions)
        assert anew.agrees()
        assert current.is_in_memory == anew.is_in_memory == (versions.current() > 0)


def _commit(versions: Versions, steps: Steps) -> None:
    with versions.writing() as draft:
        for adds, changed in steps:
            (draft.add if adds else draft.remove)(changed)
        draft.publish("steps")


def test_the_copy_of_the_shipped_graph_follows_a_load(home: Path) -> None:
    versions = Versions(home)
    current = Copying(versions)
    assert current.agrees()
    put(home, CONCESSION)
    assert current.agrees()
    assert Copying(versions).agrees()
    assert current.made == [1]


def test_a_small_version_is_not_read_before_the_copy_is_there(home: Path) -> None:
    current = Copying(Versions(home))
    current.get()
    assert current.is_in_memory


@pytest.mark.parametrize("why", ["hurry", "large"])
def test_else_it_is_read_on_disk_until_the_copy_is_there(why: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "large":
        monkeypatch.setattr(worker, "SMALL", 0)
    current = Copying(Versions(home))
    number, store = current.get(hurry=why == "hurry")
    assert (number, current.is_in_memory) == (1, False)
    assert set(store) == content(current.versions)[0]
    assert current.agrees()
    assert current.is_in_memory


@pytest.mark.parametrize("hurry", [True, False])
def test_a_worker_that_is_to_hurry_does_not_wait_for_its_copy(hurry: bool, shipped_home: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        served = Worker(theirs, shipped_home, 4096)
        serving = threading.Thread(target=served.serve)
        serving.start()
        send(ours, json.dumps({"job": "open", "hurry": hurry}).encode())
        assert (receive(ours), receive(ours)) == (b"{}", b"")
        assert served._current._copied is not hurry
        ours.shutdown(socket.SHUT_WR)
        serving.join()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[tuple[Versions, Copying]]:
    """A store of one version, of which there is a copy."""
    versions = Versions.create(tmp_path / "home", bare=False)
    commit(versions, quad("first"))
    current = Copying(versions)
    assert current.agrees()
    assert current.is_in_memory
    yield versions, current


@pytest.mark.parametrize(("name", "most"), [("MOST_STEPS", 2), ("MOST_BYTES", 10)])
def test_after_much_has_changed_there_is_a_new_copy(
    name: str, most: int, one: tuple[Versions, Copying], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, current = one
    monkeypatch.setattr(worker, name, most)
    for text in "abc":
        commit(versions, quad(text))
    assert current.agrees()
    assert current.is_in_memory
    assert current.made == [1, 4]


def test_a_copy_that_is_late_follows_the_commits_that_came_meanwhile(one: tuple[Versions, Copying]) -> None:
    versions, _ = one
    current = Copying(versions)
    current.get(hurry=True)
    for text in "ab":
        commit(versions, quad(text))
        assert current.agrees()
    assert current.is_in_memory
    assert current.made == [1]


def test_a_copy_that_is_far_too_late_is_made_anew(
    one: tuple[Versions, Copying], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, _ = one
    current = Copying(versions)
    current.get(hurry=True)
    monkeypatch.setattr(worker, "MOST_STEPS", 1)
    for text in "ab":
        commit(versions, quad(text))
    assert current.agrees()
    assert current.agrees()
    assert current.is_in_memory
    assert current.made == [1, 3]


@pytest.mark.parametrize("of", ["worker", "system"])
def test_what_does_not_fit_is_read_on_disk(
    of: str, one: tuple[Versions, Copying], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, _ = one
    size = len(gzip.decompress(versions.change_file(1).read_bytes()))
    monkeypatch.setattr(worker, "_LINE", 0)
    for most, fits in ((size, True), (size - 1, False)):
        own, free = (most * 10, inf) if of == "worker" else (inf, most * 15)
        monkeypatch.setattr(worker, "free_memory", lambda free=free: free)
        current = Copying(versions, own)
        assert current.agrees()
        assert current.is_in_memory == fits


def test_what_has_too_many_facts_to_fit_is_not_even_tried(one: tuple[Versions, Copying]) -> None:
    current = Copying(one[0], 999)
    assert current.agrees()
    assert current._copy is None
    assert not current.is_in_memory


def _damage(file: Path, damage: str) -> None:
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        sign = {"strange": b"X ", "mixed": b"A <urn:a> <urn:b> <urn:c> <urn:d> .\nD "}[damage]
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"A ", sign)))


DAMAGES = ["gone", "cut", "strange"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_change_set_leaves_no_copy_that_is_half_changed(damage: str, one: tuple[Versions, Copying]) -> None:
    versions, current = one
    for name in "ab":
        commit(versions, quad(name))
    _damage(versions.change_file(3), damage)
    assert current.agrees()
    assert not current.is_in_memory


@pytest.mark.parametrize("damage", [*DAMAGES, "mixed"])
def test_where_a_change_set_is_damaged_the_version_is_read_on_disk(damage: str, one: tuple[Versions, Copying]) -> None:
    versions, _ = one
    _damage(versions.change_file(1), damage)
    current = Copying(versions)
    assert current.agrees()
    assert not current.is_in_memory


def test_a_change_set_is_read_piece_by_piece(one: tuple[Versions, Copying], monkeypatch: pytest.MonkeyPatch) -> None:
    versions, _ = one
    with versions.writing() as draft:
        draft.add({quad(str(number)) for number in range(20)})
        draft.publish("many")
    with versions.writing() as draft:
        draft.remove({quad(str(number)) for number in range(0, 20, 2)})
        draft.add({quad(str(number)) for number in range(20, 30)})
        draft.publish("some")
    for size in (1, 100, 1000):
        monkeypatch.setattr(past, "_PIECE", size)
        current = Copying(versions)
        assert current.agrees()
        assert current.is_in_memory
